//! Checks the tasks that listen streams follow, independent of the bus.

use std::{collections::HashMap, sync::Arc};

use fanout::{followed::ToldTask, hub::Hub};
use mcp::task;
use model::{PrincipalId, TaskId};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{StoredTask, Tasks};
use crate::limits::TASK_CHECK_INTERVAL;

/// A task as the last check found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SeenTask {
    /// It may change.
    Open(ToldTask),
    /// It does not change any more, or is gone.
    Over,
}

impl SeenTask {
    fn of(found: Option<&StoredTask>) -> Self {
        match found {
            Some(stored) if !stored.task.status().is_terminal() => {
                let task = &stored.task;
                Self::Open(ToldTask::of(task.created_at(), &task::changed(task)))
            }
            _ => Self::Over,
        }
    }
}

type SeenTasks = HashMap<(PrincipalId, TaskId), SeenTask>;

/// Checks all followed tasks periodically, for changes whose message was lost. Runs until `stop`.
pub(crate) async fn watch_tasks(tasks: Arc<Tasks>, hub: Arc<Hub>, stop: CancellationToken) {
    let mut rounds = interval(TASK_CHECK_INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        let mut seen = SeenTasks::new();
        loop {
            rounds.tick().await;
            check(&tasks, &hub, &mut seen).await;
        }
    };
    stop.run_until_cancelled(endless).await;
}

/// Reads each followed task once, however many streams follow it, and not again when it is over.
async fn check(tasks: &Tasks, hub: &Hub, seen: &mut SeenTasks) {
    let before = std::mem::take(seen);
    for task in hub.followed_tasks() {
        let last = before.get(&task).copied();
        let (owner, id) = &task;
        let now = match last {
            Some(SeenTask::Over) => SeenTask::Over,
            _ => match tasks.load(owner, id).await {
                Ok(found) => SeenTask::of(found.as_ref()),
                Err(error) => {
                    debug!(%error, task = %id, "a task cannot be checked now");
                    continue;
                }
            },
        };
        if last != Some(now) {
            hub.notify_task(owner, id);
        }
        seen.insert(task, now);
    }
}
