//! `tasks/get`, `tasks/update`, `tasks/cancel` (tasks extension, SEP-2663).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mcp::{
    HttpRefusal, RequestId, method,
    task::{self, UpdateTaskParams, unknown_task},
};
use mcp_server::{CallError, Caller, Toolset, method::ExtensionMethod};
use serde_json::value::RawValue;

use crate::{error::EdgeError, tasks::Tasks};

/// The methods as a toolset.
pub(crate) fn toolset(tasks: &Arc<Tasks>) -> Toolset {
    Toolset::new("tasks")
        .with_method(GetTask(Arc::clone(tasks)))
        .with_method(UpdateTask(Arc::clone(tasks)))
        .with_method(CancelTask(Arc::clone(tasks)))
}

struct GetTask(Arc<Tasks>);

#[async_trait]
impl ExtensionMethod for GetTask {
    fn name(&self) -> &'static str {
        method::TASKS_GET
    }

    async fn call(
        &self,
        caller: &Caller,
        id: &RequestId,
        params: Option<Box<RawValue>>,
    ) -> Result<Bytes, HttpRefusal> {
        let read = task::parse_id(params.as_deref());
        drop(params);
        let task = read?;
        let found = self.0.load(&caller.principal.id, &task).await;
        let stored = found?;
        let sees = caller.rights.now().map_err(CallError::from);
        let sees = &sees.map_err(CallError::into_rpc)?.sees;
        let task = stored.ok_or_else(unknown_task)?.shown_to(sees);
        Ok(task::get_result(caller.version, &caller.server, id, &task))
    }
}

/// Stores answers to the questions of a task; others are ignored.
struct UpdateTask(Arc<Tasks>);

#[async_trait]
impl ExtensionMethod for UpdateTask {
    fn name(&self) -> &'static str {
        method::TASKS_UPDATE
    }

    async fn call(
        &self,
        caller: &Caller,
        id: &RequestId,
        params: Option<Box<RawValue>>,
    ) -> Result<Bytes, HttpRefusal> {
        let read = UpdateTaskParams::parse(params.as_deref());
        drop(params);
        let UpdateTaskParams {
            id: task,
            responses,
        } = read?;
        let changed = self.0.answer(&caller.principal.id, &task, responses).await;
        acknowledge(caller, id, changed)
    }
}

/// Cancels a task; a finished task stays unchanged.
struct CancelTask(Arc<Tasks>);

#[async_trait]
impl ExtensionMethod for CancelTask {
    fn name(&self) -> &'static str {
        method::TASKS_CANCEL
    }

    async fn call(
        &self,
        caller: &Caller,
        id: &RequestId,
        params: Option<Box<RawValue>>,
    ) -> Result<Bytes, HttpRefusal> {
        let read = task::parse_id(params.as_deref());
        drop(params);
        let task = read?;
        let changed = self.0.cancel(&caller.principal.id, &task).await;
        acknowledge(caller, id, changed)
    }
}

fn acknowledge(
    caller: &Caller,
    id: &RequestId,
    changed: Result<Option<()>, EdgeError>,
) -> Result<Bytes, HttpRefusal> {
    let found: Option<()> = changed?;
    found.ok_or_else(unknown_task)?;
    Ok(task::acknowledgement(caller.version, &caller.server, id))
}
