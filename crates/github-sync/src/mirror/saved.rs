//! A state as the store keeps it.

use bytes::Bytes;
use model::{
    Epoch, EventId, OwnerId, PlaceId, PlaceName, RecordId, RepositoryId, ResourceId, Timestamp,
};
use ports::MirroredKind;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::version::StateVersion;
use crate::limits::MAX_SAVED_OBJECT_BYTES;

/// The format of what is stored. One of another number is not read: a later pass shows the state again.
const FORMAT: u32 = 1;

/// Everything that the mirror keeps of a state, for the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SavedState {
    /// Its place.
    pub(crate) place: PlaceId,
    /// Its kind.
    pub(crate) kind: MirroredKind,
    /// Its number, or its id where it has none.
    pub(crate) number: u64,
    /// The owner at the address that was shown.
    pub(super) owner: Option<OwnerId>,
    /// The address that was shown, as GitHub spells it.
    pub(super) address: Option<String>,
    pub(super) node_id: ResourceId,
    /// GitHub's object; `None` if it is too large for the store: then the list that it is in has to be read again.
    pub(super) json: Option<Bytes>,
    pub(super) event_id: EventId,
    pub(super) updated_at: Timestamp,
    pub(super) version: StateVersion,
    /// The log in which the sequence of the version is; `None` if there was none.
    pub(super) epoch: Option<Epoch>,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredForm<'a> {
    format: u32,
    place: PlaceId,
    kind: &'a str,
    number: u64,
    owner: Option<OwnerId>,
    address: Option<String>,
    node_id: ResourceId,
    event_id: EventId,
    updated_at: Timestamp,
    version: StateVersion,
    epoch: Option<Epoch>,
    /// The object was too large.
    left_out: bool,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The reason why a stored state cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SavedStateError {
    /// It is none.
    #[error("a stored state cannot be read")]
    Form(#[from] serde_json::Error),
    /// Another build wrote it.
    #[error("a stored state has the format {0}")]
    Format(u32),
    /// Another build wrote it.
    #[error("a stored state is of the unknown kind {0:?}")]
    Kind(String),
}

impl SavedState {
    /// The id of its record: `<place>.<kind>.<number>`, where the place is `r` and the id of the repository, or `o` and
    /// that of the owner.
    pub(crate) fn record_id(&self) -> RecordId {
        let prefix = record_prefix(self.place);
        RecordId::new(&format!("{prefix}{}.{}", self.kind, self.number)).expect("short and visible")
    }

    /// Whether it is the newer one of two states of a resource.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        self.version > other.version
    }

    /// Whether no event of this log tells of it.
    pub(crate) fn is_eventless(&self) -> bool {
        self.version.sequence == model::Sequence(0)
    }

    /// The stored form.
    ///
    /// # Errors
    /// GitHub's object is not JSON.
    pub(crate) fn encode(&self) -> Result<Bytes, serde_json::Error> {
        let object = match &self.json {
            Some(json) => serde_json::from_slice(json)?,
            None => RawValue::NULL,
        };
        let form = StoredForm {
            format: FORMAT,
            place: self.place,
            kind: self.kind.as_str(),
            number: self.number,
            owner: self.owner,
            address: self.address.clone(),
            node_id: self.node_id.clone(),
            event_id: self.event_id.clone(),
            updated_at: self.updated_at,
            version: self.version,
            epoch: self.epoch,
            left_out: self.json.is_none(),
            object,
        };
        serde_json::to_vec(&form).map(Bytes::from)
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// It is none, or another build's.
    pub(crate) fn decode(stored: &[u8]) -> Result<Self, SavedStateError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(stored)?;
        if format != FORMAT {
            return Err(SavedStateError::Format(format));
        }
        let form: StoredForm<'_> = serde_json::from_slice(stored)?;
        let kind = MirroredKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == form.kind);
        let object = || Bytes::copy_from_slice(form.object.get().as_bytes());
        Ok(Self {
            place: form.place,
            kind: kind.ok_or_else(|| SavedStateError::Kind(form.kind.to_owned()))?,
            number: form.number,
            owner: form.owner,
            json: (!form.left_out).then(object),
            address: form.address,
            node_id: form.node_id,
            event_id: form.event_id,
            updated_at: form.updated_at,
            version: form.version,
            epoch: form.epoch,
        })
    }

    /// The address that was shown.
    pub(super) fn name(&self) -> Option<PlaceName<'_>> {
        self.address.as_deref().map(PlaceName::read)
    }

    pub(super) fn repository(&self) -> Option<RepositoryId> {
        match self.place {
            PlaceId::Repository(id) => Some(id),
            PlaceId::Owner(_) => None,
        }
    }

    /// Whether an object fits into a record.
    pub(super) fn fits(json: &Bytes) -> bool {
        json.len() <= MAX_SAVED_OBJECT_BYTES
    }
}

/// What the ids of all records of a place begin with.
pub(crate) fn record_prefix(place: PlaceId) -> RecordId {
    let prefix = match place {
        PlaceId::Owner(id) => format!("o{}.", id.0),
        PlaceId::Repository(id) => format!("r{}.", id.0),
    };
    RecordId::new(&prefix).expect("short and visible")
}
