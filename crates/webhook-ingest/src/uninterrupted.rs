//! Work that goes on when whoever waits for it is gone.
//!
//! It runs in the task that waits: a task of its own would cost each delivery a switch there and back. Only the work of a
//! sender that disconnects is handed to a task.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::poll;
use instruments::recording::line_span;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Work that ends, although this is dropped. Gives `None` if the work panicked, as a task would.
pub(crate) struct Uninterrupted<T: Send + 'static> {
    work: Option<Work<T>>,
    runtime: Handle,
}

impl<T: Send + 'static> Uninterrupted<T> {
    /// Work that `tracker` counts until it has ended.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(
        tracker: &TaskTracker,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        Self {
            work: Some(Box::pin(tracker.track_future(work))),
            runtime: Handle::current(),
        }
    }
}

impl<T: Send + 'static> Future for Uninterrupted<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(work) = &mut self.work else {
            return Poll::Ready(None);
        };
        // The hook has logged the panic; what was half done is dropped below.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(done)) => Some(done),
            Err(_) => None,
        };
        self.work = None;
        Poll::Ready(ended)
    }
}

impl<T: Send + 'static> Drop for Uninterrupted<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            let ending = async move {
                work.await;
            };
            self.runtime.spawn(ending.instrument(line_span()));
        }
    }
}

/// Begins work at once, and leaves what waits of it to a task.
pub(crate) async fn begin(tracker: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) {
    let mut work = Box::pin(work);
    if poll!(&mut work).is_pending() {
        tracker.spawn(work.instrument(line_span()));
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_ends_although_nobody_waits_for_it_and_is_counted_until_then() {
        let tracker = TaskTracker::new();
        let (go, gone) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let mut work = Uninterrupted::new(&tracker, async move {
            gone.await.ok();
            done.send(7).ok();
        });
        assert!(poll!(&mut work).is_pending());
        drop(work);
        assert_eq!(tracker.len(), 1);
        go.send(()).unwrap();
        assert_eq!(is_done.await, Ok(7));
        tracker.close();
        let ended = tokio::time::timeout(Duration::from_secs(60), tracker.wait());
        ended.await.unwrap();
    }

    #[tokio::test]
    async fn work_that_panics_gives_nothing_and_leaves_nothing() {
        let tracker = TaskTracker::new();
        let work = Uninterrupted::new(&tracker, async { panic!("as a test") });
        let ended: Option<()> = work.await;
        assert_eq!((ended, tracker.len()), (None, 0));
    }

    #[tokio::test]
    async fn what_waits_becomes_a_task_and_what_does_not_is_over() {
        let tracker = TaskTracker::new();
        begin(&tracker, async {}).await;
        assert_eq!(tracker.len(), 0);
        begin(&tracker, pending()).await;
        assert_eq!(tracker.len(), 1);
    }
}
