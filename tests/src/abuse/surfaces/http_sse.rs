//! `GET /sse` and `POST /messages`.

use anyhow::{Context, Result};
use rand::Rng;
use serde_json::json;
use testkit::raw_http::RawConnection;

use super::{AttackPlan, HOLD};
use crate::abuse::{
    requests::{announce, get, most_events, post, tool},
    target::READER_TOKEN,
    worker::{AttackWorker, NARROW_BYTES},
};

/// Calls whose answers an unread stream has to carry.
const CALLS: u64 = 100;
const LARGEST_BYTES: usize = 4 << 20;

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::permitted("open-and-close", 8, |worker| {
        Box::pin(open_and_close(worker))
    }),
    AttackPlan::permitted("unread-answers", 8, |worker| {
        Box::pin(unread_answers(worker))
    }),
    AttackPlan::permitted("made-up-sessions", 4, |worker| {
        Box::pin(made_up_sessions(worker))
    }),
    AttackPlan::permitted("withheld-bodies", 60, |worker| {
        Box::pin(withheld_bodies(worker))
    }),
    AttackPlan::stranger("no-token", 8, |worker| Box::pin(no_token(worker))),
    AttackPlan::stranger("made-up-sessions", 8, |worker| {
        Box::pin(strangers_sessions(worker))
    }),
];

fn open(token: Option<&str>) -> Vec<u8> {
    get("/sse", token, &[("Accept", "text/event-stream")])
}

async fn open_and_close(worker: &mut AttackWorker) -> Result<()> {
    let mut connection = RawConnection::open(worker.edge()).await?;
    let answer = connection.ask(&open(Some(READER_TOKEN)), 0).await?;
    worker.count_answer(&answer);
    Ok(())
}

/// Opens a stream, asks for much, and reads none of the answers.
async fn unread_answers(worker: &mut AttackWorker) -> Result<()> {
    let mut connection = RawConnection::open_narrow(worker.edge(), NARROW_BYTES).await?;
    let answer = connection.ask(&open(Some(READER_TOKEN)), 0).await?;
    worker.count_answer(&answer);
    let mut text = String::new();
    while !text.contains("\n\n") {
        let some = connection.some().await?;
        anyhow::ensure!(!some.is_empty(), "the stream has ended");
        text += &String::from_utf8_lossy(&some);
    }
    let endpoint = text
        .split("data: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let endpoint = endpoint.context("no endpoint")?.to_owned();
    for id in 0..CALLS {
        let call = tool(id, "get_recent_events", &most_events()).to_string();
        let request = post(&endpoint, Some(READER_TOKEN), &[], &call);
        worker.ask(worker.edge(), &request).await?;
    }
    drop(connection);
    Ok(())
}

fn made_up(worker: &mut AttackWorker) -> String {
    format!("/messages?sessionId={:032x}", worker.rng.random::<u128>())
}

async fn made_up_sessions(worker: &mut AttackWorker) -> Result<()> {
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    let request = post(&made_up(worker), Some(READER_TOKEN), &[], &ping);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

async fn withheld_bodies(worker: &mut AttackWorker) -> Result<()> {
    let mut request = announce(&made_up(worker), Some(READER_TOKEN), &[], LARGEST_BYTES);
    request.resize(request.len() + LARGEST_BYTES - 1, b' ');
    worker.hold(worker.edge(), &request, HOLD).await
}

async fn no_token(worker: &mut AttackWorker) -> Result<()> {
    worker.ask(worker.edge(), &open(None)).await?;
    Ok(())
}

async fn strangers_sessions(worker: &mut AttackWorker) -> Result<()> {
    let request = post(&made_up(worker), None, &[], "{}");
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}
