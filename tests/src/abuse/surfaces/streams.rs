//! `GET /mcp` and `GET /events/stream`.

use anyhow::Result;
use rand::Rng;
use testkit::{mcp_client::HANDSHAKE_VERSION, raw_http::RawConnection};

use super::{AttackPlan, HOLD};
use crate::abuse::{requests::get, target::READER_TOKEN, worker::AttackWorker};

/// Bytes of a resumed stream that are read before it is left.
const READ_BYTES: usize = 1 << 20;

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::permitted("open-and-close", 8, |worker| {
        Box::pin(open_and_close(worker))
    }),
    AttackPlan::permitted("never-read", 200, |worker| Box::pin(never_read(worker))),
    AttackPlan::permitted("old-cursors", 8, |worker| Box::pin(old_cursors(worker))),
    AttackPlan::permitted("garbage-ids", 4, |worker| Box::pin(garbage_ids(worker))),
    AttackPlan::permitted("session-streams", 4, |worker| {
        Box::pin(session_streams(worker))
    }),
    AttackPlan::stranger("no-token", 8, |worker| Box::pin(no_token(worker))),
    AttackPlan::stranger("half-heads", 200, |worker| Box::pin(half_heads(worker))),
    AttackPlan::stranger("large-heads", 8, |worker| Box::pin(large_heads(worker))),
];

fn stream(id: Option<&str>) -> Vec<u8> {
    let mut headers = vec![("Accept", "text/event-stream")];
    headers.extend(id.map(|id| ("Last-Event-ID", id)));
    get("/events/stream", Some(READER_TOKEN), &headers)
}

async fn open_and_close(worker: &mut AttackWorker) -> Result<()> {
    let mut connection = RawConnection::open(worker.edge()).await?;
    let answer = connection.ask(&stream(None), 0).await?;
    worker.count_answer(&answer);
    if worker.step.is_multiple_of(2) {
        connection.reset()?;
    }
    Ok(())
}

async fn never_read(worker: &mut AttackWorker) -> Result<()> {
    // From the beginning, so that there is something to send at once.
    let request = stream(Some("2020-01-01T00:00:00Z"));
    worker.leave_unread(worker.edge(), &request, HOLD).await
}

/// Resumes from the oldest position, reads some of what was missed, and does it again.
async fn old_cursors(worker: &mut AttackWorker) -> Result<()> {
    let mut connection = RawConnection::open(worker.edge()).await?;
    let request = stream(Some("2020-01-01T00:00:00Z"));
    let answer = connection.ask(&request, 0).await?;
    worker.count_answer(&answer);
    let mut read = 0;
    while answer.is_stream && read < READ_BYTES {
        match connection.some().await?.len() {
            0 => break,
            length => read += length,
        }
    }
    Ok(())
}

async fn garbage_ids(worker: &mut AttackWorker) -> Result<()> {
    let id = format!("{:x}", worker.rng.random::<u128>()).repeat(1 + worker.step as usize % 100);
    let mut connection = RawConnection::open(worker.edge()).await?;
    let answer = connection.ask(&stream(Some(&id)), 0).await?;
    worker.count_answer(&answer);
    Ok(())
}

/// Several streams of one session at once, opened and closed.
async fn session_streams(worker: &mut AttackWorker) -> Result<()> {
    let session = worker.session(HANDSHAKE_VERSION).await?;
    let headers = [
        ("Mcp-Session-Id", session.as_str()),
        ("Accept", "text/event-stream"),
    ];
    let request = get("/mcp", Some(READER_TOKEN), &headers);
    let mut open = Vec::new();
    for _ in 0..8 {
        let mut connection = RawConnection::open(worker.edge()).await?;
        let answer = connection.ask(&request, 0).await?;
        worker.count_answer(&answer);
        if answer.status == 404 {
            worker.memory = None;
        }
        open.push(connection);
    }
    Ok(())
}

async fn no_token(worker: &mut AttackWorker) -> Result<()> {
    let request = get("/events/stream", None, &[("Accept", "text/event-stream")]);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}

async fn half_heads(worker: &mut AttackWorker) -> Result<()> {
    let head = b"GET /events/stream HTTP/1.1\r\nHost: loc";
    worker.hold(worker.edge(), head, HOLD).await
}

async fn large_heads(worker: &mut AttackWorker) -> Result<()> {
    let padding = "p".repeat(15 * 1024);
    let request = get("/events/stream", None, &[("X-Padding", &padding)]);
    worker.ask(worker.edge(), &request).await?;
    Ok(())
}
