//! Handshake era: the session, its stream, and a new one when it is lost.

use http::{HeaderValue, StatusCode};
use http_client::Backoff;
use mcp::{
    channel::CHANNEL_METHOD,
    envelope,
    headers::{LAST_EVENT_ID, SESSION_ID},
    line::{LineHeaders, LineKind, LineSession},
    method,
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::{
    bridge::Bridge,
    error::ExchangeError,
    events::ResponseEvents,
    http::{body, is_stream},
    limits::{DELIVERY, STREAM_HEALTHY_AFTER, STREAM_PAUSE, STREAM_PAUSE_MAX, STREAM_SILENCE},
    listen::is_result,
};

/// The reason why the session's stream is not reopened.
enum SessionStreamEnd {
    /// The server does not offer a stream.
    None,
    /// The session is lost.
    Lost,
}

impl Bridge {
    /// Whether a response means that the session is gone (MCP 2025-11-25, Transports, "Session
    /// Management").
    pub(crate) fn is_lost(&self, head: &LineHeaders, status: StatusCode) -> bool {
        let named = head.headers.contains_key(SESSION_ID);
        head.kind == LineKind::Session && named && status == StatusCode::NOT_FOUND
    }

    /// Opens a new session in place of a lost one, with the client's own `initialize`, unless
    /// another task has done so since `generation`. Resource subscriptions and the log level are
    /// restored; state that tools kept in the session is gone, and the client is informed of that.
    pub(crate) async fn reopen(&self, generation: u64) -> Result<(), ExchangeError> {
        let _one_at_a_time = self.reopening.lock().await;
        if *self.generation.borrow() != generation {
            return Ok(());
        }
        warn!("the server has lost the session; opening a new one");
        let opened = timeout(DELIVERY, self.open()).await;
        let (session, is_restored) =
            opened
                .unwrap_or(Err(ExchangeError::TimedOut))
                .map_err(|error| {
                    warn!(%error, "cannot open a new session");
                    ExchangeError::SessionLost
                })?;
        self.known.lock().set_session(Some(session));
        self.generation.send_modify(|generation| *generation += 1);
        info!("a new session is open; subscriptions made by tools have to be repeated");
        let text = match is_restored {
            true => {
                "The server had lost the session and a new one was opened. Resource subscriptions were \
                 restored; repeat those that were made through a tool."
            }
            false => {
                "The server had lost the session and a new one was opened. Some resource subscriptions \
                 could not be restored; repeat them, and those that were made through a tool."
            }
        };
        self.warn_client(text).await;
        Ok(())
    }

    /// Sends the client a log message about the bridge itself; a client with channels, which shows no log message to
    /// its model, gets it on the channel too.
    pub(crate) async fn warn_client(&self, text: &str) {
        if self.replay.lock().has_channels {
            let shown = json!({ "content": text, "meta": { "event": "notice" } });
            let shown = envelope::notification(CHANNEL_METHOD, Some(&shown));
            self.out.line(shown).await;
        }
        let notice = json!({ "level": "warning", "logger": "forgewire.stdio", "data": text });
        let notice = envelope::notification(method::MESSAGE, Some(&notice));
        self.out.line(notice).await;
    }

    /// Opens a session; gives also whether everything that the client had set was restored.
    async fn open(&self) -> Result<(LineSession, bool), ExchangeError> {
        let initialize = self.replay.lock().initialize.clone();
        let initialize = initialize.ok_or(ExchangeError::SessionLost)?;
        let response = self.http.post(&http::HeaderMap::new(), &initialize).await?;
        let status = response.status();
        let id = response.headers().get(SESSION_ID).cloned();
        let answer = if is_stream(&response) {
            let mut events = ResponseEvents::new(response);
            events.next(DELIVERY).await.ok_or(ExchangeError::Broken)?
        } else {
            body(response).await?
        };
        let session =
            LineSession::opened(id.as_ref(), &answer).ok_or(ExchangeError::Http(status))?;
        let before = self
            .known
            .lock()
            .session()
            .and_then(|old| old.version.clone());
        if session.version != before {
            warn!("the new session has another revision than the client negotiated");
        }
        let headers = session.headers();
        let initialized = envelope::notification::<()>(method::INITIALIZED, None);
        self.http.post(&headers, &initialized).await?;
        let (again, mut is_restored) = {
            let replay = self.replay.lock();
            (replay.requests(), replay.is_complete())
        };
        for request in again {
            let response = self.http.post(&headers, &request).await?;
            let status = response.status();
            if !status.is_success() || !is_result(&body(response).await?) {
                warn!(%status, "a subscription could not be restored");
                is_restored = false;
            }
        }
        Ok((session, is_restored))
    }

    /// Keeps the session's stream open indefinitely.
    pub(crate) async fn follow(&self) {
        let mut generations = self.generation.subscribe();
        let mut backoff = Backoff::new(STREAM_PAUSE, STREAM_PAUSE_MAX);
        loop {
            let generation = *generations.borrow_and_update();
            let end = tokio::select! {
                end = self.follow_session(&mut backoff) => end,
                _ = generations.changed() => continue,
            };
            match end {
                SessionStreamEnd::None => {
                    debug!("the server has no stream for the session");
                    if generations.changed().await.is_err() {
                        return;
                    }
                }
                SessionStreamEnd::Lost => {
                    if self.reopen(generation).await.is_err() {
                        sleep(backoff.pause()).await;
                    }
                }
            }
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
