//! What is stored of a place: how far its lists were read, and which states were stored last.
//!
//! A record is replaced at its revision alone. So of two replicas that compare one place, because one was paused for longer
//! than its lease, the slower one learns at its next step that it has lost its turn.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use model::{PrincipalId, RecordId, Timestamp};
use ports::{
    Collection, MirroredKind, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits,
    Records, RecordsError, Revision,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use super::{derived::KnownConditions, error::CompareError};
use crate::{
    limits::{MAX_GONE_WAITING, MIRROR_TTL, RECENTLY_SAVED},
    listed::ListedPlace,
    lists::ListCheckpoint,
};

/// The collection of what is stored of places.
pub(super) const PLACES: Collection = Collection::new("mirror-places");

const LIMITS: RecordLimits = RecordLimits {
    max_records: 100_000,
    max_records_per_owner: 100_000,
    max_bytes: 4 << 30,
    max_bytes_per_owner: 4 << 30,
    spare_ttl: Duration::ZERO,
};

/// The form of the stored text. Another one is read as nothing: the lists are read from their start.
const VERSION: u32 = 1;

/// A place by what it is called in the configuration, in lower case: `owner/repo`, or the login of an organization.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct PlaceLabel(Arc<str>);

impl PlaceLabel {
    pub(crate) fn repository(owner: &str, repo: &str) -> Self {
        Self(format!("{owner}/{repo}").to_ascii_lowercase().into())
    }

    pub(crate) fn owner(login: &str) -> Self {
        Self(login.to_ascii_lowercase().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The owner and the repository, if it is one.
    pub(crate) fn parts(&self) -> (&str, Option<&str>) {
        match self.0.split_once('/') {
            Some((owner, repo)) => (owner, Some(repo)),
            None => (&self.0, None),
        }
    }

    pub(super) fn record_id(&self) -> RecordId {
        RecordId::new(&self.0).expect("a login and a name are visible ASCII")
    }
}

impl std::fmt::Display for PlaceLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is stored of a place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct PlaceState {
    version: u32,
    /// The place as GitHub showed it last; `None` before it was found.
    pub(super) place: Option<ListedPlace>,
    /// Its lists by the name of their kind.
    pub(super) lists: BTreeMap<String, ListState>,
    /// The repositories of an organization, by id.
    #[serde(default)]
    pub(super) repositories: BTreeMap<u64, String>,
    /// The projects of an organization whose fields, views and items were read, and up to when these have all changes.
    #[serde(default)]
    pub(super) projects: BTreeMap<u64, Timestamp>,
    /// When the issues of a repository were last counted, and what was the reason.
    #[serde(default)]
    pub(super) issue_count: Option<IssueCount>,
    /// The missing issue of which was asked last what became of it: the next comparison goes on after it.
    #[serde(default)]
    pub(super) last_fate_asked: u64,
    /// What holds now of that of which no webhook tells.
    #[serde(default)]
    pub(super) conditions: KnownConditions,
    /// When its last comparison ended.
    pub(super) finished_at: Option<Timestamp>,
    /// Rises with each group of stored states.
    pub(super) generation: u64,
    /// The states that were stored last, with the generation of each: what another replica has to read again.
    pub(super) recent: VecDeque<(u64, String)>,
}

/// A count of issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IssueCount {
    pub(super) at: Timestamp,
    /// By how many the mirror had more open issues and pull requests than the repository said.
    pub(super) too_many_open: usize,
}

/// What is stored of a list.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct ListState {
    #[serde(
        serialize_with = "write_checkpoint",
        deserialize_with = "read_checkpoint"
    )]
    pub(super) checkpoint: ListCheckpoint,
    /// When it was last read to its end, with nothing kept back.
    pub(super) as_of: Option<Timestamp>,
    /// Why it cannot be read.
    pub(super) failure: Option<String>,
    /// What is no longer listed, and since when, as long as no event says so.
    #[serde(default)]
    pub(super) gone: BTreeMap<u64, Timestamp>,
    /// The store had no room for a state of it.
    #[serde(default)]
    pub(super) is_unstored: bool,
}

fn write_checkpoint<S: Serializer>(it: &ListCheckpoint, to: S) -> Result<S::Ok, S::Error> {
    let json = RawValue::from_string(String::from_utf8_lossy(&it.to_json()).into_owned());
    json.map_err(S::Error::custom)?.serialize(to)
}

/// One of another build is as none: its list alone is read from the start.
fn read_checkpoint<'d, D: Deserializer<'d>>(from: D) -> Result<ListCheckpoint, D::Error> {
    let json = <&RawValue>::deserialize(from)?;
    Ok(ListCheckpoint::from_json(json.get().as_bytes()))
}

impl PlaceState {
    pub(super) fn list(&mut self, kind: MirroredKind) -> &mut ListState {
        self.lists.entry(kind.as_str().to_owned()).or_default()
    }

    /// Forgets how far the place was read.
    pub(super) fn begin_anew(&mut self) {
        self.lists.clear();
        self.repositories.clear();
        self.projects.clear();
        self.issue_count = None;
        self.last_fate_asked = 0;
        self.conditions = KnownConditions::default();
    }

    /// Notes that states were stored.
    pub(super) fn note_saved(&mut self, ids: impl IntoIterator<Item = String>) {
        self.generation += 1;
        let generation = self.generation;
        self.recent
            .extend(ids.into_iter().map(|id| (generation, id)));
        let surplus = self.recent.len().saturating_sub(RECENTLY_SAVED);
        self.recent.drain(..surplus);
    }

    /// The states that were stored after a generation; `None` if they are not known any more.
    pub(super) fn saved_after(&self, generation: u64) -> Option<Vec<&str>> {
        // The oldest generation that is remembered may be remembered in part.
        let oldest = self
            .recent
            .front()
            .map_or(self.generation, |(oldest, _)| *oldest);
        // A place that began anew counts from 0 again.
        (generation >= oldest && generation <= self.generation).then(|| {
            let later = self.recent.iter().filter(|(at, _)| *at > generation);
            later.map(|(_, id)| id.as_str()).collect()
        })
    }
}

impl ListState {
    /// Since when a resource is no longer listed; from now on, if that is new. `None` if too many wait already.
    pub(super) fn gone_since(&mut self, number: u64, now: Timestamp) -> Option<Timestamp> {
        if !self.gone.contains_key(&number) && self.gone.len() >= MAX_GONE_WAITING {
            return None;
        }
        Some(*self.gone.entry(number).or_insert(now))
    }
}

/// The stored states of places.
#[derive(Debug, Clone)]
pub(super) struct PlaceRecords {
    records: Arc<dyn Records>,
    owner: PrincipalId,
}

impl PlaceRecords {
    pub(super) fn new(records: Arc<dyn Records>) -> Self {
        Self {
            records,
            owner: PrincipalId::new("github-sync").expect("a constant of visible ASCII"),
        }
    }

    /// What is stored of a place, at its revision.
    pub(super) async fn load(
        &self,
        label: &PlaceLabel,
    ) -> Result<Option<(PlaceState, Revision)>, CompareError> {
        let record = self.records.load(&key(label)).await?;
        Ok(record.map(|record| (read(&record.state), record.revision)))
    }

    /// What is stored of several places, in their order.
    pub(super) async fn load_many(
        &self,
        labels: &[PlaceLabel],
    ) -> Result<Vec<Option<PlaceState>>, CompareError> {
        let ids: Vec<_> = labels.iter().map(PlaceLabel::record_id).collect();
        let records = match self.records.load_many(PLACES, &ids).await {
            Err(RecordsError::Unreadable { .. }) => return self.load_each(labels).await,
            records => records?,
        };
        let states = records.into_iter();
        Ok(states
            .map(|record| record.map(|record| read(&record.state)))
            .collect())
    }

    /// As [`Self::load_many`], where one of them is damaged: that one is as none, and named at its own comparison.
    async fn load_each(
        &self,
        labels: &[PlaceLabel],
    ) -> Result<Vec<Option<PlaceState>>, CompareError> {
        let mut states = Vec::with_capacity(labels.len());
        for label in labels {
            states.push(match self.load(label).await {
                Err(CompareError::Records(RecordsError::Unreadable { .. })) => None,
                state => state?.map(|(state, _)| state),
            });
        }
        Ok(states)
    }

    /// Stores what is known of a place, if nobody else has since `expected`.
    pub(super) async fn save(
        &self,
        label: &PlaceLabel,
        state: &PlaceState,
        expected: Option<Revision>,
    ) -> Result<Revision, CompareError> {
        let state = PlaceState {
            version: VERSION,
            ..state.clone()
        };
        let state = serde_json::to_vec(&state).map_err(CompareError::Encoding)?;
        let state = Bytes::from(state);
        let Some(expected) = expected else {
            return self.create(label, state).await;
        };
        let (key, life) = (key(label), RecordLife::For(MIRROR_TTL));
        let replaced = self.records.replace(&key, state, expected, life, LIMITS);
        match replaced.await {
            Err(RecordsError::Conflict { .. } | RecordsError::Missing) => {
                Err(CompareError::TurnLost)
            }
            replaced => Ok(replaced?),
        }
    }

    async fn create(&self, label: &PlaceLabel, state: Bytes) -> Result<Revision, CompareError> {
        let record = NewRecord {
            key: key(label),
            owner: self.owner.clone(),
            state,
            ttl: MIRROR_TTL,
        };
        match self.records.create(&record, LIMITS).await? {
            RecordCreation::Created(revision) => Ok(revision),
            RecordCreation::Exists(_) | RecordCreation::Ended => Err(CompareError::TurnLost),
        }
    }
}

fn key(label: &PlaceLabel) -> RecordKey {
    RecordKey {
        collection: PLACES,
        id: label.record_id(),
    }
}

/// What another build wrote, or nobody, is as nothing: the place is read from the start.
fn read(state: &Bytes) -> PlaceState {
    let state: Option<PlaceState> = serde_json::from_slice(state).ok();
    state
        .filter(|state| state.version == VERSION)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(state: &mut PlaceState, ids: &[&str]) {
        state.note_saved(ids.iter().map(|id| (*id).to_owned()));
    }

    #[test]
    fn what_was_stored_since_is_known_or_said_to_be_unknown() {
        let mut state = PlaceState::default();
        assert_eq!(state.saved_after(0), Some(vec![]));
        saved(&mut state, &["a", "b"]);
        saved(&mut state, &["c"]);
        assert_eq!(state.saved_after(1), Some(vec!["c"]));
        assert_eq!(state.saved_after(2), Some(vec![]));
        assert_eq!(
            state.saved_after(0),
            None,
            "whoever knows nothing reads everything"
        );
        let many: Vec<_> = (0..RECENTLY_SAVED).map(|n| n.to_string()).collect();
        state.note_saved(many);
        assert_eq!(state.recent.len(), RECENTLY_SAVED);
        assert_eq!(
            state.saved_after(2),
            None,
            "the third group may have begun before"
        );
        assert_eq!(state.saved_after(3), Some(vec![]));
    }

    #[test]
    fn a_state_of_another_build_is_as_none() {
        let mut state = PlaceState {
            version: VERSION,
            ..PlaceState::default()
        };
        saved(&mut state, &["a"]);
        let written = Bytes::from(serde_json::to_vec(&state).unwrap());
        assert_eq!(read(&written), state);
        state.version += 1;
        let written = Bytes::from(serde_json::to_vec(&state).unwrap());
        assert_eq!(read(&written), PlaceState::default());
        assert_eq!(read(&Bytes::from_static(b"{")), PlaceState::default());
    }
}
