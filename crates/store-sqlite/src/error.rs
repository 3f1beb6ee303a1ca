//! Errors of a database file and of its calls.

use std::{path::PathBuf, sync::Arc};

use model::{Classified, ErrorClass};
use ports::{BoxError, StoreFailure};
use rusqlite::ErrorCode;

use crate::DatabaseFailure;

/// An error of opening a database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseOpenError {
    /// Another process holds the file.
    #[error(
        "{} is in use by another process; one file serves one process at a time: \
         stop the other one, or set another sqlite.path",
        path.display()
    )]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// A newer build of Forgewire wrote the file.
    #[error(
        "{} has schema version {found}, this build knows {known}: run a newer build, or another file",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version that this build knows.
        known: i64,
    },
    /// The file is the database of another program.
    #[error("{} is a database of another program", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// The file system does not support what a write-ahead log needs (network file systems often do
    /// not).
    #[error("{} is on a file system that does not support a write-ahead log", path.display())]
    NoWriteAheadLog {
        /// The database file.
        path: PathBuf,
    },
    /// The folder or the lock file cannot be used, or the writer's thread cannot be started.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// The operation that failed.
        op: &'static str,
        /// The folder, the lock file or the database file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The database itself cannot be opened or set up.
    #[error("cannot {op} the database {}", path.display())]
    Sqlite {
        /// The operation that failed.
        op: &'static str,
        /// The database file.
        path: PathBuf,
        /// The error from SQLite.
        #[source]
        source: rusqlite::Error,
    },
}

impl Classified for DatabaseOpenError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::InUse { .. } => ErrorClass::Conflict,
            _ => ErrorClass::Permanent,
        }
    }
}

/// An error of closing a database. Acknowledged writes are in the file all the same.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseCloseError {
    /// An operation still ran at the deadline.
    #[error("the database was still {doing} after {seconds} s")]
    TimedOut {
        /// The operation that still ran.
        doing: &'static str,
        /// The deadline in seconds.
        seconds: u64,
    },
    /// The writer ended with a panic.
    #[error("the writer ended unexpectedly")]
    Writer,
}

impl Classified for DatabaseCloseError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Transient
    }
}

/// An error of one call; the source of the ports' errors.
#[derive(Debug, thiserror::Error)]
pub enum SqliteCallError {
    /// The queue of waiting writes is full.
    #[error("too many writes are waiting")]
    QueueFull,
    /// The call had no result in time; the number is the deadline in milliseconds. A write may
    /// still be committed later.
    #[error("no answer within {0} ms")]
    TimedOut(u128),
    /// [`crate::Database::close`] was called.
    #[error("the database is closed")]
    Closed,
    /// A commit failed in a way after which the file cannot be trusted to store the next one.
    #[error("the writer stopped after a failed commit; check the disk and restart")]
    Stopped,
    /// Another program removed or replaced one of the database's files, so that the next start may not
    /// find the write.
    #[error("the database {0}")]
    Lost(DatabaseFailure),
    /// The commit that contained the write failed: the write was not stored.
    #[error("the transaction was not committed")]
    Commit(#[source] Arc<rusqlite::Error>),
    /// The statement failed: the write was not stored.
    #[error("the statement failed")]
    Statement(#[source] rusqlite::Error),
    /// The stored bytes cannot be decoded.
    #[error("the stored entry cannot be decoded")]
    Corrupt(#[source] BoxError),
}

impl Classified for SqliteCallError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::QueueFull => ErrorClass::Overloaded,
            Self::Corrupt(_) => ErrorClass::Permanent,
            _ => ErrorClass::Transient,
        }
    }
}

impl From<rusqlite::Error> for SqliteCallError {
    fn from(error: rusqlite::Error) -> Self {
        match is_foreign(&error) {
            true => Self::Corrupt(error.into()),
            false => Self::Statement(error),
        }
    }
}

/// Whether a value has another type than this crate writes: another program wrote it, because SQLite stores
/// any type in any column.
pub(crate) const fn is_foreign(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
    )
}

const DISK_FULL: &str = "the disk of the database is full";

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

impl SqliteCallError {
    /// The failure of a store that could not do `op` because of this.
    pub(crate) fn failing(self, op: &'static str) -> StoreFailure {
        let full = |what, error: Self| StoreFailure::Overloaded {
            what,
            source: Some(error.into()),
        };
        match self {
            Self::QueueFull => full("too many writes are waiting", self),
            Self::Corrupt(source) => StoreFailure::Corrupt { op, source },
            Self::Statement(source) if is_damage(&source) => StoreFailure::corrupt(op, source),
            Self::Statement(ref source) if is_full(source) => full(DISK_FULL, self),
            Self::Commit(ref source) if is_full(source) => full(DISK_FULL, self),
            other => StoreFailure::unavailable(op, other),
        }
    }
}
