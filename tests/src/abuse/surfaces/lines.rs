//! `POST /mcp/stream`: lines both ways.

use anyhow::Result;
use testkit::{mcp_client::ModernClient, raw_http::RawConnection};

use super::{AttackPlan, HOLD};
use crate::abuse::{
    requests::{most_events, tool},
    target::READER_TOKEN,
    worker::AttackWorker,
};

/// Nearly the longest line.
const LONGEST_BYTES: usize = (4 << 20) - 1024;
/// Lines that are sent at once.
const FLOOD: usize = 256;

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::permitted("endless-lines", 60, |worker| {
        Box::pin(endless_lines(worker))
    }),
    AttackPlan::permitted("floods", 4, |worker| Box::pin(floods(worker))),
    AttackPlan::permitted("unread-answers", 16, |worker| {
        Box::pin(unread_answers(worker))
    }),
    AttackPlan::permitted("open-and-close", 8, |worker| {
        Box::pin(open_and_close(worker))
    }),
    AttackPlan::permitted("idle-connections", 200, |worker| Box::pin(idle(worker))),
    AttackPlan::stranger("no-token", 8, |worker| Box::pin(no_token(worker))),
    AttackPlan::stranger("endless-lines", 60, |worker| {
        Box::pin(strangers_lines(worker))
    }),
];

fn head(token: Option<&str>) -> String {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    format!(
        "POST /mcp/stream HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        token.unwrap_or_default()
    )
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// A call that answers with much.
fn call(id: usize) -> String {
    let mut call = tool(id as u64, "get_recent_events", &most_events());
    call["params"]["_meta"] = ModernClient::meta();
    chunk(&format!("{call}\n"))
}

async fn endless_lines(worker: &mut AttackWorker) -> Result<()> {
    let request = head(Some(READER_TOKEN)) + &chunk(&" x".repeat(LONGEST_BYTES / 2));
    worker.stay(worker.edge(), request.as_bytes(), HOLD).await
}

async fn strangers_lines(worker: &mut AttackWorker) -> Result<()> {
    let request = head(None) + &chunk(&" x".repeat(LONGEST_BYTES / 2));
    worker.hold(worker.edge(), request.as_bytes(), HOLD).await
}

async fn floods(worker: &mut AttackWorker) -> Result<()> {
    let mut connection = RawConnection::open(worker.edge()).await?;
    let calls: String = (0..FLOOD).map(call).collect();
    let request = head(Some(READER_TOKEN)) + &calls + "0\r\n\r\n";
    let answer = connection.ask(request.as_bytes(), 0).await?;
    worker.count_answer(&answer);
    connection.drain().await;
    Ok(())
}

async fn unread_answers(worker: &mut AttackWorker) -> Result<()> {
    let calls: String = (0..FLOOD).map(call).collect();
    let request = head(Some(READER_TOKEN)) + &calls;
    let edge = worker.edge();
    worker.leave_unread(edge, request.as_bytes(), HOLD).await
}

async fn open_and_close(worker: &mut AttackWorker) -> Result<()> {
    let mut connection = RawConnection::open(worker.edge()).await?;
    let answer = connection
        .ask(head(Some(READER_TOKEN)).as_bytes(), 0)
        .await?;
    worker.count_answer(&answer);
    Ok(())
}

async fn idle(worker: &mut AttackWorker) -> Result<()> {
    let request = head(Some(READER_TOKEN));
    worker.stay(worker.edge(), request.as_bytes(), HOLD).await
}

async fn no_token(worker: &mut AttackWorker) -> Result<()> {
    let request = head(None) + "0\r\n\r\n";
    worker.ask(worker.edge(), request.as_bytes()).await?;
    Ok(())
}
