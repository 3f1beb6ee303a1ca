//! Progress and log messages of one request, sent on its own stream before its answer.

use bytes::Bytes;
use mcp::{
    RequestId,
    log::LogLevel,
    notification::{LogFilter, ProgressReporter},
};
use parking_lot::Mutex;
use serde_json::Value;

use crate::item_queue::{QueueReceiver, QueueSender, item_queue};

/// Messages that may wait for a client that reads slowly; beyond that the call waits, without
/// delaying others.
const WAITING_MESSAGES: usize = 64;

/// An item that a call sends before its answer.
#[derive(Debug)]
pub enum CallOutputItem {
    /// A message for the client.
    Message(Bytes),
    /// How far the call is: of use while the client listens, and not afterwards.
    Progress(Bytes),
    /// The connection may be closed: the client reconnects for the rest, if its revision allows
    /// that.
    Disconnect,
}

impl CallOutputItem {
    /// The message, if it is one for the client.
    #[must_use]
    pub fn into_message(self) -> Option<Bytes> {
        match self {
            Self::Message(message) | Self::Progress(message) => Some(message),
            Self::Disconnect => None,
        }
    }
}

/// The channel for messages that a call sends before its answer.
#[derive(Debug)]
pub struct CallOutput {
    to: QueueSender<CallOutputItem>,
    /// `None` if the client did not ask for progress.
    progress: Option<Mutex<ProgressReporter>>,
    progress_token: Option<RequestId>,
    log: LogFilter,
}

impl CallOutput {
    /// An output, and the receiver of its messages.
    #[must_use]
    pub fn new(
        progress_token: Option<RequestId>,
        log_level: Option<LogLevel>,
    ) -> (Self, QueueReceiver<CallOutputItem>) {
        Self::filtered(progress_token, LogFilter::new(log_level))
    }

    /// As [`Self::new`], with the log messages of an earlier output.
    #[must_use]
    pub fn filtered(
        progress_token: Option<RequestId>,
        log: LogFilter,
    ) -> (Self, QueueReceiver<CallOutputItem>) {
        let (to, messages) = item_queue(WAITING_MESSAGES);
        let reporter = |token: &RequestId| Mutex::new(ProgressReporter::new(token.clone()));
        let output = Self {
            to,
            progress: progress_token.as_ref().map(reporter),
            progress_token,
            log,
        };
        (output, messages)
    }

    /// Reports progress, if the client asked for it. A value that does not increase is dropped.
    pub async fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let report =
            |known: &Mutex<ProgressReporter>| known.lock().report(progress, total, message);
        if let Some(message) = self.progress.as_ref().and_then(report) {
            let _ = self.to.send(CallOutputItem::Progress(message)).await;
        }
    }

    /// The log messages that the client wants.
    #[must_use]
    pub const fn log_filter(&self) -> LogFilter {
        self.log
    }

    /// The token of a client that asked for progress. Such a client waits for longer.
    #[must_use]
    pub fn progress_token(&self) -> Option<&RequestId> {
        self.progress_token.as_ref()
    }

    /// Sends a log message about the call, if the client wants messages of this level.
    pub async fn log(&self, level: LogLevel, logger: &str, data: &Value) {
        if let Some(message) = self.log.message(level, logger, data) {
            self.send(message).await;
        }
    }

    /// Sends a message. It is lost if the client has gone.
    pub async fn send(&self, message: Bytes) {
        let _ = self.to.send(CallOutputItem::Message(message)).await;
    }

    /// Waits until the client of the call has disconnected and cannot reconnect.
    pub async fn client_gone(&self) {
        self.to.closed().await;
    }

    /// Releases the connection while the call continues; a client that cannot reconnect keeps it.
    pub async fn disconnect(&self) {
        let _ = self.to.send(CallOutputItem::Disconnect).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_falls_back_is_left_out_and_lowers_nothing() {
        let (output, mut messages) = CallOutput::new(Some(RequestId::Integer(1)), None);
        for progress in [50.0, 20.0, 30.0, f64::NAN, 60.0] {
            output.progress(progress, None, None).await;
        }
        drop(output);
        let mut told = Vec::new();
        while let Some(CallOutputItem::Progress(message)) = messages.recv().await {
            let message: Value = serde_json::from_slice(&message).unwrap();
            told.push(message["params"]["progress"].as_f64().unwrap());
        }
        assert_eq!(told, [50.0, 60.0]);
    }
}
