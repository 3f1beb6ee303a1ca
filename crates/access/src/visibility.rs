//! The owners and repositories that a principal may see.

use std::{cmp::Ordering, sync::Arc};

use model::{EventFacts, GithubReference, ResourceUri};
use serde::{Deserialize, Serialize};

/// Maximum number of owners and repositories of one principal.
const MAX_NAMES: usize = 256;

/// The events that a principal may see: all, or only those of certain owners and repositories.
/// Names are compared ignoring case, as GitHub does. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "StoredVisibility", into = "StoredVisibility")]
pub struct Visibility(Option<Arc<VisibleNames>>);

/// Both lists are sorted and in lower case, so that a check takes a few comparisons and no
/// allocation.
#[derive(PartialEq, Eq, Debug)]
struct VisibleNames {
    owners: Box<[Box<str>]>,
    repositories: Box<[(Box<str>, Box<str>)]>,
}

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
        Self(Some(Arc::new(VisibleNames {
            owners: Box::default(),
            repositories: Box::default(),
        })))
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
        let only = VisibleNames {
            owners: owners.into(),
            repositories: repositories.into(),
        };
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
        let mut repositories = other.repositories.iter();
        other.owners.iter().all(|owner| only.contains(owner, None))
            && repositories.all(|(owner, repo)| only.contains(owner, Some(repo)))
    }

    pub(crate) fn allows_repository(&self, owner: &str, repo: &str) -> bool {
        let only = self.0.as_deref();
        only.is_none_or(|only| only.contains(owner, Some(repo)))
    }

    /// Whether the event may be seen. An event without an owner is visible only if everything is;
    /// an event of an owner's project, which is in no repository, only if the owner is.
    pub fn allows(&self, event: &EventFacts) -> bool {
        let Some(only) = self.0.as_deref() else {
            return true;
        };
        let Some(owner) = event.owner.as_deref() else {
            return false;
        };
        only.contains(owner, event.repo.as_deref())
    }

    /// Whether the resource may be read and subscribed to. A list of events may be if anything in
    /// it may be seen; reading it returns the events that [`Visibility::allows`].
    pub fn allows_uri(&self, uri: &ResourceUri) -> bool {
        let Some(only) = self.0.as_deref() else {
            return true;
        };
        match uri {
            ResourceUri::Events { owner: None, .. } => true,
            ResourceUri::Events {
                owner: Some(owner),
                repo: None,
            } => only.contains(owner, None) || only.contains_some_repository_of(owner),
            ResourceUri::Events {
                owner: Some(owner),
                repo: Some(repo),
            }
            | ResourceUri::Numbered { owner, repo, .. } => only.contains(owner, Some(repo)),
            ResourceUri::Project { owner, .. } => only.contains(owner, None),
        }
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
        let repositories = only.repositories.iter();
        Self::Only {
            owners: only.owners.iter().map(ToString::to_string).collect(),
            repositories: repositories
                .map(|(owner, repo)| format!("{owner}/{repo}"))
                .collect(),
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

impl VisibleNames {
    fn contains(&self, owner: &str, repo: Option<&str>) -> bool {
        let in_repository = |repo: &str| {
            let found = self
                .repositories
                .binary_search_by(|(known_owner, known_repo)| {
                    compare_ignoring_case(known_owner, owner)
                        .then_with(|| compare_ignoring_case(known_repo, repo))
                });
            found.is_ok()
        };
        let found = self
            .owners
            .binary_search_by(|known| compare_ignoring_case(known, owner));
        found.is_ok() || repo.is_some_and(in_repository)
    }

    fn contains_some_repository_of(&self, owner: &str) -> bool {
        let by_owner = |(known, _): &(Box<str>, Box<str>)| compare_ignoring_case(known, owner);
        self.repositories.binary_search_by(by_owner).is_ok()
    }
}

/// Compares a name in lower case with one in any case.
fn compare_ignoring_case(known: &str, given: &str) -> Ordering {
    known
        .bytes()
        .cmp(given.bytes().map(|b| b.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
