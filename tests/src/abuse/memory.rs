//! The resident memory of the processes, measured on a thread of its own.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use testkit::cluster::{System, SystemNode};

use super::target::AbuseTarget;
use crate::soak::processes::rss_kib;

/// Interval at which the processes are measured.
const EVERY: Duration = Duration::from_millis(100);

/// A process.
#[derive(Debug, Clone)]
pub(crate) struct WatchedProcess {
    /// The role, or any role of the one process.
    pub(crate) node: SystemNode,
    /// Its name in the process file.
    pub(crate) name: String,
    pid: u32,
    /// The most memory since the last [`MemoryWatch::take`].
    pub(crate) most_kib: u64,
    /// Whether it could be measured the last time.
    pub(crate) is_alive: bool,
}

/// The watch; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    processes: Arc<Mutex<Vec<WatchedProcess>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MemoryWatch {
    /// Starts to measure all processes that run Forgewire.
    ///
    /// # Errors
    /// A process is not running.
    pub(crate) fn start(system: &mut System, target: &AbuseTarget) -> Result<Self> {
        let mut processes = Vec::new();
        for node in target.nodes() {
            let name = target.process_name(node);
            let pid = system.cluster().process(&name)?.id();
            processes.push(WatchedProcess {
                node,
                pid: pid.with_context(|| format!("{name} is not running"))?,
                name,
                most_kib: 0,
                is_alive: true,
            });
        }
        let processes = Arc::new(Mutex::new(processes));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&processes), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("memory".to_owned());
        let thread = thread.spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                measure(&mut shared.lock().unwrap_or_else(PoisonError::into_inner));
                std::thread::sleep(EVERY);
            }
        });
        Ok(Self {
            processes,
            stop,
            thread: Some(thread.context("starting the watch of memory")?),
        })
    }

    /// The most memory of each process since the last call.
    pub(crate) fn take(&self) -> Vec<WatchedProcess> {
        let processes = self.processes.lock();
        let mut processes = processes.unwrap_or_else(PoisonError::into_inner);
        measure(&mut processes);
        let taken = processes.clone();
        for process in processes.iter_mut() {
            process.most_kib = 0;
        }
        taken
    }
}

fn measure(processes: &mut [WatchedProcess]) {
    for process in processes {
        match rss_kib(process.pid) {
            Ok(kib) => process.most_kib = process.most_kib.max(kib),
            Err(_) => process.is_alive = false,
        }
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It only measures.
            let _ = thread.join();
        }
    }
}
