//! The events sent and acknowledged: written by the sender, read by all other parts.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use super::world::{Mark, REPOSITORIES};

#[derive(Debug, Default)]
struct Repository {
    /// The highest number in flight or already sent.
    sent: AtomicU32,
    /// All numbers up to this one were acknowledged.
    acknowledged: AtomicU32,
    /// The time when each number was acknowledged, in milliseconds since the run began.
    at_millis: Mutex<Vec<u32>>,
    /// The time when each number was about to be sent.
    sent_at: Mutex<Vec<Instant>>,
}

/// The books. The events of a repository are sent one after the other, so one number describes
/// their state.
#[derive(Debug)]
pub(crate) struct Books {
    began: Instant,
    repositories: Vec<Repository>,
}

impl Books {
    /// Empty books; the run begins now.
    pub(crate) fn new() -> Self {
        let repositories = (0..REPOSITORIES).map(|_| Repository::default());
        Self {
            began: Instant::now(),
            repositories: repositories.collect(),
        }
    }

    /// Milliseconds since the run began.
    pub(crate) fn now_millis(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_millis()).unwrap_or(u32::MAX)
    }

    /// Records that the next event of a repository is about to be sent; gives its number.
    pub(crate) fn record_sending(&self, repository: usize) -> u32 {
        let repository = &self.repositories[repository];
        let times = repository.sent_at.lock();
        times
            .unwrap_or_else(PoisonError::into_inner)
            .push(Instant::now());
        repository.sent.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The time when an event was about to be sent; `None` if it was not.
    pub(crate) fn sent_at(&self, mark: Mark) -> Option<Instant> {
        let times = self.repositories[mark.repository].sent_at.lock();
        let times = times.unwrap_or_else(PoisonError::into_inner);
        times.get(mark.number.checked_sub(1)? as usize).copied()
    }

    /// Records that it was acknowledged.
    pub(crate) fn record_acknowledged(&self, repository: usize, number: u32) {
        let now = self.now_millis();
        let repository = &self.repositories[repository];
        let times = repository.at_millis.lock();
        times.unwrap_or_else(PoisonError::into_inner).push(now);
        repository.acknowledged.store(number, Ordering::SeqCst);
    }

    /// The highest number that can exist.
    pub(crate) fn newest_sent(&self, repository: usize) -> u32 {
        self.repositories[repository].sent.load(Ordering::SeqCst)
    }

    /// The highest number that must exist.
    pub(crate) fn newest_acknowledged(&self, repository: usize) -> u32 {
        let repository = &self.repositories[repository];
        repository.acknowledged.load(Ordering::SeqCst)
    }

    /// The highest number acknowledged before a moment of the run; 0 for none.
    pub(crate) fn acknowledged_before(&self, repository: usize, millis: u32) -> u32 {
        let times = self.repositories[repository].at_millis.lock();
        let times = times.unwrap_or_else(PoisonError::into_inner);
        u32::try_from(times.partition_point(|at| *at < millis)).unwrap_or(u32::MAX)
    }

    /// The total numbers of events sent and acknowledged, over all repositories.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let all = 0..REPOSITORIES;
        let sent = all.clone().map(|at| u64::from(self.newest_sent(at)));
        let acknowledged = all.map(|at| u64::from(self.newest_acknowledged(at)));
        (sent.sum(), acknowledged.sum())
    }
}
