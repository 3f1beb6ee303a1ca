//! `POST /mcp`: a client with the permission `read`, and those without a token.

use anyhow::Result;
use rand::Rng;
use serde_json::{Value, json};
use testkit::{
    mcp_client::HANDSHAKE_VERSION,
    raw_http::{RawAnswer, RawConnection},
};

use super::{AttackPlan, HOLD, wire};
use crate::abuse::{
    requests::{announce, initialize, modern, most_events, post, rpc, tool},
    target::READER_TOKEN,
    worker::AttackWorker,
};

/// The largest body that an edge takes.
const LARGEST_BYTES: usize = 4 << 20;
/// The revision that has batches.
const BATCHES: &str = "2025-03-26";
/// Messages in one batch.
const BATCH: usize = 64;
/// Nearly the largest message that is stored for a session.
const ANSWER_BYTES: usize = 1_000_000;
const LONG_AGO: &str = "2020-01-01T00:00:00Z";
/// Bytes of a page of the log that are kept: its events are there twice, and the cursor comes after them.
const PAGE_BYTES: usize = 4 << 20;

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::permitted("recent-events", 4, |worker| Box::pin(recent_events(worker))),
    AttackPlan::permitted("matches-nothing", 4, |worker| {
        Box::pin(matches_nothing(worker))
    }),
    AttackPlan::permitted("replay-pages", 4, |worker| Box::pin(replay_pages(worker))),
    AttackPlan::permitted("batches", 2, |worker| Box::pin(batches(worker))),
    AttackPlan::permitted("giant-filters", 2, |worker| Box::pin(giant_filters(worker))),
    AttackPlan::permitted("subscribe-loop", 2, |worker| {
        Box::pin(subscribe_loop(worker))
    }),
    AttackPlan::permitted("sessions-loop", 2, |worker| Box::pin(sessions_loop(worker))),
    AttackPlan::permitted("made-up-answers", 2, |worker| {
        Box::pin(made_up_answers(worker))
    }),
    AttackPlan::permitted("waiting-calls", 64, |worker| {
        Box::pin(waiting_calls(worker))
    }),
    AttackPlan::permitted("cancelled-calls", 4, |worker| {
        Box::pin(cancelled_calls(worker))
    }),
    AttackPlan::permitted("made-and-ended", 2, |worker| {
        Box::pin(made_and_ended(worker))
    }),
    AttackPlan::permitted("pipelined", 2, |worker| Box::pin(pipelined(worker))),
    AttackPlan::permitted("never-continued", 60, |worker| {
        Box::pin(never_continued(worker))
    }),
    AttackPlan::permitted("deep-json", 2, |worker| Box::pin(deep_json(worker))),
    AttackPlan::permitted("withheld-bodies", 100, |worker| Box::pin(withheld(worker))),
    AttackPlan::permitted("tiny-chunks", 8, |worker| Box::pin(tiny_chunks(worker))),
    AttackPlan::stranger("no-token", 8, |worker| Box::pin(no_token(worker))),
    AttackPlan::stranger("wrong-tokens", 8, |worker| Box::pin(wrong_tokens(worker))),
    AttackPlan::stranger("made-up-sessions", 4, |worker| {
        Box::pin(made_up_sessions(worker))
    }),
    AttackPlan::stranger("withheld-bodies", 100, |worker| {
        Box::pin(strangers_bodies(worker))
    }),
    AttackPlan::stranger("idle-connections", 200, |worker| Box::pin(idle(worker))),
];

impl AttackWorker {
    /// Sends a message in its session; a session that is gone is replaced with the next step.
    async fn say(&mut self, version: &str, message: &Value) -> Result<RawAnswer> {
        let session = self.session(version).await?;
        let headers = [
            ("Mcp-Session-Id", session.as_str()),
            ("Mcp-Protocol-Version", version),
        ];
        let request = post("/mcp", Some(READER_TOKEN), &headers, &message.to_string());
        let answer = self.ask(self.edge(), &request).await?;
        if answer.status == 404 {
            self.memory = None;
        }
        Ok(answer)
    }
}

async fn recent_events(worker: &mut AttackWorker) -> Result<()> {
    let call = tool(2, "get_recent_events", &most_events());
    worker.say(HANDSHAKE_VERSION, &call).await?;
    Ok(())
}

async fn matches_nothing(worker: &mut AttackWorker) -> Result<()> {
    let arguments = json!({ "from": LONG_AGO, "filters": [{ "owner": "nobody" }] });
    let params = json!({ "name": "replay_events", "arguments": arguments });
    let request = modern(Some(READER_TOKEN), "tools/call", params);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

/// Reads all of the log, again and again; its memory is the cursor.
async fn replay_pages(worker: &mut AttackWorker) -> Result<()> {
    let mut arguments = most_events();
    arguments["from"] = json!(LONG_AGO);
    if let Some(cursor) = &worker.memory {
        arguments["cursor"] = json!(cursor);
    }
    let params = json!({ "name": "replay_events", "arguments": arguments });
    let request = modern(Some(READER_TOKEN), "tools/call", params);
    let asking = worker.ask_keeping(worker.edge(), &request, PAGE_BYTES);
    worker.memory = next_cursor(&asking.await?.body);
    Ok(())
}

/// The cursor of a page of the log; `None` after the last one.
fn next_cursor(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let page = &answer["result"]["structuredContent"];
    let cursor = page["cursor"].as_str().filter(|_| page["hasMore"] == true);
    cursor.map(ToOwned::to_owned)
}

async fn batches(worker: &mut AttackWorker) -> Result<()> {
    let calls = (0..BATCH).map(|n| tool(n as u64 + 2, "get_recent_events", &most_events()));
    let batch = Value::Array(calls.collect());
    worker.say(BATCHES, &batch).await?;
    Ok(())
}

async fn giant_filters(worker: &mut AttackWorker) -> Result<()> {
    let tag = |n: usize| format!("label-{n}-{}", "y".repeat(40));
    let tags: Vec<_> = (0..32).map(tag).collect();
    let filters: Vec<_> = (0..64)
        .map(|n| json!({ "number": n + 1, "tags": tags }))
        .collect();
    let call = tool(2, "subscribe_to_events", &json!({ "filters": filters }));
    let answer = worker.say(HANDSHAKE_VERSION, &call).await?;
    if worker.step % 16 == 15 || answer.status != 200 {
        // Begins anew with a further session.
        worker.memory = None;
    }
    Ok(())
}

async fn subscribe_loop(worker: &mut AttackWorker) -> Result<()> {
    let uri = json!({ "uri": format!("github://issues/mallory/flood/{}", worker.step % 1000 + 1) });
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        let message = rpc(2, method, &uri);
        worker.say(HANDSHAKE_VERSION, &message).await?;
    }
    Ok(())
}

async fn sessions_loop(worker: &mut AttackWorker) -> Result<()> {
    let hello = initialize(HANDSHAKE_VERSION).to_string();
    let request = post("/mcp", Some(READER_TOKEN), &[], &hello);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

/// The answer to a question that was never asked.
async fn made_up_answers(worker: &mut AttackWorker) -> Result<()> {
    let id = format!("ask-{:032x}", worker.rng.random::<u128>());
    let text = "z".repeat(ANSWER_BYTES);
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": { "text": text } });
    worker.say(HANDSHAKE_VERSION, &answer).await?;
    Ok(())
}

async fn waiting_calls(worker: &mut AttackWorker) -> Result<()> {
    let arguments = json!({ "waitSeconds": 50, "filters": [{ "owner": "nobody" }] });
    let params = json!({ "name": "replay_events", "arguments": arguments });
    let request = modern(Some(READER_TOKEN), "tools/call", params);
    worker.hold(worker.edge(), &request, HOLD).await
}

async fn deep_json(worker: &mut AttackWorker) -> Result<()> {
    let request = post("/mcp", Some(READER_TOKEN), &[], &"[".repeat(LARGEST_BYTES));
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

/// A request that lacks its last byte.
fn all_but_the_last_byte(token: Option<&str>) -> Vec<u8> {
    let mut request = announce("/mcp", token, &[], LARGEST_BYTES);
    request.resize(request.len() + LARGEST_BYTES - 1, b' ');
    request
}

async fn withheld(worker: &mut AttackWorker) -> Result<()> {
    let request = all_but_the_last_byte(Some(READER_TOKEN));
    worker.hold(worker.edge(), &request, HOLD).await
}

/// The largest body, a byte in each chunk, without its end.
async fn tiny_chunks(worker: &mut AttackWorker) -> Result<()> {
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {READER_TOKEN}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut request = head.into_bytes();
    request.extend(b"1\r\n \r\n".repeat(LARGEST_BYTES - 1));
    worker.hold(worker.edge(), &request, HOLD).await
}

async fn strangers_bodies(worker: &mut AttackWorker) -> Result<()> {
    let request = all_but_the_last_byte(None);
    worker.hold(worker.edge(), &request, HOLD).await
}

async fn no_token(worker: &mut AttackWorker) -> Result<()> {
    let call = tool(2, "get_recent_events", &most_events());
    let request = post("/mcp", None, &[], &call.to_string());
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

async fn wrong_tokens(worker: &mut AttackWorker) -> Result<()> {
    let token = format!("fw_{:032x}", worker.rng.random::<u128>());
    let hello = initialize(HANDSHAKE_VERSION).to_string();
    let request = post("/mcp", Some(&token), &[], &hello);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

async fn made_up_sessions(worker: &mut AttackWorker) -> Result<()> {
    let session = format!("{:032x}", worker.rng.random::<u128>());
    let ping = rpc(1, "ping", &json!({})).to_string();
    let request = post("/mcp", None, &[("Mcp-Session-Id", &session)], &ping);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

async fn idle(worker: &mut AttackWorker) -> Result<()> {
    worker.hold(worker.edge(), b"", HOLD).await
}

/// Asks for much and is gone before the answer.
async fn cancelled_calls(worker: &mut AttackWorker) -> Result<()> {
    let call = json!({ "name": "get_recent_events", "arguments": most_events() });
    let request = modern(Some(READER_TOKEN), "tools/call", call);
    let mut connection = RawConnection::open(worker.edge()).await?;
    connection.send(&request).await?;
    tokio::task::yield_now().await;
    connection.reset()?;
    worker.count_call();
    Ok(())
}

/// Sessions that are ended as soon as they are made.
async fn made_and_ended(worker: &mut AttackWorker) -> Result<()> {
    let session = worker.session(HANDSHAKE_VERSION).await?;
    worker.memory = None;
    let request = format!(
        "DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {READER_TOKEN}\r\n\
         Mcp-Session-Id: {session}\r\n\r\n"
    );
    worker.ask(worker.edge(), request.as_bytes()).await?;
    Ok(())
}

async fn pipelined(worker: &mut AttackWorker) -> Result<()> {
    let call = json!({ "name": "get_recent_events", "arguments": { "limit": 1 } });
    let request = modern(Some(READER_TOKEN), "tools/call", call);
    wire::pipelined(worker, worker.edge(), &request).await
}

async fn never_continued(worker: &mut AttackWorker) -> Result<()> {
    wire::expects_to_continue(worker, worker.edge(), "/mcp", Some(READER_TOKEN)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_until_there_are_no_more() {
        let cursor = |has_more: bool| {
            let page = json!({ "events": [], "cursor": "next", "hasMore": has_more });
            let answer = json!({ "result": { "structuredContent": page } });
            next_cursor(answer.to_string().as_bytes())
        };
        assert_eq!(cursor(true).as_deref(), Some("next"));
        assert_eq!(cursor(false), None);
        assert_eq!(next_cursor(b"{\"error\":{}}"), None);
    }
}
