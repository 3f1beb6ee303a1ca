//! The entries of a journal, and what they say together.

use std::collections::HashMap;

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
    /// The call has ended. Its answer, if it has one, is that of the first edge that says so.
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
    at: Sequence,
}

/// What the entries say together.
#[derive(Debug, Default)]
pub(in crate::calls) struct Journal {
    open: HashMap<String, OpenCall>,
    /// The first edge that said so.
    ended: HashMap<String, LeaseName>,
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
            JournalEntry::RunBy { call, .. } if self.ended.contains_key(&call) => {}
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
            JournalEntry::Ended { call, by } => {
                self.open.remove(&call);
                self.ended.entry(call).or_insert(by);
            }
        }
    }

    /// The calls that have not ended.
    pub(in crate::calls) fn open(&self) -> impl Iterator<Item = &OpenCall> {
        self.open.values()
    }

    pub(in crate::calls) fn has_ended(&self, call: &str) -> bool {
        self.ended.contains_key(call)
    }

    /// Whether a call's answer is that of an edge.
    pub(in crate::calls) fn is_ended_by(&self, call: &str, edge: &LeaseName) -> bool {
        // One that was removed meanwhile was too old to be another's.
        self.ended.get(call).is_none_or(|by| by == edge)
    }

    /// The number of entries.
    pub(in crate::calls) fn len(&self) -> usize {
        self.places.len()
    }

    /// The number of entries that nobody needs any more: those before the first one of a call that has not ended.
    pub(in crate::calls) fn over(&self) -> usize {
        let through = self.is_over_through();
        self.places.iter().filter(|at| **at <= through).count()
    }

    /// The place of the last such entry.
    pub(in crate::calls) fn is_over_through(&self) -> Sequence {
        let first = self.open.values().map(|call| call.at).min();
        let last = self.places.last().copied().unwrap_or(Sequence::START);
        first.map_or(last, Sequence::previous)
    }
}
