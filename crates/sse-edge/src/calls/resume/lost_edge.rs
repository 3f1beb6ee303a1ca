//! The reader of a stream whose edge is gone: it goes on with the call, or answers in its place.

use std::sync::Arc;

use model::Sequence;
use ports::MailboxPage;
use tokio::time::{Instant, timeout};
use tracing::info;

use super::{CallRunner, PAGE_MESSAGES, ResumedCall, TAKE_OVER_WAIT};
use crate::{
    calls::{
        continuation::TakenCall,
        hidden::HiddenEntry,
        unanswered::{lost_answer, no_answer},
    },
    limits::{ANSWER_POLL, CALL_DEADLINE, CALL_LEASE},
};

impl ResumedCall {
    /// The edge that ran the call is gone, and nothing more would ever arrive: this edge goes on with the call, or
    /// answers if that may change something twice. Of several readers the first to get the lease of the stream does.
    pub(super) async fn take_the_place_of_a_lost_edge(&mut self) {
        self.last_news = Instant::now();
        // Whatever comes of it, the stream is read soon, and this is tried again if needed.
        self.is_behind = true;
        self.takes_over_at = Instant::now() + ANSWER_POLL;
        let lock = self.name.lock();
        let locks = Arc::clone(&self.calls.locks);
        let acquire = locks.acquire(&lock, CALL_LEASE, TAKE_OVER_WAIT);
        let Ok(Ok(Some(lease))) = timeout(CALL_DEADLINE, acquire).await else {
            return;
        };
        if let Ok(Ok(page)) = self.read_head().await
            && !page.closed
            && self.find_runner().await
        {
            if self.repeatable.is_none() || self.request.is_none() {
                self.answer_in_its_place(&page).await;
            } else if self.read_page().await {
                // Up to its end first: this edge writes what comes after.
                self.takes_over_at = Instant::now();
            } else if let Some((call, request)) = self.repeatable.clone().zip(self.request.clone())
            {
                let (session, tool) = (&self.name.session, &call.tool);
                info!(%session, tool, "goes on with a call of an edge that is gone");
                self.runner = CallRunner::Here;
                // The call has the lease now, until its stream says that it runs here.
                return self.go_on.go_on(TakenCall {
                    call,
                    request,
                    name: self.name.clone(),
                    lease: lease.token,
                    through: self.position,
                    made_for: self.made_for.clone(),
                });
            }
        }
        let _ = timeout(CALL_DEADLINE, locks.release(&lock, &lease.token)).await;
    }

    /// Reads the whole stream for the edge that runs the call: it may have said so before the position at which this
    /// reader began, or just now. Returns whether it is certain that none does.
    async fn find_runner(&mut self) -> bool {
        let mut after = Sequence::START;
        loop {
            let Ok(Ok(page)) = self.read_after(after, PAGE_MESSAGES).await else {
                return false;
            };
            for message in &page.messages {
                if let Some(hidden) = HiddenEntry::of(&message.item) {
                    self.note_runner(message.sequence, &hidden);
                }
            }
            if page.at_head || page.through <= after {
                return match self.runner {
                    CallRunner::Unnamed | CallRunner::HandedOver => true,
                    CallRunner::Here => false,
                    CallRunner::Edge(ref watch) => watch.gone.is_cancelled(),
                };
            }
            after = page.through;
        }
    }

    /// Stores that there is no answer, and closes the stream.
    async fn answer_in_its_place(&mut self, head: &MailboxPage) {
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
        if head.messages.is_empty() && !is_stored {
            self.end(lost_answer);
        }
    }
}
