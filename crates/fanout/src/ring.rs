//! Recent events, stored once, in a bounded ring.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use access::{ForeignContent, Visibility, without_foreign_content};
use bytes::Bytes;
use event_flow::matching::MatchedEvent;
use github_events::{ChannelText, channel_text};
use instruments::{SpanName, TraceSpan, recording};
use mcp::channel::ChannelNotification;
use model::{CursorScope, EntryTag, EventDigest, Sequence, Sequenced, StoredEvent};
use stream_driver::{Chunk, sync::RwLock};

use crate::limits::{RING_CHUNK_EVENTS, WRITE_SPANS_PER_EVENT};

/// An event in the ring, with the encoded forms that its streams share.
#[derive(Debug)]
pub(crate) struct RingEntry {
    pub(crate) sequence: Sequence,
    pub(crate) event: StoredEvent,
    pub(crate) tag: EntryTag,
    /// The generation of the log in which the edge first had this event at this position.
    pub(crate) generation: u32,
    uris: OnceLock<Vec<String>>,
    /// What it says of other repositories, once a reader with limits asked.
    foreign: OnceLock<ForeignContent>,
    /// Its JSON without that, for readers that may see nothing of it: nearly all of those.
    cut: OnceLock<Bytes>,
    /// The notification of a channel, made of its JSON and made of that without foreign content.
    channel: OnceLock<ChannelNotification>,
    channel_cut: OnceLock<ChannelNotification>,
    digest: OnceLock<EventDigest>,
    /// The whole frame, for the first reader scope that asked: with a single principal, that is
    /// every reader.
    pub(crate) frame: OnceLock<(CursorScope, Chunk)>,
    /// The number of streams whose write of this event is still recorded.
    write_spans: AtomicU8,
}

impl RingEntry {
    pub(crate) fn new(event: Sequenced<StoredEvent>, generation: u32) -> Self {
        let Sequenced {
            sequence,
            item: event,
        } = event;
        Self {
            sequence,
            tag: EntryTag::of(&event.facts.id),
            generation,
            event,
            uris: OnceLock::new(),
            foreign: OnceLock::new(),
            cut: OnceLock::new(),
            channel: OnceLock::new(),
            channel_cut: OnceLock::new(),
            digest: OnceLock::new(),
            frame: OnceLock::new(),
            write_spans: AtomicU8::new(0),
        }
    }

    /// As [`Self::new`], for an event that is on its way to streams now: writes of a recorded trace have spans.
    pub(crate) fn live(event: Sequenced<StoredEvent>, generation: u32) -> Self {
        let is_recorded = event.item.trace.is_some_and(|trace| trace.sampled) && recording::is_on();
        let entry = Self::new(event, generation);
        if is_recorded {
            entry
                .write_spans
                .store(WRITE_SPANS_PER_EVENT, Ordering::Relaxed);
        }
        entry
    }

    /// The span of a write to a stream, unless the event has had its share of them.
    pub(crate) fn write_span(&self) -> TraceSpan {
        if self.write_spans.load(Ordering::Relaxed) == 0 {
            return TraceSpan::none();
        }
        let one_less = |left: u8| left.checked_sub(1);
        let taken = self
            .write_spans
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        match taken {
            Ok(_) => TraceSpan::child(SpanName::SseWrite, self.event.trace),
            Err(_) => TraceSpan::none(),
        }
    }

    /// The resources that this event changes, in canonical form.
    pub(crate) fn uris(&self) -> &[String] {
        self.matched().uris()
    }

    /// The JSON for a reader that may not see all of it; `None` for one that may.
    pub(crate) fn cut_for(&self, sees: &Visibility) -> Option<Bytes> {
        if sees.is_all() {
            return None;
        }
        let foreign = self.foreign.get_or_init(|| ForeignContent::of(&self.event));
        if sees.allows_content(foreign) {
            return None;
        }
        Some(match sees.hides_content(foreign) {
            true => {
                let cut = || without_foreign_content(&self.event);
                self.cut.get_or_init(cut).clone()
            }
            false => sees.cut_event(&self.event),
        })
    }

    /// The notification of a channel for a reader, without the cursor. Each form of the event is encoded once.
    pub(crate) fn channel_for(&self, sees: &Visibility) -> ChannelNotification {
        let Some(cut) = self.cut_for(sees) else {
            let whole = || channel_notification(&self.event.json);
            return self.channel.get_or_init(whole).clone();
        };
        // A reader that may see a part of the foreign content has a form of its own.
        match self.cut.get() {
            Some(shared) if shared.as_ptr() == cut.as_ptr() => {
                let encode = || channel_notification(&cut);
                self.channel_cut.get_or_init(encode).clone()
            }
            _ => channel_notification(&cut),
        }
    }

    /// The fields that filters compare.
    pub(crate) fn digest(&self) -> &EventDigest {
        self.digest
            .get_or_init(|| EventDigest::of(&self.event.facts))
    }

    /// The event as the matching index looks it up.
    pub(crate) fn matched(&self) -> MatchedEvent<'_> {
        MatchedEvent {
            sequence: self.sequence,
            facts: &self.event.facts,
            digest: self.digest(),
            uris: &self.uris,
        }
    }

    /// Approximate bytes in memory, without the frame, the cut form and the notification of a channel. A tag has a text, which is in the JSON too, and a
    /// digest.
    pub(super) fn bytes(&self) -> usize {
        self.event.json.len() + 768 + 64 * self.event.facts.tags.len()
    }
}

fn channel_notification(json: &[u8]) -> ChannelNotification {
    let ChannelText { content, meta } = channel_text(json);
    let meta = meta.iter().map(|(key, value)| (*key, value.as_str()));
    ChannelNotification::new(&content, meta)
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
    base_tag: Option<EntryTag>,
    head: Sequence,
    /// Rises whenever the log is replaced or put back.
    resets: u64,
}

/// The events that one lock of the ring gives to a reader.
struct RingChunk {
    /// The number of resets of the ring.
    resets: u64,
    /// The position of the ring's last event.
    head: Sequence,
    /// Whether no event follows the copied ones.
    is_last: bool,
}

/// Where a ring begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RingBeginning {
    /// The number of resets of the ring.
    resets: u64,
    /// The ring has everything after this position.
    pub(crate) base: Sequence,
    /// Number of older events that it takes.
    pub(crate) free_events: usize,
}

/// The entry at a position, as far as the ring or a page of the log knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RingTag {
    /// The entry has this tag.
    Known(EntryTag),
    /// There is no entry with this number.
    Absent,
    /// The position is not in the ring; or it is in the part of the log that was trimmed.
    Outside,
}

impl RingTag {
    /// The tag, if it is known.
    pub(crate) fn known(self) -> Option<EntryTag> {
        match self {
            Self::Known(tag) => Some(tag),
            Self::Absent | Self::Outside => None,
        }
    }
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
            base_tag: None,
            head: Sequence::START,
            resets: 0,
        };
        Self {
            inner: RwLock::new(inner),
            max_events,
            max_bytes,
        }
    }

    /// Empties the ring: from now on it holds everything after `base`. The entry at `base` has this tag.
    pub(crate) fn restart(&self, base: Sequence, base_tag: Option<EntryTag>) {
        let mut inner = self.inner.write();
        inner.entries.clear();
        inner.bytes = 0;
        inner.base = base;
        inner.base_tag = base_tag;
        inner.head = base;
        inner.resets += 1;
    }

    /// Removes everything after a position, because the log no longer has it; returns what it removed. The entry
    /// at the position has this tag.
    pub(crate) fn set_back(
        &self,
        resumes_after: Sequence,
        tag: Option<EntryTag>,
    ) -> VecDeque<Arc<RingEntry>> {
        let mut inner = self.inner.write();
        let kept = inner
            .entries
            .partition_point(|entry| entry.sequence <= resumes_after);
        let removed = inner.entries.split_off(kept);
        inner.bytes -= removed.iter().map(|entry| entry.bytes()).sum::<usize>();
        if resumes_after < inner.base {
            inner.base = resumes_after;
            inner.base_tag = tag;
        }
        inner.head = resumes_after;
        inner.resets += 1;
        removed
    }

    /// The tag of the entry at a position.
    pub(crate) fn tag_at(&self, sequence: Sequence) -> RingTag {
        let inner = self.inner.read();
        if sequence == inner.base {
            return inner.base_tag.map_or(RingTag::Outside, RingTag::Known);
        }
        if sequence < inner.base || sequence > inner.head {
            return RingTag::Outside;
        }
        let found = inner
            .entries
            .binary_search_by_key(&sequence, |entry| entry.sequence);
        found.map_or(RingTag::Absent, |found| {
            RingTag::Known(inner.entries[found].tag)
        })
    }

    /// The tag of the entry at a position, if the ring knows it.
    pub(crate) fn known_tag(&self, sequence: Sequence) -> Option<EntryTag> {
        self.tag_at(sequence).known()
    }

    /// Where the ring begins, if older events still fit: not more than half of its bounds is for events from
    /// before the edge began.
    pub(crate) fn beginning(&self) -> Option<RingBeginning> {
        let inner = self.inner.read();
        let free_events = (self.max_events / 2).saturating_sub(inner.entries.len());
        let is_open = free_events > 0 && 2 * inner.bytes < self.max_bytes;
        is_open.then_some(RingBeginning {
            resets: inner.resets,
            base: inner.base,
            free_events,
        })
    }

    /// Adds the events that the log has between `base` and the beginning of the ring, newest first; `tag` is
    /// that of the entry at `base`, if it is known. Returns whether all were added: not if they are too large, or
    /// if the ring does not begin there any more.
    pub(crate) fn push_front(
        &self,
        beginning: RingBeginning,
        older: Vec<Arc<RingEntry>>,
        (base, tag): (Sequence, Option<EntryTag>),
    ) -> bool {
        let mut inner = self.inner.write();
        if (inner.resets, inner.base) != (beginning.resets, beginning.base) {
            return false;
        }
        let is_other = |first: &Arc<RingEntry>| {
            first.sequence == inner.base && inner.base_tag.is_some_and(|tag| tag != first.tag)
        };
        if older.first().is_some_and(is_other) {
            // The log was put back since the edge began: the follower will say so.
            return false;
        }
        for entry in older {
            debug_assert!(entry.sequence <= inner.base, "the ring begins after it");
            if 2 * (inner.bytes + entry.bytes()) > self.max_bytes {
                (inner.base, inner.base_tag) = (entry.sequence, Some(entry.tag));
                return false;
            }
            inner.bytes += entry.bytes();
            (inner.base, inner.base_tag) = (entry.sequence.previous(), None);
            inner.entries.push_front(entry);
        }
        (inner.base, inner.base_tag) = (base, tag);
        true
    }

    /// Everything after this position is in the ring.
    pub(crate) fn base(&self) -> Sequence {
        self.inner.read().base
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
            inner.base_tag = Some(oldest.tag);
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

    /// Shows up to `max` events after `position` to `visit`, which returns whether to continue. No lock is held
    /// while an event is visited. If the ring is reset meanwhile, the reader gets the part from before.
    pub(crate) fn read(
        &self,
        position: Sequence,
        max: usize,
        mut visit: impl FnMut(&RingEntry) -> bool,
    ) -> RingRead {
        let (mut through, mut seen) = (position, 0);
        let (mut entries, mut resets) = (Vec::new(), None);
        loop {
            let room = RING_CHUNK_EVENTS.min(max - seen);
            let chunk = self.copy_after(through, room, &mut entries);
            let chunk = match chunk {
                Some(chunk) if resets.is_none_or(|first| first == chunk.resets) => chunk,
                None if resets.is_none() => return RingRead::Behind,
                _ => {
                    return RingRead::Read {
                        through,
                        more: true,
                    };
                }
            };
            resets = Some(chunk.resets);
            for entry in entries.drain(..) {
                seen += 1;
                through = entry.sequence;
                if !visit(&entry) {
                    return RingRead::Read {
                        through,
                        more: through < chunk.head,
                    };
                }
            }
            if chunk.is_last {
                return RingRead::Read {
                    through: through.max(chunk.head),
                    more: false,
                };
            }
            if seen == max {
                return RingRead::Read {
                    through,
                    more: true,
                };
            }
        }
    }

    /// Copies up to `max` events after a position; `None` if it has fallen off the ring.
    fn copy_after(
        &self,
        position: Sequence,
        max: usize,
        entries: &mut Vec<Arc<RingEntry>>,
    ) -> Option<RingChunk> {
        let inner = self.inner.read();
        if position < inner.base {
            return None;
        }
        // A stream is nearly always at the end: check there before searching.
        let start = match inner.entries.back() {
            Some(last) if last.sequence <= position => inner.entries.len(),
            _ => inner
                .entries
                .partition_point(|entry| entry.sequence <= position),
        };
        entries.extend(inner.entries.range(start..).take(max).cloned());
        Some(RingChunk {
            resets: inner.resets,
            head: inner.head,
            is_last: start + entries.len() == inner.entries.len(),
        })
    }
}

#[cfg(test)]
mod tests;
