//! Changes of names, and what an event says about names.

use std::fmt;

use model::{Epoch, EventFacts, OwnerId, PlaceId, PlaceName, Rename, Sequence};
use serde::{Deserialize, Serialize};

/// A change of names: an entry of the book, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NameChange {
    /// The log in which it happened.
    pub epoch: Epoch,
    /// The position of its event.
    pub at: Sequence,
    /// Whose name it is.
    pub id: PlaceId,
    /// The name before; `None` if the id took a name that another one had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The name from then on, as GitHub spells it: `owner/repo`, or a login.
    pub name: String,
    /// The owner of a repository under that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerId>,
    /// The owner of a repository under the name before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_owner: Option<OwnerId>,
    /// Since when it was known under the name before; `None` if no event had shown it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_since: Option<Sequence>,
    /// Who had the name until then, and did not say that it left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PlaceId>,
    /// When GitHub sent the event, in units of 100 ns, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// The event came late: the id had these names once, and its present name is another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

impl NameChange {
    /// Whether it gives the id a name that it has from then on, in place of another.
    pub(super) const fn is_rename(&self) -> bool {
        self.from.is_some() && !self.late
    }
}

/// For the log: what has another name now.
impl fmt::Display for NameChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = match self.id {
            PlaceId::Owner(id) => ("owner", id.0),
            PlaceId::Repository(id) => ("repository", id.0),
        };
        let name = &self.name;
        match &self.from {
            _ if self.late => write!(
                f,
                "{kind} {name} was a name of id {id} once: an event says so that came late"
            ),
            Some(from) => write!(
                f,
                "{kind} {from} is now {name} (id {id}): filters, subscriptions and tokens that named it follow"
            ),
            None => write!(
                f,
                "{kind} {name} is now another one (id {id}): tokens of the former one do not see it"
            ),
        }
    }
}

/// The name under which an event of the log has shown a place last, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownPlace {
    /// The log.
    pub epoch: Epoch,
    /// The position of the first event that showed it so.
    pub at: Sequence,
    /// What was shown.
    pub id: PlaceId,
    /// Its name, as GitHub spells it: `owner/repo`, or a login.
    pub name: String,
    /// The owner of a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerId>,
    /// When GitHub sent the event, in units of 100 ns, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
}

/// The key of a name.
pub(super) fn key_of(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// An owner or a repository with the name under which an event shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameSight<'f> {
    pub(super) id: PlaceId,
    pub(super) name: PlaceName<'f>,
    /// Of a repository.
    pub(super) owner: Option<OwnerId>,
    /// The name that it had until now, if the event says that it was renamed.
    pub(super) from: Option<PlaceName<'f>>,
}

impl<'f> NameSight<'f> {
    /// The same under a name that it had before, of whose owner the id is known if the login is the same.
    pub(super) fn before(&self, name: PlaceName<'f>) -> Self {
        let same_owner = name.owner.eq_ignore_ascii_case(self.name.owner);
        Self {
            name,
            owner: self.owner.filter(|_| same_owner),
            from: None,
            ..*self
        }
    }
}

/// What an event shows under a name: its owner, then its repository.
pub(super) fn sights<'f>(
    facts: &'f EventFacts,
    rename: Option<&Rename<'f>>,
) -> impl Iterator<Item = NameSight<'f>> {
    let owner = facts.owner.as_deref();
    let whole = owner.map(|owner| PlaceName { owner, repo: None });
    let whole = facts.ids.owner.map(PlaceId::Owner).zip(whole);
    let repo = facts.repo.as_deref();
    let name = owner.zip(repo).map(|(owner, repo)| PlaceName {
        owner,
        repo: Some(repo),
    });
    let repository = facts.ids.repository.map(PlaceId::Repository).zip(name);
    let rename = rename.copied();
    whole
        .into_iter()
        .chain(repository)
        .map(move |(id, name)| NameSight {
            id,
            name,
            owner: facts.ids.owner.filter(|_| name.repo.is_some()),
            from: rename
                .filter(|rename| rename.id == id)
                .map(|rename| rename.from),
        })
}

/// The names that an event shows with an id, in lower case.
pub(super) fn names_shown_by(facts: &EventFacts) -> impl Iterator<Item = (PlaceId, String)> {
    sights(facts, None).map(|sight| (sight.id, key_of(&sight.name.to_string())))
}

/// When GitHub made the event, in units of 100 ns since 1582: an event's id begins with the GUID of its delivery, and
/// GitHub's are of version 1 (RFC 9562 §5.1). `None` for any other id, and for a time that cannot be.
pub(super) fn sent_at(facts: &EventFacts) -> Option<u64> {
    model::guid_time(facts.id.as_str(), facts.received_at)
}
