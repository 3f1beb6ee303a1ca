//! How streams that have something to send come to the thread that sends it.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Wake,
};

use crate::sync::{AtomicBool, Mutex};

/// Lines that want a turn, each at most once, and whether their thread sleeps.
///
/// The thread says that it sleeps before it looks a last time; who adds something looks whether it sleeps
/// after adding. One of the two sees the other.
pub(crate) struct Ready {
    lines: Mutex<Vec<usize>>,
    is_asleep: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Ready {
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
        self.rouse();
    }

    /// Ends the thread's sleep, if it sleeps.
    pub(crate) fn rouse(&self) {
        // Mostly it is awake: a load leaves the flag's cache line where it is.
        if self.is_asleep.load(Ordering::SeqCst) && self.is_asleep.swap(false, Ordering::SeqCst) {
            (self.wake)();
        }
    }

    /// Whether the thread may sleep: from here on it is woken.
    pub(crate) fn may_sleep(&self) -> bool {
        self.is_asleep.store(true, Ordering::SeqCst);
        let nothing = self.lines.lock().is_empty();
        if !nothing {
            self.is_asleep.store(false, Ordering::SeqCst);
        }
        nothing
    }

    /// The thread is awake.
    pub(crate) fn awake(&self) {
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    /// Exchanges the lines that want a turn for an empty list.
    pub(crate) fn take(&self, into: &mut Vec<usize>) {
        into.clear();
        std::mem::swap(&mut *self.lines.lock(), into);
    }
}

/// Wakes one line.
pub(crate) struct LineWaker {
    ready: Arc<Ready>,
    key: usize,
    is_queued: AtomicBool,
}

impl LineWaker {
    pub(crate) fn new(ready: Arc<Ready>, key: usize) -> Arc<Self> {
        Arc::new(Self {
            ready,
            key,
            is_queued: AtomicBool::new(false),
        })
    }

    /// The line has its turn now: what comes from here on wakes it again.
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
