//! For how long the server has waited for the bytes of one request, or for its client to take an answer.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::limits::CLIENT_STEP_BYTES;

/// Waits for a client in one direction, until it has moved [`CLIENT_STEP_BYTES`]. A byte now and then ends a wait, but
/// the time before it counts on: a client that moves a byte every 0.3 s is as slow as one that moves none.
#[derive(Debug, Default)]
pub(super) struct ClientWaits {
    /// Of the waits that have ended.
    waited_micros: AtomicU64,
    /// Moved since the time was last forgotten.
    bytes: AtomicU32,
}

impl ClientWaits {
    /// A wait has ended.
    pub(super) fn add(&self, waited_micros: u64) {
        let waited = self.waited_micros().saturating_add(waited_micros);
        self.waited_micros.store(waited, Ordering::Relaxed);
    }

    /// The client has sent or taken bytes.
    pub(super) fn moved(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let moved = self.bytes.load(Ordering::Relaxed).saturating_add(bytes);
        match moved >= CLIENT_STEP_BYTES {
            true => self.forget(),
            false => self.bytes.store(moved, Ordering::Relaxed),
        }
    }

    /// What has been waited is forgotten.
    pub(super) fn forget(&self) {
        self.waited_micros.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// The time of the waits that have ended since the last step.
    pub(super) fn waited_micros(&self) -> u64 {
        self.waited_micros.load(Ordering::Relaxed)
    }
}
