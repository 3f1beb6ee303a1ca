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
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    bridge::{Bridge, RunningRequest},
    call::PendingCall,
    ending::EndDeadlines,
    error::{BridgeError, ExchangeError},
    http::EndpointClient,
    limits::{DELIVERY, MAX_IN_FLIGHT, READ_BYTES, WAITING_LINES},
    options::BridgeOptions,
    output::Output,
    session::SessionNotice,
};

/// Reads lines from `input` and writes lines to `output` until the input ends, `stop` is cancelled,
/// or the reader of the output is gone. Then running requests finish (not after `stop`), the session is
/// ended with DELETE, and the remaining output is written: all of it within five seconds, or two after
/// `stop`, also if the server or the client hangs.
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
    let (lines, waiting) = mpsc::channel(WAITING_LINES);
    bridge.handle_lines(waiting);
    let (ended, deadlines) = tokio::select! {
        ended = read(input, lines) => {
            let deadlines = EndDeadlines::after_input(Instant::now());
            (ended, bridge.finish(&stop, deadlines).await)
        }
        () = stop.cancelled() => (Ok(()), EndDeadlines::after_stop(Instant::now())),
        () = bridge.out.closed() => (Ok(()), EndDeadlines::after_stop(Instant::now())),
    };
    bridge.close(deadlines).await;
    drop(bridge);
    if timeout_at(deadlines.output, &mut writing).await.is_err() {
        writing.abort();
    }
    ended
}

/// Queues the lines of the input. A task of its own handles them: one that has to wait for the server
/// must not hide the end of the input.
async fn read<R: AsyncRead + Unpin>(
    mut input: R,
    queue: mpsc::Sender<ReadLine>,
) -> Result<(), BridgeError> {
    let mut lines = LineReader::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = input.read(&mut buffer).await.map_err(BridgeError::Input)?;
        let (complete, is_over) = match read {
            0 => (lines.finish().into_iter().collect(), true),
            read => (lines.feed(&buffer[..read]), false),
        };
        for line in complete {
            // The bridge has stopped.
            if queue.send(line).await.is_err() {
                return Ok(());
            }
        }
        if is_over {
            return Ok(());
        }
    }
}

/// A line of the input, or the reason why it is not one.
type ReadLine = Result<JsonLine, InvalidMessage>;

impl Bridge {
    /// Starts the task that handles the lines in their order, until the end of the input or of the
    /// bridge.
    fn handle_lines(self: &Arc<Self>, mut queue: mpsc::Receiver<ReadLine>) {
        let bridge = Arc::clone(self);
        self.tasks.spawn(async move {
            let stop = bridge.stop.clone();
            let handling = async {
                while let Some(line) = queue.recv().await {
                    bridge.handle_line(line).await;
                }
            };
            stop.run_until_cancelled(handling).await;
        });
    }

    /// Requests run concurrently; messages whose order matters are awaited.
    async fn handle_line(self: &Arc<Self>, line: ReadLine) {
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
                // A line that is handled after the others were abandoned is not sent.
                biased;
                () = bridge.abandon.cancelled() => true,
                // Before an answer that has come meanwhile: nobody waits for it.
                () = cancel.cancelled() => false,
                () = bridge.exchange(&mut call) => false,
                () = closing.cancelled() => false,
            };
            if is_abandoned {
                // The client may not read.
                cancel
                    .run_until_cancelled(bridge.fail_abandoned(&mut call))
                    .await;
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

    async fn fail_abandoned(&self, call: &mut PendingCall) {
        for line in call.open.fail(&ExchangeError::InputEnded.rpc()) {
            self.out.line(line).await;
        }
    }

    /// In the stateless era, closing the request's stream cancels it (MCP 2026-07-28, Streamable
    /// HTTP, "Cancellation"); in the handshake era the server needs a notification. Either way the
    /// client receives nothing more for this request.
    async fn cancel(&self, id: &RequestId, line: JsonLine) {
        let running = self.running.lock().get(id).cloned();
        let kind = running.as_ref().map(|running| running.kind);
        // First, because the server may end the request's stream before it answers the notification.
        if let Some(running) = running {
            running.cancel.cancel();
        }
        if kind != Some(LineKind::Stateless) && self.known.lock().session().is_some() {
            let head = LineHeaders::of(&line.body, &self.known.lock());
            self.deliver(&line, &head).await;
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
                self.reopen(generation, SessionNotice::Replaced).await?;
            } else if !status.is_success() {
                return Err(ExchangeError::Http(status));
            }
            Ok(())
        };
        let sent = timeout(DELIVERY, sending);
        let Some(sent) = self.abandon.run_until_cancelled(sent).await else {
            return warn!("the input has ended; a notification or response may not have arrived");
        };
        if let Err(error) = sent.unwrap_or(Err(ExchangeError::TimedOut)) {
            warn!(%error, "the server did not accept a notification or response");
            let text = format!("A notification or response did not reach the server: {error}.");
            self.warn_client(&text).await;
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

    /// After the end of the input: lets waiting lines and running requests finish. Returns the times of the
    /// steps that follow, which a stop meanwhile brings forward.
    async fn finish(&self, stop: &CancellationToken, deadlines: EndDeadlines) -> EndDeadlines {
        self.until_close.cancel();
        self.tasks.close();
        let finishing = async {
            let done = timeout_at(deadlines.requests, self.tasks.wait()).await;
            if done.is_err() {
                warn!("the input has ended; abandoning the requests that are still running");
                self.abandon.cancel();
                let _ = timeout_at(deadlines.answers, self.tasks.wait()).await;
            }
        };
        tokio::select! {
            () = finishing => return deadlines,
            () = stop.cancelled() => {}
            () = self.out.closed() => {}
        }
        let stopped = EndDeadlines::after_stop(Instant::now());
        match stopped.output < deadlines.output {
            true => stopped,
            false => deadlines,
        }
    }

    /// Ends all tasks, and the session.
    async fn close(&self, deadlines: EndDeadlines) {
        self.stop.cancel();
        self.tasks.close();
        // The tasks end at their next await; none of them blocks.
        let _ = timeout_at(deadlines.session, self.tasks.wait()).await;
        let session = self.known.lock().session().cloned();
        let Some(session) = session.filter(|session| session.id.is_some()) else {
            return;
        };
        let headers = session.headers();
        match timeout_at(deadlines.session, self.http.delete(&headers)).await {
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
