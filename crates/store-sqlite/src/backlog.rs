//! Jobs that wait for the writer, in two lanes: events do not wait behind the state of clients.
//!
//! Our own queue instead of a channel, because the writer takes from both lanes in one order, and sees while it works
//! whether an event waits.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

/// Maximum number of waiting jobs of each lane; further ones are refused as overloaded.
pub(crate) const MAX_QUEUED_JOBS: usize = 8192;

/// What a job writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Entries of the log: GitHub waits for them, and every stream. They come first.
    Log,
    /// Records, mailboxes and leases, and the log's own upkeep. Clients make these, as many as they like.
    State,
}

/// The reason why a job is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BacklogRefusal {
    /// [`MAX_QUEUED_JOBS`] wait.
    Full,
    /// The writer takes no more jobs.
    Closed,
}

/// The waiting jobs.
#[derive(Debug)]
pub(crate) struct Backlog<J> {
    lanes: Mutex<Lanes<J>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct Lanes<J> {
    log: VecDeque<J>,
    state: VecDeque<J>,
    is_closed: bool,
}

impl<J> Default for Backlog<J> {
    fn default() -> Self {
        Self {
            lanes: Mutex::new(Lanes {
                log: VecDeque::new(),
                state: VecDeque::new(),
                is_closed: false,
            }),
            arrived: Condvar::new(),
        }
    }
}

impl<J> Backlog<J> {
    pub(crate) fn push(&self, lane: Lane, job: J) -> Result<(), BacklogRefusal> {
        let mut lanes = self.lanes.lock();
        if lanes.is_closed {
            return Err(BacklogRefusal::Closed);
        }
        let queue = match lane {
            Lane::Log => &mut lanes.log,
            Lane::State => &mut lanes.state,
        };
        if queue.len() >= MAX_QUEUED_JOBS {
            return Err(BacklogRefusal::Full);
        }
        queue.push_back(job);
        self.arrived.notify_one();
        Ok(())
    }

    /// Blocks until a job waits; false if none will come any more.
    pub(crate) fn wait(&self) -> bool {
        let mut lanes = self.lanes.lock();
        loop {
            if !lanes.log.is_empty() || !lanes.state.is_empty() {
                return true;
            }
            if lanes.is_closed {
                return false;
            }
            self.arrived.wait(&mut lanes);
        }
    }

    /// Up to `max` jobs: those of the log, then those of the state, each in the order in which they came.
    pub(crate) fn take(&self, max: usize) -> Vec<(Lane, J)> {
        let mut lanes = self.lanes.lock();
        let of_log = lanes.log.len().min(max);
        let of_state = lanes.state.len().min(max - of_log);
        let log: Vec<_> = lanes
            .log
            .drain(..of_log)
            .map(|job| (Lane::Log, job))
            .collect();
        let state = lanes.state.drain(..of_state).map(|job| (Lane::State, job));
        log.into_iter().chain(state).collect()
    }

    /// Gives jobs of the state back that were taken: they are next.
    pub(crate) fn put_back(&self, jobs: impl DoubleEndedIterator<Item = J>) {
        let mut lanes = self.lanes.lock();
        for job in jobs.rev() {
            lanes.state.push_front(job);
        }
    }

    /// Whether an entry of the log waits.
    pub(crate) fn has_log(&self) -> bool {
        !self.lanes.lock().log.is_empty()
    }

    /// Takes no more jobs; those that wait can still be taken.
    pub(crate) fn close(&self) {
        self.lanes.lock().is_closed = true;
        self.arrived.notify_all();
    }

    /// Takes no more jobs, and drops those that wait.
    pub(crate) fn abandon(&self) {
        let mut lanes = self.lanes.lock();
        lanes.is_closed = true;
        let dropped = (
            std::mem::take(&mut lanes.log),
            std::mem::take(&mut lanes.state),
        );
        drop(lanes);
        drop(dropped);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lanes.lock().is_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(taken: Vec<(Lane, u32)>) -> Vec<u32> {
        taken.into_iter().map(|(_, job)| job).collect()
    }

    #[test]
    fn the_log_comes_first_and_each_lane_in_its_own_order() {
        let backlog = Backlog::default();
        for (lane, job) in [
            (Lane::State, 1),
            (Lane::State, 2),
            (Lane::Log, 3),
            (Lane::State, 4),
            (Lane::Log, 5),
        ] {
            backlog.push(lane, job).unwrap();
        }
        assert_eq!(jobs(backlog.take(4)), [3, 5, 1, 2]);
        backlog.put_back([1, 2].into_iter());
        assert_eq!(jobs(backlog.take(9)), [1, 2, 4]);
    }

    #[test]
    fn a_full_lane_leaves_room_in_the_other() {
        let backlog = Backlog::default();
        for job in 0..MAX_QUEUED_JOBS {
            backlog.push(Lane::State, job).unwrap();
        }
        assert_eq!(backlog.push(Lane::State, 0), Err(BacklogRefusal::Full));
        assert_eq!(backlog.push(Lane::Log, 0), Ok(()));
    }

    #[test]
    fn what_waits_when_it_closes_is_still_taken() {
        let backlog = Backlog::default();
        backlog.push(Lane::State, 1).unwrap();
        backlog.close();
        assert_eq!(backlog.push(Lane::Log, 2), Err(BacklogRefusal::Closed));
        assert!(backlog.wait());
        assert_eq!(jobs(backlog.take(9)), [1]);
        assert!(!backlog.wait());
    }
}
