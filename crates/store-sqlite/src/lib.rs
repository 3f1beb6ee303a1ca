//! Event log and session store on SQLite: one file, one process.
//!
//! [`Database::open`] gives both. All writes go through one thread that commits many at a time
//! (`writer`), because an fsync costs the same for one event and for two hundred; an answer is sent only
//! after the commit that holds it. Reads go beside it on a few connections (`readers`), as WAL allows.
//!
//! A second process is refused by a lock file, since the port promises an order that only one writer
//! gives. Whoever needs several processes takes another adapter.

mod database;
mod error;
mod event_log;
mod mailbox;
mod readers;
mod schema;
mod session_lock;
mod session_store;
mod task_store;
mod writer;

pub use database::Database;
pub use error::{CallError, CloseError, OpenError};
pub use event_log::SqliteEventLog;
pub use session_store::SqliteSessionStore;
