//! The stream of a call, read from the mailbox: on any edge, from any position.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use access::{PresentRights, Visibility};
use bytes::{BufMut, Bytes, BytesMut};
use fanout::{
    hub::Hub,
    inbox::{lost_notice, set_back_notice},
    limits::RETRY_MILLIS,
    place::StreamPlace,
};
use futures_util::{Stream, stream};
use mcp::RequestId;
use model::{Classified, Sequence};
use ports::{MailboxError, MailboxPage};
use serde::{Deserialize, de::IgnoredAny};
use tokio::time::{Instant, error::Elapsed, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    CallAnswer, Calls,
    hints::HintReceiver,
    stream_name::StreamName,
    unanswered::{lost_answer, no_answer, session_gone_answer},
    withheld::shown_to,
};
use crate::{
    answer_budget::{AnswerBudget, AnswerBytes, AnswerPermit},
    limits::{ANSWER_POLL, CALL_DEADLINE, CALL_LEASE, SMALL_ANSWER_BYTES},
};

/// Maximum number of messages per read of the mailbox.
const PAGE_MESSAGES: usize = 64;
/// First byte of the first entry of a call's stream, with which no message begins: the entry is not
/// for clients.
const HEAD_MARK: u8 = 0;
/// Time of silence after which the reader checks whether the edge that writes the stream is alive.
const SILENCE: Duration = Duration::from_secs(10);

/// The first entry of a call's stream: the request that it answers.
pub(super) fn head(request: &RequestId) -> Bytes {
    let mut entry = BytesMut::new();
    entry.put_u8(HEAD_MARK);
    entry.put_slice(request.to_string().as_bytes());
    entry.freeze()
}

/// An entry before messages and the answer: what could be seen when they were made.
pub(super) fn rights(made_for: &Visibility) -> Bytes {
    let mut entry = BytesMut::new();
    entry.put_u8(HEAD_MARK);
    let json = serde_json::to_vec(made_for).expect("names are JSON");
    entry.put_slice(&json);
    entry.freeze()
}

fn rights_of(entry: &[u8]) -> Option<Visibility> {
    serde_json::from_slice(entry.strip_prefix(&[HEAD_MARK])?).ok()
}

fn request_of(entry: &[u8]) -> Option<RequestId> {
    serde_json::from_slice(entry.strip_prefix(&[HEAD_MARK])?).ok()
}

/// Whether a page has a message that needs room in the budget of answers.
fn has_large(page: &MailboxPage) -> bool {
    let mut messages = page.messages.iter();
    messages.any(|message| message.item.len() > SMALL_ANSWER_BYTES)
}

/// Whether a message is a response, which ends the stream of its call.
fn is_response(message: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Parts {
        method: Option<IgnoredAny>,
        result: Option<IgnoredAny>,
        error: Option<IgnoredAny>,
    }
    serde_json::from_slice::<Parts>(message).is_ok_and(|parts| {
        parts.method.is_none() && (parts.result.is_some() || parts.error.is_some())
    })
}

struct ResumedCall {
    calls: Arc<Calls>,
    hub: Arc<Hub>,
    draining: CancellationToken,
    /// Given back with the stream.
    place: StreamPlace,
    name: StreamName,
    /// The request that the stream answers; `None` while that is not known.
    request: Option<RequestId>,
    reader: PresentRights,
    /// What could be seen when the answer was made; everything, unless an entry says less.
    made_for: Visibility,
    position: Sequence,
    ready: VecDeque<Bytes>,
    answers: Arc<AnswerBudget>,
    /// For the frames that are ready, until the client has taken them.
    room: Option<AnswerPermit>,
    hints: HintReceiver,
    last_news: Instant,
    /// The client has been sent the answer on this connection.
    is_answered: bool,
    is_over: bool,
}

/// The frames of the stream after `position`, until it is closed, the session ends, the edge drains or the
/// stream is as old as it may be. If the edge that runs the call is gone, the reader answers in its place. It
/// never ends in silence while the request is not answered. `None` if the session has no mailbox any more.
pub(crate) async fn follow(
    (calls, hub, answers): (&Arc<Calls>, &Arc<Hub>, &Arc<AnswerBudget>),
    (draining, place): (CancellationToken, StreamPlace),
    name: StreamName,
    reader: PresentRights,
    position: Sequence,
) -> Option<impl Stream<Item = AnswerBytes> + Send + 'static> {
    let hints = calls.hints.watch(&name.session, &name.stream);
    let mut follow = ResumedCall {
        calls: Arc::clone(calls),
        hub: Arc::clone(hub),
        draining,
        place,
        name,
        request: None,
        reader,
        made_for: Visibility::all(),
        position,
        ready: VecDeque::new(),
        answers: Arc::clone(answers),
        room: None,
        hints,
        last_news: Instant::now(),
        is_answered: false,
        is_over: false,
    };
    // While the store is unavailable, the stream opens and tries again.
    match follow.read_head().await {
        Ok(Err(MailboxError::Missing)) => return None,
        Ok(Ok(page)) => {
            let made_for = page.messages.get(1).and_then(|m| rights_of(&m.item));
            follow.made_for = made_for.unwrap_or_default();
        }
        _ => {}
    }
    Some(stream::unfold(follow, |mut follow| async {
        let frame = follow.next().await?;
        Some((frame.into(), follow))
    }))
}

impl ResumedCall {
    async fn next(&mut self) -> Option<Bytes> {
        let draining = self.draining.clone();
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            self.room = None;
            // At the moment of delivery: the token may have been revoked since the client came back.
            if self.is_over || self.reader.now().is_err() {
                return None;
            }
            if self.read_page().await {
                continue;
            }
            let is_ending = tokio::select! {
                _ = timeout(ANSWER_POLL, self.hints.next_hint()) => self.place.is_due(),
                () = draining.cancelled() => true,
            };
            if is_ending {
                self.is_over = true;
                return Some(Bytes::from(format!("retry: {RETRY_MILLIS}\n\n")));
            }
            if self.last_news.elapsed() > SILENCE {
                self.answer_in_place_of_a_lost_edge().await;
            }
        }
    }

    async fn read_after(
        &self,
        after: Sequence,
        limit: usize,
    ) -> Result<Result<MailboxPage, MailboxError>, Elapsed> {
        let (session, stream) = (&self.name.session, &self.name.stream);
        let read = self.calls.mailbox.read_after(session, stream, after, limit);
        timeout(CALL_DEADLINE, read).await
    }

    /// Reads the first entries of the stream: the request, and what could be seen when it was made.
    async fn read_head(&mut self) -> Result<Result<MailboxPage, MailboxError>, Elapsed> {
        let read = self.read_after(Sequence::START, 2).await;
        if let Ok(Ok(page)) = &read {
            let request = page.messages.first().and_then(|m| request_of(&m.item));
            self.request = request.or_else(|| self.request.take());
        }
        read
    }

    /// Reads the next page; returns whether there was anything.
    async fn read_page(&mut self) -> bool {
        let Ok(reader) = self.reader.now() else {
            return false;
        };
        let answers = Arc::clone(&self.answers);
        let page_room = answers.reserve_later(&reader.id, MailboxPage::MAX_BYTES);
        let mut room = page_room.await;
        // Without room a small message comes all the same, as small answers do, and the stream asks again for others.
        let (limit, _place) = match &room {
            Some(_) => (PAGE_MESSAGES, None),
            None => match answers.waiting_place() {
                Some(place) => (1, Some(place)),
                None => return false,
            },
        };
        match self.read_after(self.position, limit).await {
            Ok(Ok(page)) if room.is_none() && has_large(&page) => false,
            Ok(Ok(page)) => {
                let has_news = self.accept_page(&page).await;
                if let Some(room) = &mut room {
                    room.shrink_to(self.ready.iter().map(Bytes::len).sum());
                }
                self.room = room;
                has_news
            }
            Ok(Err(MailboxError::Missing)) => {
                self.end(session_gone_answer);
                true
            }
            Ok(Err(error)) if !error.class().is_retryable() => {
                warn!(%error, session = %self.name.session, "the stream of a call cannot be read");
                self.end(lost_answer);
                true
            }
            // The store is unavailable: the stream stays open and tries again.
            Ok(Err(error)) => {
                debug!(%error, "the stream of a call cannot be read now");
                false
            }
            Err(_) => false,
        }
    }

    async fn accept_page(&mut self, page: &MailboxPage) -> bool {
        if page.went_back(self.position) {
            self.hub.record_set_back();
            // What is there is sent again: messages stored since may have lower sequences.
            self.position = Sequence::START;
            let notice = set_back_notice();
            self.ready
                .push_back(self.name.frame(self.position, &notice));
            return true;
        }
        if let Some(resumes_after) = page.resumes_after {
            let notice = lost_notice();
            self.ready
                .push_back(self.name.frame(resumes_after, &notice));
        }
        for message in &page.messages {
            if message.item.first() != Some(&HEAD_MARK) {
                let is_response = is_response(&message.item);
                // One that could not tell whether the answer was stored said that it is lost.
                if is_response && std::mem::replace(&mut self.is_answered, true) {
                    continue;
                }
                let shown = self.shown(&message.item);
                let frame = shown.map(|shown| self.name.frame(message.sequence, &shown));
                self.ready.extend(frame);
            } else if let Some(made_for) = rights_of(&message.item) {
                self.made_for = made_for;
            }
        }
        let moved = page.through > self.position;
        self.position = self.position.max(page.through);
        if moved {
            self.last_news = Instant::now();
        }
        if page.closed && page.at_head {
            match self.is_answered || self.had_answer().await {
                true => self.is_over = true,
                false => self.end(lost_answer),
            }
        }
        moved || self.is_over || !self.ready.is_empty()
    }

    /// Whether the answer is before the position: the client has it already.
    async fn had_answer(&self) -> bool {
        let mut after = Sequence::START;
        while after < self.position
            && let Ok(Ok(page)) = self.read_after(after, PAGE_MESSAGES).await
        {
            if page.messages.iter().any(|m| is_response(&m.item)) {
                return true;
            }
            if page.through <= after {
                break;
            }
            after = page.through;
        }
        false
    }

    /// Ends the stream of a request without an answer: the client is told, with an answer if it is known
    /// to which request.
    fn end(&mut self, answer: fn(&RequestId) -> CallAnswer) {
        self.is_over = true;
        let message = match &self.request {
            Some(request) => answer(request).message,
            None => lost_notice().into(),
        };
        // Without an id: nothing comes after it.
        self.ready
            .push_back(mcp::sse::message(None, message.bytes()));
    }

    /// A message as the reader may see it now: one that was made under wider rights is withheld.
    fn shown(&self, message: &Bytes) -> Option<Bytes> {
        let reader = self.reader.now();
        let sees = reader.map_or_else(|_| Visibility::none(), |reader| reader.sees.clone());
        shown_to(&sees, &self.made_for, message)
    }

    /// The edge that runs a call holds a lease. If that edge is gone, nothing more would ever
    /// arrive.
    async fn answer_in_place_of_a_lost_edge(&mut self) {
        self.last_news = Instant::now();
        let lock = self.name.lock();
        let locks = Arc::clone(&self.calls.locks);
        let acquire = locks.acquire(&lock, CALL_LEASE, Duration::ZERO);
        let Ok(Ok(Some(lease))) = timeout(CALL_DEADLINE, acquire).await else {
            return;
        };
        if let Ok(Ok(page)) = self.read_head().await
            && !page.closed
        {
            let (calls, name) = (&self.calls, &self.name);
            let (session, stream) = (&name.session, &name.stream);
            let answer = self.request.as_ref().map(no_answer);
            let is_stored = match answer {
                Some(answer) => {
                    let answer = answer.message.bytes().clone();
                    calls.append(session, stream, answer).await.is_ok()
                }
                None => false,
            };
            let _ = calls.close(session, stream).await;
            // A stream that the store has lost cannot be closed, and no edge writes it.
            if page.messages.is_empty() && !is_stored {
                self.end(lost_answer);
            }
        }
        let _ = timeout(CALL_DEADLINE, locks.release(&lock, &lease.token)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_response_ends_the_stream_of_its_call() {
        for (message, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, true),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":""}}"#,
                true,
            ),
            (
                r#"{"jsonrpc":"2.0","id":"ask-1","method":"roots/list"}"#,
                false,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#,
                false,
            ),
            ("\0\"seven\"", false),
        ] {
            assert_eq!(is_response(message.as_bytes()), expected, "{message}");
        }
    }
}
