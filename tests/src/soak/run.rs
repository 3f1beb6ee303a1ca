//! The whole run, from the start of the cluster to the report.

use std::{
    net::{SocketAddr, SocketAddrV4},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::Url;
use testkit::cluster::{ClusterPlan, FaultOutcome, System, SystemKind, SystemNode};

use super::{
    SoakOptions, SoakReport,
    books::Books,
    client::STATE_KEY,
    faults::{Fault, Faults},
    hostile::{Hostile, Tallies},
    pool::{Pool, PoolCommand},
    processes::{Comparison, Sample, SoakEdge, compare, compare_idle, descriptors},
    sender::Senders,
    sessions,
    world::MarkedWebhook,
};

/// Number of edges in the cluster.
const EDGES: usize = 3;
/// Time allowed for the streams to open, in addition to one second for each of this many streams.
const OPEN_SECONDS: u64 = 60;
const OPENS_PER_SECOND: u64 = 200;
/// Time until an edge that was killed is restarted.
const RESTART_AFTER: Duration = Duration::from_secs(5);
/// Interval at which a line is printed and the edges are measured.
const PROGRESS: Duration = Duration::from_secs(10);
/// Interval at which the clock is checked.
const TICK: Duration = Duration::from_millis(50);
/// Time allowed, after the last event was sent, until every stream has received everything.
const SETTLE: Duration = Duration::from_secs(60);
/// Time allowed for an answer of an admin listener.
const METRICS_SECONDS: u64 = 5;
/// Tolerance for holding a stream whose client does not read, beyond its bound: the interval at
/// which it is checked.
const HELD_SLACK_SECONDS: u64 = 10;

/// Runs the soak; progress goes to standard error.
///
/// # Errors
/// The soak could not be run. Broken promises are in the report.
pub async fn run(options: &SoakOptions) -> Result<SoakReport> {
    options.check()?;
    let heartbeat = options.heartbeat_seconds.to_string();
    let keys = serde_json::json!([STATE_KEY]).to_string();
    let adjust = |plan: ClusterPlan| {
        plan.with_env("FORGEWIRE_EDGE__HEARTBEAT_SECONDS", &heartbeat)
            .with_env("FORGEWIRE_EDGE__STATE_KEYS", &keys)
    };
    let mut system = System::start_with(SystemKind::Cluster, adjust).await?;
    match Soak::over(options, &mut system).await {
        Ok(report) => {
            system.stop().await?;
            Ok(report)
        }
        Err(error) => {
            let lines = system.cluster().last_lines();
            Err(error.context(format!("last lines:\n{lines}")))
        }
    }
}

struct Soak<'a> {
    options: &'a SoakOptions,
    system: &'a mut System,
    began: Instant,
    http: reqwest::Client,
    /// Start time of each edge.
    since: [Instant; EDGES],
    /// Edges that are down, and when they will be restarted.
    down_until: [Option<Instant>; EDGES],
    rng: StdRng,
    books: Arc<Books>,
    samples: Vec<Sample>,
    faults: Faults,
    kills: u64,
}

impl<'a> Soak<'a> {
    async fn over(options: &'a SoakOptions, system: &'a mut System) -> Result<SoakReport> {
        let began = Instant::now();
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(METRICS_SECONDS))
            .build()?;
        let mut soak = Self {
            options,
            system,
            began,
            http,
            since: [began; EDGES],
            down_until: [None; EDGES],
            rng: StdRng::seed_from_u64(options.seed ^ 0x6b69_6c6c),
            books: Arc::new(Books::new()),
            samples: Vec::new(),
            faults: Faults::default(),
            kills: 0,
        };
        soak.print_step("the cluster is running");
        let idle = soak.idle_descriptors().await?;
        soak.run_all(idle).await
    }

    /// Prints a step that is complete, as progress.
    fn print_step(&self, what: &str) {
        let seconds = self.books.now_millis() / 1000;
        eprintln!("{what}, {seconds} s after the start");
    }

    async fn run_all(mut self, idle: Vec<(String, u64)>) -> Result<SoakReport> {
        let balancer = self.system.balancer().clone();
        let (session_requests, requested_sessions) = tokio::sync::mpsc::unbounded_channel();
        let (making, made) = mpsc::channel();
        let making = sessions::make(balancer.clone(), requested_sessions, making);
        let books = Arc::clone(&self.books);
        let pool = Pool::start(
            self.options,
            address(&balancer)?,
            books,
            session_requests,
            made,
        )?;
        let witnessed = |pool: &Pool| pool.figures().witnessed;
        self.await_streams(&pool, "the first stream is", witnessed)
            .await?;
        let hook = MarkedWebhook::new(self.options.seed, self.system.secret());
        let (ingest, rate) = (
            self.system.ingest_balancer(),
            self.options.events_per_second,
        );
        let senders = Senders::start(ingest, &hook, &self.books, rate);
        let streams = self.options.streams;
        let opened = |pool: &Pool| pool.figures().open >= streams;
        self.await_streams(&pool, "all streams are", opened).await?;
        self.print_step("all streams are open");

        let edges = self.system.edges().iter().map(address);
        let edges: Vec<_> = edges
            .map(|edge| edge.map(SocketAddr::V4))
            .collect::<Result<_>>()?;
        let hostile = Hostile::start(self.options.hostile, &edges, self.options.seed);
        self.hold(&pool, &hostile).await?;
        self.print_step("the run is over");
        pool.send(PoolCommand::Churn(0));
        self.faults.append(senders.stop().await);
        let settled_seconds = self.settle(&pool).await?;
        self.print_step("every stream is settled or given up");
        let mut streams = pool.figures();
        let tallies = hostile.stop().await;
        // The thread first completes its turn, a few milliseconds.
        self.faults.append(pool.close()?);
        making.abort();
        streams.faults = self.faults.total();

        let mut comparisons = compare(&self.samples, self.options.seconds);
        comparisons.extend(self.released(&idle).await?);
        self.print_step("descriptors are back or given up");
        self.judge(&comparisons, &tallies);
        let (sent, acknowledged) = self.books.totals();
        Ok(SoakReport {
            seconds: self.options.seconds,
            sent,
            acknowledged,
            kills: self.kills,
            settled_seconds,
            streams,
            hostile: tallies,
            samples: self.samples,
            comparisons,
            faults: self.faults,
        })
    }

    /// Waits until streams are open.
    async fn await_streams(
        &self,
        pool: &Pool,
        what: &str,
        opened: impl Fn(&Pool) -> bool,
    ) -> Result<()> {
        let within = OPEN_SECONDS + self.options.streams as u64 / OPENS_PER_SECOND;
        let deadline = Instant::now() + Duration::from_secs(within);
        while !opened(pool) {
            ensure!(pool.is_running(), "the streams' thread has ended");
            let figures = pool.figures();
            ensure!(
                Instant::now() < deadline,
                "not after {within} s: {what} open: {figures:?}"
            );
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    /// The run itself: churn, kills, restarts, samples.
    async fn hold(&mut self, pool: &Pool, hostile: &Hostile) -> Result<()> {
        let (start, lasting) = (Instant::now(), self.options.lasting());
        // Samples count from here on, and their thirds are those of the run.
        self.began = start;
        pool.send(PoolCommand::Churn(self.options.churn_per_second));
        let every = Duration::from_secs(self.options.kill_every_seconds);
        let (mut next_kill, mut next_line) = (start + every, start + PROGRESS);
        while start.elapsed() < lasting {
            ensure!(pool.is_running(), "the streams' thread has ended");
            let now = Instant::now();
            if !every.is_zero() && now >= next_kill {
                next_kill += every;
                let edge = self.rng.random_range(0..EDGES);
                self.kill(edge)?;
            }
            for edge in 0..EDGES {
                if self.down_until[edge].is_some_and(|until| now >= until) {
                    self.restart_edge(edge).await?;
                }
            }
            if now >= next_line {
                next_line += PROGRESS;
                self.sample_edges(pool, hostile).await;
            }
            tokio::time::sleep(TICK).await;
        }
        for edge in 0..EDGES {
            if self.down_until[edge].is_some() {
                self.restart_edge(edge).await?;
            }
        }
        Ok(())
    }

    fn kill(&mut self, edge: usize) -> Result<()> {
        if self.down_until[edge].is_some() {
            return Ok(());
        }
        ensure!(self.system.kill(SystemNode::Edge(edge))? == FaultOutcome::Done);
        self.down_until[edge] = Some(Instant::now() + RESTART_AFTER);
        self.kills += 1;
        Ok(())
    }

    async fn restart_edge(&mut self, edge: usize) -> Result<()> {
        self.since[edge] = Instant::now();
        ensure!(self.system.restart(SystemNode::Edge(edge)).await? == FaultOutcome::Done);
        self.down_until[edge] = None;
        Ok(())
    }

    /// Measures the edges, and prints a line.
    async fn sample_edges(&mut self, pool: &Pool, hostile: &Hostile) {
        let mut memory = Vec::new();
        for edge in 0..EDGES {
            if self.down_until[edge].is_some() {
                memory.push("down".to_owned());
                continue;
            }
            match self.sample(edge).await {
                Ok(sample) => {
                    let (kib, fds, streams) = (sample.rss_kib, sample.descriptors, sample.streams);
                    memory.push(format!("{} MiB {streams}/{fds}", kib / 1024));
                    self.samples.push(sample);
                }
                // Too busy to answer in time: no sample, and if this persists, the streams will
                // show it.
                Err(error) => memory.push(format!("{error}")),
            }
        }
        let (figures, (sent, _)) = (pool.figures(), self.books.totals());
        let held = hostile
            .tallies()
            .into_iter()
            .filter(|(manner, _)| manner.is_bounded());
        let held = held
            .map(|(_, tally)| tally.longest_seconds)
            .max()
            .unwrap_or(0);
        eprintln!(
            "[{:4} s] {} open, {sent} sent, {} came (p99 < {} ms), {} resumed, {} churned, {} kills, {} \
             faults, held {held} s; edges (streams/descriptors): {}",
            self.began.elapsed().as_secs(),
            figures.open,
            figures.events,
            figures.delays.below_millis(990),
            figures.resumed,
            figures.churned,
            self.kills,
            figures.faults + self.faults.total(),
            memory.join(", ")
        );
    }

    fn pid(&mut self, name: &str) -> Result<u32> {
        let process = self.system.cluster().process(name)?;
        process
            .id()
            .with_context(|| format!("{name} is not running"))
    }

    async fn sample(&mut self, number: usize) -> Result<Sample> {
        let edge = SoakEdge {
            number,
            pid: self.pid(&SystemNode::Edge(number).to_string())?,
            admin: self.system.admin(SystemNode::Edge(number))?,
            since: self.since[number],
        };
        edge.sample(&self.http, self.began).await
    }

    /// Waits until every stream has received everything; gives the seconds that this took.
    async fn settle(&mut self, pool: &Pool) -> Result<f64> {
        let start = Instant::now();
        pool.send(PoolCommand::Settle);
        loop {
            ensure!(pool.is_running(), "the streams' thread has ended");
            match pool.figures().unsettled {
                Some(0) => break,
                Some(left) if start.elapsed() > SETTLE => {
                    let what = || format!("{left} streams miss something after {SETTLE:?}");
                    self.faults.add(Fault::Unfinished, what);
                    break;
                }
                _ => tokio::time::sleep(TICK).await,
            }
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// The processes whose descriptors must be released, and their current numbers.
    fn descriptors_now(&mut self) -> Result<Vec<(String, u64)>> {
        let edges = (0..EDGES).map(|edge| SystemNode::Edge(edge).to_string());
        let others = ["ingest-1", "ingest-2"].map(str::to_owned);
        edges
            .chain(others)
            .map(|name| Ok((name.clone(), descriptors(self.pid(&name)?)?)))
            .collect()
    }

    /// Descriptors without any client, once they no longer change.
    async fn idle_descriptors(&mut self) -> Result<Vec<(String, u64)>> {
        let deadline = Instant::now() + self.options.release();
        let mut before = self.descriptors_now()?;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.descriptors_now()?;
            if now == before || Instant::now() > deadline {
                return Ok(now);
            }
            before = now;
        }
    }

    /// Waits until the numbers of descriptors are as when idle.
    async fn released(&mut self, idle: &[(String, u64)]) -> Result<Vec<Comparison>> {
        let deadline = Instant::now() + self.options.release();
        loop {
            let now = self.descriptors_now()?;
            let pairs = idle.iter().zip(&now);
            let compared =
                pairs.map(|((name, before), (_, after))| compare_idle(name, *before, *after));
            let compared: Vec<_> = compared.collect();
            if compared.iter().all(Comparison::is_flat) || Instant::now() > deadline {
                return Ok(compared);
            }
            tokio::time::sleep(TICK).await;
        }
    }

    fn judge(&mut self, comparisons: &[Comparison], tallies: &Tallies) {
        for one in comparisons.iter().filter(|one| !one.is_flat()) {
            self.faults.add(one.fault, || {
                format!(
                    "{}: {} → {}, at most {}",
                    one.what, one.first, one.last, one.most
                )
            });
        }
        let bound = self.options.max_held_seconds;
        for (manner, tally) in tallies.iter().filter(|(manner, _)| manner.is_bounded()) {
            let held = tally.longest_seconds;
            if bound > 0 && held > bound + HELD_SLACK_SECONDS {
                let what = || format!("{manner:?} was held for {held} s, at most {bound}");
                self.faults.add(Fault::HeldTooLong, what);
            }
        }
    }
}

fn address(url: &Url) -> Result<SocketAddrV4> {
    let found = url
        .socket_addrs(|| None)?
        .into_iter()
        .find_map(|address| match address {
            SocketAddr::V4(address) => Some(address),
            SocketAddr::V6(_) => None,
        });
    found.with_context(|| format!("{url} has no IPv4 address"))
}
