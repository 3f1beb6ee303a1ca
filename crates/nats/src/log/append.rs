//! Appending: all messages of a part are sent before the first answer is awaited.

use std::collections::{HashMap, hash_map::Entry};

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::{EventId, Sequence};
use ports::{AppendResult, LogEntry, StoreFailure};
use role_keys::{RoleTrust, StampedChannel};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    AttemptError, JetStreamLog,
    connections::MAX_IN_FLIGHT,
    frame::framed,
    publish::{APPEND_HEADER, OutgoingMessage, StoredSequences},
    stream::StreamNames,
};

/// Maximum number of messages that are sent before their answers are awaited; a larger batch is
/// sent in several parts.
pub(super) const PART_EVENTS: usize = 256;
/// Maximum bytes that are sent before the answers are awaited; a single event may be larger.
pub(super) const PART_BYTES: usize = 4 * 1024 * 1024;
const _: () = assert!(PART_EVENTS <= MAX_IN_FLIGHT);
/// Number of concurrent lookups of duplicates.
const LOOKUPS: usize = 32;
/// Maximum bytes that headers add to a message.
const HEADER_BYTES: usize = 512;

/// Entries, framed once for all attempts.
pub(super) struct AppendBatch {
    append_id: String,
    /// The message of each distinct id, in the order given.
    messages: Vec<Message>,
    /// For each given event: the index of its message, and whether an earlier event has the same
    /// id.
    events: Vec<(usize, bool)>,
}

struct Message {
    id: EventId,
    outgoing: OutgoingMessage,
}

impl Message {
    fn new(names: &StreamNames, trust: &RoleTrust, append_id: &str, entry: &LogEntry) -> Self {
        let subject = names.subject(&entry.id);
        let payload = framed(entry);
        let stamp = trust.stamp(StampedChannel::Log, &[subject.as_bytes(), &payload]);
        Self {
            id: entry.id.clone(),
            outgoing: OutgoingMessage::new(subject, payload, append_id.to_owned(), stamp),
        }
    }
}

/// The sequence at which a message is stored.
#[derive(Clone, Copy)]
struct StoredPosition {
    sequence: Sequence,
    duplicate: bool,
}

impl AppendBatch {
    pub(super) fn new(names: &StreamNames, trust: &RoleTrust, entries: &[LogEntry]) -> Self {
        let append_id = Uuid::new_v4().to_string();
        let (mut messages, mut known) = (Vec::new(), HashMap::new());
        let mut places = Vec::with_capacity(entries.len());
        for entry in entries {
            places.push(match known.entry(&entry.id) {
                Entry::Occupied(first) => (*first.get(), true),
                Entry::Vacant(vacant) => {
                    vacant.insert(messages.len());
                    messages.push(Message::new(names, trust, &append_id, entry));
                    (messages.len() - 1, false)
                }
            });
        }
        Self {
            append_id,
            messages,
            events: places,
        }
    }

    /// Rejects a batch with an oversized event before any part of it is sent.
    pub(super) fn check_sizes(&self, max_payload: usize) -> Result<(), StoreFailure> {
        let fits = |message: &Message| message.outgoing.bytes() + HEADER_BYTES <= max_payload;
        if self.messages.iter().all(fits) {
            return Ok(());
        }
        let what = "an event is larger than max_payload of the NATS server";
        Err(StoreFailure::full(what))
    }

    /// Splits the batch into parts of bounded size, each with at least one message.
    fn parts(&self) -> impl Iterator<Item = &[Message]> {
        let mut rest = self.messages.as_slice();
        std::iter::from_fn(move || {
            let mut bytes = 0;
            let fits = rest.iter().take(PART_EVENTS).take_while(|message| {
                bytes += message.outgoing.bytes();
                bytes <= PART_BYTES
            });
            let count = fits.count().max(1).min(rest.len());
            let (part, later) = rest.split_at(count);
            rest = later;
            (!part.is_empty()).then_some(part)
        })
    }

    fn answer(&self, stored: &[StoredPosition]) -> Vec<AppendResult> {
        let place = |&(message, repeated): &(usize, bool)| AppendResult {
            id: self.messages[message].id.clone(),
            sequence: stored[message].sequence,
            duplicate: repeated || stored[message].duplicate,
        };
        self.events.iter().map(place).collect()
    }
}

impl JetStreamLog {
    /// Makes one attempt. Messages use one connection to one stream leader, so they are stored in
    /// order.
    pub(super) async fn append_batch(
        &self,
        batch: &AppendBatch,
    ) -> Result<Vec<AppendResult>, AttemptError> {
        let mut stored = Vec::with_capacity(batch.messages.len());
        for part in batch.parts() {
            stored.extend(self.store(part, &batch.append_id).await?);
        }
        Ok(batch.answer(&stored))
    }

    async fn store(
        &self,
        part: &[Message],
        append_id: &str,
    ) -> Result<Vec<StoredPosition>, AttemptError> {
        let fresh = self.publish(part).await?;
        let mut places = Vec::with_capacity(part.len());
        for (message, fresh) in part.iter().zip(fresh) {
            places.push(self.place(message, fresh, append_id));
        }
        stream::iter(places).buffered(LOOKUPS).try_collect().await
    }

    /// One by one, unless the server stores batches much faster now.
    async fn publish(&self, part: &[Message]) -> Result<StoredSequences, AttemptError> {
        let messages = part.iter().map(|message| &message.outgoing);
        if self.settings.takes_batches() && self.groups.pace.is_together() {
            return self.groups.publish(messages.cloned().collect()).await;
        }
        let began = Instant::now();
        let stored = self.main.publish_each(messages).await?;
        self.groups.pace.stored_each(part.len(), began.elapsed());
        Ok(stored)
    }

    async fn place(
        &self,
        message: &Message,
        fresh: Option<Sequence>,
        append_id: &str,
    ) -> Result<StoredPosition, AttemptError> {
        match fresh {
            Some(sequence) => Ok(StoredPosition {
                sequence,
                duplicate: false,
            }),
            None => self.find(message, append_id).await,
        }
    }

    /// Finds the sequence of an event that the stream already has. Asks the leader, because another
    /// replica may be behind.
    async fn find(
        &self,
        message: &Message,
        append_id: &str,
    ) -> Result<StoredPosition, AttemptError> {
        let request = self
            .main
            .stream
            .raw_message_builder()
            .last_by_subject(message.outgoing.subject.clone());
        let found = match request.send().await {
            Ok(found) => found,
            // Retention removed it meanwhile, or the replicas have not agreed on it yet: the next
            // attempt finds out.
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Err(
                    "the stream rejects the event as a duplicate, but does not have it".into(),
                );
            }
            Err(error) => return Err(error.into()),
        };
        // An earlier attempt of this append may have stored it although its answer was lost.
        let by_us = found
            .headers
            .get(APPEND_HEADER)
            .is_some_and(|id| id.as_str() == append_id);
        Ok(StoredPosition {
            sequence: Sequence(found.sequence),
            duplicate: !by_us,
        })
    }
}
