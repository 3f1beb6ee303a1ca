//! Stores whose content is compressed and sealed: clients notice nothing, and the files give nothing away.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::{
    cluster::{ClusterPlan, SystemKind, SystemNode},
    mcp_client::McpClient,
};
use tests::{EventReader, ReaderKind, both_with, every_node_is_ready, settle};

use crate::sending::GithubSender;

/// What every event has in its JSON, and no file may have.
const CONTENT: &[u8] = b"\"resourceType\"";

fn with_layers(plan: ClusterPlan) -> ClusterPlan {
    let keys = json!(["a key that seals in the scenarios, as long as it has to be"]).to_string();
    plan.with_env("FORGEWIRE_LAYERS__COMPRESS", "true")
        .with_env("FORGEWIRE_LAYERS__SEAL_KEYS", &keys)
        .with_env("FORGEWIRE_LAYERS__ACCEPT_UNSEALED", "false")
}

/// The files of stores in a folder that hold some bytes: of SQLite, its write-ahead log, and JetStream's blocks.
fn files_with(folder: &Path, bytes: &[u8]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes)?);
            continue;
        }
        let name = path.display().to_string();
        let is_of_store = [".db", ".db-wal", ".blk"]
            .iter()
            .any(|end| name.ends_with(end));
        if is_of_store
            && fs::read(&path)?
                .windows(bytes.len())
                .any(|part| part == bytes)
        {
            found.push(name);
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_stores_serve_the_same_events_and_give_none_away() -> Result<()> {
    both_with(with_layers, async |system| {
        let mut github = GithubSender::of(system, 72);
        let edges = system.edges().to_vec();
        let readers = EventReader::on_every_edge(&edges, &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(5).await?;
        settle(&github.ledger, &names).await?;
        let client = McpClient::connect(&edges[0]).await?;
        client.read_resource(&edges[1], "github://events").await?;
        let node = match system.kind() {
            SystemKind::Embedded => SystemNode::Ingest(0),
            SystemKind::Cluster => SystemNode::Edge(0),
        };
        let _ = system.terminate(node).await?;
        let _ = system.restart(node).await?;
        github.events(5).await?;
        settle(&github.ledger, &names).await?;
        let from = Some("2020-01-01T00:00:00Z".to_owned());
        let edges = system.edges().to_vec();
        let late = EventReader::start(
            "late",
            ReaderKind::Events,
            &edges[1..],
            0,
            from,
            &github.ledger,
        );
        settle(&github.ledger, &[late.await?.name()]).await?;
        every_node_is_ready(system).await?;
        let open = files_with(system.cluster().dir(), CONTENT)?;
        ensure!(open.is_empty(), "events can be read in {open:?}");
        // The search finds what is there: names are not sealed.
        let ids = files_with(system.cluster().dir(), b"events")?;
        ensure!(!ids.is_empty(), "no file of a store was searched");
        Ok(())
    })
    .await
}
