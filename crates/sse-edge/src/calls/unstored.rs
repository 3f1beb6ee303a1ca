//! Entries of the stream of a call that the mailbox has not stored yet, in order and within bounds.

use std::collections::VecDeque;

use fanout::inbox::lost_notice;

use crate::{
    answer_budget::AnswerBytes,
    limits::{UNSTORED_BYTES, UNSTORED_MESSAGES},
};

/// An entry of the stream of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// For edges, not for clients.
    Hidden,
    /// A message before the answer.
    Message,
    /// The answer, of which there is one.
    Answer,
}

#[derive(Debug)]
pub(super) struct UnstoredEntry {
    pub(super) bytes: AnswerBytes,
    kind: EntryKind,
    /// An attempt to store it failed, maybe after it was stored.
    pub(super) is_tried: bool,
    /// It stands for one that the mailbox does not take.
    is_substitute: bool,
}

impl UnstoredEntry {
    fn new(bytes: AnswerBytes, kind: EntryKind) -> Self {
        Self {
            bytes,
            kind,
            is_tried: false,
            is_substitute: false,
        }
    }

    fn substitute(bytes: AnswerBytes, kind: EntryKind) -> Self {
        Self {
            is_substitute: true,
            ..Self::new(bytes, kind)
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct UnstoredEntries(VecDeque<UnstoredEntry>);

impl UnstoredEntries {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has_answer(&self) -> bool {
        self.0.iter().any(|entry| entry.kind == EntryKind::Answer)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn first(&mut self) -> Option<&mut UnstoredEntry> {
        self.0.front_mut()
    }

    /// Removes the first entry; what waits for hours with nothing to store holds no memory for that.
    pub(super) fn pop(&mut self) {
        self.0.pop_front();
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    /// Adds an entry. Of a call that sends many messages while the store takes none, a notice takes their place.
    pub(super) fn push(&mut self, bytes: AnswerBytes, kind: EntryKind) {
        self.0.push_back(UnstoredEntry::new(bytes, kind));
        let messages = || {
            self.0
                .iter()
                .filter(|entry| entry.kind != EntryKind::Answer)
        };
        let bytes: usize = messages().map(|entry| entry.bytes.len()).sum();
        if kind != EntryKind::Message
            || (messages().count() <= UNSTORED_MESSAGES && bytes <= UNSTORED_BYTES)
        {
            return;
        }
        // Of the entries for edges the last one counts, but the first one names the request.
        self.0.retain(|entry| entry.kind != EntryKind::Message);
        let notice = UnstoredEntry::substitute(lost_notice().into(), EntryKind::Message);
        self.0.push_back(notice);
    }

    /// Puts a short message in place of the first entry; false if it is one already.
    pub(super) fn replace_first(&mut self, answer: impl FnOnce() -> AnswerBytes) -> bool {
        let Some(first) = self.0.front_mut().filter(|entry| !entry.is_substitute) else {
            return false;
        };
        let bytes = match first.kind {
            EntryKind::Answer => answer(),
            EntryKind::Hidden | EntryKind::Message => lost_notice().into(),
        };
        *first = UnstoredEntry::substitute(bytes, first.kind);
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn contents(entries: &UnstoredEntries) -> Vec<(EntryKind, usize)> {
        let entries = entries.0.iter();
        entries
            .map(|entry| (entry.kind, entry.bytes.len()))
            .collect()
    }

    #[test]
    fn messages_that_the_store_does_not_take_have_a_bound() {
        let notice = (EntryKind::Message, lost_notice().len());
        for (count, bytes) in [(UNSTORED_MESSAGES, 1), (4, UNSTORED_BYTES / 4)] {
            let mut entries = UnstoredEntries::default();
            for _ in 0..count {
                entries.push(Bytes::from(vec![b'm'; bytes]).into(), EntryKind::Message);
            }
            assert_eq!(contents(&entries), vec![(EntryKind::Message, bytes); count]);
            entries.push(Bytes::from_static(b"m").into(), EntryKind::Message);
            assert_eq!(contents(&entries), [notice]);
            let answer = Bytes::from(vec![b'a'; UNSTORED_BYTES * 2]);
            entries.push(answer.clone().into(), EntryKind::Answer);
            assert_eq!(
                contents(&entries),
                [notice, (EntryKind::Answer, answer.len())],
                "the answer is always kept"
            );
            assert!(entries.has_answer());
        }
    }

    #[test]
    fn what_the_mailbox_does_not_take_is_replaced_once() {
        let mut entries = UnstoredEntries::default();
        entries.push(Bytes::from_static(b"long").into(), EntryKind::Answer);
        let short = || Bytes::from_static(b"s").into();
        assert!(entries.replace_first(short));
        assert_eq!(contents(&entries), [(EntryKind::Answer, 1)]);
        assert!(!entries.replace_first(short));
    }
}
