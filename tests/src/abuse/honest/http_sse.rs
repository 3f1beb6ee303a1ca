//! A session over HTTP+SSE (2024-11-05), which ends with its stream.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    account::UnplacedAccount,
    connection::{HonestConnection, ask},
    shared::{HonestAccount, HonestShared},
};
use crate::{
    abuse::{
        requests::{get, initialize, initialized, post, tool},
        target::HONEST_TOKEN,
    },
    soak::{wire::SoakFrame, world::SoakFilter},
};

/// Holds one stream until it ends.
pub(super) async fn hold(
    shared: &HonestShared,
    at: usize,
    edge: SocketAddr,
    filter: SoakFilter,
) -> Result<()> {
    *shared.account(at) = HonestAccount::Unplaced(UnplacedAccount::new(at, filter));
    let accept = [("Accept", "text/event-stream")];
    let request = get("/sse", Some(HONEST_TOKEN), &accept);
    let mut connection = HonestConnection::open(edge, &request).await?;
    // The stream is read while the requests are posted.
    let (found, mut endpoint) = mpsc::unbounded_channel();
    let streaming = connection.frames(|frame| take(shared, at, frame, &found));
    let subscribing = async {
        let endpoint = endpoint.recv().await.context("no endpoint")?;
        let subscribe = tool(2, "subscribe_to_events", &filter.arguments());
        for message in [initialize("2024-11-05"), initialized(), subscribe] {
            say(edge, &endpoint, &message).await?;
        }
        std::future::pending::<Result<()>>().await
    };
    tokio::select! {
        ended = streaming => ended,
        failed = subscribing => failed,
    }
}

async fn say(edge: SocketAddr, endpoint: &str, message: &Value) -> Result<()> {
    let request = post(endpoint, Some(HONEST_TOKEN), &[], &message.to_string());
    let (status, body) = ask(edge, &request).await?;
    ensure!(status == 202, "a message got {status}: {body}");
    Ok(())
}

fn take(
    shared: &HonestShared,
    at: usize,
    frame: &SoakFrame,
    found: &mpsc::UnboundedSender<String>,
) {
    let now = Instant::now();
    let mut account = shared.account(at);
    let HonestAccount::Unplaced(account) = &mut *account else {
        return;
    };
    if let Some(mark) = frame.mark {
        account.record(mark, &shared.books, &mut shared.ledger().faults);
        shared.arrived(mark, now);
        return;
    }
    let text = String::from_utf8_lossy(&frame.data);
    if text.contains("/messages?sessionId=") {
        // The receiver is gone with the stream.
        let _ = found.send(text.into_owned());
    } else if text.contains("subscriptionId") && !account.is_confirmed() {
        account.confirm(&shared.books);
        shared.set_open(at, true);
    }
}
