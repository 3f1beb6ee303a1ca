//! The honest streams, of every kind, on a thread of their own; nothing that attackers do in this process delays
//! them. A stream that ends is a broken promise, because no edge is stopped; its client comes back.

mod account;
mod connection;
mod http_sse;
mod lines;
mod shared;
mod sse;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{runtime::Handle, sync::watch};

use crate::soak::{
    books::Books,
    faults::{Fault, Faults},
    world::{REPOSITORIES, SoakFilter},
};
use account::HonestKind;
use shared::HonestShared;

/// Time allowed for all streams to open.
const OPEN_DEADLINE: Duration = Duration::from_secs(60);
/// Pause before a client whose stream ended comes back.
const RETURN_PAUSE: Duration = Duration::from_millis(200);
/// Interval at which conditions are checked.
const TICK: Duration = Duration::from_millis(50);
/// The first streams want all repositories of an owner each, so that every event is received on some stream.
const OWNERS: usize = 5;
/// Percentage of the others that want one issue; the rest want one repository.
const ISSUE_PERCENT: u32 = 25;

/// All honest streams.
#[derive(Debug)]
pub(crate) struct HonestStreams {
    shared: Arc<HonestShared>,
    runtime: Handle,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl HonestStreams {
    /// Opens `count` streams on the edges in turn; returns once all are open.
    ///
    /// # Errors
    /// Not all of them open within a minute.
    pub(crate) async fn open(
        edges: &[SocketAddr],
        count: usize,
        seed: u64,
        books: &Arc<Books>,
    ) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let shared = Arc::new(HonestShared::new(Arc::clone(books), count));
        let mut rng = StdRng::seed_from_u64(seed);
        for at in 0..count {
            let stream = HonestStream {
                at,
                edge: edges[at % edges.len()],
                kind: HonestKind::of(at),
                filter: filter(at, &mut rng),
                shared: Arc::clone(&shared),
            };
            handle.spawn(stream.run(stopped.clone()));
        }
        let mut until = stopped.clone();
        let thread = std::thread::Builder::new().name("honest".to_owned());
        let thread = thread.spawn(move || {
            // The sender of the signal is gone: the run has failed.
            let _ = runtime.block_on(until.wait_for(|stopped| *stopped));
        });
        let streams = Self {
            shared,
            runtime: handle,
            stop,
            thread: Some(thread.context("starting the thread of honest clients")?),
        };
        streams.await_open(count).await?;
        Ok(streams)
    }

    async fn await_open(&self, count: usize) -> Result<()> {
        let deadline = Instant::now() + OPEN_DEADLINE;
        while self.shared.open_count() < count {
            let (open, faults) = (self.shared.open_count(), self.shared.faults());
            ensure!(
                Instant::now() < deadline,
                "{open} of {count} honest streams are open after {OPEN_DEADLINE:?}: {faults:?}"
            );
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    /// The runtime of the honest clients' thread.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The times from before a delivery until its arrival, in microseconds, since the last call; and the number
    /// of updates on listen streams, which carry no event.
    pub(crate) fn take_arrivals(&self) -> (Vec<u64>, u64) {
        let updates = self.shared.updates.swap(0, Ordering::SeqCst);
        (self.shared.take_micros(), updates)
    }

    /// Number of streams that are open.
    pub(crate) fn open_count(&self) -> usize {
        self.shared.open_count()
    }

    /// The faults so far.
    pub(crate) fn faults(&self) -> Faults {
        self.shared.faults()
    }

    /// Waits until every stream has received all that was sent by now, which has to be accepted for it; gives the
    /// seconds that it took.
    pub(crate) async fn settle(&self, within: Duration) -> f64 {
        let (began, newest) = (Instant::now(), self.shared.newest_sent());
        loop {
            let unsettled = self.shared.unsettled(&newest);
            if unsettled.is_empty() {
                break;
            }
            if began.elapsed() > within {
                for what in unsettled {
                    self.shared.add(Fault::Unfinished, || what);
                }
                break;
            }
            tokio::time::sleep(TICK).await;
        }
        began.elapsed().as_secs_f64()
    }

    /// Closes all streams; gives every fault.
    pub(crate) fn close(mut self) -> Faults {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of a stream has not ended the thread.
            let _ = thread.join();
        }
        self.shared.close()
    }
}

impl HonestKind {
    /// Of ten streams, four are of events, two of sessions, and two of the stateless era; one is of lines, and
    /// one of HTTP+SSE.
    fn of(at: usize) -> Self {
        match at % 10 {
            _ if at < OWNERS => Self::Events,
            1 | 5 => Self::Session,
            3 | 7 => Self::Listen,
            8 => Self::Lines,
            9 => Self::HttpSse,
            _ => Self::Events,
        }
    }
}

fn filter(at: usize, rng: &mut StdRng) -> SoakFilter {
    if at < OWNERS {
        return SoakFilter::owner(at);
    }
    let repository = rng.random_range(0..REPOSITORIES);
    match rng.random_range(0..100) < ISSUE_PERCENT {
        true => SoakFilter::issue(repository, rng.random_range(0..10)),
        false => SoakFilter::repository(repository),
    }
}

/// A stream and its client.
struct HonestStream {
    at: usize,
    edge: SocketAddr,
    kind: HonestKind,
    filter: SoakFilter,
    shared: Arc<HonestShared>,
}

impl HonestStream {
    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut client = None;
        loop {
            let one = async {
                match self.kind {
                    HonestKind::Lines => {
                        lines::hold(&self.shared, self.at, self.edge, self.filter).await
                    }
                    HonestKind::HttpSse => {
                        http_sse::hold(&self.shared, self.at, self.edge, self.filter).await
                    }
                    _ => {
                        let at = (self.at, self.edge);
                        sse::hold(&self.shared, at, self.kind, self.filter, &mut client).await
                    }
                }
            };
            let ended = tokio::select! {
                ended = one => ended,
                _ = stopped.wait_for(|stopped| *stopped) => return,
            };
            let (at, kind) = (self.at, self.kind);
            self.shared.set_open(at, false);
            self.shared.add(Fault::Broken, || match ended {
                Ok(()) => format!("stream {at} ({kind:?}) was ended"),
                Err(error) => format!("stream {at} ({kind:?}): {error:#}"),
            });
            tokio::time::sleep(RETURN_PAUSE).await;
        }
    }
}
