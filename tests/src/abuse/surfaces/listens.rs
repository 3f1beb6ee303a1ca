//! `subscriptions/listen` and tasks of 2026-07-28.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::raw_http::RawConnection;

use super::{AttackPlan, HOLD};
use crate::abuse::{requests::modern, target::READER_TOKEN, worker::AttackWorker};

/// The most resources of one stream.
const URIS: usize = 256;

pub(super) const PLANS: &[AttackPlan] = &[
    AttackPlan::permitted("open-and-close", 8, |worker| {
        Box::pin(open_and_close(worker))
    }),
    AttackPlan::permitted("held-open", 200, |worker| Box::pin(held_open(worker))),
    AttackPlan::permitted("never-read", 50, |worker| Box::pin(never_read(worker))),
    AttackPlan::permitted("tasks-loop", 4, |worker| Box::pin(tasks_loop(worker))),
    AttackPlan::permitted("made-up-tasks", 4, |worker| Box::pin(made_up_tasks(worker))),
    AttackPlan::stranger("no-token", 8, |worker| Box::pin(no_token(worker))),
];

fn listen(token: Option<&str>, uris: usize) -> Vec<u8> {
    let uris: Vec<_> = (0..uris)
        .map(|n| format!("github://issues/mallory/flood/{}", n + 1))
        .collect();
    let params = json!({ "notifications": { "resourceSubscriptions": uris } });
    modern(token, "subscriptions/listen", params)
}

async fn open_and_close(worker: &mut AttackWorker) -> Result<()> {
    let mut connection = RawConnection::open(worker.edge()).await?;
    let answer = connection.ask(&listen(Some(READER_TOKEN), URIS), 0).await?;
    worker.count_answer(&answer);
    Ok(())
}

async fn held_open(worker: &mut AttackWorker) -> Result<()> {
    let request = listen(Some(READER_TOKEN), URIS);
    worker.stay(worker.edge(), &request, HOLD).await
}

async fn never_read(worker: &mut AttackWorker) -> Result<()> {
    let params = json!({ "notifications": { "resourceSubscriptions": ["github://events"] } });
    let request = modern(Some(READER_TOKEN), "subscriptions/listen", params);
    worker.leave_unread(worker.edge(), &request, HOLD).await
}

async fn call(worker: &mut AttackWorker, method: &str, params: Value) -> Result<Value> {
    let request = modern(Some(READER_TOKEN), method, params);
    let answer = worker.ask(worker.edge(), &request).await?;
    Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// Makes a task that waits for a long time, looks at it, and forgets or cancels it.
async fn tasks_loop(worker: &mut AttackWorker) -> Result<()> {
    let arguments = json!({ "filters": [{ "owner": "nobody" }], "maxWaitSeconds": 82_800 });
    let params = json!({ "name": "wait_for_events", "arguments": arguments });
    let made = call(worker, "tools/call", params).await?;
    let task = json!({ "taskId": made["result"]["taskId"] });
    call(worker, "tasks/get", task.clone()).await?;
    if worker.step.is_multiple_of(2) {
        call(worker, "tasks/cancel", task).await?;
    }
    Ok(())
}

async fn made_up_tasks(worker: &mut AttackWorker) -> Result<()> {
    let task = json!({ "taskId": format!("made-up-{}", worker.step) });
    call(worker, "tasks/get", task).await?;
    Ok(())
}

async fn no_token(worker: &mut AttackWorker) -> Result<()> {
    worker.ask(worker.edge(), &listen(None, URIS)).await?;
    Ok(())
}
