//! The traits that services see, with numbered contracts.
//!
//! Adapters implement them, services use them, and one suite (crate `contract`) runs every numbered
//! clause against every adapter. Errors carry a class, so that no caller matches on text.
//!
//! Why these ports: the log is the truth and the bus is a hint. `EventLog` keeps the events, which must
//! survive; `Bus` announces that there is something new; `SessionStore` keeps sessions with their owners
//! and subscriptions; `Mailbox` keeps the messages that one session has not read yet; `SessionLock`
//! admits one holder at a time to state that has no revision. `TaskStore` keeps work that continues
//! after its first answer. `ResourceReader` is the sync role as its callers see it.

mod bus;
mod edge_news;
mod event_log;
mod mailbox;
mod resources;
mod session_lock;
mod session_store;
mod stores;
mod task_store;
mod undecodable;

pub use bus::{Bus, BusError, BusEvent, BusMessage, BusSubscription, EventHint, Topic};
pub use edge_news::{EdgeNews, ListChanges};
pub use event_log::{AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead};
pub use mailbox::{Mailbox, MailboxError, MailboxLimits, MailboxPage};
pub use resources::{ResourceError, ResourceReader, ResourceState, SyncStatus};
pub use session_lock::{LockError, LockGuardInfo, LockToken, Pauses, SessionLock};
pub use session_store::{
    Revision, SessionLimits, SessionPage, SessionStore, SessionStoreError, VersionedSession,
};
pub use stores::Stores;
pub use task_store::{TaskLimits, TaskRecord, TaskStore, TaskStoreError, VersionedTask};

/// The boxed source of an error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
pub use undecodable::{PageEntries, UndecodableEntries};
