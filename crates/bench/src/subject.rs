//! The subject of a measurement: real forgewire processes, started for the run and used only from
//! outside.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use testkit::cluster::{FaultOutcome, System, SystemKind, SystemNode};
use tokio::runtime::{Builder, Runtime};

use crate::load::IngestTarget;

/// The variable that names the binary to start; testkit reads it.
pub(crate) const BINARY_VARIABLE: &str = "FORGEWIRE_BIN";
/// More than any measurement opens; below the usual hard limit of 20,000 file descriptors.
const MAX_STREAMS: &str = "19500";
/// Number of a cluster's edges over which streams are spread.
const EDGES: usize = 2;

/// Two ways to run the same code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Topology {
    /// One process, SQLite, in-process bus.
    Embedded,
    /// Several processes, NATS JetStream, Redis.
    Cluster,
}

impl Topology {
    pub(crate) const ALL: [Self; 2] = [Self::Embedded, Self::Cluster];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Cluster => "cluster",
        }
    }
}

/// One process that serves streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EdgeProcess {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
}

/// A running forgewire; stopped in order when dropped.
#[derive(Debug)]
pub(crate) struct BenchSystem {
    pub(crate) ingest: IngestTarget,
    /// The edges over which streams are spread: one when embedded, two in a cluster.
    pub(crate) edges: Vec<EdgeProcess>,
    /// Address of the session store, in a cluster.
    pub(crate) redis: Option<SocketAddr>,
    /// Taken on drop.
    system: Option<System>,
    runtime: Runtime,
}

impl BenchSystem {
    /// Starts the system; its files are created in a new folder in `scratch`.
    pub(crate) fn start(topology: Topology, scratch: &Path) -> Result<Self> {
        let (kind, edge_count) = match topology {
            Topology::Embedded => (SystemKind::Embedded, 1),
            Topology::Cluster => (SystemKind::Cluster, EDGES),
        };
        let folder = tempfile::Builder::new()
            .prefix(&format!("{}-", topology.name()))
            .tempdir_in(scratch)?
            .keep();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let starting = System::start_with(kind, |mut plan| {
            plan.dir = Some(folder);
            plan.own_groups = true;
            // A third edge would only take CPU from the others.
            plan.with_replicas("edge", EDGES)
                .with_env("FORGEWIRE_EDGE__MAX_STREAMS", MAX_STREAMS)
                // Without tokens all clients are one.
                .with_env("FORGEWIRE_EDGE__RATES__WAITING_CALLS", MAX_STREAMS)
                .with_env("RUST_LOG", "warn")
        });
        let mut system = runtime.block_on(starting)?;
        let mut edges = Vec::new();
        for index in 0..edge_count {
            let name = match topology {
                Topology::Embedded => "forgewire".to_owned(),
                Topology::Cluster => format!("edge-{}", index + 1),
            };
            let address = address(&system.edges()[index])?;
            let pid = system
                .cluster()
                .process(&name)?
                .id()
                .context("an edge is not running")?;
            edges.push(EdgeProcess { address, pid });
        }
        let ingests = system
            .ingests()
            .iter()
            .map(address)
            .collect::<Result<Vec<_>>>()?;
        let ingest = IngestTarget {
            addresses: ingests,
            secret: system.secret().to_owned(),
        };
        let redis = system.cluster().port("redis");
        Ok(Self {
            ingest,
            edges,
            redis: redis.map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
            system: Some(system),
            runtime,
        })
    }

    /// Starts the first edge again on the same address and data; embedded, that is the whole system.
    pub(crate) fn restart_edge(&mut self) -> Result<EdgeProcess> {
        let system = self.system.as_mut().context("the system was stopped")?;
        let restarted = self.runtime.block_on(system.restart(SystemNode::Edge(0)))?;
        ensure!(
            restarted == FaultOutcome::Done,
            "the edge was not restarted"
        );
        let edge = self.edges.first_mut().context("there is no edge")?;
        let name = match system.kind() {
            SystemKind::Embedded => "forgewire",
            SystemKind::Cluster => "edge-1",
        };
        let pid = system.cluster().process(name)?.id();
        edge.pid = pid.context("the edge is not running")?;
        Ok(*edge)
    }

    /// Addresses of all edges.
    pub(crate) fn edge_addresses(&self) -> Vec<SocketAddr> {
        self.edges.iter().map(|edge| edge.address).collect()
    }
}

impl Drop for BenchSystem {
    fn drop(&mut self) {
        if let Some(system) = self.system.take()
            && let Err(error) = self.runtime.block_on(system.stop())
        {
            eprintln!("  stopping: {error:#}");
        }
    }
}

fn address(url: &reqwest::Url) -> Result<SocketAddr> {
    let addresses = url
        .socket_addrs(|| None)
        .with_context(|| format!("no address: {url}"))?;
    addresses
        .first()
        .copied()
        .with_context(|| format!("no address: {url}"))
}

/// The release build beside this program.
pub(crate) fn release_binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let target = own
        .parent()
        .and_then(Path::parent)
        .context("this program has no folder")?;
    let path = target.join("release").join("forgewire");
    ensure!(
        path.exists(),
        "{} does not exist: run `cargo build --release -p forgewire`, or set {BINARY_VARIABLE}",
        path.display()
    );
    Ok(path)
}
