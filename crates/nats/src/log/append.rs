//! Appending: all messages of a batch are sent before the first answer is awaited.

use std::collections::{HashMap, hash_map::Entry};

use async_nats::jetstream::{
    context::PublishErrorKind, message::PublishMessage, stream::LastRawMessageErrorKind,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::{EventId, Sequence, StoredEvent};
use ports::{Appended, EventLogError};
use uuid::Uuid;

use super::{Failure, JetStreamLog, stream::Names};

/// Messages that are sent before their answers are awaited; one batch goes out in such parts.
const PART_EVENTS: usize = 256;
/// Bytes that are sent before their answers are awaited; one event may be larger.
const PART_BYTES: usize = 4 * 1024 * 1024;
/// Unanswered messages of all appends of a handle; what comes on top waits.
pub(super) const MAX_IN_FLIGHT: usize = 16 * PART_EVENTS;
/// Lookups of duplicates at a time.
const LOOKUPS: usize = 32;
/// What headers add to a message, at most.
const HEADER_BYTES: usize = 256;
/// Names the append that stored a message: a retry knows its own by it.
const APPEND_HEADER: &str = "Forgewire-Append";

/// Events, encoded once for all tries.
pub(super) struct Batch {
    append_id: String,
    /// Each id once, in the order given.
    messages: Vec<Message>,
    /// For each event that was given: which message it is, and whether an earlier one has its id.
    events: Vec<(usize, bool)>,
}

struct Message {
    id: EventId,
    subject: String,
    payload: Bytes,
}

/// Where a message ended up.
#[derive(Clone, Copy)]
struct Stored {
    sequence: Sequence,
    duplicate: bool,
}

impl Batch {
    pub(super) fn new(names: &Names, events: &[StoredEvent]) -> Self {
        let (mut messages, mut known) = (Vec::new(), HashMap::new());
        let mut places = Vec::with_capacity(events.len());
        for event in events {
            let id = &event.facts.id;
            places.push(match known.entry(id) {
                Entry::Occupied(first) => (*first.get(), true),
                Entry::Vacant(vacant) => {
                    vacant.insert(messages.len());
                    messages.push(Message {
                        id: id.clone(),
                        subject: names.subject(id),
                        payload: proto::encode_event(event).into(),
                    });
                    (messages.len() - 1, false)
                }
            });
        }
        Self {
            append_id: Uuid::new_v4().to_string(),
            messages,
            events: places,
        }
    }

    /// Refuses the batch before any part of it is sent.
    pub(super) fn check_sizes(&self, max_payload: usize) -> Result<(), EventLogError> {
        let fits = |message: &Message| message.payload.len() + HEADER_BYTES <= max_payload;
        if self.messages.iter().all(fits) {
            return Ok(());
        }
        let what = "an event is larger than max_payload of the NATS server";
        Err(EventLogError::Overloaded { what })
    }

    /// The batch in parts of bounded size, each at least one message.
    fn parts(&self) -> impl Iterator<Item = &[Message]> {
        let mut rest = self.messages.as_slice();
        std::iter::from_fn(move || {
            let mut bytes = 0;
            let fits = rest.iter().take(PART_EVENTS).take_while(|message| {
                bytes += message.payload.len();
                bytes <= PART_BYTES
            });
            let count = fits.count().max(1).min(rest.len());
            let (part, later) = rest.split_at(count);
            rest = later;
            (!part.is_empty()).then_some(part)
        })
    }

    fn answer(&self, stored: &[Stored]) -> Vec<Appended> {
        let place = |&(message, repeated): &(usize, bool)| Appended {
            id: self.messages[message].id.clone(),
            sequence: stored[message].sequence,
            duplicate: repeated || stored[message].duplicate,
        };
        self.events.iter().map(place).collect()
    }
}

impl JetStreamLog {
    /// One try. Messages go over one connection to one stream leader, so they are stored in order.
    pub(super) async fn append_batch(&self, batch: &Batch) -> Result<Vec<Appended>, Failure> {
        let mut stored = Vec::with_capacity(batch.messages.len());
        for part in batch.parts() {
            stored.extend(self.store(part, &batch.append_id).await?);
        }
        Ok(batch.answer(&stored))
    }

    async fn store(&self, part: &[Message], append_id: &str) -> Result<Vec<Stored>, Failure> {
        let mut answers = Vec::with_capacity(part.len());
        for message in part {
            let publish = PublishMessage::build()
                .payload(message.payload.clone())
                .expected_last_subject_sequence(0)
                .header(APPEND_HEADER, append_id);
            answers.push(
                self.context
                    .send_publish(message.subject.clone(), publish)
                    .await?,
            );
        }
        let mut fresh = Vec::with_capacity(part.len());
        for answer in answers {
            fresh.push(match answer.await {
                Ok(answer) => Some(Sequence(answer.sequence)),
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => None,
                Err(error) => return Err(error.into()),
            });
        }
        let mut places = Vec::with_capacity(part.len());
        for (message, fresh) in part.iter().zip(fresh) {
            places.push(self.place(message, fresh, append_id));
        }
        stream::iter(places).buffered(LOOKUPS).try_collect().await
    }

    async fn place(
        &self,
        message: &Message,
        fresh: Option<Sequence>,
        append_id: &str,
    ) -> Result<Stored, Failure> {
        match fresh {
            Some(sequence) => Ok(Stored {
                sequence,
                duplicate: false,
            }),
            None => self.find(message, append_id).await,
        }
    }

    /// Where an event is that the stream has already. Asks the leader: another replica may be
    /// behind.
    async fn find(&self, message: &Message, append_id: &str) -> Result<Stored, Failure> {
        let request = self
            .stream
            .raw_message_builder()
            .last_by_subject(message.subject.clone());
        let found = match request.send().await {
            Ok(found) => found,
            // Retention removed it meanwhile, or replicas still agree on it: the next try knows.
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Err("the stream refuses the event as known, but has no such event".into());
            }
            Err(error) => return Err(error.into()),
        };
        // An earlier try of this very append may have stored it although we never heard the answer.
        let by_us = found
            .headers
            .get(APPEND_HEADER)
            .is_some_and(|id| id.as_str() == append_id);
        Ok(Stored {
            sequence: Sequence(found.sequence),
            duplicate: !by_us,
        })
    }
}
