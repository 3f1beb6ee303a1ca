//! Ids, events, filters, cursors, sessions, time and classes of errors: data without I/O.
//!
//! Every other crate depends on this one, so it stays small: no tokio, no sockets, no features.
//! Deliberately absent: anything that does I/O (see `ports`) and anything specific to MCP (see `mcp`).

mod class;
mod clock;
mod cursor;
mod delivered;
mod digest;
mod entry_tag;
mod error_chain;
mod event;
mod facts;
mod file_text;
mod filter;
mod filter_notes;
mod filter_request;
mod found_resource;
mod github_name;
mod github_reference;
mod guid_time;
mod id_form;
mod ids;
mod json_fault;
pub mod limits;
mod name;
mod rename;
mod resource;
mod resource_type;
mod sequence;
mod sequencer;
mod session;
mod timestamp;
mod trace;

pub use class::{Classified, ErrorClass, PublicError};
pub use clock::{Clock, IdSource, ManualClock, RandomIds, SystemClock};
pub use cursor::{
    Cursor, CursorError, CursorKeys, CursorScope, CursorText, GapMark, SharedKey, StreamCursor,
};
pub use delivered::{DeliveredJson, DeliveredPart};
pub use digest::{CompiledFilter, EventDigest, FilterMatcher, LookupValue, RenameDigest};
pub use entry_tag::{EntryDigest, EntryTag};
pub use error_chain::error_chain;
pub use event::{EventMetadata, EventOrigin, EventType, ResourceEvent, ResourceRef};
pub use facts::{EventFacts, FormerPlace, GithubIds, StoredEvent, TextAuthor};
pub use file_text::{FileTextError, file_text, without_byte_order_mark};
pub use filter::{Filter, FilterCountError, FilterSet};
pub use filter_request::{ASSOCIATIONS, FilterDefaults, FilterError, FilterRequest};
pub use found_resource::FoundResource;
pub use github_name::{NameError, label_list};
pub use github_reference::GithubReference;
pub use guid_time::{delivery_time, delivery_timestamp, guid_time};
pub use ids::{
    BudgetAccount, DeliveryId, EventId, InvalidId, LeaseName, OwnerId, PostedCallId, PrincipalId,
    RecordId, RepositoryId, ResourceId, SessionId, StreamId, SubscriptionId, TaskId,
};
pub use json_fault::JsonFault;
pub use rename::{PlaceId, PlaceName, Rename};
pub use resource::{ResourceUri, ResourceUriError};
pub use resource_type::ResourceType;
pub use sequence::{Epoch, LogPosition, Sequence, Sequenced};
pub use sequencer::{LostRange, ReadNeed, Sequencer, SequencerStep};
pub use session::{EventSubscription, Session, SessionTimes, SubscriptionBound, next_number};
pub use timestamp::Timestamp;
pub use trace::{SpanId, TraceContext, TraceId};
