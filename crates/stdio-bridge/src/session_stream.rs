//! Handshake era: the stream of the session, over breaks, and over sessions that are lost.

use std::pin::pin;

use http::{HeaderValue, StatusCode};
use http_client::Backoff;
use mcp::{
    headers::LAST_EVENT_ID,
    line::{LineHeaders, LineKind},
};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use crate::{
    bridge::Bridge,
    events::ResponseEvents,
    http::is_stream,
    limits::{STREAM_HEALTHY_AFTER, STREAM_PAUSE, STREAM_PAUSE_MAX, STREAM_SILENCE},
    session::SessionNotice,
};

/// The reason why the session's stream is not reopened.
enum SessionStreamEnd {
    /// The server does not offer a stream.
    None,
    /// The session is lost.
    Lost,
    /// Another task has opened a new session.
    Replaced,
}

/// The sessions that were opened one after another because each was lost soon.
struct SessionLosses {
    opened: u32,
    pauses: Backoff,
}

impl SessionLosses {
    const fn notice(&self) -> SessionNotice {
        match self.opened {
            0 => SessionNotice::Replaced,
            1 => SessionNotice::LostAtOnce,
            _ => SessionNotice::Silent,
        }
    }

    const fn reset(&mut self) {
        self.opened = 0;
        self.pauses.reset();
    }
}

impl Bridge {
    /// Keeps the session's stream open indefinitely. A server that loses each session at once is asked for the next one
    /// after growing pauses, and the client is told once.
    pub(crate) async fn follow(&self) {
        let mut backoff = Backoff::new(STREAM_PAUSE, STREAM_PAUSE_MAX);
        let mut losses = SessionLosses {
            opened: 0,
            pauses: Backoff::new(STREAM_PAUSE, STREAM_PAUSE_MAX),
        };
        let mut generations = self.generation.subscribe();
        loop {
            let generation = *generations.borrow_and_update();
            let lasts_from = Instant::now() + STREAM_HEALTHY_AFTER;
            let end = {
                let mut following = pin!(self.follow_session(&mut backoff));
                loop {
                    tokio::select! {
                        biased;
                        _ = generations.changed() => break SessionStreamEnd::Replaced,
                        end = &mut following => break end,
                        () = sleep_until(lasts_from), if losses.opened > 0 => {
                            self.tell_that_it_lasts(&losses).await;
                            losses.reset();
                        }
                    }
                }
            };
            match end {
                SessionStreamEnd::Replaced => {}
                SessionStreamEnd::None => {
                    debug!("the server has no stream for the session");
                    if generations.changed().await.is_err() {
                        return;
                    }
                }
                SessionStreamEnd::Lost => {
                    if Instant::now() < lasts_from {
                        let pause = losses.pauses.pause();
                        tokio::select! {
                            biased;
                            _ = generations.changed() => continue,
                            () = sleep(pause) => {}
                        }
                    }
                    match self.reopen(generation, losses.notice()).await {
                        Ok(()) => losses.opened = losses.opened.saturating_add(1),
                        Err(_) => sleep(backoff.pause()).await,
                    }
                }
            }
        }
    }

    /// A client that was not told of the last sessions has to know that one of them lasts.
    async fn tell_that_it_lasts(&self, losses: &SessionLosses) {
        if losses.notice() == SessionNotice::Silent {
            let text =
                "A new session lasts: repeat the subscriptions that were made through a tool.";
            self.warn_client(text).await;
        }
    }

    async fn follow_session(&self, backoff: &mut Backoff) -> SessionStreamEnd {
        let session = self.known.lock().session().cloned().unwrap_or_default();
        let head = LineHeaders {
            kind: LineKind::Session,
            headers: session.headers(),
        };
        let mut last_id: Option<String> = None;
        let mut is_interrupted = false;
        // The client is told of a refusal once.
        let mut refused = None;
        loop {
            let mut headers = head.headers.clone();
            let resumes = last_id
                .as_deref()
                .and_then(|id| HeaderValue::from_str(id).ok());
            if let Some(id) = resumes {
                headers.insert(LAST_EVENT_ID, id);
            }
            let mut asked = None;
            match self.http.get(&headers).await {
                Ok(response) if is_stream(&response) => {
                    let began = Instant::now();
                    if is_interrupted && last_id.is_none() {
                        self.warn_client(
                            "The stream of notifications was interrupted: some may be missing.",
                        )
                        .await;
                    }
                    (is_interrupted, refused) = (true, None);
                    let mut events =
                        ResponseEvents::resumed(response, last_id.unwrap_or_default(), None);
                    let mut heard = false;
                    while let Some(line) = events.next(STREAM_SILENCE).await {
                        heard = true;
                        self.out.line(line).await;
                    }
                    if heard || began.elapsed() > STREAM_HEALTHY_AFTER {
                        backoff.reset();
                    }
                    last_id = events.last_id().map(ToOwned::to_owned);
                    asked = events.retry();
                    debug!("the session's stream ended; reopening it");
                }
                Ok(response) if self.is_lost(&head, response.status()) => {
                    return SessionStreamEnd::Lost;
                }
                Ok(response) if response.status() == StatusCode::METHOD_NOT_ALLOWED => {
                    return SessionStreamEnd::None;
                }
                Ok(response) => {
                    let status = response.status();
                    warn!(%status, "the stream was refused");
                    if status.is_client_error() && refused.replace(status) != Some(status) {
                        let text = format!(
                            "The server refuses the stream of the session ({status}): no notifications arrive."
                        );
                        self.warn_client(&text).await;
                    }
                }
                Err(error) => debug!(%error, "cannot open the session's stream"),
            }
            sleep(backoff.pause().max(asked.unwrap_or_default())).await;
        }
    }
}
