//! Handshake era: the session, and a new one when it is lost.

use http::StatusCode;
use mcp::{
    channel::CHANNEL_METHOD,
    envelope,
    headers::SESSION_ID,
    line::{LineHeaders, LineKind, LineSession},
    method,
};
use serde_json::json;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::{
    bridge::Bridge,
    error::ExchangeError,
    events::ResponseEvents,
    http::{body, is_stream},
    limits::DELIVERY,
    listen::is_result,
};

/// What a client is told of a new session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionNotice {
    /// That it has to subscribe again.
    Replaced,
    /// That new sessions are lost at once, and that it hears nothing more of them until one lasts.
    LostAtOnce,
    /// Nothing.
    Silent,
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
    pub(crate) async fn reopen(
        &self,
        generation: u64,
        notice: SessionNotice,
    ) -> Result<(), ExchangeError> {
        let _one_at_a_time = self.reopening.lock().await;
        if *self.generation.borrow() != generation {
            return Ok(());
        }
        match notice {
            SessionNotice::Silent => debug!("the server has lost the session again"),
            _ => warn!("the server has lost the session; opening a new one"),
        }
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
        let text = match (notice, is_restored) {
            (SessionNotice::Silent, _) => return Ok(()),
            (SessionNotice::LostAtOnce, _) => {
                "The server loses new sessions at once, so no notifications arrive. Sessions are opened anew, more and \
                 more rarely; the next message about it comes when one lasts."
            }
            (SessionNotice::Replaced, true) => {
                "The server had lost the session and a new one was opened. Resource subscriptions were \
                 restored; repeat those that were made through a tool."
            }
            (SessionNotice::Replaced, false) => {
                "The server had lost the session and a new one was opened. Some resource subscriptions \
                 could not be restored; repeat them, and those that were made through a tool."
            }
        };
        info!("a new session is open; subscriptions made by tools have to be repeated");
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
}
