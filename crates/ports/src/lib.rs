//! The traits that services see, with numbered contracts.
//!
//! Adapters implement them (floor 2), services use them (floor 4), and one suite (crate `contract`) runs
//! every numbered clause against every adapter. Errors carry a class, so that nobody matches on text.
//!
//! Why these ports: the log is the truth and the bus is a hint. `EventLog` keeps what must survive,
//! `Bus` says that there is something new, `SessionStore` keeps who and what, `Mailbox` what one session
//! has still to read, `SessionLock` lets one at a time change what has no revision. `TaskStore` keeps
//! work that goes on after its answer. `ResourceReader` is the sync role as its callers see it.

mod bus;
mod class;
mod event_log;
mod mailbox;
mod query;
mod resources;
mod session_lock;
mod session_store;
mod stores;
mod task_store;

pub use bus::{Bus, BusError, BusEvent, BusMessage, ChangedLists, EventHint, Subscription, Topic};
pub use class::{Classified, ErrorClass};
pub use event_log::{Appended, EventLog, EventLogError, Head, Page};
pub use mailbox::{Mailbox, MailboxError, MailboxLimits, MailboxPage};
pub use query::{EventQuery, MAX_QUERY_EVENTS, Order, QueryPage, query, query_visible};
pub use resources::{ResourceError, ResourceReader, ResourceState, SyncStatus};
pub use session_lock::{LockError, LockGuardInfo, LockToken, Pauses, SessionLock};
pub use session_store::{
    Expected, Revision, SessionLimits, SessionPage, SessionStore, SessionStoreError, Versioned,
};
pub use stores::Stores;
pub use task_store::{TaskLimits, TaskRecord, TaskStore, TaskStoreError, VersionedTask};

/// What a boxed source of an error looks like.
pub type Source = Box<dyn std::error::Error + Send + Sync + 'static>;
