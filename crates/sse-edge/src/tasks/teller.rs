//! The states of tasks as listen streams tell them: each is read when the client of the stream can take it,
//! and under the rights of that moment.

use std::sync::Arc;

use access::{Principal, SharedPlace, SharedPlaces};
use fanout::followed::{TaskNotice, TaskReading, TaskSource, ToldTask};
use futures_util::future::BoxFuture;
use mcp::task::{self, Task};
use model::{PrincipalId, TaskId};
use tokio::{
    sync::{Semaphore, oneshot},
    time::sleep,
};
use tracing::debug;

use super::{Tasks, record};
use crate::limits::{LARGE_TASK_PAUSE, LARGE_TASKS, SMALL_TASK_BYTES, TASK_READS};

/// Reads tasks for listen streams. The reads are bounded together, and so are the large states that wait
/// for clients.
#[derive(Debug)]
pub(crate) struct TaskTeller {
    shared: Arc<TellerParts>,
}

#[derive(Debug)]
struct TellerParts {
    tasks: Arc<Tasks>,
    reads: Semaphore,
    places: Arc<SharedPlaces>,
}

impl TaskTeller {
    pub(crate) fn new(tasks: Arc<Tasks>) -> Self {
        let shared = TellerParts {
            tasks,
            reads: Semaphore::new(TASK_READS),
            places: SharedPlaces::new(LARGE_TASKS),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl TaskSource for TaskTeller {
    fn read(
        &self,
        reader: Arc<Principal>,
        task: TaskId,
        told: Option<ToldTask>,
    ) -> BoxFuture<'static, TaskReading> {
        let shared = Arc::clone(&self.shared);
        let (mut tell, reading) = oneshot::channel();
        // Not within the stream: while its client takes nothing, nobody polls it, and others need the turn.
        let work = async move {
            let read = tokio::select! {
                read = shared.read(&reader, &task, told) => read,
                () = tell.closed() => return,
            };
            let _ = tell.send(read);
        };
        drop(self.shared.tasks.background.spawn(work));
        Box::pin(async move { reading.await.unwrap_or(TaskReading::NotNow) })
    }
}

impl TellerParts {
    async fn read(
        &self,
        reader: &Arc<Principal>,
        id: &TaskId,
        told: Option<ToldTask>,
    ) -> TaskReading {
        let mut place = None;
        loop {
            let read = self.read_now(reader, id, told).await;
            let TaskReading::New(mut notice) = read else {
                return read;
            };
            if notice.message.frame_head().len() <= SMALL_TASK_BYTES {
                return TaskReading::New(notice);
            }
            if place.is_some() {
                notice.place = place;
                return TaskReading::New(notice);
            }
            // Waits without the state, and reads it again.
            drop(notice);
            place = Some(self.place(&reader.id).await);
        }
    }

    async fn read_now(
        &self,
        reader: &Arc<Principal>,
        id: &TaskId,
        told: Option<ToldTask>,
    ) -> TaskReading {
        let Ok(_turn) = self.reads.acquire().await else {
            return TaskReading::NotNow;
        };
        // A stream whose token is no longer valid is about to end.
        let Ok(reader) = reader.present() else {
            return TaskReading::NotNow;
        };
        let shown = match self.tasks.load(&reader.id, id).await {
            Ok(Some(stored)) => stored.shown_to(&reader.sees),
            Ok(None) => self.gone(id, told),
            Err(error) => {
                debug!(%error, task = %id, "a task cannot be read for a stream now");
                return TaskReading::NotNow;
            }
        };
        let message = task::changed(&shown);
        let created_at = shown.created_at();
        if told == Some(ToldTask::of(created_at, &message)) {
            return TaskReading::Told;
        }
        TaskReading::New(TaskNotice {
            message,
            created_at,
            is_over: shown.status().is_terminal(),
            place: None,
        })
    }

    /// The end of a task that the store no longer has: its client would wait for it in vain.
    fn gone(&self, id: &TaskId, told: Option<ToldTask>) -> Task {
        let now = self.tasks.now();
        let created_at = told.map_or(now, |told| told.created_at);
        let mut task = Task::new(id.clone(), created_at, None, None);
        // A new task has not ended, so this succeeds.
        let _ = task.fail(&record::gone_error(), now);
        task
    }

    async fn place(&self, principal: &PrincipalId) -> SharedPlace {
        loop {
            match self.places.take(principal) {
                Ok(place) => return place,
                Err(_) => sleep(LARGE_TASK_PAUSE).await,
            }
        }
    }
}
