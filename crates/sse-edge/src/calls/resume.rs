//! The stream of a call, read from the mailbox: on any edge, from any position.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use access::{PresentRights, Principal, Visibility};
use bytes::{BufMut, Bytes, BytesMut};
use fanout::{
    hub::Hub,
    inbox::{lost_notice, set_back_notice},
    limits::RETRY_MILLIS,
};
use futures_util::{Stream, stream};
use mcp::{
    Incoming, RequestId,
    envelope::{self, MessageBody},
};
use model::Sequence;
use ports::{MailboxError, MailboxPage};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Calls, hints::HintReceiver, record::StreamName, record::stopped_answer};
use crate::{
    error::rights_changed,
    limits::{ANSWER_POLL, CALL_DEADLINE, CALL_LEASE},
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

/// An entry before the answer: what could be seen when it was made.
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

struct ResumedCall {
    calls: Arc<Calls>,
    hub: Arc<Hub>,
    draining: CancellationToken,
    name: StreamName,
    reader: PresentRights,
    /// What could be seen when the answer was made; everything, unless an entry says less.
    made_for: Visibility,
    position: Sequence,
    ready: VecDeque<Bytes>,
    hints: HintReceiver,
    last_news: Instant,
    is_over: bool,
}

/// The frames of the stream after `position`, until it is closed, the session ends or the edge
/// drains. If the edge that runs the call is gone, the reader answers in its place.
pub(crate) fn follow(
    (calls, hub): (&Arc<Calls>, &Arc<Hub>),
    draining: CancellationToken,
    name: StreamName,
    reader: PresentRights,
    position: Sequence,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let hints = calls.hints.watch(&name.session, &name.stream);
    let follow = ResumedCall {
        calls: Arc::clone(calls),
        hub: Arc::clone(hub),
        draining,
        name,
        reader,
        made_for: Visibility::all(),
        position,
        ready: VecDeque::new(),
        hints,
        last_news: Instant::now(),
        is_over: false,
    };
    stream::unfold(follow, |mut follow| async {
        let frame = follow.next().await?;
        Some((frame, follow))
    })
}

impl ResumedCall {
    async fn next(&mut self) -> Option<Bytes> {
        let draining = self.draining.clone();
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            // At the moment of delivery: the token may have been revoked since the client came back.
            if self.is_over || self.reader.now().is_err() {
                return None;
            }
            if self.read_page().await {
                continue;
            }
            tokio::select! {
                _ = timeout(ANSWER_POLL, self.hints.next_hint()) => {}
                () = draining.cancelled() => {
                    self.is_over = true;
                    return Some(Bytes::from(format!("retry: {RETRY_MILLIS}\n\n")));
                }
            }
            if self.last_news.elapsed() > SILENCE {
                self.answer_in_place_of_a_lost_edge().await;
            }
        }
    }

    /// Reads the next page; returns whether there was anything.
    async fn read_page(&mut self) -> bool {
        let (session, stream) = (&self.name.session, &self.name.stream);
        let mailbox = &self.calls.mailbox;
        let read = mailbox.read_after(session, stream, self.position, PAGE_MESSAGES);
        match timeout(CALL_DEADLINE, read).await {
            Ok(Ok(page)) => self.accept_page(&page),
            Ok(Err(MailboxError::Missing)) => {
                self.is_over = true;
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

    fn accept_page(&mut self, page: &MailboxPage) -> bool {
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
                let shown = self.shown(&message.item);
                let frame = self.name.frame(message.sequence, &shown);
                self.ready.push_back(frame);
            } else if let Some(made_for) = rights_of(&message.item) {
                self.made_for = made_for;
            }
        }
        let moved = page.through > self.position;
        self.position = self.position.max(page.through);
        if moved {
            self.last_news = Instant::now();
        }
        self.is_over = page.closed && page.at_head;
        moved || self.is_over || !self.ready.is_empty()
    }

    /// A message as the reader may see it now: an answer that was made under wider rights is withheld.
    fn shown(&self, message: &Bytes) -> Bytes {
        let covers = |reader: Arc<Principal>| reader.sees.covers(&self.made_for);
        if self.reader.now().is_ok_and(covers) {
            return message.clone();
        }
        match envelope::parse(message) {
            // An error shows nothing.
            Ok(MessageBody::One(Incoming::Response(response))) if response.outcome.is_ok() => {
                envelope::error(response.id.as_ref(), &rights_changed())
            }
            _ => message.clone(),
        }
    }

    /// The edge that runs a call holds a lease. If that edge is gone, nothing more would ever
    /// arrive.
    async fn answer_in_place_of_a_lost_edge(&mut self) {
        self.last_news = Instant::now();
        let (calls, name) = (&self.calls, &self.name);
        let lock = name.lock();
        let acquire = calls.locks.acquire(&lock, CALL_LEASE, Duration::ZERO);
        let Ok(Ok(Some(lease))) = timeout(CALL_DEADLINE, acquire).await else {
            return;
        };
        let (session, stream) = (&name.session, &name.stream);
        let first = calls
            .mailbox
            .read_after(session, stream, Sequence::START, 1);
        if let Ok(Ok(page)) = timeout(CALL_DEADLINE, first).await
            && !page.closed
        {
            let request = page.messages.first().and_then(|m| request_of(&m.item));
            if let Some(request) = request {
                let _ = calls
                    .append(session, stream, stopped_answer(&request).message)
                    .await;
            }
            // A stream that the store has lost cannot be closed, and no edge writes it.
            self.is_over = page.messages.is_empty();
            if self.is_over {
                let notice = name.frame(self.position, &lost_notice());
                self.ready.push_back(notice);
            }
            let _ = calls.close(session, stream).await;
        }
        let _ = timeout(CALL_DEADLINE, calls.locks.release(&lock, &lease.token)).await;
    }
}
