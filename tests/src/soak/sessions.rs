//! Creates the MCP sessions of the streams that need one, and ends them when their client leaves.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use testkit::mcp_client::McpClient;
use tokio::{
    sync::{Semaphore, mpsc::UnboundedReceiver},
    task::JoinHandle,
};

use super::world::SoakFilter;

/// Number of sessions that are created concurrently.
const AT_ONCE: usize = 16;
/// Attempts for one session: an edge may die during any step.
const TRIES: usize = 8;
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// Time allowed for ending a session.
const END_SECONDS: u64 = 5;

/// A slot needs a session.
#[derive(Debug)]
pub(crate) struct SoakSessionRequest {
    pub(crate) slot: usize,
    pub(crate) serial: u32,
    pub(crate) filter: SoakFilter,
    /// The session of the slot's previous client.
    pub(crate) previous_session: Option<String>,
}

/// The result of creating a session.
#[derive(Debug)]
pub(crate) struct SoakSessionResult {
    pub(crate) slot: usize,
    pub(crate) serial: u32,
    pub(crate) filter: SoakFilter,
    /// Its id, or the reason why there is none.
    pub(crate) session: Result<String, String>,
}

/// Creates the requested sessions until the requests end.
pub(crate) fn make(
    balancer: Url,
    mut session_requests: UnboundedReceiver<SoakSessionRequest>,
    made: mpsc::Sender<SoakSessionResult>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.expect("a client without TLS has nothing that can fail");
        while let Some(request) = session_requests.recv().await {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let (balancer, made, http) = (balancer.clone(), made.clone(), http.clone());
            tokio::spawn(async move {
                if let Some(previous_session) = &request.previous_session {
                    end(&http, &balancer, previous_session).await;
                }
                let session = open(&balancer, request.filter).await;
                // The receiver is gone when the run is over.
                let _ = made.send(SoakSessionResult {
                    slot: request.slot,
                    serial: request.serial,
                    filter: request.filter,
                    session: session.map_err(|error| format!("{error:#}")),
                });
                drop(permit);
            });
        }
    })
}

async fn open(balancer: &Url, filter: SoakFilter) -> Result<String> {
    let mut tries = 0;
    loop {
        tries += 1;
        match open_once(balancer, filter).await {
            Err(_) if tries < TRIES => tokio::time::sleep(PAUSE).await,
            last => return last.with_context(|| format!("after {tries} tries")),
        }
    }
}

async fn open_once(balancer: &Url, filter: SoakFilter) -> Result<String> {
    let client = McpClient::connect(balancer).await?;
    let call = client.call_tool(balancer, "subscribe_to_events", filter.arguments());
    let answer = call.await?;
    ensure!(
        answer["isError"] != true,
        "the subscription failed: {answer}"
    );
    let id = client.session_id().context("the edge gave no session id")?;
    Ok(id.to_owned())
}

/// Ends a session. If that fails because an edge dies, the session stays idle until it expires.
async fn end(http: &reqwest::Client, balancer: &Url, session: &str) {
    let mut url = balancer.clone();
    url.set_path("/mcp");
    let request = http
        .delete(url)
        .header("mcp-session-id", session)
        .timeout(Duration::from_secs(END_SECONDS));
    let _ = request.send().await;
}
