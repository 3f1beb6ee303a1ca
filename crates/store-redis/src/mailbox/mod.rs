//! [`ports::Mailbox`]: all keys of a mailbox are in one slot and have one time to live.

pub(crate) mod accounts;
pub(crate) mod scripts;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fred::types::{Value, scripts::Script};
use model::{PrincipalId, Sequence, Sequenced, SessionId, StreamId};
use ports::{Mailbox, MailboxError, MailboxLimits, MailboxPage, StoreFailure};

use self::{accounts::RoomRequest, scripts::number};
use crate::{RedisSessionStore, store::millis};

#[derive(Debug, thiserror::Error)]
#[error("the mailbox returned an unexpected answer or holds a foreign entry")]
struct UnexpectedMailboxAnswer;

const APPEND: &str = "append a message";

/// The answer of a script that found the mailbox.
enum MailboxAnswer {
    Done(std::vec::IntoIter<Value>),
    /// Nothing was done: the account of the owner has to be asked first.
    AskAccount(std::vec::IntoIter<Value>),
}

/// The sequence of an appended message, and the weight of its mailbox.
fn appended_at(mut answer: impl Iterator<Item = Value>) -> Option<(Sequence, u64)> {
    let sequence = Sequence(number(answer.next()?)?);
    Some((sequence, number(answer.next()?)?))
}

/// Formats a sequence as the scripts do.
fn padded(sequence: Sequence) -> String {
    format!("{:020}", sequence.0)
}

fn unexpected_answer(op: &'static str) -> MailboxError {
    StoreFailure::corrupt(op, UnexpectedMailboxAnswer).into()
}

/// `None` if there is no such mailbox.
fn unless_missing<T>(outcome: Result<T, MailboxError>) -> Result<Option<T>, MailboxError> {
    match outcome {
        Ok(answer) => Ok(Some(answer)),
        Err(MailboxError::Missing) => Ok(None),
        Err(failed) => Err(failed),
    }
}

/// Reads a page from the script's answer: loss, state, more, beginning, end, and then the messages.
fn page(after: Sequence, answer: &mut impl Iterator<Item = Value>) -> Option<MailboxPage> {
    let lost = Sequence(number(answer.next()?)?);
    let state = number(answer.next()?)?;
    let more = number(answer.next()?)? == 1;
    let began = Sequence(number(answer.next()?)?);
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
        began,
        end,
    })
}

impl RedisSessionStore {
    /// Runs a script on a mailbox; returns the values after the outcome.
    async fn in_mailbox(
        &self,
        op: &'static str,
        script: &Script,
        session: &SessionId,
        arguments: Vec<Value>,
    ) -> Result<std::vec::IntoIter<Value>, MailboxError> {
        match self.on_mailbox(op, script, session, arguments).await? {
            MailboxAnswer::Done(answer) => Ok(answer),
            MailboxAnswer::AskAccount(_) => Err(unexpected_answer(op)),
        }
    }

    async fn on_mailbox(
        &self,
        op: &'static str,
        script: &Script,
        session: &SessionId,
        arguments: Vec<Value>,
    ) -> Result<MailboxAnswer, MailboxError> {
        let keys = self.keys.mailbox_keys(session);
        let call = self.run::<Vec<Value>>(op, script, keys, arguments);
        let mut answer = self.bounded(op, call).await?.into_iter();
        match answer.next().and_then(number) {
            Some(0) => Err(MailboxError::Missing),
            Some(1) => Err(MailboxError::Closed),
            Some(2) => Ok(MailboxAnswer::Done(answer)),
            Some(4) => Ok(MailboxAnswer::AskAccount(answer)),
            _ => Err(unexpected_answer(op)),
        }
    }

    /// Appends a message to a mailbox that may weigh `room`, or that does not count while it weighs no more
    /// than that (`asked` is false).
    async fn append_within(
        &self,
        (session, stream): (&SessionId, &StreamId),
        payload: Bytes,
        limits: MailboxLimits,
        (room, asked): (u64, bool),
    ) -> Result<MailboxAnswer, MailboxError> {
        let arguments = vec![
            stream.as_str().into(),
            limits.max_streams.to_string().into(),
            Value::Bytes(payload),
            limits.max_messages.to_string().into(),
            limits.max_bytes.to_string().into(),
            limits.max_age.as_millis().to_string().into(),
            room.to_string().into(),
            i64::from(asked).to_string().into(),
        ];
        let script = &self.mailbox_scripts.append;
        self.on_mailbox(APPEND, script, session, arguments).await
    }

    /// Takes room in the owner's account for a message, and appends it.
    async fn append_counted(
        &self,
        to: (&SessionId, &StreamId),
        payload: Bytes,
        limits: MailboxLimits,
        request: RoomRequest,
    ) -> Result<Sequence, MailboxError> {
        let owner = &request.owner;
        let room = self.take_room(to.0, &request, payload.len(), limits);
        let room = self.bounded(APPEND, room).await?;
        let appended = self.append_within(to, payload, limits, (room, true)).await;
        let answer = match appended {
            Ok(MailboxAnswer::Done(answer)) => answer,
            Ok(MailboxAnswer::AskAccount(_)) => return Err(unexpected_answer(APPEND)),
            Err(error) => {
                if matches!(error, MailboxError::Missing | MailboxError::Closed) {
                    self.weighs(owner, to.0, 0).await;
                }
                return Err(error);
            }
        };
        let (sequence, weight) = appended_at(answer).ok_or_else(|| unexpected_answer(APPEND))?;
        if weight != request.wanted {
            self.weighs(owner, to.0, weight).await;
        }
        Ok(sequence)
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
    async fn open(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        ttl: Duration,
    ) -> Result<(), MailboxError> {
        let arguments = vec![owner.as_str().into(), millis(ttl).into()];
        let script = &self.mailbox_scripts.open_mailbox;
        let opened = self.in_mailbox("open a mailbox", script, session, arguments);
        opened.await.map(drop)
    }

    async fn touch(&self, session: &SessionId, ttl: Duration) -> Result<bool, MailboxError> {
        let script = &self.mailbox_scripts.touch;
        let arguments = vec![millis(ttl).into()];
        let touched = self.in_mailbox("touch a mailbox", script, session, arguments);
        let Some(mut answer) = unless_missing(touched.await)? else {
            return Ok(false);
        };
        let owner = answer.next().and_then(Value::into_string);
        if let Some((owner, left)) = owner.zip(answer.next().and_then(number)) {
            self.lapses_in(&owner, session, left).await;
        }
        Ok(true)
    }

    async fn end(&self, session: &SessionId) -> Result<bool, MailboxError> {
        let script = &self.mailbox_scripts.end;
        let ended = self.in_mailbox("end a mailbox", script, session, Vec::new());
        let Some(mut answer) = unless_missing(ended.await)? else {
            return Ok(false);
        };
        if let Some(owner) = answer.next().and_then(Value::into_string) {
            self.weighs(&owner, session, 0).await;
        }
        Ok(true)
    }

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
        let to = (session, stream);
        let uncounted = (MailboxLimits::UNCOUNTED_BYTES, false);
        let appended = self.append_within(to, payload.clone(), limits, uncounted);
        match appended.await? {
            MailboxAnswer::Done(answer) => appended_at(answer).map(|(sequence, _)| sequence),
            MailboxAnswer::AskAccount(answer) => {
                let request = RoomRequest::read(answer).ok_or_else(|| unexpected_answer(APPEND))?;
                return self.append_counted(to, payload, limits, request).await;
            }
        }
        .ok_or_else(|| unexpected_answer(APPEND))
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
        const OP: &str = "trim a stream";
        let script = &self.mailbox_scripts.trim;
        let mut answer = self.in_mailbox(OP, script, session, arguments).await?;
        let gone = answer.next().and_then(number);
        let owner = answer.next().and_then(Value::into_string);
        if let Some((owner, weight)) = owner.zip(answer.next().and_then(number)) {
            self.weighs(&owner, session, weight).await;
        }
        gone.ok_or_else(|| unexpected_answer(OP))
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
