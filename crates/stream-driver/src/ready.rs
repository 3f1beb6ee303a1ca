//! The queue of streams that have something to send, for the thread that sends it.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Wake,
};

use crate::sync::{AtomicBool, Mutex};

/// Lines that need a turn, each queued at most once, and whether their thread sleeps.
///
/// The thread sets its flag for sleeping before it checks the queue a last time; a producer checks the
/// flag after it has added a line. So at least one of the two sees the other.
pub(crate) struct ReadyQueue {
    lines: Mutex<Vec<usize>>,
    is_asleep: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl ReadyQueue {
    /// `wake` ends the thread's sleep.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            lines: Mutex::default(),
            is_asleep: AtomicBool::new(false),
            wake: Box::new(wake),
        }
    }

    fn push(&self, key: usize) {
        self.lines.lock().push(key);
        self.wake_thread();
    }

    /// Ends the thread's sleep, if it sleeps.
    pub(crate) fn wake_thread(&self) {
        // The thread is mostly awake: a plain load leaves the flag's cache line where it is.
        if self.is_asleep.load(Ordering::SeqCst) && self.is_asleep.swap(false, Ordering::SeqCst) {
            (self.wake)();
        }
    }

    /// Marks the thread as asleep unless a line needs a turn, and returns whether it may sleep. From then
    /// on, a new line wakes it.
    pub(crate) fn prepare_to_sleep(&self) -> bool {
        self.is_asleep.store(true, Ordering::SeqCst);
        let nothing = self.lines.lock().is_empty();
        if !nothing {
            self.is_asleep.store(false, Ordering::SeqCst);
        }
        nothing
    }

    /// Marks the thread as awake.
    pub(crate) fn mark_awake(&self) {
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    /// Exchanges the lines that need a turn for an empty list.
    pub(crate) fn take(&self, into: &mut Vec<usize>) {
        into.clear();
        std::mem::swap(&mut *self.lines.lock(), into);
    }
}

/// Wakes one line.
pub(crate) struct LineWaker {
    ready: Arc<ReadyQueue>,
    key: usize,
    is_queued: AtomicBool,
}

impl LineWaker {
    pub(crate) fn new(ready: Arc<ReadyQueue>, key: usize) -> Arc<Self> {
        Arc::new(Self {
            ready,
            key,
            is_queued: AtomicBool::new(false),
        })
    }

    /// Begins the line's turn: anything that happens from here on wakes it again.
    pub(crate) fn begin_turn(&self) {
        self.is_queued.store(false, Ordering::SeqCst);
    }
}

impl Wake for LineWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            self.ready.push(self.key);
        }
    }
}
