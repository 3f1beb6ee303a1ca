//! `forgewire sync gaps`: which webhooks GitHub sent and no ingest stored, as the admin listener of sync tells it.

use std::fmt;

use anyhow::Context;
use http_client::quoted;
use serde::Deserialize;

use crate::sync_health::{SyncHealthArgs, sync_health};

/// Asks sync, and gives what is printed. Of several replicas, one sweeps at a time and knows.
///
/// # Errors
/// Nobody answers there, or nobody who is sync.
pub(crate) async fn sync_gaps(args: &SyncHealthArgs) -> anyhow::Result<String> {
    let gaps = sync_health(args, "gaps").await?;
    if args.json {
        return Ok(gaps.to_string());
    }
    let told = ToldGaps::deserialize(gaps).context("sync is of another version")?;
    Ok(told.to_string().trim_end().to_owned())
}

/// What sync tells, as far as it is printed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldGaps {
    looked_for: bool,
    #[serde(default)]
    sweeper: String,
    last_sweep: Option<ToldSweep>,
    last_whole_sweep: Option<String>,
    #[serde(default)]
    pending: usize,
    #[serde(default)]
    places: Vec<ToldPlace>,
    #[serde(default)]
    recent: Vec<ToldGap>,
}

#[derive(Deserialize)]
struct ToldSweep {
    at: String,
    end: String,
    found: usize,
    repaired: usize,
    unrepairable: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldPlace {
    place: String,
    webhooks: usize,
    failing_since: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldGap {
    at: String,
    place: String,
    delivery: String,
    event: String,
    delivered_at: String,
    status_code: u16,
    outcome: String,
}

impl fmt::Display for ToldGaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.looked_for {
            return f.write_str(
                "lost webhooks are not looked for: sync needs credentials (github.token_file, or github.app_id and \
                 github.private_key_file), places (sync.repositories, sync.organizations or sync.app_webhook), and \
                 sync.sweep_seconds above 0",
            );
        }
        writeln!(f, "sweeps: {}", quoted(&self.sweeper))?;
        match &self.last_sweep {
            None => writeln!(f, "last sweep: none yet")?,
            Some(last) => writeln!(
                f,
                "last sweep: {} ({}), {} found, {} repaired, {} given up",
                quoted(&last.at),
                quoted(&last.end),
                last.found,
                last.repaired,
                last.unrepairable
            )?,
        }
        let whole = self.last_whole_sweep.as_deref().unwrap_or("none yet");
        writeln!(f, "last whole sweep: {}", quoted(whole))?;
        writeln!(f, "waiting to be fetched: {}", self.pending)?;
        self.places.iter().try_for_each(|place| place.line(f))?;
        match self.recent.is_empty() {
            true => writeln!(f, "no gap yet"),
            false => self.recent.iter().try_for_each(|gap| gap.line(f)),
        }
    }
}

impl ToldPlace {
    fn line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "place {}: ", quoted(&self.place))?;
        match &self.failing_since {
            None => writeln!(f, "ok, {} webhook(s)", self.webhooks),
            Some(since) => {
                let reason = self.reason.as_deref().unwrap_or("unknown reason");
                writeln!(f, "failing since {}: {}", quoted(since), quoted(reason))
            }
        }
    }
}

impl ToldGap {
    fn line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (event, place) = (quoted(&self.event), quoted(&self.place));
        writeln!(
            f,
            "gap {}: {} {event} of {place}, delivered {} with status {}, id {}",
            quoted(&self.at),
            quoted(&self.outcome),
            quoted(&self.delivered_at),
            self.status_code,
            quoted(&self.delivery)
        )
    }
}
