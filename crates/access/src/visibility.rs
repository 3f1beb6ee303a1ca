//! The owners and repositories that a principal may see.

mod visible_names;

use std::sync::Arc;

use model::{EventFacts, GithubIds, GithubReference, PlaceName, PrincipalId, ResourceUri};
use serde::{Deserialize, Serialize};

use self::visible_names::VisibleNames;
use crate::names::{NameDirectory, NamedRights};

/// Maximum number of owners and repositories of one principal.
const MAX_NAMES: usize = 256;

/// The events that a principal may see: all, or only those of certain owners and repositories.
/// Names are compared ignoring case, as GitHub does. Once it is known which ids they mean, the ids decide
/// ([`Self::follow_ids`]). Two of these are equal if they name the same. Cloning
/// is cheap.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "StoredVisibility", into = "StoredVisibility")]
pub struct Visibility(Option<Arc<VisibleNames>>);

/// Names that are not valid here. The error states the rule, never the name, because it comes from
/// a file next to secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VisibilityError {
    /// Not an owner's name.
    #[error(
        "an owner is a login: up to 39 letters, digits, - and _; a repository goes into repositories"
    )]
    Owner,
    /// Not `owner/repo`.
    #[error("a repository is owner/repo: letters, digits, -, _ and . on both sides of one /")]
    Repository,
    /// Too many.
    #[error("at most {MAX_NAMES} owners and repositories")]
    TooMany,
}

impl Visibility {
    /// Everything.
    pub const fn all() -> Self {
        Self(None)
    }

    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(Some(Arc::default()))
    }

    /// Only what belongs to one of `owners`, or to one of `repositories` (`owner/repo`, or the URL on
    /// github.com). Without any name: nothing.
    ///
    /// # Errors
    /// A name that is not valid on GitHub, or more than 256 names.
    pub fn only<'n>(
        owners: impl IntoIterator<Item = &'n str>,
        repositories: impl IntoIterator<Item = &'n str>,
    ) -> Result<Self, VisibilityError> {
        let owner = |text| {
            let owner = GithubReference::read_owner(text);
            owner.map(Into::into).map_err(|_| VisibilityError::Owner)
        };
        let repository = |text| match GithubReference::read_repository(text) {
            Ok((owner, repo)) => Ok((owner.into(), repo.into())),
            Err(_) => Err(VisibilityError::Repository),
        };
        let mut owners = owners
            .into_iter()
            .map(owner)
            .collect::<Result<Vec<_>, _>>()?;
        let repositories = repositories.into_iter().map(repository);
        let mut repositories = repositories.collect::<Result<Vec<_>, _>>()?;
        if owners.len() + repositories.len() > MAX_NAMES {
            return Err(VisibilityError::TooMany);
        }
        owners.sort();
        owners.dedup();
        repositories.sort();
        repositories.dedup();
        let only = VisibleNames::new(owners, repositories);
        Ok(Self(Some(Arc::new(only))))
    }

    /// Whether everything may be seen.
    pub const fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether everything may be seen that `other` may see.
    pub fn covers(&self, other: &Self) -> bool {
        let Some(only) = self.0.as_deref() else {
            return true;
        };
        let Some(other) = other.0.as_deref() else {
            return false;
        };
        only.covers(other)
    }

    /// From now on, the ids that the names mean decide, as the directory finds them for this principal.
    pub fn follow_ids(&self, principal: &PrincipalId, directory: &Arc<NameDirectory>) {
        if let Some(only) = &self.0
            && only.set_directory(directory)
        {
            let rights: Arc<dyn NamedRights> = Arc::<VisibleNames>::clone(only);
            directory.attach(principal, &rights);
        }
    }

    /// Whether content of a repository inside an event of another one may be seen. The name is that of the
    /// event's time: without ids, one that has had several holders does not say whose the content is, nor does one
    /// that is known to mean an id.
    pub(crate) fn allows_repository(&self, owner: &str, repo: &str, ids: GithubIds) -> bool {
        let only = self.0.as_deref();
        only.is_none_or(|only| only.shows_content_of(owner, repo, ids))
    }

    /// Whether the state of a resource may be seen that has these ids, of its repository and of its owner, and is at
    /// this address now. It is judged as an event is ([`Self::allows`]), and where it has no id that a pinned name
    /// could be compared with, it is not seen: its reader may not tell it from the state of another one.
    #[must_use]
    pub fn allows_state(&self, uri: &ResourceUri, ids: GithubIds) -> bool {
        self.is_all()
            || uri
                .place()
                .is_some_and(|name| self.allows_place_with(name, ids))
    }

    /// As [`Self::allows_state`], of what is at this place: labels, releases and runs have no URI.
    #[must_use]
    pub fn allows_place_with(&self, place: PlaceName<'_>, ids: GithubIds) -> bool {
        let only = self.0.as_deref();
        only.is_none_or(|only| only.shows_place(place, ids))
    }

    /// Whether the event may be seen. An event without an owner is visible only if everything is;
    /// an event of an owner's project, which is in no repository, only if the owner is.
    pub fn allows(&self, event: &EventFacts) -> bool {
        self.0.as_deref().is_none_or(|only| only.shows(event))
    }

    /// Whether the resource may be subscribed to, by the names of this moment; what is read of it is judged by
    /// [`Self::allows_state`]. A list of events may be if anything in it may be seen; reading it returns the events
    /// that [`Visibility::allows`].
    pub fn allows_uri(&self, uri: &ResourceUri) -> bool {
        self.0.as_deref().is_none_or(|only| only.shows_uri(uri))
    }
}

/// The form in which a visibility is stored with an answer that was made under it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum StoredVisibility {
    Everything,
    Only {
        owners: Vec<String>,
        repositories: Vec<String>,
    },
}

impl From<Visibility> for StoredVisibility {
    fn from(visibility: Visibility) -> Self {
        let Some(only) = visibility.0.as_deref() else {
            return Self::Everything;
        };
        Self::Only {
            owners: only.owners().map(ToOwned::to_owned).collect(),
            repositories: only.repositories().collect(),
        }
    }
}

impl TryFrom<StoredVisibility> for Visibility {
    type Error = VisibilityError;

    fn try_from(stored: StoredVisibility) -> Result<Self, VisibilityError> {
        match stored {
            StoredVisibility::Everything => Ok(Self::all()),
            StoredVisibility::Only {
                owners,
                repositories,
            } => Self::only(
                owners.iter().map(String::as_str),
                repositories.iter().map(String::as_str),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
