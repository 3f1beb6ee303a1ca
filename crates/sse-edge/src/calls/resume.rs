//! The stream of a call, read from the mailbox: on any edge, from any position.

mod lost_edge;

use std::{collections::VecDeque, future::pending, sync::Arc, time::Duration};

use access::{PresentRights, Visibility};
use bytes::Bytes;
use fanout::{
    hub::Hub,
    inbox::{lost_notice, set_back_notice},
    limits::RETRY_MILLIS,
    place::StreamPlace,
};
use futures_util::{Stream, stream};
use mcp::{RequestId, notification::ProgressReporter};
use mcp_server::repeatable::RepeatableCall;
use model::{Classified, Clock, CursorScope, Sequence, Sequenced};
use ports::{MailboxError, MailboxPage};
use serde::{Deserialize, de::IgnoredAny};
use tokio::time::{Instant, error::Elapsed, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    CallAnswer, Calls,
    continuation::GoOn,
    hidden::HiddenEntry,
    hints::HintReceiver,
    stream_name::StreamName,
    unanswered::{lost_answer, session_gone_answer},
    watched_edges::EdgeWatch,
    withheld::shown_to,
};
use crate::{
    answer_budget::{AnswerBudget, AnswerBytes, AnswerPermit},
    limits::{
        ANSWER_POLL, CALL_DEADLINE, READER_POLL, READER_PROGRESS_INTERVAL, SMALL_ANSWER_BYTES,
    },
    store_clock::StoreClock,
};

/// Maximum number of messages per read of the mailbox.
const PAGE_MESSAGES: usize = 64;
/// The first entries of a stream that are read for the edge that runs the call, the request, what could be seen, and
/// how the call can be made again. Where earlier ones are no longer kept, these come after the mark of an edge that
/// stopped.
const HEAD_ENTRIES: usize = 8;
/// Time of silence after which the reader of a stream that names no edge, of an earlier version, checks whether that
/// edge is alive.
const SILENCE: Duration = Duration::from_secs(10);
/// Time for which a reader waits for the lease of a stream: another one may have it to see what is to be done.
const TAKE_OVER_WAIT: Duration = Duration::from_secs(1);

/// Who runs a call, as far as its stream says.
#[derive(Debug)]
enum CallRunner {
    /// The stream does not say: an edge of an earlier version.
    Unnamed,
    /// This edge.
    Here,
    /// Another edge.
    Edge(EdgeWatch),
    /// No edge: the last one has stopped, and left the call to others.
    HandedOver,
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
    clock: Arc<StoreClock>,
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
    /// The last time at which the client was told that the call still runs.
    last_progress: Instant,
    /// How the call can be made again, if it can.
    repeatable: Option<Box<RepeatableCall>>,
    runner: CallRunner,
    /// Where the stream says who runs the call: the last such entry that was read.
    runner_at: Sequence,
    /// Whether the stream could not be read, or not all of it: it is tried again soon.
    is_behind: bool,
    /// When the stream is read again without a hint.
    reads_at: Instant,
    /// The earliest time of the next attempt to take the place of an edge that is gone.
    takes_over_at: Instant,
    go_on: Box<dyn GoOn>,
    /// The client has been sent the answer on this connection.
    is_answered: bool,
    is_over: bool,
}

/// The frames of the stream after `position`, until it is closed, the session ends, the edge drains or the
/// stream is as old as it may be. If the edge that runs the call is gone, the reader answers in its place. It
/// never ends in silence while the request is not answered. `None` if the session has no mailbox any more.
pub(crate) async fn follow(
    (calls, hub, answers): (&Arc<Calls>, &Arc<Hub>, &Arc<AnswerBudget>),
    clock: Arc<StoreClock>,
    (draining, place): (CancellationToken, StreamPlace),
    name: StreamName,
    reader: PresentRights,
    position: Sequence,
    go_on: Box<dyn GoOn>,
) -> Option<impl Stream<Item = AnswerBytes> + Send + 'static> {
    let hints = calls.hints.watch(&name.session, &name.stream);
    let mut follow = ResumedCall {
        calls: Arc::clone(calls),
        hub: Arc::clone(hub),
        clock,
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
        last_progress: Instant::now(),
        repeatable: None,
        runner: CallRunner::Unnamed,
        runner_at: Sequence::START,
        is_behind: false,
        reads_at: Instant::now(),
        takes_over_at: Instant::now(),
        go_on,
        is_answered: false,
        is_over: false,
    };
    // While the store is unavailable, the stream opens and tries again.
    match follow.read_head().await {
        Ok(Err(MailboxError::Missing)) => return None,
        Ok(Ok(page)) => {
            let hidden = page.messages.iter().map(|m| HiddenEntry::of(&m.item));
            let made_for = hidden.flatten().find_map(HiddenEntry::into_rights);
            follow.made_for = made_for.unwrap_or_default();
        }
        _ => {}
    }
    follow.is_over = follow.has_answer().await;
    Some(stream::unfold(follow, |mut follow| async {
        let frame = follow.next().await?;
        Some((frame.into(), follow))
    }))
}

/// Ends when the edge that runs the call is gone.
async fn gone(runner: &CallRunner) {
    match runner {
        CallRunner::Edge(watch) if !watch.gone.is_cancelled() => watch.gone.cancelled().await,
        // Known already, or known from the stream alone.
        _ => pending().await,
    }
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
            let is_hinted = Instant::now() >= self.reads_at;
            // What was shown last may not have been all.
            if is_hinted && self.read_page().await {
                continue;
            }
            let is_due = Instant::now() >= self.takes_over_at;
            if is_due && self.is_orphaned() && !draining.is_cancelled() {
                self.take_the_place_of_a_lost_edge().await;
                if !self.ready.is_empty() || self.is_over {
                    continue;
                }
            }
            if is_hinted || self.is_behind {
                self.reads_at = Instant::now() + self.pause();
            }
            let wakes_at = self.reads_at.min(Instant::now() + READER_PROGRESS_INTERVAL);
            let is_ending = tokio::select! {
                biased;
                () = draining.cancelled() => true,
                () = self.hints.next_hint() => {
                    self.reads_at = Instant::now();
                    self.place.is_due()
                }
                () = gone(&self.runner) => false,
                () = sleep_until(wakes_at) => self.place.is_due(),
            };
            if is_ending {
                // With the ids of what is stored by now, the client comes back to less.
                let _ = self.read_page().await;
                if !std::mem::replace(&mut self.is_over, true) {
                    let retry = format!("retry: {RETRY_MILLIS}\n\n");
                    self.ready.push_back(retry.into());
                }
                continue;
            }
            if let Some(progress) = self.progress() {
                return Some(progress);
            }
        }
    }

    /// Time after which the stream is read without a hint.
    fn pause(&self) -> Duration {
        match (self.is_behind, &self.runner) {
            // An edge of an earlier version may not say when it stores something.
            (true, _) | (_, CallRunner::Unnamed) => ANSWER_POLL,
            (false, _) => READER_POLL,
        }
    }

    /// Whether no edge runs the call any more.
    fn is_orphaned(&self) -> bool {
        match &self.runner {
            CallRunner::Unnamed => self.last_news.elapsed() > SILENCE,
            CallRunner::Here => false,
            CallRunner::Edge(watch) => watch.gone.is_cancelled(),
            CallRunner::HandedOver => true,
        }
    }

    /// Whether the client came with the id of its answer. An edge that gives an answer to a client without storing it
    /// says under this id that the call can be made again, for one that did not get it and comes with an earlier id.
    async fn has_answer(&self) -> bool {
        let at = self.position;
        if at == Sequence::START {
            return false;
        }
        let Ok(Ok(page)) = self.read_after(at.previous(), 1).await else {
            return false;
        };
        let is_there = |found: &&Sequenced<Bytes>| found.sequence == at;
        let entry = page.messages.first().filter(is_there);
        let hidden = entry.and_then(|entry| HiddenEntry::of(&entry.item));
        matches!(hidden, Some(HiddenEntry::HandedOver))
    }

    /// An entry at this position says who runs the call.
    fn note_runner(&mut self, at: Sequence, entry: &HiddenEntry) {
        if at < self.runner_at {
            return;
        }
        let runner = match entry {
            HiddenEntry::HandedOver => CallRunner::HandedOver,
            HiddenEntry::RunBy(edge) if self.calls.edge_lease.is_own(edge) => CallRunner::Here,
            HiddenEntry::RunBy(edge) => match &self.runner {
                CallRunner::Edge(watch) if watch.name == *edge => return,
                _ => CallRunner::Edge(self.calls.watched.watch(edge)),
            },
            _ => return,
        };
        self.runner = runner;
        self.runner_at = at;
    }

    /// Tells a client that asked for progress, from time to time, that its call still runs: the call itself tells only
    /// who is connected to its edge.
    fn progress(&mut self) -> Option<Bytes> {
        let call = self.repeatable.as_ref()?;
        let token = call.progress_token.clone()?;
        if self.last_progress.elapsed() < READER_PROGRESS_INTERVAL {
            return None;
        }
        self.last_progress = Instant::now();
        let most = call.most_seconds.map(f64::from);
        let waited = self.clock.now().since(call.began).as_secs_f64();
        // The time is over: its answer is on the way, from whichever edge gives it.
        if most.is_some_and(|most| waited >= most) {
            return None;
        }
        let principal = self.reader.now().ok()?;
        let stream = self.hub.reader(CursorScope::events(&principal.id)).ok()?;
        let since = self.hub.timeline().resolve(call.since);
        let cursor = self.hub.cursor_through(&stream, since);
        let text = format!("waiting, 0 of 1, cursor {cursor}");
        let message = ProgressReporter::new(token).report(waited, most, Some(&text))?;
        // Without an id: it is of use to this connection alone.
        Some(mcp::sse::message(None, &message))
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
        let read = self.read_after(Sequence::START, HEAD_ENTRIES).await;
        if let Ok(Ok(page)) = &read {
            for message in &page.messages {
                self.read_hidden(message.sequence, &message.item);
            }
        }
        read
    }

    /// Reads an entry that is not for clients; `None` if it is for them.
    fn read_hidden(&mut self, at: Sequence, entry: &[u8]) -> Option<HiddenEntry> {
        let hidden = HiddenEntry::of(entry)?;
        self.note_runner(at, &hidden);
        match &hidden {
            HiddenEntry::Request(request) => self.request = Some(request.clone()),
            HiddenEntry::Repeatable(call) => self.repeatable = Some(call.clone()),
            HiddenEntry::Rights(_)
            | HiddenEntry::HandedOver
            | HiddenEntry::RunBy(_)
            | HiddenEntry::Unknown => {}
        }
        Some(hidden)
    }

    /// Reads the next page; returns whether there was anything.
    async fn read_page(&mut self) -> bool {
        let Ok(reader) = self.reader.now() else {
            return false;
        };
        self.is_behind = true;
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
                self.is_behind = false;
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
            self.runner_at = Sequence::START;
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
        let mut is_refreshed = false;
        for message in &page.messages {
            let Some(hidden) = self.read_hidden(message.sequence, &message.item) else {
                let is_response = is_response(&message.item);
                // One that could not tell whether the answer was stored said that it is lost.
                if is_response && std::mem::replace(&mut self.is_answered, true) {
                    continue;
                }
                let shown = self.shown(&message.item);
                let frame = shown.map(|shown| self.name.frame(message.sequence, &shown));
                self.ready.extend(frame);
                continue;
            };
            match hidden {
                HiddenEntry::Rights(made_for) => self.made_for = made_for,
                HiddenEntry::Request(_) => is_refreshed = true,
                HiddenEntry::HandedOver
                | HiddenEntry::RunBy(_)
                | HiddenEntry::Repeatable(_)
                | HiddenEntry::Unknown => {}
            }
        }
        let moved = page.through > self.position;
        self.position = self.position.max(page.through);
        if moved {
            self.last_news = Instant::now();
            let is_handed_over = matches!(self.runner, CallRunner::HandedOver);
            if is_refreshed && self.ready.is_empty() && !is_handed_over {
                // The beginning is stored anew: clients come back from here, since what is before is not kept for
                // ever. But the next edge has to read that the call was handed over.
                self.ready.push_back(self.name.priming(self.position));
            }
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
