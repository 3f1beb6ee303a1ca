//! `GET /events/recent` and `GET /events/replay/{timestamp}`.

use anyhow::Result;

use super::{AttackPlan, HOLD};
use crate::abuse::{requests::get, target::READER_TOKEN, worker::AttackWorker};

const LONG_AGO: &str = "/events/replay/2020-01-01T00:00:00Z";
/// Nearly the longest head.
const QUERY_BYTES: usize = 14 * 1024;

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::permitted("recent-thousand", 8, |worker| Box::pin(recent(worker))),
    AttackPlan::permitted("matches-nothing", 4, |worker| {
        Box::pin(matches_nothing(worker))
    }),
    AttackPlan::permitted("replay-all", 4, |worker| Box::pin(replay_all(worker))),
    AttackPlan::permitted("long-queries", 4, |worker| Box::pin(long_queries(worker))),
    AttackPlan::permitted("unread-answers", 50, |worker| {
        Box::pin(unread_answers(worker))
    }),
    AttackPlan::stranger("no-token", 8, |worker| Box::pin(no_token(worker))),
    AttackPlan::stranger("long-queries", 4, |worker| {
        Box::pin(strangers_queries(worker))
    }),
];

impl AttackWorker {
    async fn read(&mut self, path: &str, token: Option<&str>) -> Result<()> {
        self.ask(self.edge(), &get(path, token, &[])).await?;
        Ok(())
    }
}

async fn recent(worker: &mut AttackWorker) -> Result<()> {
    worker
        .read("/events/recent?limit=1000", Some(READER_TOKEN))
        .await
}

async fn matches_nothing(worker: &mut AttackWorker) -> Result<()> {
    let path = format!("{LONG_AGO}?owner=nobody&limit=1000");
    worker.read(&path, Some(READER_TOKEN)).await
}

async fn replay_all(worker: &mut AttackWorker) -> Result<()> {
    worker
        .read(&format!("{LONG_AGO}?limit=1000"), Some(READER_TOKEN))
        .await
}

fn long_query() -> String {
    let tags = "%22a%22,".repeat(QUERY_BYTES / 8);
    format!("/events/recent?tags={tags}z")
}

async fn long_queries(worker: &mut AttackWorker) -> Result<()> {
    worker.read(&long_query(), Some(READER_TOKEN)).await
}

async fn unread_answers(worker: &mut AttackWorker) -> Result<()> {
    let request = get("/events/recent?limit=1000", Some(READER_TOKEN), &[]);
    worker.leave_unread(worker.edge(), &request, HOLD).await
}

async fn no_token(worker: &mut AttackWorker) -> Result<()> {
    worker.read("/events/recent?limit=1000", None).await
}

async fn strangers_queries(worker: &mut AttackWorker) -> Result<()> {
    worker.read(&long_query(), None).await
}
