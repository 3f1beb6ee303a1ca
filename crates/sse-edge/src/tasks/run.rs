//! The work on a task.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use edge_records::{NewTask, TaskRecordsError};
use instruments::{SpanName, TraceSpan};
use mcp::{
    HttpRefusal, RequestId,
    task::{self, IllegalChange, Task},
    tool::CallToolParams,
};
use mcp_server::{
    CallError, Caller,
    ask::Ask,
    caller::CallClient,
    output::CallOutput,
    tool::{Tool, as_result},
};
use model::{Classified, ErrorClass, TaskId, Timestamp};
use ports::StoreFailure;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tracing::{debug, warn};

use super::{
    RunningTask, TaskChange, Tasks, asking::AskInTask, record, record::StoredTask, wait_for_hint,
};
use crate::{
    error::EdgeError,
    limits::{
        CALL_DEADLINE, TASK_LEASE, TASK_LIMITS, TASK_OUTCOME_PATIENCE, TASK_OUTCOME_PAUSE,
        TASK_POLL_MILLIS, TASK_WORK_TIME,
    },
};

impl Tasks {
    /// Turns a call into a task, which is in the store before the answer is sent.
    ///
    /// # Errors
    /// The client has too many tasks, or the store does not answer.
    pub(crate) async fn start(
        self: &Arc<Self>,
        caller: &Caller,
        request: &RequestId,
        tool: Arc<dyn Tool>,
        call: CallToolParams,
    ) -> Result<Bytes, HttpRefusal> {
        let id = TaskId::new(&self.ids.uuid()).expect("a UUID fits a task id");
        let now = self.clock.current().await?;
        let millis = u64::try_from(TASK_LIMITS.max_ttl.as_millis()).unwrap_or(u64::MAX);
        let task = Task::new(id.clone(), now, Some(millis), Some(TASK_POLL_MILLIS));
        let stored = StoredTask {
            task: task.clone(),
            answers: BTreeMap::new(),
            lease_until: now.plus(TASK_LEASE),
            made_for: None,
        };
        // Before it is stored, so that a change that arrives at once finds the work.
        let begun = self.begin(&id);
        self.create(caller, &id, &stored).await?;
        let settled = caller
            .client()
            .asking
            .as_ref()
            .map(|asking| asking.settled());
        let asking: Arc<dyn Ask> = Arc::new(AskInTask {
            tasks: Arc::clone(self),
            id: id.clone(),
            running: Arc::clone(&begun.running),
            settled: settled.unwrap_or_default(),
        });
        let worker = worker(caller, asking);
        let tasks = Arc::clone(self);
        let span = TraceSpan::child(SpanName::Task, caller.trace);
        if span.is_recorded() {
            span.set("gen_ai.tool.name", call.name.clone());
        }
        drop(self.background.spawn(async move {
            let work = work(&tasks, &worker, (&id, &begun.running), (&*tool, &call));
            span.enclose(work).await;
            drop(begun);
        }));
        Ok(task::create_result(
            caller.version,
            &caller.server,
            request,
            &task,
        ))
    }

    async fn create(
        &self,
        caller: &Caller,
        id: &TaskId,
        stored: &StoredTask,
    ) -> Result<(), EdgeError> {
        let record = NewTask {
            id: id.clone(),
            owner: caller.principal.id.clone(),
            state: stored.encode()?,
            ttl: Some(TASK_LIMITS.max_ttl),
        };
        let create = self.store.create(&record, TASK_LIMITS);
        timeout(CALL_DEADLINE, create).await??;
        Ok(())
    }
}

/// The caller as the task sees it.
fn worker(caller: &Caller, asking: Arc<dyn Ask>) -> Caller {
    Caller {
        principal: Arc::clone(&caller.principal),
        rights: caller.rights.clone(),
        version: caller.version,
        client: CallClient {
            capabilities: caller.client().capabilities.clone(),
            asking: Some(asking),
            ..CallClient::default()
        }
        .into(),
        trace: caller.trace,
        since: caller.since,
        // A task sends nothing on the stream of its call, which is already answered.
        output: CallOutput::new(None, None).0,
        is_task: true,
        waits_until: None,
        began: caller.began,
        ran_before: caller.ran_before,
        parks: false,
        earlier: None,
        offered: caller.offered.clone(),
        server: Arc::clone(&caller.server),
        rates: Arc::clone(&caller.rates),
    }
}

/// Works until there is an outcome, the task is cancelled, or the edge has to stop. A tool that
/// failed completes its task; a protocol error fails it (SEP-2663, "Errors").
async fn work(
    tasks: &Tasks,
    caller: &Caller,
    (id, running): (&TaskId, &RunningTask),
    (tool, call): (&dyn Tool, &CallToolParams),
) {
    let closed = tasks.background.closed();
    let outcome = tokio::select! {
        biased;
        outcome = tool.call(caller, call) => outcome,
        () = keep(tasks, caller, id, running) => return debug!(task = %id, "a task ended before its work"),
        () = closed.cancelled() => Err(record::stopped_error().into()),
        () = sleep(TASK_WORK_TIME) => Err(record::overdue_error().into()),
    };
    // An outcome that nobody may see any more is not stored.
    let outcome = match caller.principal.present() {
        Ok(_) => outcome,
        Err(denied) => Err(denied.into()),
    };
    let end = as_result(caller, outcome).map_err(CallError::into_rpc);
    let mut stored = tasks
        .end_patiently(caller, id, |task, now| match &end {
            Ok(result) => task.complete(&result.for_version(caller.version), now),
            Err(error) => task.fail(error, now),
        })
        .await;
    let refused = match &stored {
        Err(EdgeError::Tasks(TaskRecordsError::TooLarge { bytes })) => {
            Some(record::too_large_error(*bytes))
        }
        Err(EdgeError::TooManyTasks { bound }) => Some(record::no_room_error(*bound)),
        _ => None,
    };
    if let Some(error) = refused {
        stored = tasks
            .end_patiently(caller, id, |task, now| task.fail(&error, now))
            .await;
    }
    if let Err(error) = stored {
        warn!(%error, task = %id, "the outcome of a task is lost; the task fails when its lease expires");
    }
}

impl Tasks {
    /// As [`Self::end`], and tries again while the store does not answer or has no room, for as long as no other
    /// edge gives the task up, or until the edge has to stop.
    async fn end_patiently(
        &self,
        caller: &Caller,
        id: &TaskId,
        end: impl Fn(&mut Task, Timestamp) -> Result<(), IllegalChange>,
    ) -> Result<(), EdgeError> {
        let until = Instant::now() + TASK_OUTCOME_PATIENCE;
        let closed = self.background.closed();
        loop {
            let ended = self.end(caller, id, &end).await;
            let is_worth_another_try = matches!(&ended, Err(error) if may_pass(error));
            if !is_worth_another_try || Instant::now() >= until || closed.is_cancelled() {
                return ended;
            }
            sleep(TASK_OUTCOME_PAUSE).await;
        }
    }

    /// Ends a task, if it has not ended.
    async fn end(
        &self,
        caller: &Caller,
        id: &TaskId,
        end: impl Fn(&mut Task, Timestamp) -> Result<(), IllegalChange>,
    ) -> Result<(), EdgeError> {
        let (now, made_for) = (self.now(), caller.rights.last());
        let owner = &caller.principal.id;
        let ended = self.change(owner, id, |stored| match end(&mut stored.task, now) {
            Ok(()) => {
                stored.made_for = Some(made_for.clone());
                TaskChange::Store(())
            }
            // Cancelled meanwhile: a finished task stays unchanged.
            Err(error) => {
                debug!(task = %id, %error, "the outcome of a task is too late");
                TaskChange::Keep(())
            }
        });
        ended.await.map(drop)
    }
}

/// Whether the outcome may be stored a moment later. What one client has used up it has to give back itself, but
/// a store that is full as a whole, for instance of waiting writes, often has room at once.
fn may_pass(error: &EdgeError) -> bool {
    match error {
        EdgeError::Busy
        | EdgeError::Tasks(TaskRecordsError::Failed(StoreFailure::Overloaded { .. })) => true,
        error => error.class() == ErrorClass::Transient,
    }
}

/// Renews the lease; returns when the task has ended or no longer exists.
async fn keep(tasks: &Tasks, caller: &Caller, id: &TaskId, running: &RunningTask) {
    let owner = &caller.principal.id;
    let mut renew = interval_at(Instant::now() + TASK_LEASE / 3, TASK_LEASE / 3);
    let mut hints = running.changed.subscribe();
    loop {
        tokio::select! {
            biased;
            _ = renew.tick() => {
                let renewed = tasks.renew(owner, id).await;
                if let Err(error) = renewed {
                    debug!(%error, task = %id, "the lease of a task cannot be renewed now");
                }
            }
            () = wait_for_hint(&mut hints) => {
                let stored = tasks.load(owner, id).await;
                let is_over = |stored: Option<StoredTask>| {
                    stored.is_none_or(|stored| stored.task.status().is_terminal())
                };
                if stored.is_ok_and(is_over) {
                    return;
                }
            }
        }
    }
}

impl Tasks {
    /// Renews the lease, without an announcement: it concerns no other edge.
    async fn renew(&self, owner: &model::PrincipalId, id: &TaskId) -> Result<(), EdgeError> {
        let until = self.clock.current().await?.plus(TASK_LEASE);
        let renewed = self.change_unannounced(owner, id, |stored| {
            // Stored again, the outcome would be kept for longer.
            if stored.task.status().is_terminal() {
                return TaskChange::Keep(());
            }
            stored.lease_until = until;
            TaskChange::Store(())
        });
        renewed.await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{ManualClock, PrincipalId};
    use ports::RecordBound;

    use super::*;
    use crate::tasks::tests::{create, tasks_at};

    #[tokio::test]
    async fn a_lease_that_is_renewed_late_leaves_the_end_of_an_outcome() {
        let clock = Arc::new(ManualClock::default());
        let (tasks, owner) = (tasks_at(&clock), PrincipalId::anonymous());
        let id = create(&tasks, &clock, &owner).await;
        tasks.renew(&owner, &id).await.unwrap();
        tasks.cancel(&owner, &id).await.unwrap().unwrap();
        let cancelled = tasks.store.load(&owner, &id).await.unwrap();
        clock.advance(Duration::from_secs(20));
        tasks.renew(&owner, &id).await.unwrap();
        assert_eq!(tasks.store.load(&owner, &id).await.unwrap(), cancelled);
    }

    #[test]
    fn an_outcome_waits_for_a_store_that_is_full_and_not_for_a_client_that_has_its_share() {
        let of = |error: TaskRecordsError| may_pass(&error.into());
        assert!(of(StoreFailure::full("too many writes are waiting").into()));
        assert!(of(
            StoreFailure::unavailable("replace a record", "gone").into()
        ));
        assert!(may_pass(&EdgeError::Busy));
        for bound in [RecordBound::BytesOfOwner, RecordBound::Bytes] {
            assert!(!of(TaskRecordsError::NoRoom { bound }));
        }
        assert!(!of(TaskRecordsError::TooLarge { bytes: 7 }));
        assert!(!of(
            StoreFailure::corrupt("replace a record", "damaged").into()
        ));
    }
}
