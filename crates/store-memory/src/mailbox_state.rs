//! The streams and messages of one mailbox, and their limits.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use bytes::Bytes;
use model::{Sequence, Sequenced, StreamId, Timestamp, next_number};
use ports::{MailboxError, MailboxLimits, MailboxPage};

/// The messages that a session has not read yet.
#[derive(Clone)]
pub(crate) struct MailboxState {
    began: Sequence,
    last: Sequence,
    /// Streams that ended at or before this position may have been forgotten.
    forgotten_through: Sequence,
    bytes: u64,
    messages: BTreeMap<Sequence, Message>,
    streams: HashMap<StreamId, Stream>,
}

#[derive(Clone)]
struct Message {
    stream: StreamId,
    at: Timestamp,
    payload: Bytes,
}

#[derive(Clone, Default)]
struct Stream {
    opened: Sequence,
    last: Sequence,
    lost_through: Sequence,
    closed: bool,
    messages: BTreeSet<Sequence>,
}

/// A payload's length in bytes.
pub(crate) fn payload_bytes(payload: &Bytes) -> u64 {
    u64::try_from(payload.len()).unwrap_or(u64::MAX)
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl MailboxState {
    /// An empty mailbox, which was given this sequence at its opening.
    pub(crate) fn begin(began: Sequence) -> Self {
        Self {
            began,
            last: began,
            forgotten_through: Sequence::START,
            bytes: 0,
            messages: BTreeMap::new(),
            streams: HashMap::new(),
        }
    }

    /// The last sequence that was given out.
    pub(crate) fn last(&self) -> Sequence {
        self.last
    }

    /// Bytes of payload that the mailbox holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it weighs in the account of its owner.
    pub(crate) fn weight(&self) -> u64 {
        MailboxLimits::weight(u64::from(count(self.messages.len())), self.bytes)
    }

    /// The time of the newest message.
    pub(crate) fn newest_at(&self) -> Option<Timestamp> {
        self.messages.last_key_value().map(|(_, newest)| newest.at)
    }

    /// Removes all messages: they are too old.
    pub(crate) fn clear(&mut self) {
        while let Some((first, message)) = self.messages.first_key_value() {
            let (first, stream) = (*first, message.stream.clone());
            self.remove(&stream, first);
        }
    }

    /// Opens a stream; returns the position before its first message.
    pub(crate) fn open(
        &mut self,
        id: &StreamId,
        now: Timestamp,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        if let Some(stream) = self.streams.get(id) {
            return if stream.closed {
                Err(MailboxError::Closed)
            } else {
                Ok(stream.opened)
            };
        }
        self.count_on(now);
        self.add_stream(id, self.last, limits);
        Ok(self.last)
    }

    /// The next sequence is given out.
    fn count_on(&mut self, now: Timestamp) {
        self.last = Sequence(next_number(self.last.0, now));
    }

    fn add_stream(&mut self, id: &StreamId, opened: Sequence, limits: MailboxLimits) {
        // Make room first, so that the new stream is not among the candidates for removal.
        while !self.streams.is_empty() && count(self.streams.len()) >= limits.max_streams {
            self.forget_stream();
        }
        let stream = Stream {
            opened,
            last: opened,
            lost_through: self.forgotten_through,
            ..Stream::default()
        };
        self.streams.insert(id.clone(), stream);
    }

    fn forget_stream(&mut self) {
        let first = self
            .streams
            .iter()
            .min_by_key(|(_, stream)| (!stream.closed, stream.last));
        let Some((id, last)) = first.map(|(id, stream)| (id.clone(), stream.last)) else {
            return;
        };
        self.remove(&id, Sequence(u64::MAX));
        self.streams.remove(&id);
        self.forgotten_through = self.forgotten_through.max(last);
    }

    /// Appends a message, and opens its stream if it is new; then removes the oldest messages beyond
    /// the limits and the weight `room`.
    pub(crate) fn append(
        &mut self,
        id: &StreamId,
        (payload, now): (Bytes, Timestamp),
        (limits, room): (MailboxLimits, u64),
    ) -> Result<Sequence, MailboxError> {
        if self.streams.get(id).is_some_and(|stream| stream.closed) {
            return Err(MailboxError::Closed);
        }
        if !self.streams.contains_key(id) {
            self.add_stream(id, self.last, limits);
        }
        self.count_on(now);
        let sequence = self.last;
        if let Some(stream) = self.streams.get_mut(id) {
            stream.last = sequence;
            stream.messages.insert(sequence);
        }
        self.bytes += payload_bytes(&payload);
        let message = Message {
            stream: id.clone(),
            at: now,
            payload,
        };
        self.messages.insert(sequence, message);
        self.keep_within(limits, room, now);
        Ok(sequence)
    }

    fn keep_within(&mut self, limits: MailboxLimits, room: u64, now: Timestamp) {
        while let Some((first, message)) = self.messages.first_key_value() {
            let (first, stream) = (*first, message.stream.clone());
            let beyond = count(self.messages.len()) > limits.max_messages
                || self.bytes > limits.max_bytes
                || self.weight() > room
                || message.at.plus(limits.max_age) <= now;
            if !beyond || first == self.last {
                return;
            }
            self.remove(&stream, first);
        }
    }

    /// Removes a stream's messages up to a position; returns how many were removed.
    pub(crate) fn remove(&mut self, id: &StreamId, through: Sequence) -> u64 {
        let Some(stream) = self.streams.get_mut(id) else {
            return 0;
        };
        let mut removed = 0;
        while let Some(first) = stream.messages.first().copied().filter(|n| *n <= through) {
            stream.messages.remove(&first);
            stream.lost_through = first;
            if let Some(message) = self.messages.remove(&first) {
                self.bytes -= payload_bytes(&message.payload);
            }
            removed += 1;
        }
        removed
    }

    /// Reads up to `limit` messages of a stream after a position.
    pub(crate) fn page(&self, id: &StreamId, after: Sequence, limit: usize) -> MailboxPage {
        let Some(stream) = self.streams.get(id) else {
            let forgotten = self.forgotten_through;
            return MailboxPage {
                messages: Vec::new(),
                through: after.max(forgotten),
                at_head: true,
                resumes_after: (after < forgotten).then_some(forgotten),
                closed: forgotten > Sequence::START && after <= forgotten,
                began: self.began,
                end: self.last,
            };
        };
        let mut rest = stream
            .messages
            .range((Bound::Excluded(after), Bound::Unbounded))
            .peekable();
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while let Some(sequence) = rest.peek().copied().copied() {
            let payload = self.messages.get(&sequence).map(|one| one.payload.clone());
            let item = payload.unwrap_or_default();
            bytes += item.len();
            let full = bytes > MailboxPage::MAX_BYTES && !messages.is_empty();
            if full || messages.len() >= limit.min(MailboxPage::MAX_MESSAGES) {
                break;
            }
            messages.push(Sequenced { sequence, item });
            rest.next();
        }
        let lost = stream.lost_through;
        let through = messages
            .last()
            .map_or(after.max(lost), |last| last.sequence);
        MailboxPage {
            messages,
            through,
            at_head: rest.peek().is_none(),
            resumes_after: (after < lost).then_some(lost),
            closed: stream.closed,
            began: self.began,
            end: self.last,
        }
    }

    /// Closes a stream, if it is known.
    pub(crate) fn close(&mut self, id: &StreamId) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.closed = true;
        }
    }
}
