//! Log store, records, mailboxes and leases on SQLite, in one file for one process.
//!
//! [`Database::open`] gives access to all of them. One thread (`writer`) performs all writes and commits
//! many of them together, because an fsync costs the same for one event as for two hundred; a call
//! is answered only after the commit that contains its write. Reads run concurrently on a few
//! connections (`readers`), as WAL allows.
//!
//! A lock file keeps a second process out, because the port promises an order that only a single
//! writer provides. Deployments with several processes use another adapter. Nothing is acknowledged once
//! another program removed or replaced one of the files (`files`).

mod backlog;
mod database;
mod error;
mod files;
mod gather;
mod job;
mod leases;
mod log_store;
mod mail_account;
mod mailbox;
mod mailbox_life;
mod numbers;
mod readers;
mod record_bounds;
mod record_rows;
mod records;
mod retention_time;
mod schema;
mod store;
mod trial_writes;
mod writer;

pub use database::Database;
pub use error::{DatabaseCloseError, DatabaseOpenError, SqliteCallError};
pub use files::DatabaseFailure;
pub use log_store::SqliteLogStore;
pub use store::SqliteSessionStore;
