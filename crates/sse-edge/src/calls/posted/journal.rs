//! The entries of a journal, and what they say together.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use model::{LeaseName, Sequence, StreamId};
use ports::MailboxPage;
use serde::{Deserialize, Serialize};

/// An entry of a journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "camelCase")]
pub(in crate::calls) enum JournalEntry {
    /// The edge with this lease runs the call from here on.
    RunBy {
        call: String,
        edge: LeaseName,
        /// The stream of the mailbox for the answer.
        to: StreamId,
        /// What is stored there if the edge is lost.
        lost: String,
    },
    /// The call has ended, and its answer is stored if it has one. Edges before this order existed answer after the first of
    /// these entries, if that is theirs, so it says whose it is.
    Ended { call: String, by: LeaseName },
}

impl JournalEntry {
    pub(in crate::calls) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("texts are JSON").into()
    }
}

/// A call that an edge runs, or ran until it was lost.
#[derive(Debug)]
pub(in crate::calls) struct OpenCall {
    pub(in crate::calls) name: String,
    pub(in crate::calls) edge: LeaseName,
    pub(in crate::calls) to: StreamId,
    pub(in crate::calls) lost: String,
    /// The place of the last entry that says so: its answer comes after it.
    pub(in crate::calls) at: Sequence,
}

/// Entries beside two for each call that has not ended, beyond which a journal is long.
const LONG_JOURNAL_ENTRIES: usize = 64;

/// What the entries say together.
#[derive(Debug, Default)]
pub(in crate::calls) struct Journal {
    open: HashMap<String, OpenCall>,
    ended: HashSet<String>,
    places: Vec<Sequence>,
}

impl Journal {
    pub(in crate::calls) fn of(page: &MailboxPage) -> Self {
        let mut journal = Self::default();
        for message in &page.messages {
            journal.places.push(message.sequence);
            // One of a later version, perhaps.
            if let Ok(entry) = serde_json::from_slice(&message.item) {
                journal.take(entry, message.sequence);
            }
        }
        journal
    }

    fn take(&mut self, entry: JournalEntry, at: Sequence) {
        match entry {
            JournalEntry::RunBy { call, .. } if self.ended.contains(&call) => {}
            JournalEntry::RunBy {
                call,
                edge,
                to,
                lost,
            } => {
                let name = call.clone();
                let open = OpenCall {
                    name,
                    edge,
                    to,
                    lost,
                    at,
                };
                self.open.insert(call, open);
            }
            JournalEntry::Ended { call, .. } => {
                self.open.remove(&call);
                self.ended.insert(call);
            }
        }
    }

    /// The calls that have not ended.
    pub(in crate::calls) fn open(&self) -> impl Iterator<Item = &OpenCall> {
        self.open.values()
    }

    pub(in crate::calls) fn has_ended(&self, call: &str) -> bool {
        self.ended.contains(call)
    }

    /// Whether it should become shorter: it takes its places from the other messages of the mailbox, and can only be trimmed
    /// up to the first call that has not ended.
    pub(in crate::calls) fn is_long(&self) -> bool {
        self.places.len() > LONG_JOURNAL_ENTRIES + 2 * self.open.len()
    }

    /// The place of the last entry that nobody needs any more: the one before the first of a call that has not ended.
    pub(in crate::calls) fn is_over_through(&self) -> Option<Sequence> {
        let first = self.open.values().map(|call| call.at).min();
        let is_over = |at: &&Sequence| first.is_none_or(|first| **at < first);
        self.places.iter().take_while(is_over).last().copied()
    }

    #[cfg(test)]
    pub(in crate::calls) fn len(&self) -> usize {
        self.places.len()
    }
}
