//! One set of calls for scenarios, on both topologies.

use std::fmt;

use anyhow::{Context, Result};
use reqwest::Url;

use super::{Cluster, ClusterPlan};

/// Number of edges that scenarios see. On the embedded topology all are the same process.
const EDGES: usize = 3;
/// Number of ingests that scenarios see.
const INGESTS: usize = 2;

/// The topology of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum SystemKind {
    /// All roles in one process on SQLite and the in-process bus.
    Embedded,
    /// NATS, Redis, 2 ingests, 1 sync, 3 edges and a balancer.
    Cluster,
}

impl SystemKind {
    /// Both topologies.
    pub const ALL: [Self; 2] = [Self::Embedded, Self::Cluster];
}

impl fmt::Display for SystemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Cluster => "cluster",
        })
    }
}

/// A part of the system that a scenario can kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SystemNode {
    /// An edge, from 0.
    Edge(usize),
    /// An ingest, from 0.
    Ingest(usize),
    /// The sync role.
    Sync,
    /// The NATS server.
    Nats,
    /// The Redis server.
    Redis,
}

impl fmt::Display for SystemNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edge(at) => write!(f, "edge-{}", at + 1),
            Self::Ingest(at) => write!(f, "ingest-{}", at + 1),
            Self::Sync => f.write_str("sync"),
            Self::Nats => f.write_str("nats"),
            Self::Redis => f.write_str("redis"),
        }
    }
}

/// Whether a fault was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a fault that was not applied proves nothing"]
pub enum FaultOutcome {
    /// The fault was applied.
    Done,
    /// This topology has no such part, for this reason: report the scenario as skipped.
    NotApplicable(&'static str),
}

/// A running system.
#[derive(Debug)]
pub struct System {
    kind: SystemKind,
    cluster: Cluster,
    edges: Vec<Url>,
    ingests: Vec<Url>,
    balancer: Url,
    ingest_balancer: Url,
}

impl System {
    /// Starts the system in a temporary folder and waits until all of it is ready.
    ///
    /// # Errors
    /// A program is not installed or not built, or a process does not become ready; the error
    /// quotes the last lines of the logs.
    pub async fn start(kind: SystemKind) -> Result<Self> {
        Self::start_with(kind, |plan| plan).await
    }

    /// Starts the system with an adjusted plan, for instance `|plan| plan.with_env("FORGEWIRE_…",
    /// "…")`.
    ///
    /// # Errors
    /// As [`System::start`].
    pub async fn start_with(
        kind: SystemKind,
        adjust: impl FnOnce(ClusterPlan) -> ClusterPlan,
    ) -> Result<Self> {
        let plan = adjust(match kind {
            SystemKind::Embedded => ClusterPlan::embedded()?,
            SystemKind::Cluster => ClusterPlan::cluster()?,
        });
        let cluster = Cluster::start(plan, |_| {}).await;
        let cluster = cluster.with_context(|| format!("the {kind} system does not start"))?;
        Self::over(kind, cluster)
    }

    pub(super) fn over(kind: SystemKind, cluster: Cluster) -> Result<Self> {
        let (edges, ingests, balancer, ingest_balancer) = match kind {
            SystemKind::Embedded => {
                let (edge, ingest) = (cluster.url("edge")?, cluster.url("ingest")?);
                (
                    vec![edge.clone(); EDGES],
                    vec![ingest.clone(); INGESTS],
                    edge,
                    ingest,
                )
            }
            SystemKind::Cluster => {
                let all = |role: &str| -> Result<Vec<Url>> {
                    let is_replica = |name: &&str| {
                        name.strip_prefix(role)
                            .is_some_and(|rest| rest.starts_with('-'))
                    };
                    let names = cluster.names();
                    names
                        .into_iter()
                        .filter(is_replica)
                        .map(|name| cluster.url(name))
                        .collect()
                };
                let (edges, ingests) = (all("edge")?, all("ingest")?);
                (
                    edges,
                    ingests,
                    cluster.url("balancer")?,
                    cluster.url("balancer.ingest")?,
                )
            }
        };
        Ok(Self {
            kind,
            cluster,
            edges,
            ingests,
            balancer,
            ingest_balancer,
        })
    }

    /// The topology of this system.
    #[must_use]
    pub fn kind(&self) -> SystemKind {
        self.kind
    }

    /// Base URLs of the edges, three unless the plan says otherwise. Embedded: the same one each
    /// time.
    #[must_use]
    pub fn edges(&self) -> &[Url] {
        &self.edges
    }

    /// Base URLs of the ingests, two unless the plan says otherwise. Embedded: the same one each
    /// time.
    #[must_use]
    pub fn ingests(&self) -> &[Url] {
        &self.ingests
    }

    /// Base URL of the balancer in front of the edges. Embedded: the edge.
    #[must_use]
    pub fn balancer(&self) -> &Url {
        &self.balancer
    }

    /// Base URL of the balancer in front of the ingests. Embedded: the ingest.
    #[must_use]
    pub fn ingest_balancer(&self) -> &Url {
        &self.ingest_balancer
    }

    /// The webhook secret.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.cluster.secret()
    }

    /// Base URL of a node's admin listener (`/livez`, `/readyz`, `/health`, `/metrics`).
    ///
    /// # Errors
    /// NATS and Redis have no admin listener, and the node must be part of the plan.
    pub fn admin(&self, node: SystemNode) -> Result<Url> {
        match (self.kind, node) {
            (_, SystemNode::Nats | SystemNode::Redis) => {
                anyhow::bail!("{node} has no admin listener")
            }
            (SystemKind::Embedded, _) => self.cluster.url("admin"),
            (SystemKind::Cluster, _) => self.cluster.url(&format!("{node}.admin")),
        }
    }

    /// The process of a node; on the embedded topology all roles are one.
    pub(super) fn process_name(&self, node: SystemNode) -> Result<String, &'static str> {
        match (self.kind, node) {
            (SystemKind::Cluster, _) => Ok(node.to_string()),
            (SystemKind::Embedded, SystemNode::Nats) => Err("the embedded system has no NATS"),
            (SystemKind::Embedded, SystemNode::Redis) => Err("the embedded system has no Redis"),
            (SystemKind::Embedded, _) => Ok("forgewire".to_owned()),
        }
    }

    /// Sends SIGKILL and returns when the process is gone. Embedded: all roles share one process,
    /// so killing any role kills all.
    ///
    /// # Errors
    /// The plan has no such node.
    pub fn kill(&mut self, node: SystemNode) -> Result<FaultOutcome> {
        match self.process_name(node) {
            Ok(name) => self.cluster.kill(&name).map(|()| FaultOutcome::Done),
            Err(reason) => Ok(FaultOutcome::NotApplicable(reason)),
        }
    }

    /// Starts the node again on the same addresses and data, and waits until it is ready.
    ///
    /// # Errors
    /// The plan has no such node, or it does not become ready in time.
    pub async fn restart(&mut self, node: SystemNode) -> Result<FaultOutcome> {
        match self.process_name(node) {
            Ok(name) => self
                .cluster
                .restart(&name)
                .await
                .map(|()| FaultOutcome::Done),
            Err(reason) => Ok(FaultOutcome::NotApplicable(reason)),
        }
    }

    /// Sends SIGTERM and waits for the orderly end: a drain.
    ///
    /// # Errors
    /// The plan has no such node, it is not running, or it does not end successfully within ten
    /// seconds.
    pub async fn terminate(&mut self, node: SystemNode) -> Result<FaultOutcome> {
        match self.process_name(node) {
            Ok(name) => self
                .cluster
                .terminate(&name)
                .await
                .map(|()| FaultOutcome::Done),
            Err(reason) => Ok(FaultOutcome::NotApplicable(reason)),
        }
    }

    /// The underlying processes, for signals and logs.
    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Stops everything in order.
    ///
    /// # Errors
    /// A process had to be killed; all processes have ended even then.
    pub async fn stop(self) -> Result<()> {
        self.cluster.stop(|_| {}).await
    }
}
