//! The reader of a stream whose edge is gone: it goes on with the call, or answers in its place.

use std::{sync::Arc, time::Duration};

use ports::MailboxPage;
use tokio::time::{Instant, timeout};
use tracing::info;

use super::ResumedCall;
use crate::{
    calls::{
        continuation::TakenCall,
        unanswered::{lost_answer, no_answer},
    },
    limits::{CALL_DEADLINE, CALL_LEASE},
};

impl ResumedCall {
    /// The edge that runs a call holds a lease. If that edge is gone, nothing more would ever
    /// arrive: this edge goes on with the call, or answers if that may change something twice.
    pub(super) async fn take_the_place_of_a_lost_edge(&mut self, wait: Duration) {
        self.last_news = Instant::now();
        let lock = self.name.lock();
        let locks = Arc::clone(&self.calls.locks);
        let acquire = locks.acquire(&lock, CALL_LEASE, wait);
        let Ok(Ok(Some(lease))) = timeout(CALL_DEADLINE, acquire).await else {
            return;
        };
        if let Ok(Ok(page)) = self.read_head().await
            && !page.closed
        {
            if self.repeatable.is_none() || self.request.is_none() {
                self.answer_in_its_place(&page).await;
            } else if self.read_page().await {
                // Up to its end first: this edge writes what comes after.
                self.is_handed_over = true;
            } else if let Some((call, request)) = self.repeatable.clone().zip(self.request.clone())
            {
                let (session, tool) = (&self.name.session, &call.tool);
                info!(%session, tool, "goes on with a call of an edge that is gone");
                // The call has the lease now.
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
