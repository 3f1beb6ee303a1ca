//! The way from a node to a store: calls take time, hang and fail, and those of a dead node have no effect.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use ports::StoreFailure;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep, sleep_until};

/// The longest way to a store, and back, while it is well.
const MAX_WAY: Duration = Duration::from_millis(2);

/// Whether a store answers.
#[derive(Debug)]
pub(crate) struct Outages(Mutex<State>);

#[derive(Debug)]
struct State {
    random: StdRng,
    /// Calls fail until then.
    fails_until: Instant,
    /// Calls do not answer before then.
    hangs_until: Instant,
    /// The beginnings of all outages.
    began: Vec<Instant>,
}

impl Outages {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            random: StdRng::seed_from_u64(seed),
            fails_until: Instant::now(),
            hangs_until: Instant::now(),
            began: Vec::new(),
        })))
    }

    pub(crate) fn fail_for(&self, time: Duration) {
        let mut state = self.0.lock();
        state.fails_until = Instant::now() + time;
        state.began.push(Instant::now());
    }

    pub(crate) fn hang_for(&self, time: Duration) {
        let mut state = self.0.lock();
        state.hangs_until = Instant::now() + time;
        state.began.push(Instant::now());
    }

    /// The number of outages that began within this time.
    pub(crate) fn recent(&self, time: Duration) -> usize {
        let state = self.0.lock();
        state.began.iter().filter(|at| at.elapsed() < time).count()
    }

    pub(crate) fn heal(&self) {
        let mut state = self.0.lock();
        (state.fails_until, state.hangs_until) = (Instant::now(), Instant::now());
    }

    pub(crate) fn fails(&self) -> bool {
        Instant::now() < self.0.lock().fails_until
    }

    async fn hang(&self) {
        let until = self.0.lock().hangs_until;
        if Instant::now() < until {
            sleep_until(until).await;
        }
    }

    /// The ways of a call, and whether an outage meets its answer instead of the call itself.
    fn call(&self) -> (Duration, Duration, bool) {
        let random = &mut self.0.lock().random;
        let mut way = || match random.random_range(0..4) {
            0 => MAX_WAY.mul_f64(random.random::<f64>()),
            _ => Duration::ZERO,
        };
        (way(), way(), random.random())
    }
}

/// Whether a node lives. A dead one has no more effect on anything.
#[derive(Clone, Debug)]
pub(crate) struct NodeLife(Arc<AtomicBool>);

impl NodeLife {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    pub(crate) fn lives(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Returns while the node lives, and never afterwards.
    async fn check(&self) {
        if !self.lives() {
            std::future::pending::<()>().await;
        }
    }
}

/// A node's connection to a store.
#[derive(Clone, Debug)]
pub(crate) struct StoreLink {
    pub(crate) outages: Arc<Outages>,
    pub(crate) node: NodeLife,
}

impl StoreLink {
    /// Makes a call; in an outage it may have had its effect, or not.
    pub(crate) async fn call<T, E: From<StoreFailure>>(
        &self,
        op: &'static str,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let (there, back, is_done) = self.outages.call();
        pass(there).await;
        if !is_done {
            self.outages.hang().await;
            self.fail(op)?;
        }
        self.node.check().await;
        let answer = work.await;
        pass(back).await;
        if is_done {
            self.outages.hang().await;
            self.fail(op)?;
        }
        self.node.check().await;
        answer
    }

    fn fail<E: From<StoreFailure>>(&self, op: &'static str) -> Result<(), E> {
        match self.outages.fails() {
            true => Err(StoreFailure::unavailable(op, "the simulation says so").into()),
            false => Ok(()),
        }
    }
}

async fn pass(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}
