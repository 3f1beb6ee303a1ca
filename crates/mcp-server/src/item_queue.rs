//! A bounded queue for one receiver that holds no memory of its own while it is empty. Thousands of calls wait for
//! hours with nothing to say, and a channel of tokio keeps a block of 32 places for each of them.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

/// The receiver is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody receives any more")]
pub struct QueueClosed;

/// The reason why an item is not taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueRefusal {
    /// As many items wait as may.
    #[error("the queue is full")]
    Full,
    /// The receiver is gone.
    #[error(transparent)]
    Closed(#[from] QueueClosed),
}

struct SharedQueue<T> {
    /// Places that are free.
    room: Semaphore,
    state: Mutex<ItemQueueState<T>>,
    /// Tells the senders that the receiver is gone.
    closed: Notify,
}

struct ItemQueueState<T> {
    items: VecDeque<T>,
    receiver: Option<Waker>,
    senders: usize,
    is_closed: bool,
}

/// A sender; clones share the queue.
pub struct QueueSender<T>(Arc<SharedQueue<T>>);

/// The receiver.
pub struct QueueReceiver<T>(Arc<SharedQueue<T>>);

/// A queue in which up to `capacity` items wait.
#[must_use]
pub fn item_queue<T>(capacity: usize) -> (QueueSender<T>, QueueReceiver<T>) {
    let shared = Arc::new(SharedQueue {
        room: Semaphore::new(capacity),
        state: Mutex::new(ItemQueueState {
            items: VecDeque::new(),
            receiver: None,
            senders: 1,
            is_closed: false,
        }),
        closed: Notify::new(),
    });
    (QueueSender(Arc::clone(&shared)), QueueReceiver(shared))
}

impl<T> QueueSender<T> {
    /// Sends an item, once there is room.
    ///
    /// # Errors
    /// The receiver is gone; the item is dropped.
    pub async fn send(&self, item: T) -> Result<(), QueueClosed> {
        let place = self.0.room.acquire().await.map_err(|_| QueueClosed)?;
        place.forget();
        self.push(item)
    }

    /// Sends an item if there is room.
    ///
    /// # Errors
    /// There is none, or the receiver is gone; the item is dropped.
    pub fn try_send(&self, item: T) -> Result<(), QueueRefusal> {
        match self.0.room.try_acquire() {
            Ok(place) => place.forget(),
            Err(_) if self.0.room.is_closed() => return Err(QueueClosed.into()),
            Err(_) => return Err(QueueRefusal::Full),
        }
        Ok(self.push(item)?)
    }

    fn push(&self, item: T) -> Result<(), QueueClosed> {
        let receiver = {
            let mut state = self.0.state.lock();
            if state.is_closed {
                return Err(QueueClosed);
            }
            state.items.push_back(item);
            state.receiver.take()
        };
        wake(receiver);
        Ok(())
    }

    /// Whether the receiver is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.room.is_closed()
    }

    /// Waits until the receiver is gone.
    pub async fn closed(&self) {
        let mut closed = pin!(self.0.closed.notified());
        // Before the look, so that an end in between is not missed.
        closed.as_mut().enable();
        if !self.is_closed() {
            closed.await;
        }
    }
}

/// Outside the lock: it may run code of the executor.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl<T> Clone for QueueSender<T> {
    fn clone(&self) -> Self {
        self.0.state.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for QueueSender<T> {
    fn drop(&mut self) {
        let receiver = {
            let mut state = self.0.state.lock();
            state.senders -= 1;
            match state.senders {
                0 => state.receiver.take(),
                _ => None,
            }
        };
        wake(receiver);
    }
}

impl<T> QueueReceiver<T> {
    /// The next item; `None` once there is none and no sender is left. Safe to drop and to call again.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`Self::recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.state.lock();
        let item = match state.take_first() {
            Some(item) => item,
            None if state.senders == 0 => return Poll::Ready(None),
            None => {
                match &mut state.receiver {
                    Some(receiver) => receiver.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
        };
        drop(state);
        self.0.room.add_permits(1);
        Poll::Ready(Some(item))
    }

    /// An item that is there already.
    pub fn try_recv(&mut self) -> Option<T> {
        let item = self.0.state.lock().take_first()?;
        self.0.room.add_permits(1);
        Some(item)
    }
}

impl<T> ItemQueueState<T> {
    fn take_first(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        if self.items.is_empty() {
            self.items = VecDeque::new();
        }
        Some(item)
    }
}

impl<T> Drop for QueueReceiver<T> {
    fn drop(&mut self) {
        let items = {
            let mut state = self.0.state.lock();
            state.is_closed = true;
            state.receiver = None;
            std::mem::take(&mut state.items)
        };
        self.0.room.close();
        self.0.closed.notify_waiters();
        // Outside the lock: what an item holds may run code of its own.
        drop(items);
    }
}

impl<T> fmt::Debug for QueueSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueSender")
    }
}

impl<T> fmt::Debug for QueueReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueReceiver")
    }
}

#[cfg(test)]
mod tests {
    use std::{mem::size_of, time::Duration};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn items_arrive_in_order_and_a_full_queue_lets_its_sender_wait() {
        let (sender, mut receiver) = item_queue(2);
        sender.send(1).await.unwrap();
        sender.try_send(2).unwrap();
        assert_eq!(sender.try_send(3), Err(QueueRefusal::Full));
        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(3).await }
        });
        assert_eq!(receiver.recv().await, Some(1));
        waiting.await.unwrap().unwrap();
        assert_eq!(
            (receiver.try_recv(), receiver.recv().await),
            (Some(2), Some(3))
        );
        assert_eq!(receiver.try_recv(), None);
        drop(sender);
        assert_eq!(receiver.recv().await, None);
    }

    #[tokio::test]
    async fn a_receiver_is_woken_by_an_item_and_by_the_end() {
        let (sender, mut receiver) = item_queue(1);
        let receiving = tokio::spawn(async move { (receiver.recv().await, receiver.recv().await) });
        tokio::task::yield_now().await;
        sender.send(()).await.unwrap();
        tokio::task::yield_now().await;
        drop(sender);
        assert_eq!(receiving.await.unwrap(), (Some(()), None));
    }

    #[tokio::test]
    async fn senders_learn_that_the_receiver_is_gone_and_what_waits_is_dropped() {
        let (sender, receiver) = item_queue(1);
        let item = Arc::new(());
        sender.send(Arc::clone(&item)).await.unwrap();
        assert!(timeout(Duration::ZERO, sender.closed()).await.is_err());
        let waiting = tokio::spawn({
            let (sender, item) = (sender.clone(), Arc::clone(&item));
            async move { (sender.send(item).await, sender.closed().await) }
        });
        tokio::task::yield_now().await;
        drop(receiver);
        let told = timeout(Duration::from_secs(10), waiting).await;
        assert_eq!(told.unwrap().unwrap().0, Err(QueueClosed));
        let refused = Err(QueueRefusal::Closed(QueueClosed));
        assert_eq!(sender.try_send(Arc::clone(&item)), refused);
        sender.closed().await;
        assert!(sender.is_closed());
        assert_eq!(Arc::strong_count(&item), 1);
    }

    #[tokio::test]
    async fn an_empty_queue_holds_no_places() {
        let (sender, mut receiver) = item_queue::<[u64; 8]>(64);
        for _ in 0..64 {
            sender.send([0; 8]).await.unwrap();
        }
        while receiver.try_recv().is_some() {}
        assert_eq!(sender.0.state.lock().items.capacity(), 0);
        assert!(size_of::<SharedQueue<[u64; 8]>>() <= 192);
    }
}
