//! The pace at which a follower takes messages of the bus.
//!
//! A message that wakes a sleeping thread costs more than what is done with it. So while many come, a follower that has
//! taken all of them rests for a moment, and then takes what has come meanwhile.

use std::{pin::pin, time::Duration};

use futures_util::{FutureExt, StreamExt};
use ports::{BusEvent, BusSubscription};
use tokio::time::{Instant, sleep};

use crate::limits::{BUSY_GRACE, BUSY_MESSAGES, BUSY_REST, BUSY_WINDOW};

/// A subscription, and how many messages it brings.
pub(super) struct PacedSubscription {
    subscription: BusSubscription,
    began: Instant,
    messages: u32,
    is_busy: bool,
}

impl PacedSubscription {
    pub(super) fn new(subscription: BusSubscription) -> Self {
        Self {
            subscription,
            began: Instant::now(),
            messages: 0,
            is_busy: false,
        }
    }

    /// The next message. Nothing is lost if this is dropped before it has ended.
    pub(super) async fn next(&mut self) -> Option<BusEvent> {
        if self.is_busy {
            match pin!(self.subscription.0.next()).now_or_never() {
                Some(event) => return self.counted(event),
                None => sleep(BUSY_REST).await,
            }
        }
        let event = self.subscription.0.next().await;
        self.counted(event)
    }

    /// Time for which an early message waits for the missing ones, of which `usual` is enough while few come: many are
    /// published by threads that wait for each other's cores.
    pub(super) fn grace(&self, usual: Duration) -> Duration {
        match self.is_busy {
            true => usual.max(BUSY_GRACE),
            false => usual,
        }
    }

    fn counted(&mut self, event: Option<BusEvent>) -> Option<BusEvent> {
        self.messages += 1;
        let elapsed = self.began.elapsed();
        if elapsed >= BUSY_WINDOW {
            self.is_busy = is_busy(self.messages, elapsed);
            (self.began, self.messages) = (Instant::now(), 0);
        }
        event
    }
}

/// Whether so many messages in this time are as many as [`BUSY_MESSAGES`] in [`BUSY_WINDOW`].
fn is_busy(messages: u32, elapsed: Duration) -> bool {
    BUSY_WINDOW.saturating_mul(messages) >= elapsed.saturating_mul(BUSY_MESSAGES)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use model::SessionId;
    use ports::{Bus, EdgeNews, Topic};
    use store_memory::InProcessBus;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_messages_are_taken_together_and_few_at_once() {
        let bus = InProcessBus::new(NonZeroUsize::new(1000).unwrap());
        let topic = Topic::Broadcast;
        let mut paced = PacedSubscription::new(bus.subscribe(&topic).await.unwrap());
        let news = || EdgeNews::SessionEnded(SessionId::new("s").unwrap()).into();
        let publish = || bus.publish(&topic, news(), None);
        let gap = BUSY_WINDOW / BUSY_MESSAGES;
        // A message every `gap`, until that counts as many.
        for _ in 0..=BUSY_MESSAGES {
            publish().await.unwrap();
            assert!(paced.next().now_or_never().is_some(), "few: at once");
            tokio::time::advance(gap).await;
        }
        assert!(paced.is_busy);
        assert_eq!(paced.grace(BUSY_REST), BUSY_GRACE);
        {
            let mut next = pin!(paced.next());
            assert!(next.as_mut().now_or_never().is_none());
            publish().await.unwrap();
            publish().await.unwrap();
            assert!(next.as_mut().now_or_never().is_none(), "it rests");
            tokio::time::advance(BUSY_REST).await;
            assert!(next.await.is_some());
        }
        assert!(paced.next().now_or_never().is_some(), "what came meanwhile");
        tokio::time::advance(BUSY_WINDOW * 2).await;
        publish().await.unwrap();
        assert!(paced.next().now_or_never().is_some());
        assert!(!paced.is_busy);
        assert_eq!(paced.grace(BUSY_REST), BUSY_REST);
    }
}
