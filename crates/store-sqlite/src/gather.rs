//! How many jobs one commit waits for.
//!
//! The callers of a commit are answered together, and under load most of them come back at once with their next write.
//! Without a wait, the next commit begins before they do: callers then split into two halves that take turns, and each
//! sync serves half of them.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// Maximum number of jobs in one commit: they share the fsync, and no job waits long for the
/// others.
const MAX_JOBS: usize = 256;
/// Number of jobs in a commit from which its callers are a load worth waiting for.
const LOAD_JOBS: usize = 8;
/// Longest wait. It is also bounded by a quarter of the last commit's duration, so that it costs little where syncs are
/// fast.
const MAX_WAIT: Duration = Duration::from_millis(1);
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

    /// The jobs of the next commit, of which `first` is one; `pause` blocks for a time.
    pub(crate) fn gather<J>(
        &self,
        first: J,
        queue: &mut mpsc::Receiver<J>,
        mut pause: impl FnMut(Duration),
    ) -> Vec<J> {
        let mut jobs = vec![first];
        take(queue, &mut jobs);
        let (returning, took) = self.last;
        if returning < LOAD_JOBS {
            return jobs;
        }
        let expected = (jobs.len() + returning).min(MAX_JOBS);
        let until = Instant::now() + MAX_WAIT.min(took / 4);
        while jobs.len() < expected && Instant::now() < until {
            pause(STEP);
            take(queue, &mut jobs);
        }
        jobs
    }
}

fn take<J>(queue: &mut mpsc::Receiver<J>, jobs: &mut Vec<J>) {
    while jobs.len() < MAX_JOBS {
        match queue.try_recv() {
            Ok(job) => jobs.push(job),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_secs(60);

    #[test]
    fn the_callers_of_a_commit_come_back_into_the_next_one() {
        let (jobs, mut queue) = mpsc::channel(512);
        let mut gatherer = Gatherer::default();
        gatherer.committed(32, SLOW);
        for waiting in 1..32 {
            jobs.try_send(waiting).unwrap();
        }
        let mut returning = 0;
        let gathered = gatherer.gather(0, &mut queue, |_| {
            for _ in 0..16 {
                jobs.try_send(returning).unwrap();
                returning += 1;
            }
        });
        assert_eq!((gathered.len(), returning), (64, 32));
    }

    #[test]
    fn a_commit_of_few_is_not_waited_for() {
        let (jobs, mut queue) = mpsc::channel(512);
        let mut gatherer = Gatherer::default();
        gatherer.committed(LOAD_JOBS - 1, SLOW);
        jobs.try_send(1).unwrap();
        let gathered = gatherer.gather(0, &mut queue, |_| panic!("waited"));
        assert_eq!(gathered, [0, 1]);
    }

    #[test]
    fn a_commit_has_a_bound_and_the_wait_ends() {
        let (jobs, mut queue) = mpsc::channel(512);
        let mut gatherer = Gatherer::default();
        gatherer.committed(MAX_JOBS, SLOW);
        for waiting in 0..400 {
            jobs.try_send(waiting).unwrap();
        }
        let full = gatherer.gather(0, &mut queue, |_| panic!("waited"));
        assert_eq!(full.len(), MAX_JOBS);
        // Nobody comes back.
        let rest = gatherer.gather(0, &mut queue, std::thread::sleep);
        assert_eq!(rest.len(), 400 + 2 - MAX_JOBS);
    }
}
