//! Sending the messages of an append, one by one or as a batch that the server stores as a whole or not at all.
//!
//! The driver's message for each is the same: its subject has no message yet, and it says which append it is of. A batch
//! is the server's atomic batch publish (NATS 2.12, ADR-50 of
//! <https://github.com/nats-io/nats-architecture-and-design>): messages with one batch id, numbered from 1, of which
//! only the last, which commits the batch, is answered.

use std::error::Error;

use async_nats::{
    HeaderMap,
    header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    jetstream::{self, context::PublishErrorKind, message::PublishMessage, publish::PublishAck},
};
use bytes::Bytes;
use model::Sequence;
use uuid::Uuid;

use super::{AttemptError, connections::LogConnection};
use crate::stamps::STAMP_HEADER;

/// Identifies the append that stored a message, so that a retry recognises its own messages.
pub(super) const APPEND_HEADER: &str = "Forgewire-Append";
const BATCH_ID_HEADER: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE_HEADER: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT_HEADER: &str = "Nats-Batch-Commit";

/// A message of an append.
#[derive(Clone)]
pub(super) struct OutgoingMessage {
    pub(super) subject: String,
    payload: Bytes,
    append_id: String,
    stamp: Option<String>,
}

/// For each message its sequence, or `None` if its subject has a message already.
pub(super) type StoredSequences = Vec<Option<Sequence>>;

impl OutgoingMessage {
    pub(super) fn new(
        subject: String,
        payload: Bytes,
        append_id: String,
        stamp: Option<String>,
    ) -> Self {
        Self {
            subject,
            payload,
            append_id,
            stamp,
        }
    }

    /// Bytes of its payload.
    pub(super) fn bytes(&self) -> usize {
        self.payload.len()
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        headers.insert(APPEND_HEADER, self.append_id.as_str());
        if let Some(stamp) = &self.stamp {
            headers.insert(STAMP_HEADER, stamp.as_str());
        }
        headers
    }

    fn headers_in_batch(&self, batch: &str, number: usize) -> HeaderMap {
        let mut headers = self.headers();
        headers.insert(BATCH_ID_HEADER, batch);
        headers.insert(BATCH_SEQUENCE_HEADER, number.to_string());
        headers
    }
}

impl LogConnection {
    /// Sends all messages before the first answer is awaited.
    pub(super) async fn publish_each<'m>(
        &self,
        messages: impl Iterator<Item = &'m OutgoingMessage> + Send,
    ) -> Result<StoredSequences, AttemptError> {
        let mut answers = Vec::with_capacity(messages.size_hint().0);
        for message in messages {
            let publish = PublishMessage::build()
                .payload(message.payload.clone())
                .headers(message.headers());
            let sent = self.context.send_publish(message.subject.clone(), publish);
            answers.push(sent.await?);
        }
        let mut stored = Vec::with_capacity(answers.len());
        for answer in answers {
            stored.push(match answer.await {
                Ok(answer) => Some(Sequence(answer.sequence)),
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => None,
                Err(error) => return Err(error.into()),
            });
        }
        Ok(stored)
    }

    /// Stores the messages, whose subjects differ, as one batch; `None` if the server refuses it, because one of the
    /// subjects has a message or because it takes no batches: then it stored none of them.
    pub(super) async fn publish_batch(
        &self,
        messages: &[OutgoingMessage],
    ) -> Result<Option<StoredSequences>, AttemptError> {
        let Some((last, first)) = messages.split_last() else {
            return Ok(Some(Vec::new()));
        };
        let batch = Uuid::new_v4().simple().to_string();
        let client = self.connection.client();
        for (index, message) in first.iter().enumerate() {
            let headers = message.headers_in_batch(&batch, index + 1);
            let (subject, payload) = (message.subject.clone(), message.payload.clone());
            client
                .publish_with_headers(subject, headers, payload)
                .await?;
        }
        let mut headers = last.headers_in_batch(&batch, messages.len());
        headers.insert(BATCH_COMMIT_HEADER, "1");
        let commit = PublishMessage::build()
            .payload(last.payload.clone())
            .headers(headers);
        let sent = self.context.send_publish(last.subject.clone(), commit);
        match sent.await?.await {
            Ok(answer) => Ok(Some(sequences(&answer, messages.len(), &batch)?)),
            Err(error) if is_refusal(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The sequences of a batch: the server stores it without anything in between, and names the last one.
fn sequences(
    answer: &PublishAck,
    count: usize,
    batch: &str,
) -> Result<StoredSequences, AttemptError> {
    let stored = answer.batch_size.unwrap_or_default();
    // A server that knows no batches stores each message by itself.
    if answer.batch_id.as_deref() != Some(batch) || stored != count as u64 {
        return Err("the server did not store the messages as a batch".into());
    }
    let first = (answer.sequence + 1).checked_sub(stored);
    let first = first.ok_or("the server stored a batch before the first sequence")?;
    Ok((first..=answer.sequence)
        .map(|sequence| Some(Sequence(sequence)))
        .collect())
}

/// Whether the server answered that it stored nothing.
fn is_refusal(error: &jetstream::context::PublishError) -> bool {
    let source = error.source();
    source.is_some_and(<dyn Error + 'static>::is::<jetstream::Error>)
}
