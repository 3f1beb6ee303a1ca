//! Progress and log messages of one request: they go out on the request's own stream, before its answer.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use mcp::{RequestId, answer, dispatch::LogLevel, handshake};
use serde_json::Value;
use tokio::sync::mpsc;

/// Messages that wait for a client that reads slowly; then the call waits, and nobody else.
const WAITING_MESSAGES: usize = 64;

/// What a call says before it is done.
#[derive(Debug)]
pub(crate) enum Said {
    /// A message for the client.
    Message(Bytes),
    /// The connection may be closed: the client comes back for the rest, where its revision knows how.
    HangUp,
}

/// Where a call leaves what it has to say before it is done.
#[derive(Debug)]
pub(crate) struct Outlet {
    to: mpsc::Sender<Said>,
    progress_token: Option<RequestId>,
    /// Bits of the last progress: it has to rise (MCP 2025-11-25, Utilities, "Progress").
    progress: AtomicU64,
    /// Lowest level that the client wants; none means that it wants no log messages.
    log_level: Option<LogLevel>,
}

impl Outlet {
    /// An outlet and the end where its messages come out.
    pub(crate) fn new(
        progress_token: Option<RequestId>,
        log_level: Option<LogLevel>,
    ) -> (Self, mpsc::Receiver<Said>) {
        let (to, messages) = mpsc::channel(WAITING_MESSAGES);
        let progress = AtomicU64::new(f64::NEG_INFINITY.to_bits());
        (
            Self {
                to,
                progress_token,
                progress,
                log_level,
            },
            messages,
        )
    }

    /// Says how far the call is, if the client asked for it. What does not rise is left out.
    pub(crate) async fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let Some(token) = &self.progress_token else {
            return;
        };
        let last = f64::from_bits(self.progress.swap(progress.to_bits(), Ordering::Relaxed));
        if progress > last {
            self.send(answer::progress(token, progress, total, message))
                .await;
        }
    }

    #[cfg_attr(
        not(feature = "conformance"),
        expect(dead_code, reason = "the product's own tools have nothing to log yet")
    )]
    /// Says something about the call, if the client wants messages of this level.
    pub(crate) async fn log(&self, level: LogLevel, logger: &str, data: &Value) {
        if self.log_level.is_some_and(|lowest| level >= lowest) {
            self.send(handshake::log_message(level, logger, data)).await;
        }
    }

    /// A message to a client that has gone is lost, as its stream is.
    pub(crate) async fn send(&self, message: Bytes) {
        let _ = self.to.send(Said::Message(message)).await;
    }

    /// Waits until nobody can hear of the call any more: its client has hung up and cannot come back.
    pub(crate) async fn unheard(&self) {
        self.to.closed().await;
    }

    #[cfg_attr(
        not(feature = "conformance"),
        expect(
            dead_code,
            reason = "none of the product's own tools works that long yet"
        )
    )]
    /// Lets the client go while the call works on, so that no connection has to be held for it; a client
    /// that cannot come back stays.
    pub(crate) async fn hang_up(&self) {
        let _ = self.to.send(Said::HangUp).await;
    }
}
