//! `POST /webhooks/github`: a sender whose hook is real, and those who have no secret.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use testkit::{
    fake_github::{WEBHOOK_PATH, signature},
    raw_http::RawConnection,
};

use super::{AttackPlan, HOLD, wire};
use crate::abuse::{requests::announce, target::AbuseTarget, worker::AttackWorker};

/// GitHub's largest body.
const LARGEST_BYTES: usize = 25 * 1024 * 1024;
/// Text of a large event; above 512 KiB its data would be left out.
const LARGE_EVENT_BYTES: usize = 400 * 1024;
/// Pause between two bytes of a slow head.
const DRIP: Duration = Duration::from_secs(1);

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::permitted("largest-bodies", 2, |worker| {
        Box::pin(largest_bodies(worker))
    }),
    AttackPlan::permitted("repeated-guids", 4, |worker| {
        Box::pin(repeated_guids(worker))
    }),
    AttackPlan::permitted("one-repository", 8, |worker| {
        Box::pin(one_repository(worker))
    }),
    AttackPlan::stranger("withheld-bodies", 16, |worker| {
        Box::pin(withheld_bodies(worker))
    }),
    AttackPlan::stranger("slow-heads", 100, |worker| Box::pin(slow_heads(worker))),
    AttackPlan::stranger("unsigned-flood", 8, |worker| {
        Box::pin(unsigned_flood(worker))
    }),
    AttackPlan::stranger("idle-connections", 200, |worker| Box::pin(idle(worker))),
    AttackPlan::stranger("largest-unsigned", 4, |worker| {
        Box::pin(largest_unsigned(worker))
    }),
    AttackPlan::stranger("never-continued", 100, |worker| {
        Box::pin(never_continued(worker))
    }),
    AttackPlan::stranger("garbage", 8, |worker| Box::pin(garbage(worker))),
    AttackPlan::stranger("pipelined", 2, |worker| Box::pin(pipelined(worker))),
];

/// The body of an event in a repository that no honest stream wants.
fn body(bytes: usize, round: u64) -> Vec<u8> {
    let text = "x".repeat(bytes);
    json!({
        "action": "edited",
        "issue": {
            "id": 1, "node_id": "I_flood", "number": 1, "state": "open", "labels": [],
            "title": format!("flood {round}"), "body": text,
            "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z",
        },
        "repository": {
            "id": 999, "node_id": "R_flood", "name": "flood", "private": false,
            "full_name": "mallory/flood", "owner": { "login": "mallory", "id": 9 },
        },
        "sender": { "login": "mallory", "id": 9 },
    })
    .to_string()
    .into_bytes()
}

fn head(guid: &str, signature: &str, length: usize) -> Vec<u8> {
    let headers = [
        ("User-Agent", "GitHub-Hookshot/7f2c1a9"),
        ("X-GitHub-Delivery", guid),
        ("X-GitHub-Event", "issues"),
        ("X-Hub-Signature-256", signature),
    ];
    announce(WEBHOOK_PATH, None, &headers, length)
}

impl AttackWorker {
    /// Sends a signed body, which is signed once, under a GUID.
    async fn deliver(&mut self, guid: &str, bytes: usize) -> Result<()> {
        if self.body.is_none() {
            let body = body(bytes, self.number as u64);
            let signature = signature(&self.target.secret, &body);
            self.body = Some((body, signature));
        }
        let (body, signature) = self.body.take().unwrap_or_default();
        let mut request = head(guid, &signature, body.len());
        request.extend_from_slice(&body);
        self.body = Some((body, signature));
        self.ask(self.ingest(), &request).await?;
        Ok(())
    }
}

/// The delivery of an event that is nearly as large as one may be.
pub(super) fn large_event(target: &AbuseTarget, round: u64) -> Vec<u8> {
    let body = body(LARGE_EVENT_BYTES, round);
    let signature = signature(&target.secret, &body);
    let mut request = head(&format!("large-{round}"), &signature, body.len());
    request.extend_from_slice(&body);
    request
}

async fn largest_bodies(worker: &mut AttackWorker) -> Result<()> {
    let guid = format!("largest-{}-{}", worker.number, worker.step);
    // Some room for the members around the text.
    worker.deliver(&guid, LARGEST_BYTES - 4096).await
}

async fn repeated_guids(worker: &mut AttackWorker) -> Result<()> {
    let guid = format!("repeated-{}", worker.number);
    worker.deliver(&guid, 1024).await
}

async fn one_repository(worker: &mut AttackWorker) -> Result<()> {
    let guid = format!("flood-{}-{}", worker.number, worker.step);
    worker.deliver(&guid, 1024).await
}

async fn withheld_bodies(worker: &mut AttackWorker) -> Result<()> {
    let mut request = head(
        "withheld",
        &format!("sha256={}", "0".repeat(64)),
        LARGEST_BYTES,
    );
    request.resize(request.len() + LARGEST_BYTES - 1, b' ');
    worker.hold(worker.ingest(), &request, HOLD).await
}

async fn slow_heads(worker: &mut AttackWorker) -> Result<()> {
    drip(worker, &head("slow", "sha256=0", 10)).await
}

/// Sends a head byte by byte, until the server ends the connection.
async fn drip(worker: &mut AttackWorker, head: &[u8]) -> Result<()> {
    let mut connection = RawConnection::open(worker.ingest()).await?;
    let held = worker.holding();
    for byte in head {
        if let Err(error) = connection.send(&[*byte]).await {
            held.release();
            return Err(error.into());
        }
        tokio::time::sleep(DRIP).await;
    }
    Ok(())
}

async fn unsigned_flood(worker: &mut AttackWorker) -> Result<()> {
    let body = body(1024, worker.step);
    let mut request = head(
        "unsigned",
        &format!("sha256={}", "0".repeat(64)),
        body.len(),
    );
    request.extend_from_slice(&body);
    worker.ask(worker.ingest(), &request).await?;
    Ok(())
}

async fn idle(worker: &mut AttackWorker) -> Result<()> {
    worker.hold(worker.ingest(), b"", HOLD).await
}

/// The largest body with a signature that is wrong: all of it has to be read for that.
async fn largest_unsigned(worker: &mut AttackWorker) -> Result<()> {
    let signature = format!("sha256={}", "0".repeat(64));
    let mut request = head("unsigned", &signature, LARGEST_BYTES);
    request.resize(request.len() + LARGEST_BYTES, b' ');
    worker.ask(worker.ingest(), &request).await?;
    Ok(())
}

async fn never_continued(worker: &mut AttackWorker) -> Result<()> {
    wire::expects_to_continue(worker, worker.ingest(), WEBHOOK_PATH, None).await
}

async fn garbage(worker: &mut AttackWorker) -> Result<()> {
    wire::garbage(worker, worker.ingest()).await
}

async fn pipelined(worker: &mut AttackWorker) -> Result<()> {
    let mut request = head("unsigned", &format!("sha256={}", "0".repeat(64)), 2);
    request.extend_from_slice(b"{}");
    wire::pipelined(worker, worker.ingest(), &request).await
}
