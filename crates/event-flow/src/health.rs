//! Whether a role can read the log: the log answers, and the role's follower gets on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use model::{Classified, ErrorClass, Sequence};
use ports::{EventLog, EventLogError};

use crate::follow::Followed;

/// The log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFailure {
    /// The log does not answer.
    #[error(transparent)]
    Log(#[from] EventLogError),
    /// The log answers, and the follower cannot read from it or cannot subscribe to the bus.
    #[error(
        "the follower is stalled: it cannot read the event log, or cannot subscribe to the bus"
    )]
    Stalled,
}

impl Classified for ReadFailure {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Log(error) => error.class(),
            Self::Stalled => ErrorClass::Transient,
        }
    }
}

/// The state of a follower and of its log. Clones share it: one side notes what the follower reports,
/// the other probes.
#[derive(Debug, Clone, Default)]
pub struct FollowerHealth(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    stalled: AtomicBool,
    head: AtomicU64,
}

impl FollowerHealth {
    /// Notes an item that the follower passes to its sink.
    pub fn note(&self, followed: &Followed) {
        let stalled = match followed {
            Followed::Stalled => true,
            Followed::Recovered | Followed::CaughtUp { .. } => false,
            _ => return,
        };
        self.0.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Checks that the log can be read and that the follower is not stalled.
    ///
    /// # Errors
    /// One of them does not hold.
    pub async fn check(&self, log: &dyn EventLog) -> Result<(), ReadFailure> {
        let head = log.check_read().await?;
        self.0.head.store(head.last.0, Ordering::Relaxed);
        if self.0.stalled.load(Ordering::Relaxed) {
            return Err(ReadFailure::Stalled);
        }
        Ok(())
    }

    /// The log's last position when it was last probed.
    #[must_use]
    pub fn log_head(&self) -> Sequence {
        Sequence(self.0.head.load(Ordering::Relaxed))
    }
}
