//! What the tasks of the server share.

use std::sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicUsize};

use tokio::sync::watch;

use super::state::Github;

/// What the tasks of the server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) github: Mutex<Github>,
    pub(crate) at_once: AtomicUsize,
    /// Something is to be delivered, or was.
    pub(crate) changed: watch::Sender<u64>,
}

impl Shared {
    /// Tells the tasks that wait for a change.
    pub(crate) fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    pub(crate) fn github(&self) -> MutexGuard<'_, Github> {
        self.github.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
