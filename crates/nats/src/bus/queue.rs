//! The bounded queue of a subscriber, with a gap exactly where messages were dropped.

use std::collections::VecDeque;

use parking_lot::Mutex;
use ports::BusEvent;
use tokio::sync::Notify;

use crate::BusConfig;

/// The queue of one subscriber, filled by its pump and emptied by its reader.
pub(super) struct SubscriberQueue {
    max_messages: usize,
    max_bytes: usize,
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Default)]
struct State {
    entries: VecDeque<(BusEvent, usize)>,
    bytes: usize,
    closed: bool,
}

impl SubscriberQueue {
    pub(super) fn new(config: &BusConfig) -> Self {
        Self {
            max_messages: config.queue_messages.max(1),
            max_bytes: config.queue_bytes,
            state: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// Adds a message; if there is no room, adds a gap in its place. A message of more than
    /// `max_bytes` still fits into an empty queue, because otherwise it could never be delivered.
    pub(super) fn push(&self, event: BusEvent, bytes: usize) {
        let mut state = self.state.lock();
        let full = state.entries.len() >= self.max_messages
            || (state.bytes + bytes > self.max_bytes && !state.entries.is_empty());
        if full {
            state.add_gap();
        } else {
            state.bytes += bytes;
            state.entries.push_back((event, bytes));
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Marks that messages may have been lost here.
    pub(super) fn push_gap(&self) {
        self.state.lock().add_gap();
        self.filled.notify_one();
    }

    /// Ends the queue after the events that it still holds.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    /// Removes the next event; `None` once the queue is closed and empty. Cancel-safe, for one
    /// reader.
    pub(super) async fn pop(&self) -> Option<BusEvent> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.state.lock();
                if let Some((event, bytes)) = state.entries.pop_front() {
                    state.bytes -= bytes;
                    return Some(event);
                }
                if state.closed {
                    return None;
                }
            }
            filled.await;
        }
    }
}

impl State {
    /// Merges consecutive gaps into one, so the queue never exceeds its bound by more than one
    /// entry.
    fn add_gap(&mut self) {
        if !matches!(self.entries.back(), Some((BusEvent::Gap, _))) {
            self.entries.push_back((BusEvent::Gap, 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use model::SessionId;
    use ports::EdgeNews;

    use super::*;

    fn message(n: usize) -> BusEvent {
        let session = SessionId::new(&n.to_string()).unwrap();
        BusEvent::Message(EdgeNews::SessionChanged(session).into(), None)
    }

    fn queue(queue_messages: usize, queue_bytes: usize) -> SubscriberQueue {
        SubscriberQueue::new(&BusConfig {
            queue_messages,
            queue_bytes,
        })
    }

    async fn rest(queue: &SubscriberQueue) -> Vec<BusEvent> {
        queue.close();
        let mut events = Vec::new();
        while let Some(event) = queue.pop().await {
            events.push(event);
        }
        events
    }

    #[tokio::test]
    async fn the_gap_stands_where_messages_were_dropped() {
        let queue = queue(2, 1000);
        (0..5).for_each(|n| queue.push(message(n), 1));
        assert_eq!(queue.pop().await, Some(message(0)));
        assert_eq!(queue.pop().await, Some(message(1)));
        queue.push(message(5), 1);
        assert_eq!(rest(&queue).await, [BusEvent::Gap, message(5)]);
    }

    #[tokio::test]
    async fn bytes_are_bounded_but_one_large_message_passes() {
        let queue = queue(100, 10);
        queue.push(message(0), 50);
        queue.push(message(1), 1);
        assert_eq!(rest(&queue).await, [message(0), BusEvent::Gap]);
    }

    #[tokio::test]
    async fn gaps_in_a_row_are_one() {
        let queue = queue(2, 10);
        queue.push_gap();
        queue.push_gap();
        assert_eq!(rest(&queue).await, [BusEvent::Gap]);
    }
}
