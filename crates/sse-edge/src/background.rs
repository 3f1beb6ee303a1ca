//! Work that belongs to the process and not to a request.

use instruments::recording::line_span;
use mcp_server::cpu_turns::{CpuAccount, again_in_turns, in_turns};
use service_kit::lifecycle::{Lifecycle, OnExit};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::request_line::{InRequestLine, RequestLine};

/// Runs work that outlives its request: it continues when the request has ended, and the drain
/// waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Background {
    lifecycle: Lifecycle,
    // Each child token has memory of its own, so all calls have clones of one.
    draining: CancellationToken,
    closed: CancellationToken,
}

impl Background {
    pub(crate) fn new(lifecycle: &Lifecycle) -> Self {
        Self {
            lifecycle: lifecycle.clone(),
            draining: lifecycle.draining(),
            closed: lifecycle.closed(),
        }
    }

    /// Cancelled when the process begins to drain.
    pub(crate) fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Cancelled when the process stops hard.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Starts work whose result can be awaited, but need not be. It runs in turns of the account of the request that
    /// starts it, and its log lines name that request.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, answer) = oneshot::channel();
        // In memory once, however many futures are around it.
        let work = Box::pin(work);
        let task = async move {
            // The request may have ended; the work is complete anyway.
            let _ = done.send(work.await);
        };
        let task = in_turns(Box::pin(task.instrument(line_span())));
        self.lifecycle.spawn("mcp-call", OnExit::MayFinish, task);
        answer
    }

    /// As [`Self::spawn`], for work without a result, which may wait for hours.
    pub(crate) fn start(&self, line: RequestLine, work: impl Future<Output = ()> + Send + 'static) {
        let work = in_turns(InRequestLine::new(line, Box::pin(work)));
        self.lifecycle.spawn("mcp-call", OnExit::MayFinish, work);
    }

    /// As [`Self::start`], for work that goes on after a wait: in turns of the account of the request that began it.
    pub(crate) fn start_again(
        &self,
        account: Option<&CpuAccount>,
        line: RequestLine,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let work = again_in_turns(account, InRequestLine::new(line, Box::pin(work)));
        self.lifecycle.spawn("mcp-call", OnExit::MayFinish, work);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{RandomIds, TraceContext};
    use tracing::{Metadata, Span};

    use super::*;
    use crate::request_line::RequestRoute;

    #[tokio::test]
    async fn lines_of_work_that_outlives_its_request_name_the_request() {
        let _lines = tracing::subscriber::set_default(tracing_subscriber::registry());
        let background = Background::new(&Lifecycle::new(Duration::from_secs(1)));
        let span_of_work = || async { Span::current().metadata().map(Metadata::name) };
        let request = tracing::info_span!("request");
        let within = request.in_scope(|| background.spawn(span_of_work()));
        assert_eq!(within.await, Ok(Some("request")));
        assert_eq!(background.spawn(span_of_work()).await, Ok(None));
        for trace in [None, Some(TraceContext::start(&RandomIds))] {
            let (told, named) = oneshot::channel();
            let line = RequestLine {
                route: RequestRoute::McpPost,
                trace,
            };
            background.start(line, async move {
                tokio::task::yield_now().await;
                let line = Span::current();
                let named = |span: &Metadata<'static>| -> Vec<_> {
                    span.fields().iter().map(|field| field.name()).collect()
                };
                let _ = told.send(line.metadata().map(named));
            });
            let expected = trace.map(|_| vec!["trace_id", "method", "path"]);
            assert_eq!(named.await, Ok(expected));
        }
    }
}
