//! The spans of one export.

use std::{mem, time::Duration};

use opentelemetry_sdk::trace::SpanData;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// Maximum number of spans in one export: about 200 KiB.
const BATCH_SPANS: usize = 512;
/// Longest time that a span waits for others to be sent with it.
const BATCH_WAIT: Duration = Duration::from_secs(1);

/// Spans that leave together. A fill that is dropped loses none of them: the next one goes on.
#[derive(Debug, Default)]
pub(crate) struct SpanBatch {
    spans: Vec<SpanData>,
    /// When the batch leaves, full or not; `None` while it is empty.
    leaves: Option<Instant>,
}

impl SpanBatch {
    /// Waits for the first span, then for others, up to [`BATCH_SPANS`] or for [`BATCH_WAIT`].
    pub(crate) async fn fill(&mut self, queue: &mut mpsc::Receiver<SpanData>) {
        if self.spans.is_empty() && queue.recv_many(&mut self.spans, BATCH_SPANS).await == 0 {
            // The recorder has ended; the task ends with the process.
            return std::future::pending().await;
        }
        let leaves = *self
            .leaves
            .get_or_insert_with(|| Instant::now() + BATCH_WAIT);
        let more = async {
            while let Some(room) = self.room()
                && queue.recv_many(&mut self.spans, room).await > 0
            {}
        };
        // Time is over: it leaves as it is.
        let _ = timeout_at(leaves, more).await;
    }

    /// Adds spans that wait already.
    pub(crate) fn fill_now(&mut self, queue: &mut mpsc::Receiver<SpanData>) {
        while self.room().is_some()
            && let Ok(span) = queue.try_recv()
        {
            self.spans.push(span);
        }
    }

    /// Adds all spans that wait, without a bound.
    pub(crate) fn fill_all(&mut self, queue: &mut mpsc::Receiver<SpanData>) {
        while let Ok(span) = queue.try_recv() {
            self.spans.push(span);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The spans; the batch is empty afterwards.
    pub(crate) fn take(&mut self) -> Vec<SpanData> {
        self.leaves = None;
        mem::take(&mut self.spans)
    }

    fn room(&self) -> Option<usize> {
        BATCH_SPANS
            .checked_sub(self.spans.len())
            .filter(|room| *room > 0)
    }
}
