//! Event log and session store on SQLite, in one file for one process.
//!
//! [`Database::open`] gives access to both. One thread (`writer`) performs all writes and commits
//! many of them together, because an fsync costs the same for one event as for two hundred; a call
//! is answered only after the commit that contains its write. Reads run concurrently on a few
//! connections (`readers`), as WAL allows.
//!
//! A lock file keeps a second process out, because the port promises an order that only a single
//! writer provides. Deployments with several processes use another adapter. Nothing is acknowledged once
//! another program removed or replaced one of the files (`files`).

mod database;
mod error;
mod event_log;
mod files;
mod gather;
mod leases;
mod mail_account;
mod mailbox;
mod numbers;
mod readers;
mod record_bounds;
mod record_rows;
mod records;
mod retention_time;
mod schema;
mod session_store;
mod trial_writes;
mod writer;

pub use database::Database;
pub use error::{DatabaseCloseError, DatabaseOpenError, SqliteCallError};
pub use event_log::SqliteEventLog;
pub use files::DatabaseFailure;
pub use session_store::SqliteSessionStore;
