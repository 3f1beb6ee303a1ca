//! Progress and log messages of one request, sent on its own stream before its answer.

use bytes::Bytes;
use mcp::{
    RequestId,
    log::LogLevel,
    notification::{LogFilter, ProgressReporter},
};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    item_queue::{QueueReceiver, QueueSender, item_queue},
    repeatable::RepeatableCall,
};

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
    /// What another edge needs to go on with the call if this one stops.
    Repeatable(Box<RepeatableCall>),
    /// This edge stops, and another one may go on with the call. Whoever does not see to that drops this.
    HandOver(oneshot::Sender<()>),
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
            Self::Repeatable(_) | Self::HandOver(_) | Self::Disconnect => None,
        }
    }

    /// Whether the client has to hear of it: the answer begins as a stream.
    #[must_use]
    pub const fn begins_stream(&self) -> bool {
        !matches!(self, Self::Repeatable(_))
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
        let (to, messages) = item_queue(WAITING_MESSAGES);
        let reporter = |token: &RequestId| Mutex::new(ProgressReporter::new(token.clone()));
        let output = Self {
            to,
            progress: progress_token.as_ref().map(reporter),
            progress_token,
            log: LogFilter::new(log_level),
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

    /// The token of a client that asked for progress. Such a client waits for longer.
    #[must_use]
    pub fn progress_token(&self) -> Option<&RequestId> {
        self.progress_token.as_ref()
    }

    /// Says how another edge can go on with the call.
    pub(crate) async fn repeatable(&self, call: RepeatableCall) {
        let item = CallOutputItem::Repeatable(Box::new(call));
        let _ = self.to.send(item).await;
    }

    /// Asks whether another edge goes on with the call, which this one stops. Returns if none does: then the call
    /// has to answer. Otherwise it is dropped here.
    pub async fn hand_over(&self) {
        let (refused, answer) = oneshot::channel();
        if self
            .to
            .send(CallOutputItem::HandOver(refused))
            .await
            .is_ok()
        {
            let _ = answer.await;
        }
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
