//! [`ports::Mailbox`]: in the slot of its session, with the session's time to live.

mod scripts;

use async_trait::async_trait;
use bytes::Bytes;
use fred::types::{Value, scripts::Script};
use model::{Sequence, Sequenced, SessionId, StreamId};
use ports::{Mailbox, MailboxError, MailboxLimits, MailboxPage};

pub(crate) use scripts::MailboxScripts;

use crate::RedisSessionStore;

#[derive(Debug, thiserror::Error)]
#[error("the mailbox returned an unexpected answer or holds a foreign entry")]
struct UnexpectedMailboxAnswer;

/// Formats a sequence as the scripts do.
fn padded(sequence: Sequence) -> String {
    format!("{:020}", sequence.0)
}

fn unexpected_answer(op: &'static str) -> MailboxError {
    let source = UnexpectedMailboxAnswer.into();
    MailboxError::Corrupt { op, source }
}

fn number(value: Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(number).ok(),
        other => other.as_str()?.parse().ok(),
    }
}

/// Reads a page from the script's answer: loss, state, more, end, and then the messages.
fn page(after: Sequence, answer: &mut impl Iterator<Item = Value>) -> Option<MailboxPage> {
    let lost = Sequence(number(answer.next()?)?);
    let state = number(answer.next()?)?;
    let more = number(answer.next()?)? == 1;
    let end = Sequence(number(answer.next()?)?);
    let mut messages = Vec::new();
    while let Some(sequence) = answer.next() {
        messages.push(Sequenced {
            sequence: Sequence(number(sequence)?),
            item: answer.next()?.into_bytes()?,
        });
    }
    let forgotten = state == 2 && lost > Sequence::START && after <= lost;
    let through = messages
        .last()
        .map_or(after.max(lost), |last| last.sequence);
    Some(MailboxPage {
        messages,
        through,
        at_head: !more,
        resumes_after: (after < lost).then_some(lost),
        closed: state == 1 || forgotten,
        end,
    })
}

impl RedisSessionStore {
    /// Runs a script on a session's mailbox; returns the values after the outcome.
    async fn in_mailbox(
        &self,
        op: &'static str,
        script: &Script,
        session: &SessionId,
        arguments: Vec<Value>,
    ) -> Result<impl Iterator<Item = Value> + use<>, MailboxError> {
        let keys = self.index.session_keys(session);
        let call = self.run::<Vec<Value>, MailboxError>(op, script, keys, arguments);
        let mut answer = self.bounded(op, call).await?.into_iter();
        match answer.next().and_then(number) {
            Some(0) => Err(MailboxError::Missing),
            Some(1) => Err(MailboxError::Closed),
            Some(2) => Ok(answer),
            _ => Err(unexpected_answer(op)),
        }
    }

    async fn number_of_mailbox(
        &self,
        op: &'static str,
        script: &Script,
        session: &SessionId,
        arguments: Vec<Value>,
    ) -> Result<u64, MailboxError> {
        let mut answer = self.in_mailbox(op, script, session, arguments).await?;
        answer
            .next()
            .and_then(number)
            .ok_or_else(|| unexpected_answer(op))
    }
}

#[async_trait]
impl Mailbox for RedisSessionStore {
    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        let arguments = vec![
            stream.as_str().into(),
            limits.max_streams.to_string().into(),
        ];
        let script = &self.mailbox_scripts.open;
        let opened = self.number_of_mailbox("open a stream", script, session, arguments);
        Ok(Sequence(opened.await?))
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        MailboxError::check_payload(&payload)?;
        let arguments = vec![
            stream.as_str().into(),
            limits.max_streams.to_string().into(),
            Value::Bytes(payload),
            limits.max_messages.to_string().into(),
            limits.max_bytes.to_string().into(),
            limits.max_age.as_millis().to_string().into(),
        ];
        let script = &self.mailbox_scripts.append;
        let sequence = self.number_of_mailbox("append a message", script, session, arguments);
        Ok(Sequence(sequence.await?))
    }

    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        const OP: &str = "read messages";
        let limit = limit.min(MailboxPage::MAX_MESSAGES);
        let arguments = vec![
            stream.as_str().into(),
            padded(after).into(),
            limit.to_string().into(),
            MailboxPage::MAX_BYTES.to_string().into(),
        ];
        let script = &self.mailbox_scripts.read;
        let mut answer = self.in_mailbox(OP, script, session, arguments).await?;
        page(after, &mut answer).ok_or_else(|| unexpected_answer(OP))
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        let arguments = vec![stream.as_str().into(), padded(through).into()];
        let script = &self.mailbox_scripts.trim;
        self.number_of_mailbox("trim a stream", script, session, arguments)
            .await
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        let arguments = vec![stream.as_str().into()];
        let script = &self.mailbox_scripts.close;
        let closed = self.in_mailbox("close a stream", script, session, arguments);
        closed.await.map(drop)
    }
}
