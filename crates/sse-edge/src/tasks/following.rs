//! Tells listen streams how the tasks stand that they follow.

use std::{sync::Arc, time::Duration};

use fanout::hub::Hub;
use mcp::task;
use model::{PrincipalId, TaskId};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Tasks;
use crate::limits::TASK_CHANGES;

/// How often the tasks that are followed here are looked at, whatever the bus says.
const LOOK: Duration = Duration::from_secs(15);

/// Where the follower puts what it hears. Never blocks.
#[derive(Debug, Clone)]
pub(crate) struct TaskNews {
    hub: Arc<Hub>,
    tasks: Arc<Tasks>,
    changed: mpsc::Sender<(PrincipalId, TaskId)>,
}

/// The receiving end, for [`watch_tasks`].
#[derive(Debug)]
pub(crate) struct Changes(mpsc::Receiver<(PrincipalId, TaskId)>);

impl TaskNews {
    pub(crate) fn new(hub: Arc<Hub>, tasks: Arc<Tasks>) -> (Self, Changes) {
        let (changed, changes) = mpsc::channel(TASK_CHANGES);
        let news = Self {
            hub,
            tasks,
            changed,
        };
        (news, Changes(changes))
    }

    pub(crate) fn take(&self, owner: PrincipalId, task: TaskId) {
        self.tasks.hint(&task);
        if self.hub.follows_task(&task) && self.changed.try_send((owner, task)).is_err() {
            debug!("tasks change faster than they are looked at; the regular round finds them");
        }
    }

    /// Messages may have been lost.
    pub(crate) fn gap(&self) {
        self.tasks.hint_all();
    }
}

/// Looks at tasks that changed, and at all that are followed here every now and then. Runs until `stop`.
pub(crate) async fn watch_tasks(
    tasks: Arc<Tasks>,
    hub: Arc<Hub>,
    Changes(mut changes): Changes,
    stop: CancellationToken,
) {
    let mut rounds = tokio::time::interval(LOOK);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        loop {
            tokio::select! {
                changed = changes.recv() => match changed {
                    Some((owner, task)) => tell(&tasks, &hub, &owner, &task).await,
                    None => return,
                },
                _ = rounds.tick() => {
                    for task in hub.followed_tasks() {
                        for owner in hub.task_followers(&task) {
                            tell(&tasks, &hub, &owner, &task).await;
                        }
                    }
                }
            }
        }
    };
    stop.run_until_cancelled(endless).await;
}

/// Tells the streams of the task's owner how it stands.
pub(crate) async fn tell(tasks: &Tasks, hub: &Hub, owner: &PrincipalId, id: &TaskId) {
    match tasks.load(owner, id).await {
        Ok(Some(stored)) => {
            let how = task::changed(&stored.task);
            hub.task_changed(owner, id, &how);
        }
        Ok(None) => {}
        Err(error) => debug!(%error, task = %id, "a task cannot be looked at now"),
    }
}
