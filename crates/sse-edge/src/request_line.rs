//! Log lines of work that outlives its request.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use model::TraceContext;
use tracing::info_span;

/// Work whose lines name the request that began it, by its trace. The span of the request is opened anew each time the
/// work runs: kept open, with what the log keeps for it, it would take half a KiB for each call that waits.
#[derive(Debug)]
pub(crate) struct InRequestLine<F> {
    trace: Option<TraceContext>,
    work: F,
}

impl<F: Future + Unpin> InRequestLine<F> {
    pub(crate) fn new(trace: Option<TraceContext>, work: F) -> Self {
        Self { trace, work }
    }
}

impl<F: Future + Unpin> Future for InRequestLine<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let trace = this.trace.as_ref();
        let _line = trace.map(|trace| info_span!("request", trace_id = %trace.trace).entered());
        Pin::new(&mut this.work).poll(cx)
    }
}
