//! Work that belongs to the process and not to a request.

use instruments::recording::line_span;
use mcp_server::cpu_turns::in_turns;
use service_kit::lifecycle::{Lifecycle, OnExit};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Runs work that outlives its request: it continues when the request has ended, and the drain
/// waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Background(Lifecycle);

impl Background {
    pub(crate) fn new(lifecycle: &Lifecycle) -> Self {
        Self(lifecycle.clone())
    }

    /// Cancelled when the process begins to drain.
    pub(crate) fn draining(&self) -> CancellationToken {
        self.0.draining()
    }

    /// Cancelled when the process stops hard.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.0.closed()
    }

    /// Starts work; its result can be awaited, but need not be. It runs in turns of the account of the request that
    /// starts it, and its log lines name that request.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, answer) = oneshot::channel();
        let task = async move {
            // The request may have ended; the work is complete anyway.
            let _ = done.send(work.await);
        };
        self.0.spawn(
            "mcp-call",
            OnExit::MayFinish,
            in_turns(task.instrument(line_span())),
        );
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tracing::Span;

    use super::*;

    #[tokio::test]
    async fn lines_of_work_that_outlives_its_request_name_the_request() {
        let _lines = tracing::subscriber::set_default(tracing_subscriber::registry());
        let background = Background::new(&Lifecycle::new(Duration::from_secs(1)));
        let span_of_work = || async { Span::current().metadata().map(tracing::Metadata::name) };
        let request = tracing::info_span!("request");
        let within = request.in_scope(|| background.spawn(span_of_work()));
        assert_eq!(within.await, Ok(Some("request")));
        assert_eq!(background.spawn(span_of_work()).await, Ok(None));
    }
}
