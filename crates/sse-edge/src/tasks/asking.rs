//! Questions of a task to its client: they stand in the task, and `tasks/update` brings the answers.

use std::{collections::BTreeMap, sync::Arc};

use mcp::{
    ErrorCode, RpcError,
    client::ClientResult,
    mrtr::{InputRequests, Retry, Settled},
};
use model::TaskId;
use serde_json::value::RawValue;

use super::{Change, Running, hinted};
use crate::protocol::{CallError, Caller};

/// How the work of a task asks.
#[derive(Debug)]
pub(crate) struct TaskAsking {
    pub(super) id: TaskId,
    pub(super) running: Arc<Running>,
    /// What the client answered before the call became a task.
    pub(super) settled: Settled,
}

impl TaskAsking {
    /// Asks, and waits until everything is answered. What was answered before is not asked again.
    ///
    /// # Errors
    /// The client cannot be asked this, the task is over, or an answer does not fit its question.
    pub(crate) async fn ask(
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
            .check(caller.version, &caller.client)
            .map_err(CallError::Refused)?;
        let tasks = &caller.edge.tasks;
        let (owner, now) = (&caller.principal.id, tasks.clock.now());
        let asked = tasks.change(owner, &self.id, |stored| {
            match stored.task.ask(&missing, caller.version, now) {
                Ok(()) => Change::Store(Ok(())),
                Err(error) => Change::Keep(Err(error)),
            }
        });
        asked
            .await?
            .ok_or_else(over)?
            .map_err(|error| RpcError::new(ErrorCode::Internal, error.to_string()))?;
        let mut hints = self.running.changed.subscribe();
        loop {
            let stored = tasks.load(owner, &self.id).await?.ok_or_else(over)?;
            let answers = self.collect(&requests, &stored.answers)?;
            if answers.missing.is_empty() {
                return Ok(answers.answers);
            }
            if stored.task.status().is_terminal() {
                return Err(over().into());
            }
            hinted(&mut hints).await;
        }
    }

    fn collect(
        &self,
        requests: &InputRequests,
        answers: &BTreeMap<String, Box<RawValue>>,
    ) -> Result<mcp::mrtr::Collected, RpcError> {
        let brought = Retry::of(answers.clone());
        let collected = self.settled.collect(&brought, requests.clone());
        Ok(collected?)
    }
}

fn over() -> RpcError {
    RpcError::new(ErrorCode::Internal, "the task is over")
}
