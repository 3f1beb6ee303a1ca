//! Recent events, stored once, in a bounded ring.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use model::{CursorScope, Sequence, Sequenced, StoredEvent};
use stream_driver::{Chunk, sync::RwLock};

/// An event in the ring, with the encoded forms that its streams share.
#[derive(Debug)]
pub(crate) struct RingEntry {
    pub(crate) sequence: Sequence,
    pub(crate) event: StoredEvent,
    uris: OnceLock<Vec<String>>,
    /// The whole frame, for the first reader scope that asked: with a single principal, that is
    /// every reader.
    pub(crate) frame: OnceLock<(CursorScope, Chunk)>,
}

impl RingEntry {
    pub(crate) fn new(event: Sequenced<StoredEvent>) -> Self {
        let Sequenced {
            sequence,
            item: event,
        } = event;
        Self {
            sequence,
            event,
            uris: OnceLock::new(),
            frame: OnceLock::new(),
        }
    }

    /// The resources that this event changes, in canonical form.
    pub(crate) fn uris(&self) -> &[String] {
        self.uris.get_or_init(|| {
            self.event
                .facts
                .touched_uris()
                .iter()
                .map(ToString::to_string)
                .collect()
        })
    }

    /// Approximate bytes in memory, without the frame.
    pub(super) fn bytes(&self) -> usize {
        self.event.json.len() + 512
    }
}

/// A bounded window on the end of the log: it holds every event after `base` up to `head`.
#[derive(Debug)]
pub(crate) struct Ring {
    inner: RwLock<Inner>,
    max_events: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Inner {
    entries: VecDeque<Arc<RingEntry>>,
    bytes: usize,
    base: Sequence,
    head: Sequence,
}

/// The result of reading the ring.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RingRead {
    /// Everything up to this position has been examined.
    Read {
        /// The new position.
        through: Sequence,
        /// Whether there is more.
        more: bool,
    },
    /// The position has fallen off the ring: read the log.
    Behind,
}

impl Ring {
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        let inner = Inner {
            entries: VecDeque::new(),
            bytes: 0,
            base: Sequence::START,
            head: Sequence::START,
        };
        Self {
            inner: RwLock::new(inner),
            max_events,
            max_bytes,
        }
    }

    /// Empties the ring: from now on it holds everything after `base`.
    pub(crate) fn restart(&self, base: Sequence) {
        let mut inner = self.inner.write();
        inner.entries.clear();
        inner.bytes = 0;
        inner.base = base;
        inner.head = base;
    }

    /// Adds the next event; the oldest ones are removed when a bound is reached.
    pub(crate) fn push(&self, entry: Arc<RingEntry>) {
        let mut inner = self.inner.write();
        debug_assert!(entry.sequence > inner.head, "events come in order");
        inner.head = entry.sequence;
        inner.bytes += entry.bytes();
        inner.entries.push_back(entry);
        while inner.entries.len() > self.max_events || inner.bytes > self.max_bytes {
            let Some(oldest) = inner.entries.pop_front() else {
                break;
            };
            inner.bytes -= oldest.bytes();
            inner.base = oldest.sequence;
        }
    }

    /// The position of the last event.
    pub(crate) fn head(&self) -> Sequence {
        self.inner.read().head
    }

    /// Up to `max` events before `before`, newest first, and the position up to which the ring
    /// holds nothing any more. Fewer than `max` are all that it holds. `None` if the ring has not
    /// reached `reached`.
    pub(crate) fn newest_before(
        &self,
        before: Sequence,
        max: usize,
        reached: Sequence,
    ) -> Option<(Vec<Arc<RingEntry>>, Sequence)> {
        let inner = self.inner.read();
        if inner.head < reached {
            return None;
        }
        let end = match inner.entries.back() {
            Some(last) if last.sequence < before => inner.entries.len(),
            _ => inner
                .entries
                .partition_point(|entry| entry.sequence < before),
        };
        let newest = inner.entries.range(..end).rev().take(max);
        Some((newest.map(Arc::clone).collect(), inner.base))
    }

    /// Shows up to `max` events after `position` to `visit`, which returns whether to continue.
    pub(crate) fn read(
        &self,
        position: Sequence,
        max: usize,
        mut visit: impl FnMut(&RingEntry) -> bool,
    ) -> RingRead {
        let inner = self.inner.read();
        if position < inner.base {
            return RingRead::Behind;
        }
        // A stream is nearly always at the end: check there before searching.
        let start = match inner.entries.back() {
            Some(last) if last.sequence <= position => inner.entries.len(),
            _ => inner
                .entries
                .partition_point(|entry| entry.sequence <= position),
        };
        let mut through = position;
        for (seen, entry) in inner.entries.range(start..).enumerate() {
            if seen == max {
                return RingRead::Read {
                    through,
                    more: true,
                };
            }
            through = entry.sequence;
            if !visit(entry) {
                return RingRead::Read {
                    through,
                    more: through < inner.head,
                };
            }
        }
        RingRead::Read {
            through: position.max(inner.head),
            more: false,
        }
    }
}

#[cfg(test)]
mod tests;
