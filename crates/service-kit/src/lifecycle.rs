//! From start to stop: readiness, tracked tasks, drain, hard stop.
//!
//! ```text
//! Starting ──all latches ready──▶ Ready ──signal, or a task that must not end──▶ Draining ──▶ Closed
//! ```
//!
//! - *Draining* is the soft stop: readiness is false, listeners accept and serve for a while longer,
//!   then no new work begins; streams end spread over the drain window. It ends early when every task
//!   has finished, except those that run until the hard stop ([`Lifecycle::spawn_until_closed`]).
//! - *Closed* is the hard stop: everything ends now. Tasks that do not end within
//!   [`HARD_STOP_TIMEOUT`] are dropped.
//! - A second stop signal, or the end of the drain window, leads to the hard stop.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, Stream, StreamExt, stream};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::dependency_status::DependencyStatus;

/// The time in which tasks can end by themselves after the hard stop, before they are dropped.
pub const HARD_STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// The phase in the life of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LifecyclePhase {
    /// Not every latch has been ready yet.
    Starting,
    /// Every latch has been ready once; [`Readiness::ready`] says whether all are now.
    Ready,
    /// The soft stop has begun.
    Draining,
    /// The hard stop has begun.
    Closed,
}

/// The reaction to a task that ends before the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExit {
    /// None: the task may finish. A panic is logged.
    MayFinish,
    /// The process cannot work without it: drain and exit with a failure.
    EndsProcess,
}

/// Whether the process can take work now, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// The phase.
    pub phase: LifecyclePhase,
    /// Latches that are not ready, each with the reason.
    pub waiting_for: Vec<(&'static str, String)>,
}

/// The outcome of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessOutcome {
    /// Whether nothing failed and every task ended within the drain window.
    pub clean: bool,
    /// The task whose end or panic stopped the process.
    pub failed_task: Option<&'static str>,
}

/// The lifecycle of one process, shared by all its components. Cloning is cheap and gives the same lifecycle.
#[derive(Clone)]
pub struct Lifecycle {
    inner: Arc<Inner>,
}

struct Inner {
    drain_window: Duration,
    keep_accepting: Duration,
    draining: CancellationToken,
    stop_accepting: CancellationToken,
    closed: CancellationToken,
    dropped: CancellationToken,
    been_ready: AtomicBool,
    latches: Mutex<Vec<LatchState>>,
    dependencies: Mutex<Vec<DependencyStatus>>,
    tasks: TaskTracker,
    tasks_until_closed: TaskTracker,
    running: Mutex<BTreeMap<&'static str, usize>>,
    failed: Mutex<Option<&'static str>>,
}

struct LatchState {
    name: &'static str,
    /// The reason why it is not ready; `None` when it is.
    waiting: Option<String>,
}

impl Lifecycle {
    /// A lifecycle whose soft stop lasts up to `drain`.
    #[must_use]
    pub fn new(drain: Duration) -> Self {
        Self::with_keep_accepting(drain, Duration::ZERO)
    }

    /// As [`Lifecycle::new`], but listeners continue to accept for `keep_accepting` (up to the drain
    /// window) after readiness became false: a balancer takes a moment to notice, and a connection that
    /// is refused meanwhile is an error for its client.
    #[must_use]
    pub fn with_keep_accepting(drain: Duration, keep_accepting: Duration) -> Self {
        let inner = Inner {
            drain_window: drain,
            keep_accepting: keep_accepting.min(drain),
            draining: CancellationToken::new(),
            stop_accepting: CancellationToken::new(),
            closed: CancellationToken::new(),
            dropped: CancellationToken::new(),
            been_ready: AtomicBool::new(false),
            latches: Mutex::default(),
            dependencies: Mutex::default(),
            tasks: TaskTracker::new(),
            tasks_until_closed: TaskTracker::new(),
            running: Mutex::default(),
            failed: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Adds a condition of readiness, which is not ready at first. Take all latches before the admin
    /// listener opens: a lifecycle without latches is ready.
    pub fn latch(&self, name: &'static str) -> Latch {
        let mut latches = self.inner.latches.lock();
        latches.push(LatchState {
            name,
            waiting: Some("starting".to_owned()),
        });
        Latch {
            inner: Arc::clone(&self.inner),
            index: latches.len() - 1,
            name,
        }
    }

    /// Shows a dependency in `/health`.
    pub(crate) fn add_dependency(&self, dependency: DependencyStatus) {
        self.inner.dependencies.lock().push(dependency);
    }

    /// The state of every probed dependency by name, as JSON for operators.
    #[must_use]
    pub fn dependencies(&self) -> Map<String, Value> {
        let dependencies = self.inner.dependencies.lock();
        let shown = dependencies.iter();
        shown
            .map(|one| (one.name.to_owned(), one.to_json()))
            .collect()
    }

    /// Whether the process can take work now.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let waiting_for: Vec<_> = {
            let latches = self.inner.latches.lock();
            let waiting = latches
                .iter()
                .filter_map(|l| Some((l.name, l.waiting.clone()?)));
            waiting.collect()
        };
        if waiting_for.is_empty() {
            self.inner.been_ready.store(true, Ordering::Relaxed);
        }
        let phase = self.phase();
        Readiness {
            ready: phase == LifecyclePhase::Ready && waiting_for.is_empty(),
            phase,
            waiting_for,
        }
    }

    /// The phase.
    #[must_use]
    pub fn phase(&self) -> LifecyclePhase {
        if self.inner.closed.is_cancelled() {
            LifecyclePhase::Closed
        } else if self.inner.draining.is_cancelled() {
            LifecyclePhase::Draining
        } else if self.inner.been_ready.load(Ordering::Relaxed) {
            LifecyclePhase::Ready
        } else {
            LifecyclePhase::Starting
        }
    }

    /// A token that is cancelled at the soft stop. Each call makes a new one (cancelling it affects no
    /// other task): call this once per task and clone the token, not once per stream.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.inner.draining.child_token()
    }

    /// A token that is cancelled when listeners stop accepting: at the soft stop or a little later
    /// (see [`Lifecycle::with_keep_accepting`]).
    #[must_use]
    pub fn stop_accepting(&self) -> CancellationToken {
        self.inner.stop_accepting.child_token()
    }

    /// A token that is cancelled at the hard stop: everything ends now.
    #[must_use]
    pub fn closed(&self) -> CancellationToken {
        self.inner.closed.child_token()
    }

    /// The maximum duration of the soft stop.
    #[must_use]
    pub fn drain_window(&self) -> Duration {
        self.inner.drain_window
    }

    /// Starts a task that this lifecycle owns: the drain waits for it, the hard stop ends it.
    ///
    /// The task watches [`Lifecycle::draining`] and [`Lifecycle::closed`] itself; one that does not
    /// is dropped [`HARD_STOP_TIMEOUT`] after the hard stop.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(
        &self,
        name: &'static str,
        on_exit: OnExit,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn_on(&self.inner.tasks, name, on_exit, task);
    }

    /// As [`Lifecycle::spawn`], but the drain does not wait for the task: it runs until the hard stop, for
    /// instance to answer probes.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn_until_closed(
        &self,
        name: &'static str,
        on_exit: OnExit,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn_on(&self.inner.tasks_until_closed, name, on_exit, task);
    }

    fn spawn_on(
        &self,
        tracker: &TaskTracker,
        name: &'static str,
        on_exit: OnExit,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        *self.inner.running.lock().entry(name).or_default() += 1;
        let life = self.clone();
        let dropped = self.inner.dropped.clone();
        // No lock is held while the task runs, so that a panic leaves no broken state behind. Boxed, because the block
        // would hold it twice.
        let task = Box::pin(AssertUnwindSafe(task).catch_unwind());
        tracker.spawn(async move {
            let ended = tokio::select! {
                ended = task => Some(ended.is_ok()),
                () = dropped.cancelled() => None,
            };
            life.task_ended(name, on_exit, ended);
        });
    }

    /// Names of the running tasks, with the number of each.
    #[must_use]
    pub fn running_tasks(&self) -> BTreeMap<&'static str, usize> {
        self.inner.running.lock().clone()
    }

    /// Begins the drain. [`Lifecycle::run`] does the rest.
    pub fn shut_down(&self) {
        self.inner.draining.cancel();
        if self.inner.keep_accepting.is_zero() {
            self.inner.stop_accepting.cancel();
        }
    }

    /// Ends the drain at once and begins the hard stop.
    pub fn hard_stop(&self) {
        self.shut_down();
        self.inner.stop_accepting.cancel();
        self.inner.closed.cancel();
    }

    /// Runs until `stop_signal` (or [`Lifecycle::shut_down`], or the end of a task that must not end),
    /// then drains, stops hard and returns. The stop takes up to the drain window and [`HARD_STOP_TIMEOUT`].
    ///
    /// Use [`Lifecycle::run_until`] with [`stop_signals`] where a second signal should stop the process
    /// at once.
    pub async fn run(&self, stop_signal: impl Future<Output = ()>) -> ProcessOutcome {
        self.run_until(stream::once(stop_signal)).await
    }

    /// As [`Lifecycle::run`]; the second signal during the drain leads to the hard stop at once.
    pub async fn run_until(&self, stop_signals: impl Stream<Item = ()>) -> ProcessOutcome {
        // A stream that ends gives no more signals: its end must not be taken for one.
        let mut signals = pin!(stop_signals.chain(stream::pending()).fuse());
        let draining = self.draining();
        tokio::select! {
            _ = signals.next() => tracing::info!("stop signal: draining"),
            () = draining.cancelled() => tracing::info!("draining"),
        }
        self.shut_down();
        let inner = &*self.inner;
        inner.tasks.close();
        let accept_on = async {
            sleep(inner.keep_accepting).await;
            inner.stop_accepting.cancel();
            std::future::pending::<()>().await;
        };
        let closed = self.closed();
        let in_time = tokio::select! {
            () = inner.tasks.wait() => true,
            () = sleep(inner.drain_window) => false,
            _ = signals.next() => false,
            () = closed.cancelled() => false,
            () = accept_on => false,
        };
        if !in_time {
            tracing::warn!(tasks = ?self.running_tasks(), "hard stop: tasks outlived the drain");
        }
        self.hard_stop();
        inner.tasks_until_closed.close();
        let ended = async {
            tokio::join!(inner.tasks.wait(), inner.tasks_until_closed.wait());
        };
        if timeout(HARD_STOP_TIMEOUT, ended).await.is_err() {
            tracing::error!(tasks = ?self.running_tasks(), "tasks ignore the hard stop: dropped");
            inner.dropped.cancel();
        }
        let failed_task = *inner.failed.lock();
        ProcessOutcome {
            clean: in_time && failed_task.is_none(),
            failed_task,
        }
    }

    /// `ended` is `Some(true)` if the task returned, `Some(false)` if it panicked, and `None` if it
    /// was dropped.
    fn task_ended(&self, name: &'static str, on_exit: OnExit, ended: Option<bool>) {
        let mut running = self.inner.running.lock();
        if let Some(count) = running.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                running.remove(name);
            }
        }
        drop(running);
        let stopping = self.inner.draining.is_cancelled();
        match (ended, on_exit) {
            (Some(false), OnExit::MayFinish) => tracing::error!(task = name, "task panicked"),
            (Some(false), OnExit::EndsProcess) => self.fail(name, "task panicked: shutting down"),
            (Some(true), OnExit::EndsProcess) if !stopping => {
                self.fail(name, "task ended: shutting down");
            }
            _ => tracing::debug!(task = name, "task ended"),
        }
    }

    fn fail(&self, name: &'static str, what: &'static str) {
        tracing::error!(task = name, "{what}");
        self.inner.failed.lock().get_or_insert(name);
        self.shut_down();
    }
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = self.running_tasks();
        f.debug_struct("Lifecycle")
            .field("phase", &self.phase())
            .field("tasks", &tasks)
            .finish()
    }
}

/// A condition of readiness. Dropping it changes nothing: a latch that was not ready stays not ready.
#[derive(Clone)]
#[must_use = "a latch that is never set keeps the process from being ready"]
pub struct Latch {
    inner: Arc<Inner>,
    index: usize,
    name: &'static str,
}

impl Latch {
    /// The condition holds.
    pub fn ready(&self) {
        let mut latches = self.inner.latches.lock();
        if latches[self.index].waiting.take().is_some() {
            tracing::info!(latch = self.name, "ready");
        }
        if latches.iter().all(|latch| latch.waiting.is_none()) {
            self.inner.been_ready.store(true, Ordering::Relaxed);
        }
    }

    /// The condition does not hold; `why` is shown to operators, so no secrets.
    pub fn not_ready(&self, why: &str) {
        let before = self.inner.latches.lock()[self.index]
            .waiting
            .replace(why.to_owned());
        if before.as_deref() != Some(why) {
            // While the process is starting, "not ready" is normal.
            if self.inner.been_ready.load(Ordering::Relaxed) {
                tracing::warn!(latch = self.name, why, "not ready");
            } else {
                tracing::debug!(latch = self.name, why, "not ready yet");
            }
        }
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Resolves at the first SIGTERM or SIGINT. Where the process should also stop hard on the second one,
/// use [`stop_signals`].
pub async fn stop_signal() {
    pin!(stop_signals()).next().await;
}

/// One item per SIGTERM or SIGINT, from this call on. Never ends; if the operating system refuses
/// the handlers, that is logged and the stream yields nothing.
///
/// # Panics
/// Outside a tokio runtime.
pub fn stop_signals() -> impl Stream<Item = ()> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(term), Ok(int)) => Some((term, int)),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "cannot listen for signals");
            None
        }
    };
    stream::unfold(signals, |signals| async move {
        let Some((mut term, mut int)) = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {},
            _ = int.recv() => {},
        }
        Some(((), Some((term, int))))
    })
}

#[cfg(test)]
mod tests;
