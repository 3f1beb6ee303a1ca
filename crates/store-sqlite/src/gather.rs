//! How many jobs one commit waits for.
//!
//! The callers of a commit are answered together, and under load most of them come back at once with their next write.
//! Without a wait, the next commit begins before they do: callers then split into two halves that take turns, and each
//! sync serves half of them.

use std::time::{Duration, Instant};

use crate::backlog::{Backlog, Lane};

/// Maximum number of jobs in one commit: they share the fsync, and no job waits long for the
/// others.
const MAX_JOBS: usize = 256;
/// Number of jobs in a commit from which its callers are a load worth waiting for.
const LOAD_JOBS: usize = 8;
/// Longest wait. It is also bounded by half of the last commit's duration, so that it costs little where syncs are fast.
const MAX_WAIT: Duration = Duration::from_millis(2);
/// Interval at which the queue is looked at meanwhile.
const STEP: Duration = Duration::from_micros(50);

/// Collects the jobs of a commit.
#[derive(Default)]
pub(crate) struct Gatherer {
    /// Jobs of the last commit, and its duration.
    last: (usize, Duration),
}

impl Gatherer {
    /// A commit of `jobs` jobs took this time.
    pub(crate) fn committed(&mut self, jobs: usize, took: Duration) {
        self.last = (jobs, took);
    }

    /// The jobs of the next commit, those of the log first; `pause` blocks for a time.
    pub(crate) fn gather<J>(
        &self,
        queue: &Backlog<J>,
        mut pause: impl FnMut(Duration),
    ) -> Vec<(Lane, J)> {
        let mut jobs = queue.take(MAX_JOBS);
        let (returning, took) = self.last;
        if returning < LOAD_JOBS {
            return jobs;
        }
        let expected = (jobs.len() + returning).min(MAX_JOBS);
        let until = Instant::now() + MAX_WAIT.min(took / 2);
        while jobs.len() < expected && Instant::now() < until {
            pause(STEP);
            jobs.extend(queue.take(MAX_JOBS - jobs.len()));
        }
        jobs.sort_by_key(|(lane, _)| *lane == Lane::State);
        jobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_secs(60);

    #[test]
    fn the_callers_of_a_commit_come_back_into_the_next_one() {
        let jobs = Backlog::default();
        let mut gatherer = Gatherer::default();
        gatherer.committed(32, SLOW);
        for waiting in 0..32 {
            jobs.push(Lane::State, waiting).unwrap();
        }
        let mut returning = 0;
        let gathered = gatherer.gather(&jobs, |_| {
            for _ in 0..16 {
                jobs.push(Lane::Log, returning).unwrap();
                returning += 1;
            }
        });
        assert!(gathered.is_sorted_by_key(|(lane, _)| *lane == Lane::State));
        assert_eq!((gathered.len(), returning), (64, 32));
    }

    #[test]
    fn a_commit_of_few_is_not_waited_for() {
        let jobs = Backlog::default();
        let mut gatherer = Gatherer::default();
        gatherer.committed(LOAD_JOBS - 1, SLOW);
        jobs.push(Lane::Log, 1).unwrap();
        let gathered = gatherer.gather(&jobs, |_| panic!("waited"));
        assert_eq!(gathered, [(Lane::Log, 1)]);
    }

    #[test]
    fn a_commit_has_a_bound_and_the_wait_ends() {
        let jobs = Backlog::default();
        let mut gatherer = Gatherer::default();
        gatherer.committed(MAX_JOBS, SLOW);
        for waiting in 0..400 {
            jobs.push(Lane::State, waiting).unwrap();
        }
        let full = gatherer.gather(&jobs, |_| panic!("waited"));
        assert_eq!(full.len(), MAX_JOBS);
        // Nobody comes back.
        let rest = gatherer.gather(&jobs, std::thread::sleep);
        assert_eq!(rest.len(), 400 - MAX_JOBS);
    }
}
