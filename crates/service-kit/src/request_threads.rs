//! Threads for requests, apart from those that deliver events and answer probes, and with a lower priority: on
//! full cores requests wait, and events do not. A listener is served on them when it is started inside
//! [`RequestThreads::enter`]; whatever its requests start runs on them too.

use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

use crate::limits::{BLOCKING_NICE, CLIENT_NICE, SPARE_REQUEST_THREADS, WEBHOOK_NICE};

/// Time allowed for the workers to start; then the process goes on, with priorities that may be too low.
const WORKERS_START: Duration = Duration::from_secs(1);
/// Interval at which that is looked for.
const WORKERS_POLL: Duration = Duration::from_micros(100);

/// Who sends the requests of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestClass {
    /// GitHub: events begin with them.
    Webhooks,
    /// Agents and browsers; they give way to webhooks.
    Clients,
}

impl RequestClass {
    /// The name of its threads; the system shows 15 bytes.
    const fn thread_name(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::Clients => "requests",
        }
    }

    const fn nice(self) -> i32 {
        match self {
            Self::Webhooks => WEBHOOK_NICE,
            Self::Clients => CLIENT_NICE,
        }
    }
}

/// A runtime whose threads have a lower priority than the one that starts it. Dropping it drops what still runs
/// on it.
#[derive(Debug)]
pub struct RequestThreads(Option<Runtime>);

impl RequestThreads {
    /// Starts the threads: one more than there are cores, so that connections are served while every core works
    /// on a request. Threads for blocking work come later, and give way to these.
    ///
    /// # Errors
    /// The process is out of threads.
    pub fn start(class: RequestClass) -> io::Result<Self> {
        let (own, workers) = (own_nice(), cores() + SPARE_REQUEST_THREADS);
        let (name, lower) = (class.thread_name(), class.nice());
        let blocking = format!("{name}-io");
        let named = AtomicUsize::new(0);
        let name_of_next = move || match named.fetch_add(1, Ordering::Relaxed) {
            // All of them are there before the runtime is.
            before if before < workers => name.to_owned(),
            _ => blocking.clone(),
        };
        let set_priority = move || {
            let is_worker = thread::current().name() == Some(name);
            let more = if is_worker { 0 } else { BLOCKING_NICE };
            lower_priority((own + lower + more).min(MAX_NICE));
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name_fn(name_of_next)
            .on_thread_start(set_priority)
            .enable_all()
            .build()?;
        wait_for_workers(&runtime, workers);
        Ok(Self(Some(runtime)))
    }

    /// While the guard exists, what this thread spawns runs on the threads for requests. Threads that are
    /// started meanwhile keep the priority of this one.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle().enter()
    }

    /// The runtime.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        let runtime = self.0.as_ref();
        runtime.expect("it is taken when it is dropped").handle()
    }
}

impl Drop for RequestThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting for them would block, and the lifecycle has waited already.
            runtime.shutdown_background();
        }
    }
}

/// Waits until every worker runs. A thread for blocking work that starts before one of them would become a worker
/// in its place, and keep the lower priority.
fn wait_for_workers(runtime: &Runtime, workers: usize) {
    let deadline = Instant::now() + WORKERS_START;
    let until_all_run = move |running: &AtomicUsize| {
        while running.load(Ordering::SeqCst) < workers && Instant::now() < deadline {
            thread::sleep(WORKERS_POLL);
        }
    };
    let running = Arc::new(AtomicUsize::new(0));
    for _ in 0..workers {
        let running = Arc::clone(&running);
        // It blocks its worker, so that each of them runs one.
        runtime.spawn(async move {
            running.fetch_add(1, Ordering::SeqCst);
            until_all_run(&running);
        });
    }
    until_all_run(&running);
}

/// The number of cores that the process may use.
#[must_use]
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The lowest priority of Linux.
const MAX_NICE: i32 = 19;

/// The nice value of this thread; 0 if the system does not tell it.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn own_nice() -> i32 {
    rustix::process::getpriority_process(None).unwrap_or(0)
}

/// On Linux the nice value belongs to a thread (setpriority(2), "C library/kernel differences").
#[cfg(any(target_os = "android", target_os = "linux"))]
fn lower_priority(nice: i32) {
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::warn!(%error, "the threads for requests have the priority of all others");
    }
}

/// Elsewhere it belongs to the process.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn own_nice() -> i32 {
    0
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn lower_priority(_: i32) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn requests_give_way_and_threads_for_streams_do_not() {
        let own = own_nice();
        for (class, lower) in [
            (RequestClass::Webhooks, WEBHOOK_NICE),
            (RequestClass::Clients, CLIENT_NICE),
        ] {
            let threads = RequestThreads::start(class).unwrap();
            let (worker, blocking) = threads.handle().block_on(async {
                let worker = tokio::spawn(async { own_nice() });
                let blocking = tokio::task::spawn_blocking(own_nice);
                let (worker, blocking) = tokio::join!(worker, blocking);
                (worker.unwrap(), blocking.unwrap())
            });
            let expected = [lower, lower + BLOCKING_NICE].map(|more| (own + more).min(MAX_NICE));
            assert_eq!([worker, blocking], expected, "{class:?}");
            // As reactors are started.
            let _entered = threads.enter();
            let started = thread::spawn(own_nice).join().unwrap();
            assert_eq!(started, own);
        }
    }
}
