//! One line and its response, even over a stream that breaks.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_client::Backoff;
use hyper::body::Incoming as HttpBody;
use mcp::{
    headers::{LAST_EVENT_ID, SESSION_ID},
    line::{LineHeaders, LineKind, LineSession, ServerMessageKind},
    method,
};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use crate::{
    bridge::Bridge,
    call::PendingCall,
    error::ExchangeError,
    events::ResponseEvents,
    http::{body, is_stream, may_pass},
    limits::{ANSWER_SILENCE, DELIVERY, RESUME_TRIES, STREAM_PAUSE, STREAM_PAUSE_MAX},
    session::SessionNotice,
};

impl Bridge {
    /// Runs a call to its end. Every request of the line is answered, either by the server or by
    /// the bridge.
    pub(crate) async fn exchange(&self, call: &mut PendingCall) {
        let answered = match call.head.kind {
            _ if call.is_listen() => self.listen(call).await,
            LineKind::Initialize => timeout(DELIVERY, self.answer(call))
                .await
                .unwrap_or(Err(ExchangeError::TimedOut)),
            _ => self.answer(call).await,
        };
        let failure = match answered {
            Ok(()) if call.open.is_empty() => return,
            Ok(()) => ExchangeError::Broken,
            Err(failure) => failure,
        };
        warn!(error = %failure, method = call.method(), "a request failed");
        for line in call.open.fail(&failure.rpc()) {
            self.out.line(line).await;
        }
    }

    async fn answer(&self, call: &mut PendingCall) -> Result<(), ExchangeError> {
        let generation = *self.generation.borrow();
        let mut response = self.http.post(&call.head.headers, &call.line.text).await?;
        if self.is_lost(&call.head, response.status()) {
            // The server did not process it, so sending it again is safe.
            self.reopen(generation, SessionNotice::Replaced).await?;
            call.head = LineHeaders::of(&call.line.body, &self.known.lock());
            response = self.http.post(&call.head.headers, &call.line.text).await?;
            if self.is_lost(&call.head, response.status()) {
                return Err(ExchangeError::SessionLost);
            }
        }
        if is_stream(&response) {
            return self.stream(call, response).await;
        }
        let session = response.headers().get(SESSION_ID).cloned();
        let status = response.status();
        let answer = body(response).await?;
        if status == StatusCode::BAD_REQUEST && self.mirror_now(call, &answer).await {
            let again = self.http.post(&call.head.headers, &call.line.text).await?;
            if is_stream(&again) {
                return self.stream(call, again).await;
            }
            let status = again.status();
            return self.forward(call, status, None, &body(again).await?).await;
        }
        self.forward(call, status, session.as_ref(), &answer).await
    }

    /// Passes on a response that is not a stream.
    pub(crate) async fn forward(
        &self,
        call: &mut PendingCall,
        status: StatusCode,
        session: Option<&HeaderValue>,
        answer: &Bytes,
    ) -> Result<(), ExchangeError> {
        let line = call
            .open
            .register_json(answer)
            .ok_or(ExchangeError::Http(status))?;
        if status.is_success() {
            self.remember(call, session, &line);
        }
        self.out.line(line).await;
        Ok(())
    }

    /// Passes on the messages of a stream until the last request is answered. If the stream breaks,
    /// it is resumed after the last event id, if there is one (MCP 2025-11-25, Transports,
    /// "Resumability").
    async fn stream(
        &self,
        call: &mut PendingCall,
        response: Response<HttpBody>,
    ) -> Result<(), ExchangeError> {
        let session = response.headers().get(SESSION_ID).cloned();
        let mut events = ResponseEvents::new(response);
        let mut heard = Instant::now();
        loop {
            while let Some(line) = events.next(ANSWER_SILENCE).await {
                heard = Instant::now();
                if call.open.register(&line) != ServerMessageKind::Other {
                    self.remember(call, session.as_ref(), &line);
                }
                self.out.line(line).await;
                if call.open.is_empty() {
                    return Ok(());
                }
            }
            let in_session = call.head.kind == LineKind::Session;
            let Some(last_id) = events.last_id().filter(|_| in_session) else {
                return Err(ExchangeError::Broken);
            };
            if heard.elapsed() > ANSWER_SILENCE {
                return Err(ExchangeError::TimedOut);
            }
            let last_id = last_id.to_owned();
            debug!("the stream ended before the response; resuming");
            events = self.resume(call, last_id, &events).await?;
        }
    }

    /// Reopens a broken stream, on any edge that answers.
    async fn resume(
        &self,
        call: &PendingCall,
        last_id: String,
        broken: &ResponseEvents,
    ) -> Result<ResponseEvents, ExchangeError> {
        let mut headers = call.head.headers.clone();
        let value = HeaderValue::from_str(&last_id).map_err(|_| ExchangeError::Broken)?;
        headers.insert(LAST_EVENT_ID, value);
        let mut backoff = Backoff::new(STREAM_PAUSE, STREAM_PAUSE_MAX);
        let asked = broken.retry().unwrap_or_default();
        for _ in 0..RESUME_TRIES {
            sleep(backoff.pause().max(asked)).await;
            let response = match self.http.get(&headers).await {
                Ok(response) => response,
                Err(error) => {
                    debug!(%error, "cannot resume yet");
                    continue;
                }
            };
            let status = response.status();
            if is_stream(&response) {
                return Ok(ResponseEvents::resumed(response, last_id, broken.retry()));
            }
            if self.is_lost(&call.head, status) {
                return Err(ExchangeError::LostWithSession);
            }
            if !may_pass(status) {
                return Err(ExchangeError::Http(status));
            }
        }
        Err(ExchangeError::Broken)
    }

    /// Remembers the facts in a response that later lines need. Runs before the response is passed
    /// on, because the next line may follow immediately.
    fn remember(&self, call: &PendingCall, session: Option<&HeaderValue>, answer: &[u8]) {
        match (call.head.kind, call.method()) {
            (LineKind::Initialize, _) => {
                if let Some(opened) = LineSession::opened(session, answer) {
                    self.known.lock().set_session(Some(opened));
                    self.replay.lock().opened_by(call.line.text.clone());
                    self.generation.send_modify(|generation| *generation += 1);
                }
            }
            (LineKind::Stateless, method::TOOLS_LIST) => self.known.lock().learn_tools(answer),
            (LineKind::Session, _) => self.replay.lock().note(&call.line, answer),
            _ => {}
        }
    }
}
