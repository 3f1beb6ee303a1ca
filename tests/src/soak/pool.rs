//! All streams on one thread with epoll: opens and reads them, closes some on purpose, and resumes
//! after the last cursor when one breaks.

mod connection;
mod figures;
mod reading;
mod streams;

use std::{
    net::SocketAddrV4,
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use anyhow::{Context, Result};

use super::{
    books::Books,
    faults::Faults,
    options::SoakOptions,
    sessions::{SoakSessionRequest, SoakSessionResult},
};
pub(crate) use figures::StreamFigures;
use streams::SoakStreams;

/// A command to the pool.
#[derive(Debug)]
pub(crate) enum PoolCommand {
    /// From now on, close and open this many streams per second; 0 stops the churn.
    Churn(u32),
    /// No more events are sent: report how many streams still miss some.
    Settle,
    /// Close all streams, and end.
    Close,
}

/// The thread that holds the streams.
#[derive(Debug)]
pub(crate) struct Pool {
    commands: mpsc::Sender<PoolCommand>,
    figures: Arc<Mutex<StreamFigures>>,
    thread: Option<std::thread::JoinHandle<Result<Faults>>>,
}

impl Pool {
    /// Starts to open streams at the balancer. Sessions are requested through `session_requests` and
    /// delivered through `session_results`.
    pub(crate) fn start(
        options: &SoakOptions,
        balancer: SocketAddrV4,
        books: Arc<Books>,
        session_requests: tokio::sync::mpsc::UnboundedSender<SoakSessionRequest>,
        session_results: mpsc::Receiver<SoakSessionResult>,
    ) -> Result<Self> {
        let (commands, taken) = mpsc::channel();
        let figures = Arc::new(Mutex::new(StreamFigures::default()));
        let streams =
            SoakStreams::new(options, balancer, books, session_requests, session_results)?;
        let shared = Arc::clone(&figures);
        let thread = std::thread::Builder::new().name("streams".to_owned());
        let thread = thread.spawn(move || streams.run(&taken, &shared));
        Ok(Self {
            commands,
            figures,
            thread: Some(thread.context("starting the streams' thread")?),
        })
    }

    /// Sends a command. The thread may have ended with an error, which [`Self::close`] gives.
    pub(crate) fn send(&self, command: PoolCommand) {
        let _ = self.commands.send(command);
    }

    /// The latest figures.
    pub(crate) fn figures(&self) -> StreamFigures {
        let figures = self.figures.lock();
        figures.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the thread is still running.
    pub(crate) fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    /// Closes every stream, and gives the faults found.
    ///
    /// # Errors
    /// The thread failed.
    pub(crate) fn close(mut self) -> Result<Faults> {
        self.send(PoolCommand::Close);
        let thread = self.thread.take().context("the pool is closed once")?;
        match thread.join() {
            Ok(faults) => faults,
            Err(_) => anyhow::bail!("the streams' thread panicked"),
        }
    }
}
