//! The tasks that a listen stream follows. Only their ids wait; the state of one at a time is read, when the
//! client can take it, and told if it differs from what the stream told last.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    task::{Context, Poll},
};

use access::{Principal, SharedPlace};
use futures_util::future::BoxFuture;
use mcp::{tagged::TaggedNotification, task::TaskId};
use model::Timestamp;
use tokio::time::sleep;

use crate::limits::CATCH_UP_PAUSE;

/// The component that knows the states of tasks.
pub trait TaskSource: fmt::Debug + Send + Sync + 'static {
    /// Reads a task of a stream's reader, as the reader may see it at this moment. `told` is what the
    /// stream told of it last.
    fn read(
        &self,
        reader: Arc<Principal>,
        task: TaskId,
        told: Option<ToldTask>,
    ) -> BoxFuture<'static, TaskReading>;
}

/// The result of reading a task.
#[derive(Debug)]
pub enum TaskReading {
    /// The stream has told it already.
    Told,
    /// The stream has to tell this.
    New(TaskNotice),
    /// The task cannot be read now.
    NotNow,
}

/// The state of a task, for one stream.
#[derive(Debug)]
pub struct TaskNotice {
    /// The notification.
    pub message: TaggedNotification,
    /// The time at which the task was created.
    pub created_at: Timestamp,
    /// Whether this is the last state: the stream no longer follows the task.
    pub is_over: bool,
    /// The place of a large state, held until the client's socket has taken it.
    pub place: Option<SharedPlace>,
}

/// The state of a task that a stream told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldTask {
    /// The time at which the task was created.
    pub created_at: Timestamp,
    /// The message itself may have a megabyte.
    digest: u64,
}

impl ToldTask {
    /// What this notice tells.
    #[must_use]
    pub fn of(created_at: Timestamp, message: &TaggedNotification) -> Self {
        let mut digest = DefaultHasher::new();
        message.frame_head().hash(&mut digest);
        Self {
            created_at,
            digest: digest.finish(),
        }
    }
}

/// The tasks of one stream.
pub(crate) struct TaskFollower {
    source: Arc<dyn TaskSource>,
    reader: Arc<Principal>,
    /// Tasks whose state may differ from what was told.
    waiting: BTreeSet<TaskId>,
    told: BTreeMap<TaskId, ToldTask>,
    reading: Option<(TaskId, BoxFuture<'static, TaskReading>)>,
    /// The place of the state that is on its way to the client.
    place: Option<SharedPlace>,
}

impl TaskFollower {
    pub(crate) fn new(source: Arc<dyn TaskSource>, reader: Arc<Principal>) -> Self {
        Self {
            source,
            reader,
            waiting: BTreeSet::new(),
            told: BTreeMap::new(),
            reading: None,
            place: None,
        }
    }

    /// These tasks may have changed.
    pub(crate) fn add(&mut self, tasks: BTreeSet<TaskId>) {
        self.waiting.extend(tasks);
    }

    /// The client's socket has taken what was given to it.
    pub(crate) fn record_sent(&mut self) {
        self.place = None;
    }

    /// The next state to tell, `None` while there is none.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Option<(TaskId, TaskNotice)> {
        loop {
            let (task, mut reading) = match self.reading.take() {
                Some(begun) => begun,
                None => {
                    let task = self.waiting.pop_first()?;
                    let reading = self.begin(task.clone(), false);
                    (task, reading)
                }
            };
            match reading.as_mut().poll(cx) {
                Poll::Pending => {
                    self.reading = Some((task, reading));
                    return None;
                }
                Poll::Ready(TaskReading::Told) => {}
                Poll::Ready(TaskReading::NotNow) => {
                    let again = self.begin(task.clone(), true);
                    self.reading = Some((task, again));
                }
                Poll::Ready(TaskReading::New(mut notice)) => {
                    self.place = notice.place.take();
                    // Also the last state: a hint of the same change may still come.
                    let told = ToldTask::of(notice.created_at, &notice.message);
                    self.told.insert(task.clone(), told);
                    return Some((task, notice));
                }
            }
        }
    }

    fn begin(&self, task: TaskId, after_pause: bool) -> BoxFuture<'static, TaskReading> {
        let (source, reader) = (Arc::clone(&self.source), Arc::clone(&self.reader));
        let told = self.told.get(&task).copied();
        Box::pin(async move {
            if after_pause {
                sleep(CATCH_UP_PAUSE).await;
            }
            source.read(reader, task, told).await
        })
    }
}

#[cfg(test)]
mod tests;
