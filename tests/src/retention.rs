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
    let first = remove_from(system, time).await?;
    first.context("nothing is left")
}

/// Removes all events, as [`remove_events_before`] does.
///
/// # Errors
/// The store fails, nothing was removed or something is left, or the system does not become ready again.
pub async fn remove_all_events(system: &mut System) -> Result<()> {
    let first = remove_from(system, Timestamp::MAX).await?;
    ensure!(first.is_none(), "something is left");
    Ok(())
}

async fn remove_from(system: &mut System, time: Timestamp) -> Result<Option<Timestamp>> {
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

async fn remove(log: &dyn EventLog, time: Timestamp) -> Result<Option<Timestamp>> {
    ensure!(log.trim(time).await? > 0, "nothing was removed");
    let page = log.read_after(Sequence::START, 1).await?;
    let first = page.events.first();
    Ok(first.map(|first| first.item.facts.received_at))
}
