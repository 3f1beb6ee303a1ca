//! Dependencies of a role: probed at intervals, they decide on its readiness.
//!
//! ```text
//! starting ──first success──▶ ok ──no success for 3.5 s──▶ failing ──two successes in a row──▶ ok
//! ```
//!
//! One probe that fails or takes too long changes nothing, so readiness does not flap, and both
//! changes show within 5 s of their cause.

use std::{future::Future, pin::pin};

use model::ErrorClass;
use tokio::time::{Instant, sleep_until, timeout};

pub use crate::dependency_status::ProbeFailure;
use crate::{
    dependency_status::{DependencyState, DependencyStatus},
    lifecycle::{Latch, Lifecycle, OnExit},
    limits::{
        NOT_READY_AFTER, PROBE_INTERVAL, PROBE_TIMEOUT, STARTUP_PROBE_INTERVAL,
        SUCCESSES_UNTIL_READY,
    },
};

/// Probes the dependency `name` until the drain; readiness waits for it, at the start and later.
/// Call it before the admin listener opens, as [`Lifecycle::latch`].
///
/// # Panics
/// Outside a tokio runtime.
pub fn require<F>(lifecycle: &Lifecycle, name: &'static str, probe: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = Result<(), ProbeFailure>> + Send,
{
    let latch = lifecycle.latch(name);
    spawn(lifecycle, name, Some(latch), probe);
}

/// As [`require`], for a dependency without which the role can still work: it shows in `/health`
/// only.
///
/// # Panics
/// Outside a tokio runtime.
pub fn observe<F>(lifecycle: &Lifecycle, name: &'static str, probe: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = Result<(), ProbeFailure>> + Send,
{
    spawn(lifecycle, name, None, probe);
}

fn spawn<F>(
    lifecycle: &Lifecycle,
    name: &'static str,
    latch: Option<Latch>,
    probe: impl Fn() -> F + Send + 'static,
) where
    F: Future<Output = Result<(), ProbeFailure>> + Send,
{
    let status = DependencyStatus::new(name);
    lifecycle.add_dependency(status.clone());
    let stop = lifecycle.draining();
    let mut judge = Judge {
        latch,
        status,
        last_success: Instant::now(),
        successes: 0,
    };
    // Without its probes, readiness would stay what it was.
    lifecycle.spawn("dependency-probe", OnExit::EndsProcess, async move {
        stop.run_until_cancelled(judge.run(probe)).await;
    });
}

/// Turns the outcomes of probes into a state.
struct Judge {
    latch: Option<Latch>,
    status: DependencyStatus,
    last_success: Instant,
    /// Successes in a row.
    successes: u32,
}

impl Judge {
    async fn run<F>(&mut self, probe: impl Fn() -> F)
    where
        F: Future<Output = Result<(), ProbeFailure>>,
    {
        loop {
            let began = Instant::now();
            let outcome = self.watching(timeout(PROBE_TIMEOUT, probe())).await;
            self.record(outcome.unwrap_or_else(|_| {
                let seconds = PROBE_TIMEOUT.as_secs();
                let reason = format!("no answer within {seconds} s");
                Err(ProbeFailure::new(ErrorClass::Transient, reason))
            }));
            let pause = match self.status.state() {
                DependencyState::Starting => STARTUP_PROBE_INTERVAL,
                _ => PROBE_INTERVAL,
            };
            self.watching(sleep_until(began + pause)).await;
        }
    }

    /// Waits for `work`; meanwhile the last success may become too old.
    async fn watching<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if self.status.state() == DependencyState::Ok {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep_until(self.last_success + NOT_READY_AFTER) => self.overdue(),
            }
        }
        work.await
    }

    fn record(&mut self, outcome: Result<(), ProbeFailure>) {
        match outcome {
            Ok(()) => self.succeeded(),
            Err(failure) => {
                self.successes = 0;
                // Until it is overdue, a dependency that has answered counts as there.
                if self.status.state() != DependencyState::Ok
                    && let Some(latch) = &self.latch
                {
                    latch.not_ready(&failure.reason);
                }
                self.status.failed(failure);
            }
        }
    }

    fn succeeded(&mut self) {
        self.last_success = Instant::now();
        self.successes = self.successes.saturating_add(1);
        let enough = match self.status.state() {
            DependencyState::Starting => 1,
            DependencyState::Ok => return,
            DependencyState::Failing => SUCCESSES_UNTIL_READY,
        };
        if self.successes >= enough {
            self.status.set(DependencyState::Ok);
            if let Some(latch) = &self.latch {
                latch.ready();
            }
        }
    }

    fn overdue(&mut self) {
        self.successes = 0;
        self.status.set(DependencyState::Failing);
        if let Some(latch) = &self.latch {
            let failure = self.status.failure_after(self.last_success);
            latch.not_ready(failure.as_ref().map_or("no answer", |f| &f.reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU8, Ordering},
        },
        time::Duration,
    };

    const GOOD: u8 = 0;
    const REFUSED: u8 = 1;
    const HANGING: u8 = 2;
    /// The promise of readiness, both ways.
    const PROMISE: Duration = Duration::from_secs(5);

    /// A lifecycle that needs one dependency, which behaves as the test says.
    fn required() -> (Lifecycle, Arc<AtomicU8>) {
        let life = Lifecycle::new(Duration::from_secs(1));
        let behaviour = Arc::new(AtomicU8::new(REFUSED));
        let probed = Arc::clone(&behaviour);
        require(&life, "store", move || {
            let now = probed.load(Ordering::Relaxed);
            async move {
                match now {
                    GOOD => Ok(()),
                    REFUSED => Err(ProbeFailure::new(ErrorClass::Transient, "refused")),
                    _ => std::future::pending().await,
                }
            }
        });
        (life, behaviour)
    }

    async fn pass(time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn reasons(life: &Lifecycle) -> Vec<(&'static str, String)> {
        life.readiness().waiting_for
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_and_its_end_show_within_the_promise_and_the_reason_is_named() {
        let (life, behaviour) = required();
        pass(Duration::from_millis(10)).await;
        assert_eq!(reasons(&life), [("store", "refused".to_owned())]);
        behaviour.store(GOOD, Ordering::Relaxed);
        pass(2 * STARTUP_PROBE_INTERVAL).await;
        assert!(
            life.readiness().ready,
            "the first success is enough at the start"
        );
        for (fault, reason) in [(REFUSED, "refused"), (HANGING, "no answer")] {
            behaviour.store(fault, Ordering::Relaxed);
            pass(PROMISE).await;
            assert_eq!(reasons(&life), [("store", reason.to_owned())]);
            behaviour.store(GOOD, Ordering::Relaxed);
            // A probe that hangs lasts for its timeout; real ones notice the new connection.
            pass(if fault == HANGING {
                PROMISE + PROBE_TIMEOUT
            } else {
                PROMISE
            })
            .await;
            assert!(life.readiness().ready);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_failure_or_success_changes_nothing() {
        let (life, behaviour) = required();
        behaviour.store(GOOD, Ordering::Relaxed);
        pass(PROMISE).await;
        for _ in 0..20 {
            behaviour.store(REFUSED, Ordering::Relaxed);
            pass(2 * PROBE_INTERVAL).await;
            assert!(life.readiness().ready, "two failures in a row");
            behaviour.store(GOOD, Ordering::Relaxed);
            pass(PROBE_INTERVAL).await;
        }
        behaviour.store(REFUSED, Ordering::Relaxed);
        pass(PROMISE).await;
        for _ in 0..20 {
            behaviour.store(GOOD, Ordering::Relaxed);
            pass(PROBE_INTERVAL).await;
            assert!(!life.readiness().ready, "one success");
            behaviour.store(REFUSED, Ordering::Relaxed);
            pass(PROBE_INTERVAL).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_observed_dependency_shows_its_state_and_does_not_decide() {
        let life = Lifecycle::new(Duration::from_secs(1));
        observe(&life, "sync", || async {
            Err(ProbeFailure::new(ErrorClass::Transient, "refused"))
        });
        pass(PROMISE).await;
        assert!(life.readiness().ready);
        let shown = life.dependencies();
        assert_eq!(shown["sync"]["lastError"]["class"], "transient");
        assert_eq!(shown["sync"]["lastError"]["reason"], "refused");
    }
}
