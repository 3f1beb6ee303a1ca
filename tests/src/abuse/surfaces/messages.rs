//! `GET /mcp/sse`, `POST /mcp/sse/send` and `POST /mcp/sse/broadcast`: the permitted client is an operator here.

use anyhow::{Context, Result};
use rand::Rng;
use serde_json::json;
use testkit::{mcp_client::HANDSHAKE_VERSION, raw_http::RawConnection};

use super::AttackPlan;
use crate::abuse::{
    requests::{get, most_events, post, tool},
    target::{OPERATOR_TOKEN, READER_TOKEN},
    worker::{AttackWorker, NARROW_BYTES},
};

/// Largest message to a session.
const MESSAGE_BYTES: usize = 512 << 10;
/// Text of the largest message to all.
const BROADCAST_BYTES: usize = 255 << 10;
/// Calls whose answers an unread connection has to carry.
const CALLS: u64 = 50;

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::permitted("absent-sessions", 4, |worker| {
        Box::pin(absent_sessions(worker))
    }),
    AttackPlan::permitted("large-messages", 2, |worker| {
        Box::pin(large_messages(worker))
    }),
    AttackPlan::permitted("broadcasts-to-nobody", 2, |worker| {
        Box::pin(to_nobody(worker))
    }),
    AttackPlan::permitted("unread-connections", 4, |worker| {
        Box::pin(unread_connections(worker))
    }),
    AttackPlan::permitted("kept-broadcasts", 2, |worker| {
        Box::pin(kept_broadcasts(worker))
    }),
    AttackPlan::permitted("not-permitted", 4, |worker| Box::pin(not_permitted(worker))),
    AttackPlan::stranger("no-token", 8, |worker| Box::pin(no_token(worker))),
];

fn note(bytes: usize) -> serde_json::Value {
    let text = "m".repeat(bytes);
    json!({ "jsonrpc": "2.0", "method": "notifications/test", "params": { "text": text } })
}

fn send(token: Option<&str>, session: &str, bytes: usize, wait: bool) -> Vec<u8> {
    let body = json!({ "sessionId": session, "message": note(bytes), "wait": wait });
    post("/mcp/sse/send", token, &[], &body.to_string())
}

/// Waits for the report of a session that has no stream.
async fn absent_sessions(worker: &mut AttackWorker) -> Result<()> {
    let session = worker.session(HANDSHAKE_VERSION).await?;
    let request = send(Some(OPERATOR_TOKEN), &session, 100, true);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

/// Fills the mailbox of a session that has no stream.
async fn large_messages(worker: &mut AttackWorker) -> Result<()> {
    let session = worker.session(HANDSHAKE_VERSION).await?;
    let request = send(Some(OPERATOR_TOKEN), &session, MESSAGE_BYTES, false);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

/// Goes through all sessions to find none.
async fn to_nobody(worker: &mut AttackWorker) -> Result<()> {
    let body = json!({ "message": note(100), "filter": { "principal": "nobody" } });
    let request = post(
        "/mcp/sse/broadcast",
        Some(OPERATOR_TOKEN),
        &[],
        &body.to_string(),
    );
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

/// Opens a connection, asks for much on it, reads none of the answers, and leaves it behind.
async fn unread_connections(worker: &mut AttackWorker) -> Result<()> {
    let mut connection = RawConnection::open_narrow(worker.edge(), NARROW_BYTES).await?;
    let open = get(
        "/mcp/sse",
        Some(READER_TOKEN),
        &[("Accept", "text/event-stream")],
    );
    let answer = connection.ask(&open, 0).await?;
    worker.count_answer(&answer);
    let mut text = String::new();
    while !text.contains("\n\n") {
        let some = connection.some().await?;
        anyhow::ensure!(!some.is_empty(), "the stream has ended");
        text += &String::from_utf8_lossy(&some);
    }
    let id = text.split("\"connectionId\":\"").nth(1);
    let id = id.and_then(|rest| rest.split('"').next());
    let id = id.context("a connection has an id")?.to_owned();
    for number in 0..CALLS {
        let call = tool(number, "get_recent_events", &most_events());
        let body = json!({ "connectionId": id, "message": call });
        let request = post("/mcp/sse/send", Some(READER_TOKEN), &[], &body.to_string());
        worker.ask(worker.edge(), &request).await?;
    }
    drop(connection);
    Ok(())
}

/// Keeps the largest broadcasts that are allowed, for nobody.
async fn kept_broadcasts(worker: &mut AttackWorker) -> Result<()> {
    let filter = json!({ "principal": "nobody" });
    let body = json!({ "message": note(BROADCAST_BYTES), "filter": filter, "durable": true });
    let path = "/mcp/sse/broadcast";
    let request = post(path, Some(OPERATOR_TOKEN), &[], &body.to_string());
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

async fn not_permitted(worker: &mut AttackWorker) -> Result<()> {
    let session = format!("{:032x}", worker.rng.random::<u128>());
    let request = send(Some(READER_TOKEN), &session, 100, true);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

async fn no_token(worker: &mut AttackWorker) -> Result<()> {
    let request = send(None, "made-up", 100, true);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}
