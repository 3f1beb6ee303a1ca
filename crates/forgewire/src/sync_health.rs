//! The admin listener of a sync process, as commands ask it.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, Uri, uri::PathAndQuery};
use http_body_util::{BodyExt, Full, Limited};
use http_client::{ConnectSettings, http_client, server_url};
use serde_json::Value;
use tokio::time::timeout;

/// Time limit of the whole exchange, and of its connect.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest `/health` that is read: many times what sync tells.
const MAX_HEALTH_BYTES: usize = 64 << 20;

/// Where sync is, and how its answer is printed.
#[derive(Debug, Args)]
pub(crate) struct SyncHealthArgs {
    /// URL of the admin listener of the sync process (`admin.listen`). Of several replicas, each knows what it does itself.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3009", value_parser = health_url)]
    url: Uri,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What sync tells under a name in its part of `/health`.
///
/// # Errors
/// Nobody answers there, or nobody who is sync.
pub(crate) async fn sync_health(args: &SyncHealthArgs, name: &str) -> anyhow::Result<Value> {
    let url = &args.url;
    let health = timeout(ANSWER_TIMEOUT, health(url)).await;
    let mut health = health.with_context(|| format!("{url} does not answer"))??;
    let Some(told) = health.pointer_mut(&format!("/details/sync/{name}")) else {
        bail!(
            "the process of {url} has no sync role, or one of another version; use the admin listener of one that has \
             (`admin.listen`)"
        );
    };
    Ok(told.take())
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
