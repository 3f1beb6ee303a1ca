//! Ids, events, filters, cursors, sessions, time and classes of errors: data without I/O.
//!
//! Everything above depends on this crate, so it stays small: no tokio, no sockets, no features.
//! What is deliberately absent: anything that talks (see `ports`) and anything that knows MCP (see `mcp`).

mod class;
mod clock;
mod cursor;
mod event;
mod facts;
mod filter;
mod ids;
mod name;
mod ordered;
mod resource;
mod sequence;
mod session;
mod timestamp;
mod trace;

pub use class::{Classified, ErrorClass};
pub use clock::{Clock, IdSource, ManualClock, RandomIds, SystemClock};
pub use cursor::{Cursor, CursorError, CursorScope, StreamCursor};
pub use event::{EventMetadata, EventType, ResourceEvent, ResourceRef, Source};
pub use facts::{EventFacts, StoredEvent};
pub use filter::{Filter, FilterError, FilterRequest, FilterSet};
pub use ids::{
    DeliveryId, EventId, InvalidId, LockName, PrincipalId, ResourceId, SessionId, StreamId,
    SubscriptionId, TaskId,
};
pub use ordered::{Lost, Missing, Ordered, Step};
pub use resource::{ResourceType, ResourceUri, ResourceUriError};
pub use sequence::{Epoch, LogPosition, Sequence, Sequenced};
pub use session::{Session, Subscription};
pub use timestamp::Timestamp;
pub use trace::{SpanId, TraceContext, TraceId};
