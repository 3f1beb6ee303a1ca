//! Hints that a stream of a session's mailbox has new messages, for the calls on this edge that
//! wait for them.

use std::{collections::HashMap, sync::Arc};

use model::{SessionId, StreamId};
use parking_lot::Mutex;
use tokio::sync::Notify;

type HintKey = (SessionId, StreamId);

/// The waiting calls, by stream. A hint may be lost, so a waiting call also checks periodically.
#[derive(Debug, Default)]
pub(crate) struct MailboxHints {
    waiting: Arc<Mutex<HashMap<HintKey, Vec<Arc<Notify>>>>>,
}

/// Receives hints about one stream; from its creation on none is lost.
#[derive(Debug)]
pub(crate) struct HintReceiver {
    key: HintKey,
    hint: Arc<Notify>,
    waiting: Arc<Mutex<HashMap<HintKey, Vec<Arc<Notify>>>>>,
}

impl MailboxHints {
    /// Registers a receiver.
    pub(crate) fn watch(&self, session: &SessionId, stream: &StreamId) -> HintReceiver {
        let key = (session.clone(), stream.clone());
        let hint = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock();
        waiting.entry(key.clone()).or_default().push(hint.clone());
        drop(waiting);
        HintReceiver {
            key,
            hint,
            waiting: Arc::clone(&self.waiting),
        }
    }

    /// Whether anybody on this edge reads a stream.
    pub(crate) fn is_watched(&self, session: &SessionId, stream: &StreamId) -> bool {
        let key = (session.clone(), stream.clone());
        self.waiting.lock().contains_key(&key)
    }

    /// Wakes the receivers of a stream: it has new messages.
    pub(crate) fn wake(&self, session: &SessionId, stream: &StreamId) {
        let key = (session.clone(), stream.clone());
        let hints = self.waiting.lock().get(&key).cloned();
        hints.iter().flatten().for_each(|hint| hint.notify_one());
    }

    /// Wakes all receivers: hints may have been lost.
    pub(crate) fn wake_all(&self) {
        let waiting = self.waiting.lock();
        waiting
            .values()
            .flatten()
            .for_each(|hint| hint.notify_one());
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.waiting.lock().len()
    }
}

impl HintReceiver {
    /// Waits for the next hint; a hint since the last wait counts.
    pub(crate) async fn next_hint(&self) {
        self.hint.notified().await;
    }
}

impl Drop for HintReceiver {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock();
        if let Some(hints) = waiting.get_mut(&self.key) {
            hints.retain(|hint| !Arc::ptr_eq(hint, &self.hint));
            if hints.is_empty() {
                waiting.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (SessionId, StreamId) {
        (SessionId::new("s").unwrap(), StreamId::new("a").unwrap())
    }

    #[tokio::test]
    async fn a_hint_between_two_waits_is_not_lost_and_reaches_everybody_who_waits() {
        let (session, stream) = names();
        let waiters = MailboxHints::default();
        let watches = [
            waiters.watch(&session, &stream),
            waiters.watch(&session, &stream),
        ];
        waiters.wake(&session, &stream);
        for hints in &watches {
            hints.next_hint().await;
        }
        waiters.wake_all();
        watches[0].next_hint().await;
    }

    #[test]
    fn who_no_longer_waits_leaves_nothing_behind() {
        let (session, stream) = names();
        let waiters = MailboxHints::default();
        let watches = [
            waiters.watch(&session, &stream),
            waiters.watch(&session, &stream),
        ];
        drop(watches);
        waiters.wake(&session, &stream);
        assert_eq!(waiters.len(), 0);
    }
}
