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
    options::Options,
    sessions::{Made, Wish},
};
pub(crate) use figures::Figures;
use streams::Streams;

/// A command to the pool.
#[derive(Debug)]
pub(crate) enum Order {
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
    orders: mpsc::Sender<Order>,
    figures: Arc<Mutex<Figures>>,
    thread: Option<std::thread::JoinHandle<Result<Faults>>>,
}

impl Pool {
    /// Starts to open streams at the balancer. Sessions are requested through `wishes` and
    /// delivered through `made`.
    pub(crate) fn start(
        options: &Options,
        balancer: SocketAddrV4,
        books: Arc<Books>,
        wishes: tokio::sync::mpsc::UnboundedSender<Wish>,
        made: mpsc::Receiver<Made>,
    ) -> Result<Self> {
        let (orders, taken) = mpsc::channel();
        let figures = Arc::new(Mutex::new(Figures::default()));
        let streams = Streams::new(options, balancer, books, wishes, made)?;
        let shared = Arc::clone(&figures);
        let thread = std::thread::Builder::new().name("streams".to_owned());
        let thread = thread.spawn(move || streams.run(&taken, &shared));
        Ok(Self {
            orders,
            figures,
            thread: Some(thread.context("starting the streams' thread")?),
        })
    }

    /// Sends a command. The thread may have ended with an error, which [`Self::close`] gives.
    pub(crate) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// The latest figures.
    pub(crate) fn figures(&self) -> Figures {
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
        self.order(Order::Close);
        let thread = self.thread.take().context("the pool is closed once")?;
        match thread.join() {
            Ok(faults) => faults,
            Err(_) => anyhow::bail!("the streams' thread panicked"),
        }
    }
}
