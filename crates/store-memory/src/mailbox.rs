//! The in-memory mailbox of one session.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use async_trait::async_trait;
use bytes::Bytes;
use model::{Sequence, Sequenced, SessionId, StreamId, Timestamp};
use ports::{Mailbox, MailboxError, MailboxLimits, MailboxPage};

use crate::MemorySessionStore;

/// Maximum bytes of payload over all sessions. At this bound `append` is refused as overloaded
/// until clients read or sessions end.
const MAX_TOTAL_BYTES: u64 = 256 << 20;

/// The messages that a session has not read yet.
#[derive(Default)]
pub(crate) struct Letters {
    last: Sequence,
    /// Streams that ended at or before this position may have been forgotten.
    forgotten_through: Sequence,
    bytes: u64,
    messages: BTreeMap<Sequence, Message>,
    streams: HashMap<StreamId, Stream>,
}

struct Message {
    stream: StreamId,
    at: Timestamp,
    payload: Bytes,
}

#[derive(Default)]
struct Stream {
    opened: Sequence,
    last: Sequence,
    lost_through: Sequence,
    closed: bool,
    messages: BTreeSet<Sequence>,
}

/// A payload's length in bytes.
fn size(payload: &Bytes) -> u64 {
    u64::try_from(payload.len()).unwrap_or(u64::MAX)
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Letters {
    /// Bytes of payload that the mailbox holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn open(&mut self, id: &StreamId, limits: MailboxLimits) -> Result<Sequence, MailboxError> {
        if let Some(stream) = self.streams.get(id) {
            return if stream.closed {
                Err(MailboxError::Closed)
            } else {
                Ok(stream.opened)
            };
        }
        self.last = self.last.next();
        self.add_stream(id, self.last, limits);
        Ok(self.last)
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

    fn append(
        &mut self,
        id: &StreamId,
        (payload, now): (Bytes, Timestamp),
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        if self.streams.get(id).is_some_and(|stream| stream.closed) {
            return Err(MailboxError::Closed);
        }
        if !self.streams.contains_key(id) {
            self.add_stream(id, self.last, limits);
        }
        self.last = self.last.next();
        let sequence = self.last;
        if let Some(stream) = self.streams.get_mut(id) {
            stream.last = sequence;
            stream.messages.insert(sequence);
        }
        self.bytes += size(&payload);
        let message = Message {
            stream: id.clone(),
            at: now,
            payload,
        };
        self.messages.insert(sequence, message);
        self.keep_within(limits, now);
        Ok(sequence)
    }

    fn keep_within(&mut self, limits: MailboxLimits, now: Timestamp) {
        while let Some((first, message)) = self.messages.first_key_value() {
            let (first, stream) = (*first, message.stream.clone());
            let beyond = count(self.messages.len()) > limits.max_messages
                || self.bytes > limits.max_bytes
                || message.at.plus(limits.max_age) <= now;
            if !beyond || first == self.last {
                return;
            }
            self.remove(&stream, first);
        }
    }

    /// Removes a stream's messages up to a position; returns how many were removed.
    fn remove(&mut self, id: &StreamId, through: Sequence) -> u64 {
        let Some(stream) = self.streams.get_mut(id) else {
            return 0;
        };
        let mut removed = 0;
        while let Some(first) = stream.messages.first().copied().filter(|n| *n <= through) {
            stream.messages.remove(&first);
            stream.lost_through = first;
            if let Some(message) = self.messages.remove(&first) {
                self.bytes -= size(&message.payload);
            }
            removed += 1;
        }
        removed
    }

    fn page(&self, id: &StreamId, after: Sequence, limit: usize) -> MailboxPage {
        let Some(stream) = self.streams.get(id) else {
            let forgotten = self.forgotten_through;
            return MailboxPage {
                messages: Vec::new(),
                through: after.max(forgotten),
                at_head: true,
                resumes_after: (after < forgotten).then_some(forgotten),
                closed: forgotten > Sequence::START && after <= forgotten,
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
        }
    }

    fn close(&mut self, id: &StreamId) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.closed = true;
        }
    }
}

#[async_trait]
impl Mailbox for MemorySessionStore {
    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        self.with_letters(session, |letters, _, _| letters.open(stream, limits))?
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        MailboxError::check_payload(&payload)?;
        self.with_letters(session, |letters, now, total| {
            if total + size(&payload) > MAX_TOTAL_BYTES {
                let what = "the payloads of all sessions together";
                return Err(MailboxError::Overloaded { what });
            }
            // A slice of a larger buffer would keep the whole buffer alive, uncounted.
            let payload = Bytes::copy_from_slice(&payload);
            letters.append(stream, (payload, now), limits)
        })?
    }

    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        self.with_letters(session, |letters, _, _| letters.page(stream, after, limit))
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        self.with_letters(session, |letters, _, _| letters.remove(stream, through))
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        self.with_letters(session, |letters, _, _| letters.close(stream))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use model::ManualClock;
    use ports::{SessionLimits, SessionStore};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn stream(name: &str) -> StreamId {
        StreamId::new(name).unwrap()
    }

    #[tokio::test]
    async fn all_mailboxes_together_have_a_bound_and_give_room_back() {
        let clock = Arc::new(ManualClock::default());
        let store = MemorySessionStore::new(clock.clone(), 100);
        let (ended, expired) = (contract::session(1).id, contract::session(2).id);
        for n in 1..3 {
            store
                .create(&contract::session(n), MINUTE, SessionLimits::default())
                .await
                .unwrap();
        }
        let limits = MailboxLimits {
            max_bytes: u64::MAX,
            ..MailboxLimits::default()
        };
        let payload = Bytes::from(vec![7; MailboxLimits::MAX_PAYLOAD_BYTES]);
        let append = async |id: &SessionId| {
            let payload = payload.clone();
            store.append(id, &stream("a"), payload, limits).await
        };
        for n in 0..MAX_TOTAL_BYTES >> 20 {
            let id = if n % 2 == 0 { &ended } else { &expired };
            append(id).await.unwrap();
        }
        for id in [&ended, &expired] {
            let refused = append(id).await;
            assert!(
                matches!(refused, Err(MailboxError::Overloaded { .. })),
                "{refused:?}"
            );
        }
        store.trim(&ended, &stream("a"), Sequence(1)).await.unwrap();
        append(&expired).await.unwrap();
        store.end(&ended).await.unwrap();
        append(&expired).await.unwrap();
        clock.advance(MINUTE);
        store
            .create(&contract::session(3), MINUTE, SessionLimits::default())
            .await
            .unwrap();
        assert_eq!(store.mailbox_bytes(), 0);
    }
}
