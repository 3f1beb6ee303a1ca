//! What can go wrong with a database file.

use std::{path::PathBuf, sync::Arc};

use model::{Classified, ErrorClass};
use ports::{EventLogError, LockError, MailboxError, SessionStoreError, Source, TaskStoreError};
use rusqlite::ErrorCode;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "{} is in use by another process; one file serves one process at a time: \
         stop the other one, or set another sqlite.path",
        path.display()
    )]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// A newer version of us wrote it.
    #[error(
        "{} has schema version {found}, this build knows {known}: run a newer build, or another file",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version that we know.
        known: i64,
    },
    /// Somebody else's database.
    #[error("{} is a database of another program", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// The file system does not do what a write-ahead log needs (network file systems often do not).
    #[error("{} lies on a file system without a write-ahead log", path.display())]
    NoWriteAheadLog {
        /// The database file.
        path: PathBuf,
    },
    /// The folder or the lock file.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// What we were doing.
        op: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database itself.
    #[error("cannot {op} the database {}", path.display())]
    Sqlite {
        /// What we were doing.
        op: &'static str,
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
}

impl Classified for OpenError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::InUse { .. } => ErrorClass::Conflict,
            _ => ErrorClass::Permanent,
        }
    }
}

/// A database that did not close in an orderly way. What was acknowledged is in the file all the same.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Something still ran after the deadline.
    #[error("the database was still {doing} after {seconds} s")]
    TimedOut {
        /// What it was doing.
        doing: &'static str,
        /// The deadline.
        seconds: u64,
    },
    /// The writer ended with a panic.
    #[error("the writer ended unexpectedly")]
    Writer,
}

impl Classified for CloseError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Transient
    }
}

/// Why one call failed; the source of the ports' errors.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The bound of waiting writes is reached.
    #[error("too many writes are waiting")]
    QueueFull,
    /// No answer in time. A write may still happen.
    #[error("no answer within {0} ms")]
    TimedOut(u128),
    /// [`crate::Database::close`] was called.
    #[error("the database is closed")]
    Closed,
    /// A commit failed in a way after which the file cannot be trusted to take the next one.
    #[error("the writer has stopped after a commit that failed; check the disk and restart")]
    Stopped,
    /// The commit that held the write failed: it has not happened.
    #[error("the transaction was not committed")]
    Commit(#[source] Arc<rusqlite::Error>),
    /// The statement failed: the write has not happened.
    #[error("the statement failed")]
    Statement(#[from] rusqlite::Error),
    /// The stored bytes are not what we wrote.
    #[error("the stored entry cannot be decoded")]
    Corrupt(#[source] Source),
}

impl Classified for CallError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::QueueFull => ErrorClass::Overloaded,
            Self::Corrupt(_) => ErrorClass::Permanent,
            _ => ErrorClass::Transient,
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

impl CallError {
    /// As the event log's error.
    pub(crate) fn in_log(self, op: &'static str) -> EventLogError {
        match self {
            Self::QueueFull => EventLogError::Overloaded {
                what: "too many writes are waiting",
            },
            Self::Corrupt(source) => EventLogError::Corrupt { op, source },
            Self::Statement(source) if is_damage(&source) => EventLogError::Corrupt {
                op,
                source: Box::new(source),
            },
            other => EventLogError::Unavailable {
                op,
                source: Box::new(other),
            },
        }
    }

    /// As the session store's error.
    pub(crate) fn in_sessions(self, op: &'static str) -> SessionStoreError {
        match self {
            Self::Corrupt(source) => SessionStoreError::Corrupt { source },
            Self::Statement(source) if is_damage(&source) => SessionStoreError::Corrupt {
                source: Box::new(source),
            },
            other => SessionStoreError::Unavailable {
                op,
                source: Box::new(other),
            },
        }
    }

    /// As the mailbox's error.
    pub(crate) fn in_mailbox(self, op: &'static str) -> MailboxError {
        match self {
            Self::QueueFull => MailboxError::Overloaded {
                what: "too many writes are waiting",
            },
            Self::Corrupt(source) => MailboxError::Corrupt { op, source },
            Self::Statement(source) if is_damage(&source) => MailboxError::Corrupt {
                op,
                source: Box::new(source),
            },
            other => MailboxError::Unavailable {
                op,
                source: Box::new(other),
            },
        }
    }

    /// As the task store's error.
    pub(crate) fn in_tasks(self, op: &'static str) -> TaskStoreError {
        match self {
            Self::QueueFull => TaskStoreError::Overloaded {
                what: "too many writes are waiting",
            },
            Self::Corrupt(source) => TaskStoreError::Corrupt { op, source },
            Self::Statement(source) if is_damage(&source) => TaskStoreError::Corrupt {
                op,
                source: Box::new(source),
            },
            other => TaskStoreError::Unavailable {
                op,
                source: Box::new(other),
            },
        }
    }

    /// As the locks' error.
    pub(crate) fn in_locks(self, op: &'static str) -> LockError {
        match self {
            Self::QueueFull => LockError::Overloaded {
                what: "too many writes are waiting",
            },
            Self::Corrupt(source) => LockError::Corrupt { op, source },
            Self::Statement(source) if is_damage(&source) => LockError::Corrupt {
                op,
                source: Box::new(source),
            },
            other => LockError::Unavailable {
                op,
                source: Box::new(other),
            },
        }
    }
}
