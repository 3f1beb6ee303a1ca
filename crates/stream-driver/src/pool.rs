//! The reactors of a listener.

use std::{
    fmt, io,
    net::TcpStream,
    sync::{Arc, atomic::Ordering},
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, watch},
};
use tracing::error;

use crate::{
    StreamSource,
    kernel::{self, Poll, Waker},
    reactor::{NewStream, Reactor, ReactorPhase, ReactorShared, WAKE},
    ready::ReadyQueue,
    sync::{AtomicU8, AtomicUsize, Builder, Mutex},
};

/// Threads that own the sockets of streams. Dropping it closes all of them.
pub struct Reactors {
    reactors: Vec<Arc<ReactorShared>>,
    /// Each thread holds a receiver until its end.
    running: watch::Sender<()>,
}

impl Reactors {
    /// Starts `threads` threads; sources are polled on them, inside the current runtime.
    ///
    /// # Errors
    /// The process is out of descriptors or threads.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(threads: usize) -> io::Result<Self> {
        let mut reactors = Self {
            reactors: Vec::with_capacity(threads),
            running: watch::Sender::new(()),
        };
        for index in 0..threads {
            reactors.start_one(index)?;
        }
        Ok(reactors)
    }

    fn start_one(&mut self, index: usize) -> io::Result<()> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let wake = move || {
            if let Err(error) = waker.wake() {
                error!(%error, "a reactor cannot be woken");
            }
        };
        let shared = Arc::new(ReactorShared {
            ready: Arc::new(ReadyQueue::new(wake)),
            adopted: Mutex::default(),
            streams: AtomicUsize::new(0),
            phase: AtomicU8::new(ReactorPhase::Runs as u8),
        });
        let reactor = Reactor::new(poll, Arc::clone(&shared));
        let (runtime, runs) = (Handle::current(), self.running.subscribe());
        let run = move || {
            // Dropped at the thread's end, even after a panic.
            let _runs = runs;
            let _entered = runtime.enter();
            reactor.run();
        };
        Builder::new().name(format!("streams-{index}")).spawn(run)?;
        self.reactors.push(shared);
        Ok(())
    }

    /// Assigns a stream to the thread that has the fewest. The head and all earlier frames must have been
    /// sent; `permit` is released with the stream.
    pub fn adopt(
        &self,
        socket: TcpStream,
        source: Box<dyn StreamSource>,
        permit: OwnedSemaphorePermit,
    ) {
        self.assign(kernel::TcpStream::from_std(socket), source, permit);
    }

    pub(crate) fn assign(
        &self,
        socket: kernel::TcpStream,
        source: Box<dyn StreamSource>,
        permit: OwnedSemaphorePermit,
    ) {
        let streams = |reactor: &&Arc<ReactorShared>| reactor.streams.load(Ordering::Relaxed);
        let Some(reactor) = self.reactors.iter().min_by_key(streams) else {
            return;
        };
        reactor.streams.fetch_add(1, Ordering::Relaxed);
        reactor.adopted.lock().push(NewStream {
            socket,
            source,
            permit,
        });
        reactor.ready.wake_thread();
    }

    /// Number of streams that the threads have.
    #[must_use]
    pub fn streams(&self) -> usize {
        let streams = |reactor: &Arc<ReactorShared>| reactor.streams.load(Ordering::Relaxed);
        self.reactors.iter().map(streams).sum()
    }

    /// Resolves when a thread has ended unexpectedly.
    pub async fn failed(&self) {
        let all = self.reactors.len();
        loop {
            if self.running.receiver_count() < all {
                return;
            }
            // Checked periodically: the end of one of several threads sends no notification.
            tokio::time::sleep(THREAD_CHECK_INTERVAL).await;
        }
    }

    /// Waits until the last stream has ended. No stream may be added from now on.
    pub async fn finish(&self) {
        for reactor in &self.reactors {
            reactor.enter(ReactorPhase::Finishes);
        }
        self.running.closed().await;
    }
}

/// Interval at which all threads are checked.
const THREAD_CHECK_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

impl Drop for Reactors {
    fn drop(&mut self) {
        for reactor in &self.reactors {
            reactor.enter(ReactorPhase::Stops);
        }
    }
}

impl fmt::Debug for Reactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactors")
            .field("threads", &self.reactors.len())
            .field("streams", &self.streams())
            .finish()
    }
}
