//! `POST /mcp/sse/send` and `POST /mcp/sse/broadcast`: the permitted client is an operator here.

use anyhow::Result;
use rand::Rng;
use serde_json::json;
use testkit::mcp_client::HANDSHAKE_VERSION;

use super::AttackPlan;
use crate::abuse::{
    requests::post,
    target::{OPERATOR_TOKEN, READER_TOKEN},
    worker::AttackWorker,
};

/// Largest message to a session.
const MESSAGE_BYTES: usize = 512 << 10;

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
