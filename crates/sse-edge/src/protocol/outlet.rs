//! Progress and log messages of one request: they go out on the request's own stream, before its answer.

use bytes::Bytes;
use mcp::{
    RequestId,
    log::LogLevel,
    notification::{LogFilter, Progress},
};
use parking_lot::Mutex;
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
    /// None where the client did not ask for it.
    progress: Option<Mutex<Progress>>,
    log: LogFilter,
}

impl Outlet {
    /// An outlet and the end where its messages come out.
    pub(crate) fn new(
        progress_token: Option<RequestId>,
        log_level: Option<LogLevel>,
    ) -> (Self, mpsc::Receiver<Said>) {
        let (to, messages) = mpsc::channel(WAITING_MESSAGES);
        let outlet = Self {
            to,
            progress: progress_token.map(|token| Mutex::new(Progress::new(token))),
            log: LogFilter::new(log_level),
        };
        (outlet, messages)
    }

    /// Says how far the call is, if the client asked for it. What does not rise is left out.
    pub(crate) async fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let report = |known: &Mutex<Progress>| known.lock().report(progress, total, message);
        if let Some(message) = self.progress.as_ref().and_then(report) {
            self.send(message).await;
        }
    }

    #[cfg_attr(
        not(feature = "conformance"),
        expect(dead_code, reason = "the product's own tools have nothing to log yet")
    )]
    /// Says something about the call, if the client wants messages of this level.
    pub(crate) async fn log(&self, level: LogLevel, logger: &str, data: &Value) {
        if let Some(message) = self.log.message(level, logger, data) {
            self.send(message).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_falls_back_is_left_out_and_lowers_nothing() {
        let (outlet, mut messages) = Outlet::new(Some(RequestId::Integer(1)), None);
        for progress in [50.0, 20.0, 30.0, f64::NAN, 60.0] {
            outlet.progress(progress, None, None).await;
        }
        drop(outlet);
        let mut told = Vec::new();
        while let Some(Said::Message(message)) = messages.recv().await {
            let message: Value = serde_json::from_slice(&message).unwrap();
            told.push(message["params"]["progress"].as_f64().unwrap());
        }
        assert_eq!(told, [50.0, 60.0]);
    }
}
