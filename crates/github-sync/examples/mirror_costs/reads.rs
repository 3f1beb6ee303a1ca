//! Reads: in the process of the sync role, over gRPC, and over gRPC through the cache of an edge.
//!
//! The workload: 50 agents read issues of one repository, one after the other, while 5 events a second happen there. Of 2,000 issues,
//! the n-th is read and changed 1/n times as often as the first (Zipf), and each second read is of the issue of the newest event.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use event_flow::follow::{FollowOptions, follow};
use github_sync::client;
use mirror_cache::{
    cache::{MirrorCache, MirrorCacheParts},
    limits::DEFAULT_MAX_BYTES,
    metrics::MirrorCacheMetrics,
};
use model::{LogPosition, ResourceUri, Sequence};
use ports::ResourceReader;
use role_keys::RoleTrust;
use service_kit::lifecycle::{Lifecycle, OnExit};
use tokio::time::{Instant, interval};

use crate::world::{World, caught_up, start};

const ISSUES: u64 = 2_000;
const AGENTS: u64 = 50;
const EVENTS_PER_SECOND: u64 = 5;
const LASTING: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(5);

pub(crate) async fn run() -> Result<()> {
    let world = World::new();
    world.fill(ISSUES, 0).await?;
    let lifecycle = Lifecycle::new(Duration::from_secs(1));
    let (running, endpoint) = start(&world, &lifecycle).await?;
    caught_up(&running).await?;
    measure(&world, "in process", running.reader()).await?;
    let remote = client::connect(&endpoint, DEADLINE, RoleTrust::none())?;
    measure(&world, "over gRPC", remote).await?;
    let cached = cache(&world, &endpoint, &lifecycle)?;
    let reader = Arc::<MirrorCache>::clone(&cached);
    measure(&world, "over gRPC, cached", reader).await?;
    println!("the cache: {}", cached.view());
    let empty = cache(&world, &endpoint, &lifecycle)?;
    each_once("over gRPC, nothing cached", empty).await?;
    each_once("in process, labels as they were", running.reader()).await?;
    world.rename_labels(10 * ISSUES).await?;
    caught_up(&running).await?;
    each_once("in process, labels renamed since", running.reader()).await
}

/// The workload.
async fn measure(world: &World, name: &str, reader: Arc<dyn ResourceReader>) -> Result<()> {
    let happening = tokio::spawn(keep_happening(world.clone()));
    let agents = (0..AGENTS).map(|seed| agent(world.clone(), Arc::clone(&reader), seed));
    let measured = all(name, agents.collect()).await;
    happening.abort();
    measured
}

/// Every issue is read once, by 50 agents.
async fn each_once(name: &str, reader: Arc<dyn ResourceReader>) -> Result<()> {
    let agents = (0..AGENTS).map(|first| {
        let reader = Arc::clone(&reader);
        async move {
            let mut took = Vec::new();
            for number in (first + 1..=ISSUES).step_by(AGENTS as usize) {
                took.push(read(&reader, number, None).await?);
            }
            Ok(took)
        }
    });
    all(name, agents.collect()).await
}

/// Waits for agents, and prints what their reads took.
async fn all<F>(name: &str, agents: Vec<F>) -> Result<()>
where
    F: Future<Output = Result<Vec<u64>>> + Send + 'static,
{
    let began = Instant::now();
    let agents: Vec<_> = agents.into_iter().map(tokio::spawn).collect();
    let mut took = Vec::new();
    for agent in agents {
        took.extend(agent.await??);
    }
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |of_hundred: usize| took[(took.len() - 1) * of_hundred / 100];
    println!(
        "{name}: {rate:.0} reads/s, p50 {} µs, p99 {} µs",
        at(50),
        at(99)
    );
    Ok(())
}

/// The time of a read, in microseconds.
async fn read(
    reader: &Arc<dyn ResourceReader>,
    number: u64,
    seen: Option<LogPosition>,
) -> Result<u64> {
    let uri = ResourceUri::parse(&format!("github://issues/octo/cat/{number}"))?;
    let began = Instant::now();
    let state = reader.get_resource(&uri, seen, None).await?;
    let took = began.elapsed().as_micros();
    state.context("an issue")?;
    Ok(u64::try_from(took)?)
}

/// Reads of one agent, in microseconds.
async fn agent(world: World, reader: Arc<dyn ResourceReader>, seed: u64) -> Result<Vec<u64>> {
    let head = world.log.head().await?;
    let seen = LogPosition {
        epoch: head.epoch,
        sequence: Sequence::START,
        tag: None,
    };
    let (mut numbers, mut took) = (Zipf::new(seed), Vec::new());
    let end = Instant::now() + LASTING;
    while Instant::now() < end {
        let number = match took.len() % 2 {
            0 => numbers.next(),
            _ => world.newest.load(Ordering::Relaxed),
        };
        took.push(read(&reader, number, Some(seen)).await?);
    }
    Ok(took)
}

async fn keep_happening(world: World) -> Result<()> {
    let (mut numbers, mut n) = (Zipf::new(99), 2 * ISSUES);
    let mut ticks = interval(Duration::from_millis(1000 / EVENTS_PER_SECOND));
    loop {
        ticks.tick().await;
        n += 1;
        world.happens(numbers.next(), n).await?;
    }
}

/// The cache of an edge that follows the log.
fn cache(world: &World, endpoint: &str, lifecycle: &Lifecycle) -> Result<Arc<MirrorCache>> {
    let cache = MirrorCache::over(MirrorCacheParts {
        resources: client::connect(endpoint, DEADLINE, RoleTrust::none())?,
        mirror: client::connect_mirror(endpoint, DEADLINE, RoleTrust::none())?,
        log: Arc::clone(&world.log),
        max_bytes: DEFAULT_MAX_BYTES,
        metrics: MirrorCacheMetrics::default(),
    });
    let followed = Arc::clone(&cache);
    let following = follow(
        Arc::clone(&world.log),
        Arc::clone(&world.bus),
        None,
        FollowOptions::default(),
        lifecycle.draining(),
        move |item| followed.apply(&item),
    );
    lifecycle.spawn("edge", OnExit::MayFinish, following);
    Ok(cache)
}

/// Numbers from 1 on, the n-th 1/n times as often as the first.
struct Zipf {
    sums: Vec<f64>,
    state: u64,
}

impl Zipf {
    fn new(seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=u32::try_from(ISSUES).expect("few")).map(|n| 1.0 / f64::from(n));
        let sums = weights.map(|weight| {
            sum += weight;
            sum
        });
        Self {
            sums: sums.collect(),
            state: seed * 2 + 1,
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let last = self.sums.last().copied().unwrap_or_default();
        let at = f64::from(u32::try_from(self.state >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        self.sums.partition_point(|sum| *sum < at * last) as u64 + 1
    }
}
