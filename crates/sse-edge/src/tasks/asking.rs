//! Questions of a task to its client: they are stored in the task, and `tasks/update` brings the
//! answers.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use mcp::{
    ErrorCode, RpcError,
    client::ClientResult,
    mrtr::{EarlierAnswers, InputRequests, Retry},
};
use mcp_server::{CallError, Caller, ask::Ask};
use model::TaskId;
use serde_json::value::RawValue;

use super::{RunningTask, TaskChange, Tasks, wait_for_hint};

/// Asks the client of a task.
#[derive(Debug)]
pub(super) struct AskInTask {
    pub(super) tasks: Arc<Tasks>,
    pub(super) id: TaskId,
    pub(super) running: Arc<RunningTask>,
    /// The answers that the client gave before the call became a task.
    pub(super) settled: EarlierAnswers,
}

#[async_trait]
impl Ask for AskInTask {
    /// Waits until all questions are answered. Questions with earlier answers are not asked again.
    async fn ask_all(
        &self,
        caller: &Caller,
        requests: InputRequests,
    ) -> Result<BTreeMap<String, ClientResult>, CallError> {
        let none = BTreeMap::new();
        let settled = self.collect(&requests, &none)?;
        let missing = settled.missing;
        if missing.is_empty() {
            return Ok(settled.answers);
        }
        missing
            .check(caller.version, &caller.client().capabilities)
            .map_err(CallError::Refused)?;
        let tasks = &self.tasks;
        let (owner, now) = (&caller.principal.id, tasks.now());
        let asked = tasks.change(owner, &self.id, |stored| {
            match stored.task.ask(&missing, caller.version, now) {
                Ok(()) => TaskChange::Store(Ok(())),
                Err(error) => TaskChange::Keep(Err(error)),
            }
        });
        asked
            .await?
            .ok_or_else(task_over_error)?
            .map_err(|error| RpcError::new(ErrorCode::Internal, error.to_string()))?;
        let mut hints = self.running.changed.subscribe();
        loop {
            let stored = tasks
                .load(owner, &self.id)
                .await?
                .ok_or_else(task_over_error)?;
            let answers = self.collect(&requests, &stored.answers)?;
            if answers.missing.is_empty() {
                return Ok(answers.answers);
            }
            if stored.task.status().is_terminal() {
                return Err(task_over_error().into());
            }
            wait_for_hint(&mut hints).await;
        }
    }
}

impl AskInTask {
    fn collect(
        &self,
        requests: &InputRequests,
        answers: &BTreeMap<String, Box<RawValue>>,
    ) -> Result<mcp::mrtr::CollectedAnswers, RpcError> {
        let brought = Retry::of(answers.clone());
        let collected = self.settled.collect(&brought, requests.clone());
        Ok(collected?)
    }
}

fn task_over_error() -> RpcError {
    RpcError::new(ErrorCode::Internal, "the task is over")
}
