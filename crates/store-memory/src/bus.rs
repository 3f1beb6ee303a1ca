//! The bus of a single process, with a bounded queue per subscription.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use futures_util::Stream;
use model::TraceContext;
use parking_lot::Mutex;
use ports::{Bus, BusError, BusEvent, BusMessage, BusSubscription, Topic};

/// A bus inside one process. A subscription holds up to `capacity` unread messages; beyond that the
/// oldest are dropped and the subscriber gets [`BusEvent::Gap`] in their place. Dropping the bus
/// ends the subscriptions.
pub struct InProcessBus {
    capacity: usize,
    topics: Arc<Topics>,
}

/// Queues of the subscribers per topic. A list is replaced, never modified, so that a publisher
/// holds no lock while it wakes readers: waking a reader may drop a task and with it a
/// subscription, which needs the lock.
#[derive(Default)]
struct Topics(Mutex<HashMap<Topic, Arc<[Arc<Queue>]>>>);

struct Queue {
    capacity: usize,
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    unread: VecDeque<(BusMessage, Option<TraceContext>)>,
    /// Messages before the first unread one were dropped.
    lagged: bool,
    closed: bool,
    reader: Option<Waker>,
}

impl fmt::Debug for InProcessBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessBus")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl InProcessBus {
    /// Creates a bus whose subscriptions hold up to `capacity` unread messages each.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self {
            capacity: capacity.get(),
            topics: Arc::default(),
        }
    }
}

impl Drop for InProcessBus {
    fn drop(&mut self) {
        let topics = std::mem::take(&mut *self.topics.0.lock());
        for queue in topics.values().flat_map(|queues| queues.iter()) {
            queue.change(|state| state.closed = true);
        }
    }
}

impl Topics {
    fn listeners(&self, topic: &Topic) -> Option<Arc<[Arc<Queue>]>> {
        self.0.lock().get(topic).map(Arc::clone)
    }

    fn add(&self, topic: &Topic, queue: &Arc<Queue>) {
        let mut topics = self.0.lock();
        let others = topics.get(topic).map_or(&[][..], |queues| queues);
        let queues = others.iter().chain([queue]).map(Arc::clone).collect();
        topics.insert(topic.clone(), queues);
    }

    fn remove(&self, topic: &Topic, queue: &Arc<Queue>) {
        let mut topics = self.0.lock();
        let Some(queues) = topics.get(topic) else {
            return;
        };
        let others = queues.iter().filter(|other| !Arc::ptr_eq(other, queue));
        let others: Arc<[_]> = others.map(Arc::clone).collect();
        if others.is_empty() {
            topics.remove(topic);
        } else {
            topics.insert(topic.clone(), others);
        }
    }
}

impl Queue {
    /// Changes the state, then wakes the reader.
    fn change(&self, change: impl FnOnce(&mut QueueState)) {
        let reader = {
            let mut state = self.state.lock();
            change(&mut state);
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn push(&self, message: &BusMessage, trace: Option<TraceContext>) {
        self.change(|state| {
            if state.unread.len() == self.capacity {
                state.unread.pop_front();
                state.lagged = true;
            }
            state.unread.push_back((message.clone(), trace));
        });
    }
}

/// The receiving end of one queue.
struct Reader {
    topic: Topic,
    queue: Arc<Queue>,
    topics: Arc<Topics>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.topics.remove(&self.topic, &self.queue);
    }
}

impl Stream for Reader {
    type Item = BusEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<BusEvent>> {
        let mut state = self.queue.state.lock();
        if std::mem::take(&mut state.lagged) {
            return Poll::Ready(Some(BusEvent::Gap));
        }
        if let Some((message, trace)) = state.unread.pop_front() {
            return Poll::Ready(Some(BusEvent::Message(message, trace)));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

#[async_trait]
impl Bus for InProcessBus {
    async fn publish(
        &self,
        topic: &Topic,
        message: BusMessage,
        trace: Option<TraceContext>,
    ) -> Result<(), BusError> {
        let all_sessions = match topic {
            Topic::AllSessions => return Err(BusError::NoSuchTopic),
            Topic::Session(_) => self.topics.listeners(&Topic::AllSessions),
            Topic::Broadcast | Topic::Deliveries => None,
        };
        let listeners = [self.topics.listeners(topic), all_sessions];
        for queue in listeners.iter().flatten().flat_map(|queues| queues.iter()) {
            queue.push(&message, trace);
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BusSubscription, BusError> {
        let state = Mutex::default();
        let queue = Arc::new(Queue {
            capacity: self.capacity,
            state,
        });
        self.topics.add(topic, &queue);
        let reader = Reader {
            topic: topic.clone(),
            queue,
            topics: Arc::clone(&self.topics),
        };
        Ok(BusSubscription(Box::pin(reader)))
    }

    async fn check(&self) -> Result<(), BusError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use model::SessionId;
    use ports::EdgeNews;

    fn bus(capacity: usize) -> InProcessBus {
        InProcessBus::new(NonZeroUsize::new(capacity).unwrap())
    }

    fn ended(n: usize) -> BusMessage {
        EdgeNews::SessionEnded(SessionId::new(&format!("s{n}")).unwrap()).into()
    }

    #[tokio::test]
    async fn an_overflow_keeps_the_newest_behind_one_gap() {
        let bus = bus(4);
        let mut subscription = bus.subscribe(&Topic::Broadcast).await.unwrap();
        for n in 0..10 {
            bus.publish(&Topic::Broadcast, ended(n), None)
                .await
                .unwrap();
        }
        assert_eq!(subscription.0.next().await, Some(BusEvent::Gap));
        for n in 6..10 {
            let message = BusEvent::Message(ended(n), None);
            assert_eq!(subscription.0.next().await, Some(message));
        }
    }

    #[tokio::test]
    async fn dropped_subscriptions_leave_no_memory_behind() {
        let bus = bus(4);
        for n in 0..100 {
            let topic = Topic::Session(SessionId::new(&format!("s{n}")).unwrap());
            let (first, second) = (
                bus.subscribe(&topic).await.unwrap(),
                bus.subscribe(&topic).await.unwrap(),
            );
            drop(first);
            assert_eq!(bus.topics.listeners(&topic).unwrap().len(), 1);
            drop(second);
        }
        assert!(bus.topics.0.lock().is_empty());
    }

    #[tokio::test]
    async fn a_dropped_bus_ends_its_subscriptions() {
        let bus = bus(4);
        let mut subscription = bus.subscribe(&Topic::AllSessions).await.unwrap();
        let reading = tokio::spawn(async move { subscription.0.next().await });
        drop(bus);
        assert_eq!(reading.await.unwrap(), None);
    }
}
