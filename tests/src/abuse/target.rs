//! The system under attack: its addresses, and the tokens of everybody.

use std::net::SocketAddr;

use access::TokenDigest;
use anyhow::{Context, Result};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use testkit::cluster::{ClusterPlan, System, SystemKind, SystemNode};

use crate::soak::client::STATE_KEY;

/// The token of the honest clients.
pub(crate) const HONEST_TOKEN: &str = "fw_honest-honest-honest-honest-honest-honest";
/// The principal of the honest clients.
pub(crate) const HONEST: &str = "honest";
/// The token of permitted attackers; it has the permission `read`.
pub(crate) const READER_TOKEN: &str = "fw_mallory-mallory-mallory-mallory-mallory";
/// The token of attackers who may send messages to all sessions.
pub(crate) const OPERATOR_TOKEN: &str = "fw_trudy-trudy-trudy-trudy-trudy-trudy-trudy";
/// No line for each delivery and event.
const LOGGED: &str = "info,webhook_ingest=warn,fanout=warn";

/// A running system.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AbuseTarget {
    /// Its topology.
    pub(crate) kind: SystemKind,
    /// The edges; attackers and honest clients use them directly, because a balancer shields them.
    pub(crate) edges: Vec<SocketAddr>,
    /// The ingests.
    pub(crate) ingests: Vec<SocketAddr>,
    /// The gRPC listener of sync.
    pub(crate) sync: SocketAddr,
    /// The admin listeners of all processes.
    pub(crate) admins: Vec<SocketAddr>,
    /// NATS, if there is one.
    pub(crate) nats: Option<SocketAddr>,
    /// The secret of the webhooks.
    pub(crate) secret: String,
}

impl AbuseTarget {
    /// Starts a system whose edges ask for tokens. The folder holds the token file.
    pub(crate) async fn start(kind: SystemKind) -> Result<(System, Self, TempDir)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("tokens.toml");
        std::fs::write(&path, token_file()?)?;
        let tokens = path
            .to_str()
            .context("a temporary folder has a UTF-8 name")?;
        let keys = serde_json::json!([STATE_KEY]).to_string();
        let adjust = |plan: ClusterPlan| {
            plan.with_env("FORGEWIRE_AUTH__MODE", "tokens")
                .with_env("FORGEWIRE_AUTH__TOKEN_FILE", tokens)
                .with_env("FORGEWIRE_EDGE__STATE_KEYS", &keys)
                // A single process on one machine does not need it; here its gRPC listener is attacked.
                .with_env("FORGEWIRE_ROLES__KEYS", &keys)
                .with_env("FORGEWIRE_TELEMETRY__FILTER", LOGGED)
        };
        let mut system = System::start_with(kind, adjust).await?;
        let sync = port(system.cluster().port("sync"), "sync")?;
        let nats = system.cluster().port("nats");
        let addresses = |urls: &[Url]| urls.iter().map(address).collect::<Result<Vec<_>>>();
        let mut edges = addresses(system.edges())?;
        let mut ingests = addresses(system.ingests())?;
        // On the embedded topology all are the same.
        edges.dedup();
        ingests.dedup();
        let mut target = Self {
            kind,
            edges,
            ingests,
            sync,
            admins: Vec::new(),
            nats: nats.map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
            secret: system.secret().to_owned(),
        };
        let admins = target.nodes().into_iter();
        let admins = admins.map(|node| address(&system.admin(node)?));
        target.admins = admins.collect::<Result<_>>()?;
        Ok((system, target, folder))
    }

    /// The processes that run Forgewire, by their names in the process file; and for each its roles' names.
    pub(crate) fn nodes(&self) -> Vec<SystemNode> {
        match self.kind {
            SystemKind::Embedded => vec![SystemNode::Edge(0)],
            SystemKind::Cluster => {
                let edges = (0..self.edges.len()).map(SystemNode::Edge);
                let ingests = (0..self.ingests.len()).map(SystemNode::Ingest);
                edges.chain(ingests).chain([SystemNode::Sync]).collect()
            }
        }
    }

    /// The name of a node's process.
    pub(crate) fn process_name(&self, node: SystemNode) -> String {
        match self.kind {
            SystemKind::Embedded => "forgewire".to_owned(),
            SystemKind::Cluster => node.to_string(),
        }
    }
}

fn token_file() -> Result<String> {
    let mut text = String::new();
    for (token, principal, permissions) in [
        (HONEST_TOKEN, HONEST, "\"read\""),
        (READER_TOKEN, "mallory", "\"read\""),
        (OPERATOR_TOKEN, "trudy", "\"read\", \"admin\""),
    ] {
        let sha256 = TokenDigest::of_new(token)?.to_hex();
        text += &format!(
            "[[token]]\nid = \"{principal}\"\nsha256 = \"{sha256}\"\nprincipal = \"{principal}\"\n\
             permissions = [{permissions}]\n"
        );
    }
    Ok(text)
}

fn port(port: Option<u16>, name: &str) -> Result<SocketAddr> {
    let port = port.with_context(|| format!("{name} has no port"))?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn address(url: &Url) -> Result<SocketAddr> {
    let found = url.socket_addrs(|| None)?.into_iter().next();
    found.with_context(|| format!("{url} has no address"))
}
