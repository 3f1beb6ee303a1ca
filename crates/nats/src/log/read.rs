//! Reading pages: a few events one by one from the stream's leader, more through a pull consumer.
//!
//! A consumer exists for one page, in the server's memory. It delivers in stream order from a given
//! position, numbers its deliveries, and reports with each message how many follow. It cannot
//! report *why* a sequence is missing. Therefore a page never trusts a hole: a jump in the
//! consumer's own numbering means that a delivery was lost, and the page ends before it; a jump in
//! the stream's numbering is checked with the stream's leader, and if events are gone there (trimmed,
//! deleted by hand, dropped by a server whose files are damaged), the page reports it.

use std::time::Duration;

use async_nats::{
    HeaderMap, HeaderValue, Message, Request, StatusCode, Subject, Subscriber,
    datetime::DateTime,
    jetstream::{
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        stream::LastRawMessageErrorKind,
    },
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::{Sequence, Timestamp};
use ports::{BoxError, EntryContent, EntryFault, EntryName, EntryPage, MAX_PAGE_BYTES, ReadEntry};
use role_keys::StampedChannel;
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    AttemptError, JetStreamLog, connections::LogConnection, frame::unframed, stored_at::stored_at,
};
use crate::{
    config::{REQUEST_TIMEOUT, SUBSCRIPTION_MESSAGES},
    stamps::STAMP_HEADER,
};

/// Maximum number of events in one page, whatever the caller requests: smaller than the driver's
/// queue.
const MAX_PAGE_EVENTS: usize = 5000;
const _: () = assert!(MAX_PAGE_EVENTS < SUBSCRIPTION_MESSAGES);
/// As the maximum of bytes in a pull request.
const UNBOUNDED: usize = 0;
/// Up to this number of events are requested one by one, concurrently: cheaper than a consumer,
/// which costs three round trips and, in a cluster, a change that its servers agree on. Usually a
/// reader misses only a few events.
pub(super) const MAX_SINGLE_READS: usize = 16;
/// Number of these that are under way at once: large ones may be half a page each.
const SINGLE_READS_AT_ONCE: usize = 4;
/// Time after which the server removes an unused consumer, in case the client could not.
const CONSUMER_LIFETIME: Duration = Duration::from_secs(10);

/// A message and its position.
pub(super) struct DeliveredMessage {
    pub(super) sequence: Sequence,
    subject: Subject,
    headers: HeaderMap,
    payload: Bytes,
    /// When the server stored it.
    stored_at: Timestamp,
}

impl JetStreamLog {
    /// Makes one attempt of `read_after`.
    pub(super) async fn page_after(
        &self,
        after: Sequence,
        limit: usize,
    ) -> Result<EntryPage, AttemptError> {
        let head = self.current_head().await?;
        let from = after.max(head.trimmed_through);
        let mut resumes_after = (from > after).then_some(from);
        let at_head = |through, resumes_after| EntryPage {
            entries: Vec::new(),
            through,
            at_head: true,
            resumes_after,
        };
        if from >= head.last {
            return Ok(at_head(from, resumes_after));
        }
        let count = count(from, head.last).min(limit.clamp(1, MAX_PAGE_EVENTS));
        let mut delivered = self.range(from.next(), count).await?;
        if delivered.is_empty() {
            if self.next_stored(from.next()).await?.is_some() {
                return Err(
                    "the consumer delivered nothing although the stream has more events".into(),
                );
            }
            // Trimmed since the check above, or lost.
            let gone_through = self.current_head().await?.trimmed_through.max(head.last);
            return Ok(at_head(gone_through, Some(gone_through)));
        }
        if let Some(hole) = first_hole(from, &delivered) {
            // A replica may have lost what the leader has.
            if self.next_stored(hole.after.next()).await? == Some(hole.after.next()) {
                return Err("the consumer does not deliver an event that the stream has".into());
            }
            resumes_after = end_before(hole, from, &mut delivered).or(resumes_after);
        }
        let through = delivered.last().map_or(from, |last| last.sequence);
        Ok(EntryPage {
            through,
            at_head: through >= head.last,
            resumes_after,
            entries: delivered
                .into_iter()
                .map(|found| self.entry(found))
                .collect(),
        })
    }

    /// Makes one attempt of `read_before`.
    pub(super) async fn page_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<ReadEntry>, AttemptError> {
        let head = self.current_head().await?;
        let newest = before.min(head.last.next()).previous();
        let mut end = newest.next();
        let mut span = limit.clamp(1, MAX_PAGE_EVENTS);
        // One iteration, unless the events are large or sequences are missing.
        loop {
            let lowest = end.0.saturating_sub(span as u64);
            let start = Sequence(lowest).max(head.trimmed_through.next());
            if start >= end {
                return Ok(self.newest_first(newest, Vec::new()));
            }
            let mut delivered = self.range(start, count(start, end)).await?;
            delivered.retain(|found| found.sequence < end);
            let missing = delivered.last().map_or(start, |last| last.sequence.next());
            if missing < end
                && self
                    .next_stored(missing)
                    .await?
                    .is_some_and(|next| next < end)
            {
                // The newest events are missing: they exceed the bytes of one page, or a replica is
                // behind.
                if span == 1 {
                    return Err("the consumer does not deliver an event that the stream has".into());
                }
                // About as many as fit; fewer than before in any case.
                span = delivered.len().clamp(1, span / 2);
            } else if delivered.is_empty() {
                end = start;
            } else {
                return Ok(self.newest_first(newest, delivered));
            }
        }
    }

    /// The entries of a page that begins with the sequence `newest`. A hole is one entry that is lost, with its
    /// newest sequence.
    fn newest_first(&self, newest: Sequence, delivered: Vec<DeliveredMessage>) -> Vec<ReadEntry> {
        let (mut read, mut expected) = (Vec::with_capacity(delivered.len()), newest);
        for found in delivered.into_iter().rev() {
            if found.sequence != expected {
                read.push(ReadEntry {
                    sequence: expected,
                    name: EntryName::Unknown,
                    content: Err(EntryFault::Lost),
                });
            }
            expected = found.sequence.previous();
            read.push(self.entry(found));
        }
        read
    }

    /// The entry in a message. Anybody who can publish on the server can append a message: one that no role of
    /// this installation wrote has no name.
    fn entry(&self, found: DeliveredMessage) -> ReadEntry {
        let (name, content) = match self.verify(&found) {
            Ok(()) => (
                self.names.entry_name(&found.subject),
                content(found.payload),
            ),
            Err(error) => (EntryName::Unknown, Err(EntryFault::Unreadable(error))),
        };
        ReadEntry {
            sequence: found.sequence,
            name,
            content,
        }
    }

    fn verify(&self, found: &DeliveredMessage) -> Result<(), BoxError> {
        let parts: [&[u8]; 2] = [found.subject.as_bytes(), &found.payload];
        let stamp = found.headers.get(STAMP_HEADER).map(HeaderValue::as_str);
        let trust = self.main.connection.trust();
        Ok(trust.verify_stored(StampedChannel::Log, &parts, stamp, found.stored_at)?)
    }

    /// The sequence of the first message that the server stored at or after a time.
    pub(super) async fn first_stored_since(
        &self,
        start_time: DateTime,
    ) -> Result<Option<Sequence>, AttemptError> {
        let found = self
            .deliver(DeliverPolicy::ByStartTime { start_time }, 1)
            .await?;
        Ok(found.first().map(|found| found.sequence))
    }

    /// The sequence of the first message at or after a sequence, according to the stream's leader.
    async fn next_stored(&self, sequence: Sequence) -> Result<Option<Sequence>, AttemptError> {
        let request = self.main.stream.raw_message_builder();
        match request
            .sequence(sequence.0)
            .next_by_subject(">")
            .send()
            .await
        {
            Ok(found) => Ok(Some(Sequence(found.sequence))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The sequence of the message with a subject, according to the stream's leader.
    pub(super) async fn newest_of_subject(
        &self,
        subject: &str,
    ) -> Result<Option<Sequence>, AttemptError> {
        let request = self.main.stream.raw_message_builder();
        match request.last_by_subject(subject.to_owned()).send().await {
            Ok(found) => Ok(Some(Sequence(found.sequence))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Up to `count` messages from a sequence on, without omissions among the messages that their
    /// source has.
    async fn range(
        &self,
        first: Sequence,
        count: usize,
    ) -> Result<Vec<DeliveredMessage>, AttemptError> {
        if count > MAX_SINGLE_READS {
            return self.deliver_from(first, count).await;
        }
        let mut reads = Vec::with_capacity(count);
        for sequence in first.0..first.0 + count as u64 {
            reads.push(self.single(Sequence(sequence)));
        }
        let mut reads = stream::iter(reads).buffered(SINGLE_READS_AT_ONCE);
        let (mut delivered, mut bytes) = (Vec::with_capacity(count), 0);
        while let Some(found) = reads.try_next().await? {
            bytes += found.as_ref().map_or(0, |found| found.payload.len());
            delivered.extend(found);
            if bytes >= MAX_PAGE_BYTES {
                break;
            }
        }
        Ok(delivered)
    }

    /// The message with exactly this sequence, from the stream's leader.
    pub(super) async fn single(
        &self,
        sequence: Sequence,
    ) -> Result<Option<DeliveredMessage>, AttemptError> {
        match self.pages().stream.get_raw_message(sequence.0).await {
            Ok(found) => Ok(Some(DeliveredMessage {
                sequence,
                subject: found.subject,
                headers: found.headers,
                payload: found.payload,
                stored_at: stored_at(found.time.unix_timestamp_nanos()),
            })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Up to `count` messages through a new consumer, without omissions among the messages that the
    /// consumer's replica has. May return fewer than exist.
    pub(super) async fn deliver(
        &self,
        deliver_policy: DeliverPolicy,
        count: usize,
    ) -> Result<Vec<DeliveredMessage>, AttemptError> {
        let config = self.short_lived(deliver_policy);
        let pages = self.pages();
        let consumer = pages.stream.create_consumer(config).await?;
        let pulled = match consumer.cached_info().num_pending {
            0 => Ok(PulledMessages::default()),
            _ => pages.pull(&consumer, 0, count).await,
        };
        self.remove_consumer(pages, &consumer).await?;
        Ok(pulled?.messages)
    }

    /// A consumer for one use, in the server's memory.
    pub(super) fn short_lived(&self, deliver_policy: DeliverPolicy) -> pull::Config {
        pull::Config {
            name: Some(self.consumer_name()),
            deliver_policy,
            ack_policy: AckPolicy::None,
            inactive_threshold: CONSUMER_LIFETIME,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        }
    }

    /// Does not wait for the answer: the server also removes the consumer by itself, only later.
    pub(super) async fn remove_consumer(
        &self,
        over: &LogConnection,
        consumer: &PullConsumer,
    ) -> Result<(), AttemptError> {
        let name = &consumer.cached_info().name;
        let delete = format!("CONSUMER.DELETE.{}.{name}", self.names.stream);
        over.context.send_request(delete, Request::new()).await?;
        Ok(())
    }

    /// A new name, with this installation's prefix.
    fn consumer_name(&self) -> String {
        let name = format!("page-{}", Uuid::new_v4().simple());
        self.main.connection.stream_name(&name)
    }
}

fn content(payload: Bytes) -> Result<EntryContent, EntryFault> {
    unframed(payload).map_err(|error| EntryFault::Unreadable(error.into()))
}

impl LogConnection {
    /// The next messages of a consumer that has made `before` deliveries: up to `count`, and not more than make a
    /// page, but at least one.
    pub(super) async fn pull(
        &self,
        consumer: &PullConsumer,
        before: u64,
        count: usize,
    ) -> Result<PulledMessages, AttemptError> {
        // The server sends nothing if already the first message is larger than the page.
        let page = self.pull_up_to(consumer, before, (count, MAX_PAGE_BYTES));
        match page.await? {
            PulledPage::Messages(pulled) => Ok(pulled),
            PulledPage::TooLarge => {
                let one = self.pull_up_to(consumer, before, (1, UNBOUNDED));
                match one.await? {
                    PulledPage::Messages(pulled) => Ok(pulled),
                    PulledPage::TooLarge => {
                        Err("the consumer refuses a message for its size".into())
                    }
                }
            }
        }
    }

    async fn pull_up_to(
        &self,
        consumer: &PullConsumer,
        before: u64,
        (count, max_bytes): (usize, usize),
    ) -> Result<PulledPage, AttemptError> {
        let client = self.connection.client();
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await?;
        let request = pull::BatchConfig {
            batch: count,
            no_wait: true,
            max_bytes,
            ..pull::BatchConfig::default()
        };
        consumer.request_batch(request, inbox.into()).await?;
        collect(messages, before, count).await
    }
}

/// Messages of a consumer, without omissions among those that its replica has.
#[derive(Default)]
pub(super) struct PulledMessages {
    pub(super) messages: Vec<DeliveredMessage>,
    /// Number of further messages with which the consumer continues right after these; 0 if that is not sure.
    pub(super) remaining: u64,
}

/// The answer to a pull request.
enum PulledPage {
    Messages(PulledMessages),
    /// The first message has more bytes than were allowed.
    TooLarge,
}

/// Whether the server says that the next message has more bytes than were allowed (nats-server,
/// `server/consumer.go`). The same status has other meanings.
fn says_too_large(message: &Message) -> bool {
    let said = message.description.as_deref().unwrap_or_default();
    message.status == Some(StatusCode::REQUEST_TERMINATED) && said.starts_with("Message Size")
}

async fn collect(
    mut messages: Subscriber,
    before: u64,
    count: usize,
) -> Result<PulledPage, AttemptError> {
    let (mut delivered, mut remaining) = (Vec::new(), 0);
    while delivered.len() < count {
        let next = timeout(REQUEST_TIMEOUT, messages.next()).await?;
        let message = next.ok_or("the connection is closed")?;
        match message.status {
            None | Some(StatusCode::OK) => {}
            // No messages left.
            Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => break,
            // None that fits into what is left of the bytes.
            Some(_) if !delivered.is_empty() => break,
            Some(_) if says_too_large(&message) => return Ok(PulledPage::TooLarge),
            Some(status) => return Err(format!("the consumer answers {status}").into()),
        }
        let metadata = message.reply.as_deref().and_then(DeliveryMetadata::parse);
        let metadata = metadata.ok_or("a delivery does not state its position in the stream")?;
        if metadata.delivery != before + delivered.len() as u64 + 1 {
            // A delivery was lost in transit; the messages before it are complete.
            remaining = 0;
            break;
        }
        remaining = metadata.pending;
        delivered.push(DeliveredMessage {
            sequence: metadata.sequence,
            subject: message.subject,
            headers: message.headers.unwrap_or_default(),
            payload: message.payload,
            stored_at: metadata.stored_at,
        });
        if metadata.pending == 0 {
            break;
        }
    }
    Ok(PulledPage::Messages(PulledMessages {
        messages: delivered,
        remaining,
    }))
}

/// The metadata of a delivery in its reply subject, in the server's two formats:
/// `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<delivery>.<time>.<pending>`, or with
/// `<domain>.<account>` before the stream and one or more tokens at the end. The driver can read it
/// as well, but only from a message that owns a copy of its context. Source: NATS ADR-15,
/// <https://github.com/nats-io/nats-architecture-and-design>.
#[derive(Debug, PartialEq)]
struct DeliveryMetadata {
    sequence: Sequence,
    /// The consumer's own number, starting at 1 without holes.
    delivery: u64,
    stored_at: Timestamp,
    /// Number of further messages that the consumer knows of.
    pending: u64,
}

impl DeliveryMetadata {
    fn parse(reply: &str) -> Option<Self> {
        let tokens = reply.strip_prefix("$JS.ACK.")?;
        let skip = if tokens.split('.').count() >= 9 { 5 } else { 3 };
        let mut tokens = tokens.split('.').skip(skip);
        let (sequence, delivery) = (tokens.next()?.parse().ok()?, tokens.next()?.parse().ok()?);
        let nanos: i64 = tokens.next()?.parse().ok()?;
        let pending = tokens.next()?.parse().ok()?;
        Some(Self {
            sequence: Sequence(sequence),
            delivery,
            stored_at: stored_at(nanos.into()),
            pending,
        })
    }
}

/// The number of sequences after `from` up to and including `to`.
fn count(from: Sequence, to: Sequence) -> usize {
    usize::try_from(to.0.saturating_sub(from.0)).unwrap_or(usize::MAX)
}

/// Sequences that are missing: nothing but trimming removes events here, so whatever was there is lost
/// (deleted by hand, or by the server itself because it is damaged).
#[derive(Clone, Copy)]
struct SequenceHole {
    /// The last sequence before it.
    after: Sequence,
    /// Number of delivered messages before it.
    delivered: usize,
}

/// The first hole after `from`, before or within the delivered messages.
fn first_hole(from: Sequence, delivered: &[DeliveredMessage]) -> Option<SequenceHole> {
    let mut after = from;
    for (count, found) in delivered.iter().enumerate() {
        if found.sequence != after.next() {
            return Some(SequenceHole {
                after,
                delivered: count,
            });
        }
        after = found.sequence;
    }
    None
}

/// Ends a page before a hole: one before the first event is reported by the returned position, and the next
/// read begins with one within the page.
fn end_before(
    hole: SequenceHole,
    from: Sequence,
    delivered: &mut Vec<DeliveredMessage>,
) -> Option<Sequence> {
    if hole.after > from {
        delivered.truncate(hole.delivered);
        return None;
    }
    let first = delivered.first()?.sequence;
    if let Some(next) = first_hole(first.previous(), delivered) {
        delivered.truncate(next.delivered);
    }
    Some(first.previous())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resumed(from: u64, found: &[u64]) -> (Option<u64>, Vec<u64>) {
        let delivered = |&sequence: &u64| DeliveredMessage {
            sequence: Sequence(sequence),
            subject: Subject::from_static("event"),
            headers: HeaderMap::new(),
            payload: Bytes::new(),
            stored_at: Timestamp::default(),
        };
        let mut found: Vec<_> = found.iter().map(delivered).collect();
        let from = Sequence(from);
        let hole = first_hole(from, &found);
        let begins = hole.and_then(|hole| end_before(hole, from, &mut found));
        (
            begins.map(|begins| begins.0),
            found.iter().map(|found| found.sequence.0).collect(),
        )
    }

    #[test]
    fn a_delivery_says_its_place_in_both_versions() {
        let expected = Some(DeliveryMetadata {
            sequence: Sequence(20),
            delivery: 3,
            stored_at: Timestamp::from_unix_millis(1_700_000_000_000),
            pending: 7,
        });
        assert_eq!(
            DeliveryMetadata::parse("$JS.ACK.stream.consumer.1.20.3.1700000000000999999.7"),
            expected
        );
        let with_domain = "$JS.ACK._.ACCOUNT.stream.consumer.1.20.3.1700000000000999999.7";
        assert_eq!(DeliveryMetadata::parse(with_domain), expected);
        assert_eq!(
            DeliveryMetadata::parse(&format!("{with_domain}.token")),
            expected
        );
        for other in [
            "",
            "$JS.ACK.",
            "$JS.ACK.a.b.c.d.e.f.g",
            "_INBOX.1.2.3.4.5.6.7.8.9",
        ] {
            assert_eq!(DeliveryMetadata::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_hole_before_the_page_is_said_and_one_within_it_ends_it() {
        assert_eq!(resumed(2, &[3, 4]), (None, vec![3, 4]));
        assert_eq!(resumed(2, &[6, 7]), (Some(5), vec![6, 7]));
        assert_eq!(resumed(2, &[3, 4, 9, 10]), (None, vec![3, 4]));
        assert_eq!(resumed(2, &[4, 6, 7]), (Some(3), vec![4]));
        assert_eq!(resumed(2, &[]), (None, Vec::new()));
    }
}
