//! One budget of memory for the bodies of all requests of a process.
//!
//! A body holds memory from its first byte until the work on it has ended. Small bodies have a part that large ones never
//! take. When there is no room, the body without progress for longest is given up for the new one. If all make progress, a
//! sender that holds more than the new one's has to make room, so that a sender has its share when another one wants it, and
//! all of the budget when none does: GitHub behind a proxy, which is one address, is never refused because of its address.
//! A small body takes the room of a large one that waits. Otherwise the new one waits, and in the end it is refused.

mod ledger;
mod metrics;
mod reading;

use std::{net::IpAddr, sync::Arc};

use model::PrincipalId;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until, timeout_at},
};

pub use reading::{BodyBounds, HeldBody};

use self::{
    ledger::{HoldOutcome, Ledger},
    metrics::BodyMetrics,
};
use crate::{
    http::RemoteAddr,
    ip_network::of_one_sender,
    limits::{
        BODY_BUDGET_BYTES, BODY_ROOM_TIMEOUT, BODY_STEP_BYTES, BODY_STEP_TIMEOUT,
        SMALL_BODIES_BYTES, SMALL_BODY_BYTES,
    },
    metrics::MetricsRegistry,
};

/// The sender of a body: what shares of the budget are for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BodySender {
    /// A client that is known. It may hold up to a half of the budget.
    Principal(PrincipalId),
    /// An address ([`of_one_sender`]), which may be that of a proxy.
    Address(IpAddr),
    /// No connection is known, as in a test without sockets.
    Unknown,
}

impl BodySender {
    /// The address that a request came from, by its extensions.
    #[must_use]
    pub fn of_address(extensions: &http::Extensions) -> Self {
        match extensions.get::<RemoteAddr>() {
            Some(RemoteAddr(remote)) => Self::Address(of_one_sender(remote.ip())),
            None => Self::Unknown,
        }
    }
}

/// The reason for which a body was not read to its end. The text is for its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyRefusal {
    /// It has more bytes than it may have.
    #[error("the body is larger than {max_bytes} bytes")]
    TooLarge {
        /// The bound in bytes.
        max_bytes: usize,
    },
    /// The connection broke, or the framing is wrong.
    #[error("the body ended early")]
    Incomplete,
    /// It did not arrive in time.
    #[error("the body did not arrive within {seconds} s")]
    TimedOut {
        /// The bound in seconds.
        seconds: u64,
    },
    /// It arrived more slowly than 32 KiB in 5 s.
    #[error("the body arrived too slowly: send it at 32 KiB in 5 s or more")]
    TooSlow,
    /// It made no progress for a second, and another body needed its room.
    #[error(
        "the body made no progress for a second, and the server needed its memory: send it again"
    )]
    Stalled,
    /// Other bodies of its sender hold the share that is left to them.
    #[error(
        "the bodies that this client is sending hold its share of the server's memory: send it again"
    )]
    Share,
    /// The bodies in progress hold all memory.
    #[error("too many bodies arrive at the moment: send it again")]
    Full,
}

impl BodyRefusal {
    /// One of each.
    pub(crate) const ALL: [Self; 7] = [
        Self::TooLarge { max_bytes: 0 },
        Self::Incomplete,
        Self::TimedOut { seconds: 0 },
        Self::TooSlow,
        Self::Stalled,
        Self::Share,
        Self::Full,
    ];

    /// The metric label.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Incomplete => "incomplete",
            Self::TimedOut { .. } => "timed_out",
            Self::TooSlow => "too_slow",
            Self::Stalled => "stalled",
            Self::Share => "share",
            Self::Full => "full",
        }
    }

    /// Whether the sender should send it again as it is: the reason is not the body.
    #[must_use]
    pub const fn is_overload(self) -> bool {
        matches!(self, Self::Share | Self::Full)
    }
}

/// The sizes of a budget, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetSizes {
    /// All bodies together.
    pub whole: usize,
    /// The part that large bodies never take.
    pub small_part: usize,
    /// The largest small body.
    pub small_body: usize,
}

impl Default for BudgetSizes {
    fn default() -> Self {
        Self {
            whole: BODY_BUDGET_BYTES,
            small_part: SMALL_BODIES_BYTES,
            small_body: SMALL_BODY_BYTES,
        }
    }
}

/// The budget of a process.
#[derive(Debug)]
pub struct BodyBudget {
    sizes: BudgetSizes,
    ledger: Mutex<Ledger>,
    /// A body holds less, or has ended, and one that waits for room can go on.
    freed: Notify,
    metrics: BodyMetrics,
}

impl BodyBudget {
    /// The budget that a process has.
    #[must_use]
    pub fn new(registry: &mut MetricsRegistry) -> Arc<Self> {
        Self::with_sizes(BudgetSizes::default(), registry)
    }

    /// A budget of other sizes, for instance in a test.
    #[must_use]
    pub fn with_sizes(sizes: BudgetSizes, registry: &mut MetricsRegistry) -> Arc<Self> {
        Arc::new(Self {
            sizes,
            ledger: Mutex::new(Ledger::new(sizes)),
            freed: Notify::new(),
            metrics: BodyMetrics::new(registry),
        })
    }

    /// Bytes that all bodies hold now.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let (small, large) = self.ledger.lock().held();
        small + large
    }

    /// A body that begins to arrive and holds nothing yet.
    #[must_use]
    pub fn open(self: &Arc<Self>, sender: BodySender) -> ArrivingBody {
        let (give_up, given_up) = oneshot::channel();
        let key = self.ledger.lock().open(sender, give_up, Instant::now());
        ArrivingBody {
            share: BodyShare {
                budget: Arc::clone(self),
                key,
            },
            given_up,
            held: 0,
            received: 0,
            step: 0,
            progress: Instant::now(),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut ledger = self.ledger.lock();
        let changed = change(&mut ledger);
        let (small, large) = ledger.held();
        // In the lock, so that a later value is not overwritten by an earlier one.
        self.metrics.held(small, large);
        changed
    }

    /// As [`Self::change`], by which a body holds less. Those that wait look again only if it helps one of them: each
    /// look goes through all bodies, and the end of a small one does not help a large one.
    fn release<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let (changed, can_go_on) = self.change(|ledger| {
            let changed = change(ledger);
            (changed, ledger.can_go_on())
        });
        if can_go_on {
            self.freed.notify_waiters();
        }
        changed
    }

    /// Counts a body that was not read to its end.
    fn refused(&self, refusal: BodyRefusal) {
        self.metrics.refused(refusal, || self.held_bytes());
    }
}

/// The memory that a body holds; it is free again when this is dropped.
#[derive(Debug)]
pub struct BodyShare {
    budget: Arc<BodyBudget>,
    key: usize,
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        self.budget.release(|ledger| ledger.close(self.key));
    }
}

/// A body that arrives.
#[derive(Debug)]
pub struct ArrivingBody {
    share: BodyShare,
    given_up: oneshot::Receiver<BodyRefusal>,
    held: usize,
    received: usize,
    /// Bytes received at the last progress.
    step: usize,
    progress: Instant,
}

impl ArrivingBody {
    /// Bytes that it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Waits up to four seconds until there is room for this body to hold `bytes`.
    ///
    /// # Errors
    /// There is no room, or this body is given up meanwhile.
    pub async fn hold(&mut self, bytes: usize) -> Result<(), BodyRefusal> {
        let deadline = Instant::now() + BODY_ROOM_TIMEOUT;
        loop {
            let budget = &self.share.budget;
            // Before the look, so that no end is missed.
            let freed = budget.freed.notified();
            let key = self.share.key;
            let look = |ledger: &mut Ledger| ledger.hold(key, bytes, Instant::now());
            let outcome = match bytes < self.held {
                true => budget.release(look),
                false => budget.change(look),
            };
            let until = match outcome {
                HoldOutcome::Held => break,
                HoldOutcome::Refused(refusal) => return Err(refusal),
                HoldOutcome::Wait(_, refusal) if Instant::now() >= deadline => return Err(refusal),
                HoldOutcome::Wait(until, _) => until.min(deadline),
            };
            tokio::select! {
                biased;
                given_up = &mut self.given_up => return Err(given_up.unwrap_or(BodyRefusal::Full)),
                _ = timeout_at(until, freed) => {}
            }
        }
        self.held = bytes;
        // A wait for room is no fault of the sender.
        self.progress = Instant::now();
        Ok(())
    }

    /// Notes that `bytes` have been received in all.
    pub fn received(&mut self, bytes: usize) {
        self.received = bytes;
        if self.received.saturating_sub(self.step) < BODY_STEP_BYTES {
            return;
        }
        self.step = self.received;
        self.progress = Instant::now();
        let (key, now) = (self.share.key, self.progress);
        self.share.budget.change(|ledger| ledger.progress(key, now));
    }

    /// Resolves when the body is given up: for another one, or because it is large and makes no progress.
    pub async fn given_up(&mut self) -> BodyRefusal {
        let is_large = self.held > self.share.budget.sizes.small_body;
        let too_slow = async {
            match is_large {
                true => sleep_until(self.progress + BODY_STEP_TIMEOUT).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            refusal = &mut self.given_up => refusal.unwrap_or(BodyRefusal::Full),
            () = too_slow => BodyRefusal::TooSlow,
        }
    }

    /// The body has arrived: it holds `bytes`, up to what it held before, until the share is dropped, and is not given up
    /// any more.
    ///
    /// # Errors
    /// It was given up before.
    pub fn complete(mut self, bytes: usize) -> Result<BodyShare, BodyRefusal> {
        let key = self.share.key;
        let budget = &self.share.budget;
        let is_kept = budget.release(|ledger| ledger.complete(key, bytes));
        if !is_kept {
            return Err(self.given_up.try_recv().unwrap_or(BodyRefusal::Full));
        }
        Ok(self.share)
    }
}

#[cfg(test)]
mod tests;
