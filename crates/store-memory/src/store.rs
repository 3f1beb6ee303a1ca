//! The store in memory: records, mailboxes and leases of one process.

use std::{fmt, sync::Arc};

use model::Clock;
use parking_lot::Mutex;

use crate::{
    lease_table::{LeaseTable, Locks},
    mailbox_table::MailboxTable,
    record_table::RecordTable,
};

/// Records, mailboxes and leases of one process. A collection has up to `max_sessions` living records, and there
/// are as many mailboxes, whatever limits a call is given. At this bound a call is refused as overloaded until
/// something ends or expires.
pub struct MemorySessionStore {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) locks: Locks,
    pub(crate) records: Mutex<RecordTable>,
    pub(crate) mailboxes: Mutex<MailboxTable>,
    pub(crate) max_sessions: usize,
}

/// A copy of everything in a [`MemorySessionStore`].
#[derive(Clone)]
pub struct SavedSessions {
    records: RecordTable,
    mailboxes: MailboxTable,
    locks: LeaseTable,
}

impl fmt::Debug for SavedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SavedSessions")
    }
}

impl fmt::Debug for MemorySessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySessionStore")
            .field("max_sessions", &self.max_sessions)
            .finish_non_exhaustive()
    }
}

impl MemorySessionStore {
    /// Creates an empty store; `clock` decides when a time to live is over.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, max_sessions: usize) -> Self {
        Self {
            clock,
            locks: Locks::default(),
            records: Mutex::default(),
            mailboxes: Mutex::default(),
            max_sessions,
        }
    }

    /// A copy of the present state, for [`MemorySessionStore::restore`].
    #[must_use]
    pub fn save(&self) -> SavedSessions {
        SavedSessions {
            records: self.records.lock().clone(),
            mailboxes: self.mailboxes.lock().clone(),
            locks: self.locks.table.lock().clone(),
        }
    }

    /// Puts the store back to an earlier state, as a failover or a restored snapshot does; its clock goes on.
    pub fn restore(&self, saved: &SavedSessions) {
        let SavedSessions {
            records,
            mailboxes,
            locks,
        } = saved.clone();
        *self.records.lock() = records;
        *self.mailboxes.lock() = mailboxes;
        *self.locks.table.lock() = locks;
        self.locks.released.notify_waiters();
    }
}
