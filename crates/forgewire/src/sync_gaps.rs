//! `forgewire sync gaps`: which webhooks GitHub sent and no ingest stored, as the admin listener of sync tells it.

use std::{fmt, time::Duration};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, Uri, uri::PathAndQuery};
use http_body_util::{BodyExt, Full, Limited};
use http_client::{ConnectSettings, http_client, quoted, server_url};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

/// Time limit of the whole exchange, and of its connect.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest `/health` that is read: many times what sync tells.
const MAX_HEALTH_BYTES: usize = 4 << 20;

/// Where sync is, and how its answer is printed.
#[derive(Debug, Args)]
pub(crate) struct SyncGapsArgs {
    /// URL of the admin listener of the sync process (`admin.listen`). Of several replicas, one sweeps at a time and
    /// knows.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3009", value_parser = health_url)]
    url: Uri,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Asks sync, and gives what is printed.
///
/// # Errors
/// Nobody answers there, or nobody who is sync.
pub(crate) async fn sync_gaps(args: &SyncGapsArgs) -> anyhow::Result<String> {
    let url = &args.url;
    let health = timeout(ANSWER_TIMEOUT, health(url)).await;
    let health = health.with_context(|| format!("{url} does not answer"))??;
    let Some(gaps) = health.pointer("/details/sync/gaps") else {
        bail!(
            "the process of {url} has no sync role; use the admin listener of one that has (`admin.listen`)"
        );
    };
    if args.json {
        return Ok(gaps.to_string());
    }
    let told = ToldGaps::deserialize(gaps).context("sync is of another version")?;
    Ok(told.to_string().trim_end().to_owned())
}

fn health_url(text: &str) -> anyhow::Result<Uri> {
    let url = server_url(text)?;
    ensure!(
        ["", "/", "/health"].contains(&url.path()) && url.query().is_none(),
        "it is the address of a listener, without a path"
    );
    let mut parts = url.into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("/health"));
    Ok(Uri::from_parts(parts)?)
}

async fn health(url: &Uri) -> anyhow::Result<Value> {
    let settings = ConnectSettings {
        connect_timeout: ANSWER_TIMEOUT,
        keepalive: None,
        idle_timeout: ANSWER_TIMEOUT,
    };
    let client = http_client([url], settings).context("reading the certificates of the system")?;
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = url.clone();
    let answer = client.request(request).await;
    let answer = answer.with_context(|| format!("{url} cannot be reached"))?;
    let status = answer.status();
    ensure!(
        status == StatusCode::OK,
        "{url} answers {status}: it is no admin listener"
    );
    let body = Limited::new(answer.into_body(), MAX_HEALTH_BYTES);
    let body = body.collect().await.map_err(|error| anyhow::anyhow!(error));
    let body = body.with_context(|| format!("reading {url}"))?.to_bytes();
    serde_json::from_slice(&body).with_context(|| format!("{url} is no admin listener"))
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
