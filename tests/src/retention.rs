//! Retention at work: removes events from the store of the system under test, with the same adapters.

use anyhow::{Context, Result, ensure};
use model::{Sequence, Timestamp};
use ports::EventLog;
use store_layers::StoredLog;
use store_sqlite::Database;
use testkit::cluster::{System, SystemKind, SystemNode};

use crate::newer_ingest::open_jetstream;

/// Removes the events that were received before a time; returns when the first one that is left was
/// received. The embedded system is stopped meanwhile, because its file belongs to one process.
///
/// # Errors
/// The store fails, nothing was removed or nothing is left, or the system does not become ready again.
pub async fn remove_events_before(system: &mut System, time: Timestamp) -> Result<Timestamp> {
    match system.kind() {
        SystemKind::Cluster => {
            let (_, log) = open_jetstream(system).await?;
            remove(&log, time).await
        }
        SystemKind::Embedded => {
            let process = SystemNode::Ingest(0);
            let _ = system.terminate(process).await?;
            let database = Database::open(&system.cluster().dir().join("forgewire/forgewire.db"))?;
            let first = remove(&StoredLog::new(database.log_store()), time).await;
            database.close().await?;
            let _ = system.restart(process).await?;
            first
        }
    }
}

async fn remove(log: &dyn EventLog, time: Timestamp) -> Result<Timestamp> {
    ensure!(log.trim(time).await? > 0, "nothing was removed");
    let page = log.read_after(Sequence::START, 1).await?;
    let first = page.events.first().context("nothing is left")?;
    Ok(first.item.facts.received_at)
}
