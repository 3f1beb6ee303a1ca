//! Clocks that are wrong: retention of a log that has no clock of its own.

use anyhow::{Context, Result, ensure};
use model::{Clock, SystemClock, Timestamp};
use serde_json::Value;
use testkit::cluster::{FaultOutcome, System, SystemKind, SystemNode};
use tests::{only, until};

use crate::sending::GithubSender;

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Stops the embedded process, changes its file, and starts it.
async fn changed(system: &mut System, sql: &str) -> Result<()> {
    ensure!(system.terminate(SystemNode::Ingest(0)).await? == FaultOutcome::Done);
    let file = system.cluster().data("forgewire").join("forgewire.db");
    rusqlite::Connection::open(file)?.execute_batch(sql)?;
    ensure!(system.restart(SystemNode::Ingest(0)).await? == FaultOutcome::Done);
    Ok(())
}

async fn events(system: &System) -> Result<usize> {
    let url = system.edges()[0].join("/events/recent?limit=50")?;
    let page: Value = reqwest::get(url).await?.json().await?;
    Ok(page["events"].as_array().context("a list of events")?.len())
}

async fn metric(system: &System, name: &str) -> Result<f64> {
    let url = system.admin(SystemNode::Ingest(0))?.join("/metrics")?;
    let text = reqwest::get(url).await?.text().await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.with_context(|| format!("{name} is missing in:\n{text}"))?;
    Ok(value.trim().parse()?)
}

/// The clock cannot be set here, so the file says that the last run was long before: as after a start with
/// a clock that is days ahead.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_at_the_start_removes_nothing_at_once() -> Result<()> {
    only(
        SystemKind::Embedded,
        |plan| plan,
        async |system| {
            GithubSender::of(system, 141).events(5).await?;
            let now = SystemClock.now();
            let old = now.minus(20 * DAY);
            let aged = |kept: Timestamp| {
                let (old, kept) = (old.unix_millis(), kept.unix_millis());
                format!(
                    "UPDATE events SET received_at = {old}, watermark = {old}; \
                 UPDATE meta SET value = {kept} WHERE key = 'retention_time'"
                )
            };
            changed(system, &aged(old)).await?;
            until("retention has looked", async || {
                let behind = metric(system, "forgewire_retention_behind_seconds");
                behind
                    .await
                    .is_ok_and(|seconds| seconds > 19.0 * 24.0 * 3600.0)
            })
            .await?;
            ensure!(
                events(system).await? == 5,
                "the clock alone removes nothing"
            );
            let errors = system.cluster().process("forgewire")?.errors()?;
            ensure!(
                errors.contains("moved further than time passed"),
                "{errors}"
            );

            changed(system, &aged(now)).await?;
            until("retention has removed them", async || {
                events(system).await.is_ok_and(|events| events == 0)
            })
            .await
        },
    )
    .await
}
