//! Makes the MCP sessions of those streams that need one, and ends them when their client leaves.

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

use super::world::Wanted;

/// Sessions that are made side by side.
const AT_ONCE: usize = 16;
/// Tries of one: an edge may die in the middle of each step.
const TRIES: usize = 8;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the end of a session may take.
const END_SECONDS: u64 = 5;

/// A slot wants a session.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) slot: usize,
    pub(crate) serial: u32,
    pub(crate) wanted: Wanted,
    /// The session of the client that was there before.
    pub(crate) leaves: Option<String>,
}

/// It was made, or could not be.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) slot: usize,
    pub(crate) serial: u32,
    pub(crate) wanted: Wanted,
    /// Its id, or why there is none.
    pub(crate) session: Result<String, String>,
}

/// Makes what is wished for, until nobody wishes any more.
pub(crate) fn make(
    balancer: Url,
    mut wishes: UnboundedReceiver<Wish>,
    made: mpsc::Sender<Made>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.expect("a client without TLS has nothing that can fail");
        while let Some(wish) = wishes.recv().await {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let (balancer, made, http) = (balancer.clone(), made.clone(), http.clone());
            tokio::spawn(async move {
                if let Some(leaves) = &wish.leaves {
                    end(&http, &balancer, leaves).await;
                }
                let session = open(&balancer, wish.wanted).await;
                // Nobody listens when the run is over.
                let _ = made.send(Made {
                    slot: wish.slot,
                    serial: wish.serial,
                    wanted: wish.wanted,
                    session: session.map_err(|error| format!("{error:#}")),
                });
                drop(permit);
            });
        }
    })
}

async fn open(balancer: &Url, wanted: Wanted) -> Result<String> {
    let mut tries = 0;
    loop {
        tries += 1;
        match open_once(balancer, wanted).await {
            Err(_) if tries < TRIES => tokio::time::sleep(PAUSE).await,
            last => return last.with_context(|| format!("after {tries} tries")),
        }
    }
}

async fn open_once(balancer: &Url, wanted: Wanted) -> Result<String> {
    let client = McpClient::connect(balancer).await?;
    let call = client.call_tool(balancer, "subscribe_to_events", wanted.arguments());
    let answer = call.await?;
    ensure!(
        answer["isError"] != true,
        "the subscription failed: {answer}"
    );
    let id = client.session_id().context("the edge gave no session id")?;
    Ok(id.to_owned())
}

/// Ends a session. One that is not ended, because an edge dies meanwhile, is idle until it is forgotten.
async fn end(http: &reqwest::Client, balancer: &Url, session: &str) {
    let mut url = balancer.clone();
    url.set_path("/mcp");
    let request = http
        .delete(url)
        .header("mcp-session-id", session)
        .timeout(Duration::from_secs(END_SECONDS));
    let _ = request.send().await;
}
