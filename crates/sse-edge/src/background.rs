//! Work that belongs to the process and not to a request.

use service_kit::lifecycle::{Lifecycle, OnExit};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Runs work beyond its request: it continues when the request is gone, and the drain waits for it.
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

    /// Starts work; its answer can be awaited, and need not be.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, answer) = oneshot::channel();
        let task = async move {
            // If the request is gone, the work is done all the same.
            let _ = done.send(work.await);
        };
        self.0.spawn("mcp-call", OnExit::MayFinish, task);
        answer
    }
}
