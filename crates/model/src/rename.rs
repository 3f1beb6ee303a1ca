//! Renames and transfers: what stays when a repository or an owner gets another name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{EventFacts, OwnerId, RepositoryId, ResourceUri};

/// The kind of resource whose events may rename a repository.
const REPOSITORY: &str = "repository";

/// What an id on GitHub stands for: it keeps its id when it is renamed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlaceId {
    /// A user or organization.
    Owner(OwnerId),
    /// A repository.
    Repository(RepositoryId),
}

impl PlaceId {
    /// Its number, which an owner and a repository may have in common.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Owner(id) => id.0,
            Self::Repository(id) => id.0,
        }
    }
}

/// The name of an owner, or of a repository with that of its owner. GitHub compares names without case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlaceName<'n> {
    /// The owner's login.
    pub owner: &'n str,
    /// The repository's name; `None` for a whole owner.
    pub repo: Option<&'n str>,
}

impl<'n> PlaceName<'n> {
    /// Reads `owner/repo`, or `owner`.
    #[must_use]
    pub fn read(text: &'n str) -> Self {
        match text.split_once('/') {
            Some((owner, repo)) => Self {
                owner,
                repo: Some(repo),
            },
            None => Self {
                owner: text,
                repo: None,
            },
        }
    }

    /// Whether GitHub takes both for the same name.
    #[must_use]
    pub fn is_same(&self, other: &PlaceName<'_>) -> bool {
        let same_repo = match (self.repo, other.repo) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            (one, other) => one == other,
        };
        same_repo && self.owner.eq_ignore_ascii_case(other.owner)
    }
}

impl fmt::Display for PlaceName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.repo {
            Some(repo) => write!(f, "{}/{repo}", self.owner),
            None => f.write_str(self.owner),
        }
    }
}

/// A repository or an owner has another name from now on; a repository may have another owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rename<'n> {
    /// What was renamed.
    pub id: PlaceId,
    /// Its name until now.
    pub from: PlaceName<'n>,
    /// Its name from now on.
    pub to: PlaceName<'n>,
    /// The owner that it had before, where it has the same one now.
    pub owner: Option<OwnerId>,
}

impl EventFacts {
    /// Owner and repository of the former address, with the parts that did not change; both `None` without one.
    #[must_use]
    pub fn former_names(&self) -> (Option<&str>, Option<&str>) {
        let Some(former) = self.former.as_deref() else {
            return (None, None);
        };
        let owner = former.owner.as_deref().or(self.owner.as_deref());
        // An event of a whole owner has no repository at either address.
        (owner, former.repo.as_deref().or(self.repo.as_deref()))
    }

    /// The rename or transfer that the event reports; `None` for every other event, such as an issue that moved to
    /// another repository: its repositories keep their names.
    #[must_use]
    pub fn rename(&self) -> Option<Rename<'_>> {
        let former = self.former.as_deref()?;
        let (owner, (from_owner, from_repo)) = (self.owner.as_deref()?, self.former_names());
        let place = |owner, repo| PlaceName { owner, repo };
        let (from, to) = (
            place(from_owner?, from_repo),
            place(owner, self.repo.as_deref()),
        );
        let id = match (to.repo, self.ids.repository) {
            (Some(_), Some(id)) if self.resource_type.as_str() == REPOSITORY => {
                PlaceId::Repository(id)
            }
            (None, None) if former.repo.is_none() => PlaceId::Owner(self.ids.owner?),
            _ => return None,
        };
        let same_owner = from.owner.eq_ignore_ascii_case(to.owner) || to.repo.is_none();
        let rename = Rename {
            id,
            from,
            to,
            owner: self.ids.owner.filter(|_| same_owner),
        };
        // Another spelling is no other name.
        (!from.is_same(&to)).then_some(rename)
    }
}

impl ResourceUri {
    /// The owner and the repository that the URI names; `None` for the list of all events.
    #[must_use]
    pub fn place(&self) -> Option<PlaceName<'_>> {
        let (owner, repo) = match self {
            Self::Events { owner, repo } => (owner.as_deref()?, repo.as_deref()),
            Self::Numbered { owner, repo, .. } => (owner.as_str(), Some(repo.as_str())),
            Self::Project { owner, .. } => (owner.as_str(), None),
        };
        Some(PlaceName { owner, repo })
    }

    /// The URI after `from` was renamed to `to`; `None` if it names something else.
    #[must_use]
    pub fn renamed(&self, from: PlaceName<'_>, to: PlaceName<'_>) -> Option<Self> {
        let name = self.place()?;
        // What is in an owner goes with it.
        let part = PlaceName {
            repo: name.repo.filter(|_| from.repo.is_some()),
            ..name
        };
        if !part.is_same(&from) {
            return None;
        }
        let (new_owner, new_repo) = (to.owner.to_ascii_lowercase(), to.repo);
        let new_repo = new_repo.map(str::to_ascii_lowercase);
        let mut renamed = self.clone();
        match &mut renamed {
            Self::Events { owner, repo } => {
                *owner = Some(new_owner);
                *repo = new_repo.or(repo.take());
            }
            Self::Numbered { owner, repo, .. } => {
                *owner = new_owner;
                *repo = new_repo.unwrap_or_else(|| std::mem::take(repo));
            }
            Self::Project { owner, .. } => *owner = new_owner,
        }
        Some(renamed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        EventId, EventOrigin, EventType, FormerPlace, GithubIds, ResourceId, ResourceType,
        Timestamp,
    };

    fn event(kind: &str, repo: Option<&str>, former: (Option<&str>, Option<&str>)) -> EventFacts {
        let text = |text: Option<&str>| text.map(ToOwned::to_owned);
        EventFacts {
            id: EventId::new("e").unwrap(),
            event_type: EventType::UPDATED,
            action: Some("renamed".to_owned()),
            resource_type: ResourceType::open(kind),
            resource_id: ResourceId::new("R_1").unwrap(),
            owner: Some("Acme".to_owned()),
            repo: text(repo),
            number: None,
            ids: GithubIds {
                owner: Some(OwnerId(5)),
                repository: repo.map(|_| RepositoryId(1)),
                resource: None,
            },
            former: Some(Box::new(FormerPlace {
                owner: text(former.0),
                repo: text(former.1),
            })),
            actor: None,
            author: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
        }
    }

    fn told(facts: &EventFacts) -> Option<(PlaceId, String, String, Option<u64>)> {
        let Rename {
            id,
            from,
            to,
            owner,
        } = facts.rename()?;
        Some((id, from.to_string(), to.to_string(), owner.map(|id| id.0)))
    }

    #[test]
    fn a_rename_names_both_addresses_whole() {
        let repository = PlaceId::Repository(RepositoryId(1));
        let (from, to) = ("Acme/rocket".to_owned(), "Acme/missile".to_owned());
        let renamed = event("repository", Some("missile"), (None, Some("rocket")));
        assert_eq!(told(&renamed), Some((repository, from, to, Some(5))));
        let (from, to) = ("apex/rocket".to_owned(), "Acme/rocket".to_owned());
        let moved = event("repository", Some("rocket"), (Some("apex"), None));
        assert_eq!(told(&moved), Some((repository, from, to, None)));
        let owner = PlaceId::Owner(OwnerId(5));
        let renamed = event("organization", None, (Some("apex"), None));
        let names = ("apex".to_owned(), "Acme".to_owned());
        assert_eq!(told(&renamed), Some((owner, names.0, names.1, Some(5))));
    }

    #[test]
    fn an_issue_that_moves_and_another_spelling_rename_nothing() {
        let issue = event("issue", Some("missile"), (None, Some("rocket")));
        assert_eq!(told(&issue), None);
        let spelt = event("repository", Some("Rocket"), (Some("ACME"), Some("rocket")));
        assert_eq!(told(&spelt), None);
        let without_id = EventFacts {
            ids: GithubIds::default(),
            ..event("repository", Some("missile"), (None, Some("rocket")))
        };
        assert_eq!(told(&without_id), None);
    }

    #[test]
    fn a_uri_goes_with_what_it_names_and_with_its_owner() {
        let renamed = |uri: &str, from: &str, to: &str| {
            let uri = ResourceUri::parse(uri).unwrap();
            let renamed = uri.renamed(PlaceName::read(from), PlaceName::read(to));
            renamed.map(|uri| uri.to_string())
        };
        for (uri, from, to, expected) in [
            (
                "issues/acme/rocket/7",
                "Acme/Rocket",
                "octo/Missile",
                "issues/octo/missile/7",
            ),
            (
                "issues/acme/rocket/7",
                "acme",
                "apex",
                "issues/apex/rocket/7",
            ),
            (
                "events/acme/rocket",
                "acme/rocket",
                "acme/missile",
                "events/acme/missile",
            ),
            ("events/acme/rocket", "acme", "apex", "events/apex/rocket"),
            ("events/acme", "acme", "apex", "events/apex"),
            ("projects/acme/3", "acme", "apex", "projects/apex/3"),
            ("events/acme", "acme/rocket", "acme/missile", ""),
            ("projects/acme/3", "acme/rocket", "octo/rocket", ""),
            ("issues/acme/cat/7", "acme/rocket", "acme/missile", ""),
            ("events", "acme", "apex", ""),
        ] {
            let got = renamed(&format!("github://{uri}"), from, to);
            let expected = Some(expected).filter(|uri| !uri.is_empty());
            let expected = expected.map(|uri| format!("github://{uri}"));
            assert_eq!(got, expected, "{uri} {from}");
        }
    }

    #[test]
    fn the_lists_of_both_addresses_are_touched_each_once() {
        let lists = |facts: &EventFacts| {
            let uris = facts.touched_uris();
            uris.iter().map(ResourceUri::to_string).collect::<Vec<_>>()
        };
        let renamed = event("repository", Some("missile"), (None, Some("rocket")));
        let expected = [
            "github://events",
            "github://events/acme",
            "github://events/acme/missile",
            "github://events/acme/rocket",
        ];
        assert_eq!(lists(&renamed), expected);
        let moved = event("repository", Some("rocket"), (Some("apex"), None));
        let expected = [
            "github://events",
            "github://events/acme",
            "github://events/acme/rocket",
            "github://events/apex",
            "github://events/apex/rocket",
        ];
        assert_eq!(lists(&moved), expected);
    }
}
