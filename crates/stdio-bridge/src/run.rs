//! From stdin to requests: starting, cancelling and finishing them.

use std::sync::{Arc, atomic::Ordering};

use mcp::{
    ErrorCode, Incoming, RequestId, RpcError,
    envelope::{self, InvalidMessage, MessageBody},
    line::{LineHeaders, LineKind, OpenRequests},
    method,
    ndjson::{JsonLine, LineReader},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    bridge::{Bridge, RunningRequest},
    call::PendingCall,
    error::{BridgeError, ExchangeError},
    http::EndpointClient,
    limits::{CLOSE_TIMEOUT, DELIVERY, FINISH_TIMEOUT, MAX_IN_FLIGHT, READ_BYTES},
    options::BridgeOptions,
    output::Output,
};

/// Reads lines from `input` and writes lines to `output` until the input ends, `stop` is cancelled,
/// or the reader of the output is gone. Then running requests have five seconds to finish (none
/// after `stop`), the session is ended with DELETE, and the remaining output is written.
///
/// # Errors
/// The system has no certificates, or reading the input fails.
pub async fn run<R, W>(
    options: &BridgeOptions,
    input: R,
    output: W,
    stop: CancellationToken,
) -> Result<(), BridgeError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    if options.shows_token_in_clear() {
        warn!("the token is sent unencrypted over http; use https");
    }
    let http = EndpointClient::new(options)?;
    let (out, mut writing) = Output::start(output);
    let bridge = Arc::new(Bridge::new(http, out));
    let ended = tokio::select! {
        ended = bridge.read(input) => {
            bridge.finish(&stop).await;
            ended
        }
        () = stop.cancelled() => Ok(()),
        () = bridge.out.closed() => Ok(()),
    };
    bridge.close().await;
    drop(bridge);
    if timeout(CLOSE_TIMEOUT, &mut writing).await.is_err() {
        writing.abort();
    }
    ended
}

impl Bridge {
    async fn read<R: AsyncRead + Unpin>(self: &Arc<Self>, mut input: R) -> Result<(), BridgeError> {
        let mut lines = LineReader::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = input.read(&mut buffer).await.map_err(BridgeError::Input)?;
            if read == 0 {
                break;
            }
            for line in lines.feed(&buffer[..read]) {
                self.handle_line(line).await;
            }
        }
        if let Some(line) = lines.finish() {
            self.handle_line(line).await;
        }
        Ok(())
    }

    /// Requests run concurrently; messages whose order matters are awaited.
    async fn handle_line(self: &Arc<Self>, line: Result<JsonLine, InvalidMessage>) {
        let line = match line {
            Ok(line) => line,
            Err(rejected) => {
                let error = envelope::error(rejected.id(), &rejected.error());
                return self.out.line(error).await;
            }
        };
        if let Some(id) = cancelled(&line.body) {
            return self.cancel(&id, line).await;
        }
        let head = {
            let mut known = self.known.lock();
            let head = LineHeaders::of(&line.body, &known);
            known.remember_version(&head);
            head
        };
        let open = OpenRequests::of(&line.body);
        if open.is_empty() {
            self.deliver(&line, &head).await;
            if is_notification(&line.body, method::INITIALIZED) {
                self.follow_once();
            }
            return;
        }
        let opens = head.kind == LineKind::Initialize;
        let call = PendingCall::new(line, head, open);
        if let Some(refusal) = self.start(call, opens).await {
            for line in refusal {
                self.out.line(line).await;
            }
        }
    }

    /// Starts a request; returns the lines that refuse it if it cannot run.
    async fn start(
        self: &Arc<Self>,
        mut call: PendingCall,
        opens: bool,
    ) -> Option<Vec<bytes::Bytes>> {
        let ids = call.open.ids().to_vec();
        let cancel = self.stop.child_token();
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let text = format!("{MAX_IN_FLIGHT} requests are running already; try again later");
            let error = RpcError::new(ErrorCode::Internal, text);
            let error = error.with_data(json!({ "code": "too-many-requests" }));
            return Some(call.open.fail(&error));
        };
        {
            let mut running = self.running.lock();
            if ids.iter().any(|id| running.contains_key(id)) {
                let error = RpcError::new(
                    ErrorCode::InvalidRequest,
                    "a request with this id is running already",
                );
                return Some(call.open.fail(&error));
            }
            for id in &ids {
                let kind = call.head.kind;
                let cancel = cancel.clone();
                running.insert(id.clone(), RunningRequest { kind, cancel });
            }
        }
        let bridge = Arc::clone(self);
        let exchange = async move {
            let _permit = permit;
            let until_close = call.is_listen().then(|| bridge.until_close.clone());
            let closing = until_close.unwrap_or_default();
            let is_abandoned = tokio::select! {
                () = bridge.exchange(&mut call) => false,
                () = cancel.cancelled() => false,
                () = closing.cancelled() => false,
                () = bridge.abandon.cancelled() => true,
            };
            if is_abandoned {
                for line in call.open.fail(&ExchangeError::InputEnded.rpc()) {
                    bridge.out.line(line).await;
                }
            }
            let mut running = bridge.running.lock();
            for id in &ids {
                running.remove(id);
            }
        };
        if opens {
            // The next line belongs to the session that this request opens.
            exchange.await;
        } else {
            self.tasks.spawn(exchange);
        }
        None
    }

    /// In the stateless era, closing the request's stream cancels it (MCP 2026-07-28, Streamable
    /// HTTP, "Cancellation"); in the handshake era the server needs a notification. Either way the
    /// client receives nothing more for this request.
    async fn cancel(&self, id: &RequestId, line: JsonLine) {
        let running = self.running.lock().get(id).cloned();
        let kind = running.as_ref().map(|running| running.kind);
        if kind != Some(LineKind::Stateless) && self.known.lock().session().is_some() {
            let head = LineHeaders::of(&line.body, &self.known.lock());
            self.deliver(&line, &head).await;
        }
        if let Some(running) = running {
            running.cancel.cancel();
        }
    }

    /// Sends a message that has no response. If the server has lost the session, a new one is
    /// opened, but the message for the lost session is not sent again.
    async fn deliver(&self, line: &JsonLine, head: &LineHeaders) {
        let generation = *self.generation.borrow();
        let sending = async {
            let response = self.http.post(&head.headers, &line.text).await?;
            let status = response.status();
            if self.is_lost(head, status) {
                self.reopen(generation).await?;
            } else if !status.is_success() {
                return Err(ExchangeError::Http(status));
            }
            Ok(())
        };
        let sent = timeout(DELIVERY, sending).await;
        if let Err(error) = sent.unwrap_or(Err(ExchangeError::TimedOut)) {
            warn!(%error, "the server did not accept a notification or response");
        }
    }

    /// Opens the session's stream, on the first call only.
    fn follow_once(self: &Arc<Self>) {
        if self.known.lock().session().is_none() || self.following.swap(true, Ordering::Relaxed) {
            return;
        }
        let bridge = Arc::clone(self);
        self.tasks.spawn(async move {
            let until_close = bridge.until_close.clone();
            until_close.run_until_cancelled(bridge.follow()).await;
        });
    }

    /// After the end of the input: lets running requests finish.
    async fn finish(&self, stop: &CancellationToken) {
        self.until_close.cancel();
        self.tasks.close();
        tokio::select! {
            done = timeout(FINISH_TIMEOUT, self.tasks.wait()) => {
                if done.is_err() {
                    warn!("the input has ended; abandoning the requests that are still running");
                    self.abandon.cancel();
                    let _ = timeout(CLOSE_TIMEOUT, self.tasks.wait()).await;
                }
            }
            () = stop.cancelled() => {}
            () = self.out.closed() => {}
        }
    }

    /// Ends all tasks, and the session.
    async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        // The tasks end at their next await; none of them blocks.
        let _ = timeout(CLOSE_TIMEOUT, self.tasks.wait()).await;
        let session = self.known.lock().session().cloned();
        let Some(session) = session.filter(|session| session.id.is_some()) else {
            return;
        };
        let headers = session.headers();
        match timeout(CLOSE_TIMEOUT, self.http.delete(&headers)).await {
            Ok(Ok(status)) => info!(%status, "the session has ended"),
            Ok(Err(error)) => warn!(%error, "the session could not be ended; it will expire"),
            Err(_) => warn!("the server did not confirm the end of the session; it will expire"),
        }
    }
}

fn is_notification(body: &MessageBody, method: &str) -> bool {
    matches!(body, MessageBody::One(Incoming::Notification(n)) if n.method == method)
}

/// The request that a `notifications/cancelled` names.
fn cancelled(body: &MessageBody) -> Option<RequestId> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        #[serde(borrow)]
        request_id: &'a RawValue,
    }
    let MessageBody::One(Incoming::Notification(notification)) = body else {
        return None;
    };
    let params = notification.params.as_deref()?;
    if notification.method != method::CANCELLED {
        return None;
    }
    let params: Params<'_> = serde_json::from_str(params.get()).ok()?;
    RequestId::from_raw(params.request_id)
}
