//! Hints that a stream of a session's mailbox has more, for whoever waits for it on this edge.

use std::{collections::HashMap, sync::Arc};

use model::{SessionId, StreamId};
use parking_lot::Mutex;
use tokio::sync::Notify;

type Key = (SessionId, StreamId);

/// Who waits for what. A hint is no more than that: who waits also looks now and then.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    waiting: Arc<Mutex<HashMap<Key, Vec<Arc<Notify>>>>>,
}

/// Waits for hints about one stream; from its making on none is lost.
#[derive(Debug)]
pub(crate) struct Watch {
    key: Key,
    hint: Arc<Notify>,
    waiting: Arc<Mutex<HashMap<Key, Vec<Arc<Notify>>>>>,
}

impl Mail {
    /// Begins to wait.
    pub(crate) fn watch(&self, session: &SessionId, stream: &StreamId) -> Watch {
        let key = (session.clone(), stream.clone());
        let hint = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock();
        waiting.entry(key.clone()).or_default().push(hint.clone());
        drop(waiting);
        Watch {
            key,
            hint,
            waiting: Arc::clone(&self.waiting),
        }
    }

    /// The stream has more.
    pub(crate) fn wake(&self, session: &SessionId, stream: &StreamId) {
        let key = (session.clone(), stream.clone());
        let hints = self.waiting.lock().get(&key).cloned();
        hints.iter().flatten().for_each(|hint| hint.notify_one());
    }

    /// Hints may have been lost: everybody looks.
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

impl Watch {
    /// Waits for the next hint; one that came since the last wait counts.
    pub(crate) async fn hinted(&self) {
        self.hint.notified().await;
    }
}

impl Drop for Watch {
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
        let mail = Mail::default();
        let watches = [mail.watch(&session, &stream), mail.watch(&session, &stream)];
        mail.wake(&session, &stream);
        for watch in &watches {
            watch.hinted().await;
        }
        mail.wake_all();
        watches[0].hinted().await;
    }

    #[test]
    fn who_no_longer_waits_leaves_nothing_behind() {
        let (session, stream) = names();
        let mail = Mail::default();
        let watches = [mail.watch(&session, &stream), mail.watch(&session, &stream)];
        drop(watches);
        mail.wake(&session, &stream);
        assert_eq!(mail.len(), 0);
    }
}
