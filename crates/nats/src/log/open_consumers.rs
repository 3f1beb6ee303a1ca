//! Consumers of pages that a reader may continue: who reads a page of many usually reads the next one at once.
//!
//! To make a consumer takes the server longer than to send a page. One that has more is kept for a moment, and the read
//! that begins where it stands takes it over; the server forgets it a few seconds later.

use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, PullConsumer};
use model::Sequence;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::debug;

use super::{
    AttemptError, JetStreamLog,
    read::{DeliveredMessage, MAX_SINGLE_READS, PulledMessages},
};

/// Number of consumers that are kept; beyond that the one that was used least recently is not.
const MAX_OPEN: usize = 4;
/// Time for which one is kept: well below the time after which the server forgets it.
const KEPT: Duration = Duration::from_secs(3);

/// The consumers that may be continued.
#[derive(Default)]
pub(super) struct OpenConsumers(Mutex<Vec<OpenConsumer>>);

struct OpenConsumer {
    consumer: PullConsumer,
    /// The sequence with which it continues.
    next: Sequence,
    /// Number of its deliveries.
    delivered: u64,
    used: Instant,
}

impl OpenConsumers {
    fn take(&self, next: Sequence) -> Option<OpenConsumer> {
        let mut open = self.0.lock();
        open.retain(|open| open.used.elapsed() < KEPT);
        let place = open.iter().position(|open| open.next == next)?;
        Some(open.remove(place))
    }

    /// Keeps a consumer; returns the one that it takes the place of.
    fn keep(&self, consumer: OpenConsumer) -> Option<OpenConsumer> {
        let mut open = self.0.lock();
        let replaced = (open.len() >= MAX_OPEN).then(|| open.remove(0));
        open.push(consumer);
        replaced
    }
}

impl JetStreamLog {
    /// Up to `count` messages from a sequence on, as [`Self::deliver`], through the consumer that stands there if there
    /// is one.
    pub(super) async fn deliver_from(
        &self,
        first: Sequence,
        count: usize,
    ) -> Result<Vec<DeliveredMessage>, AttemptError> {
        let pages = self.pages();
        if let Some(open) = self.open.take(first) {
            match pages.pull(&open.consumer, open.delivered, count).await {
                Ok(pulled) if !pulled.messages.is_empty() => return self.keep(open, pulled).await,
                Ok(_) => debug!("a consumer of the event log had nothing more"),
                // The server may have forgotten it.
                Err(_) => debug!("a consumer of the event log does not answer"),
            }
            self.remove_consumer(pages, &open.consumer).await?;
        }
        let start = DeliverPolicy::ByStartSequence {
            start_sequence: first.0,
        };
        let config = self.short_lived(start);
        let new = OpenConsumer {
            consumer: pages.stream.create_consumer(config).await?,
            next: first,
            delivered: 0,
            used: Instant::now(),
        };
        let pulled = match new.consumer.cached_info().num_pending {
            0 => Ok(PulledMessages::default()),
            _ => pages.pull(&new.consumer, 0, count).await,
        };
        match pulled {
            Ok(pulled) => self.keep(new, pulled).await,
            Err(error) => {
                self.remove_consumer(pages, &new.consumer).await?;
                Err(error)
            }
        }
    }

    /// Keeps the consumer if it has another page of many.
    async fn keep(
        &self,
        open: OpenConsumer,
        pulled: PulledMessages,
    ) -> Result<Vec<DeliveredMessage>, AttemptError> {
        let delivered = pulled.messages;
        let unused = match delivered.last() {
            Some(last) if pulled.remaining > MAX_SINGLE_READS as u64 => {
                self.open.keep(OpenConsumer {
                    next: last.sequence.next(),
                    delivered: open.delivered + delivered.len() as u64,
                    used: Instant::now(),
                    ..open
                })
            }
            _ => Some(open),
        };
        if let Some(unused) = unused {
            self.remove_consumer(self.pages(), &unused.consumer).await?;
        }
        Ok(delivered)
    }
}
