//! Sends the state of tasks to the listen streams that follow them.

use std::{sync::Arc, time::Duration};

use fanout::hub::Hub;
use mcp::task;
use model::{PrincipalId, TaskId};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Tasks;
use crate::limits::TASK_CHANGES;

/// Interval at which the tasks followed here are checked, independent of the bus.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);

/// Queues the changed tasks that the follower reports. Never blocks.
#[derive(Debug, Clone)]
pub(crate) struct TaskUpdates {
    hub: Arc<Hub>,
    tasks: Arc<Tasks>,
    changed: mpsc::Sender<(PrincipalId, TaskId)>,
}

/// The receiving end, for [`watch_tasks`].
#[derive(Debug)]
pub(crate) struct ChangedTasks(mpsc::Receiver<(PrincipalId, TaskId)>);

impl TaskUpdates {
    pub(crate) fn new(hub: Arc<Hub>, tasks: Arc<Tasks>) -> (Self, ChangedTasks) {
        let (changed, changes) = mpsc::channel(TASK_CHANGES);
        let news = Self {
            hub,
            tasks,
            changed,
        };
        (news, ChangedTasks(changes))
    }

    pub(crate) fn enqueue(&self, owner: PrincipalId, task: TaskId) {
        self.tasks.hint(&task);
        if self.hub.follows_task(&task) && self.changed.try_send((owner, task)).is_err() {
            debug!("tasks change faster than they are checked; the periodic check covers them");
        }
    }

    /// Messages may have been lost.
    pub(crate) fn gap(&self) {
        self.tasks.hint_all();
    }
}

/// Checks changed tasks, and periodically all tasks followed here. Runs until `stop`.
pub(crate) async fn watch_tasks(
    tasks: Arc<Tasks>,
    hub: Arc<Hub>,
    ChangedTasks(mut changes): ChangedTasks,
    stop: CancellationToken,
) {
    let mut rounds = tokio::time::interval(CHECK_INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        loop {
            tokio::select! {
                changed = changes.recv() => match changed {
                    Some((owner, task)) => notify_followers(&tasks, &hub, &owner, &task).await,
                    None => return,
                },
                _ = rounds.tick() => {
                    for task in hub.followed_tasks() {
                        for owner in hub.task_followers(&task) {
                            notify_followers(&tasks, &hub, &owner, &task).await;
                        }
                    }
                }
            }
        }
    };
    stop.run_until_cancelled(endless).await;
}

/// Sends the state of the task to the streams of its owner.
pub(crate) async fn notify_followers(tasks: &Tasks, hub: &Hub, owner: &PrincipalId, id: &TaskId) {
    match tasks.load(owner, id).await {
        Ok(Some(stored)) => {
            hub.notify_task(owner, id, |reader| {
                task::changed(&stored.shown_to(&reader.sees))
            });
        }
        Ok(None) => {}
        Err(error) => debug!(%error, task = %id, "a task cannot be checked now"),
    }
}
