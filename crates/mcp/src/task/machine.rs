//! The states of a task and the transitions between them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::TaskId;
use crate::{
    envelope::RpcError,
    limits::MAX_TASK_INPUTS,
    mrtr::{DescribedRequest, InputRequests},
    version::ProtocolVersion,
};

/// The status of a task (SEP-2663, "Task Status").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// In progress.
    Working,
    /// Waiting for the client's answers.
    InputRequired,
    /// Finished; also if the tool failed.
    Completed,
    /// Ended by a JSON-RPC error.
    Failed,
    /// Cancelled by the client.
    Cancelled,
}

impl TaskStatus {
    /// All statuses.
    pub const ALL: [Self; 5] = [
        Self::Working,
        Self::InputRequired,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether this status is final.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether `next` may follow. A terminal status never changes, not even to itself.
    #[must_use]
    pub const fn may_become(self, _next: Self) -> bool {
        !self.is_terminal()
    }
}

/// A status with its payload, which is JSON to pass on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// In progress.
    Working,
    /// Waiting for the answers to these questions; never empty.
    InputRequired(BTreeMap<String, DescribedRequest>),
    /// The result that the request would have had.
    Completed(Box<RawValue>),
    /// The JSON-RPC error that the request would have had.
    Failed(Box<RawValue>),
    /// Cancelled by the client.
    Cancelled,
}

impl TaskState {
    /// The status without its payload.
    #[must_use]
    pub const fn status(&self) -> TaskStatus {
        match self {
            Self::Working => TaskStatus::Working,
            Self::InputRequired(_) => TaskStatus::InputRequired,
            Self::Completed(_) => TaskStatus::Completed,
            Self::Failed(_) => TaskStatus::Failed,
            Self::Cancelled => TaskStatus::Cancelled,
        }
    }
}

/// A change that a task does not allow.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IllegalChange {
    /// The task has ended.
    #[error("the task has ended")]
    Over,
    /// The key was used before; it identifies one question over the whole lifetime of a task.
    #[error("the task has used the key {0} for an earlier question")]
    KeyUsed(String),
    /// The task has asked 256 questions.
    #[error("a task may ask up to {MAX_TASK_INPUTS} questions")]
    TooManyInputs,
    /// The outcome cannot be JSON.
    #[error("the outcome of the task cannot be JSON")]
    NotJson,
}

impl model::Classified for IllegalChange {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Permanent
    }
}

/// A task. Its serialized form is the record in a store; clients see [`Self::describe`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    id: TaskId,
    created_at: Timestamp,
    updated_at: Timestamp,
    ttl_ms: Option<u64>,
    poll_interval_ms: Option<u64>,
    message: Option<String>,
    state: TaskState,
    /// All keys of questions asked so far.
    asked: BTreeSet<String>,
}

impl Task {
    /// A task in progress. `ttl_ms` counts from now, in milliseconds; `None` means no expiry.
    /// `poll_interval_ms` is the interval at which a client should poll, in milliseconds.
    #[must_use]
    pub const fn new(
        id: TaskId,
        now: Timestamp,
        ttl_ms: Option<u64>,
        poll_interval_ms: Option<u64>,
    ) -> Self {
        Self {
            id,
            created_at: now,
            updated_at: now,
            ttl_ms,
            poll_interval_ms,
            message: None,
            state: TaskState::Working,
            asked: BTreeSet::new(),
        }
    }

    /// The task's id.
    #[must_use]
    pub const fn id(&self) -> &TaskId {
        &self.id
    }

    /// The time at which the task was created.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// The same task with an error in place of its result, for a reader that may not see that.
    #[must_use]
    pub fn without_result(&self, error: &RpcError) -> Self {
        let mut shown = self.clone();
        if let (TaskState::Completed(_), Ok(error)) = (&self.state, to_raw_value(error)) {
            shown.state = TaskState::Failed(error);
        }
        shown
    }

    /// The task's state.
    #[must_use]
    pub const fn state(&self) -> &TaskState {
        &self.state
    }

    /// The task's status.
    #[must_use]
    pub const fn status(&self) -> TaskStatus {
        self.state.status()
    }

    /// Whether the task has expired: it may be deleted, and is unknown from then on.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.ttl_ms
            .is_some_and(|ttl| now >= self.created_at.plus(Duration::from_millis(ttl)))
    }

    /// Sets a status message, which the client may show to the user or the model.
    ///
    /// # Errors
    /// The task has ended.
    pub fn set_message(&mut self, message: &str, now: Timestamp) -> Result<(), IllegalChange> {
        self.change(self.state.clone(), now)?;
        self.message = Some(message.to_owned());
        Ok(())
    }

    /// Asks the client; open questions stay open.
    ///
    /// # Errors
    /// The task has ended, a key was used before, or there would be more than 256 questions in its
    /// lifetime.
    pub fn ask(
        &mut self,
        requests: &InputRequests,
        version: ProtocolVersion,
        now: Timestamp,
    ) -> Result<(), IllegalChange> {
        let new = requests.describe(version);
        if let Some(key) = new.keys().find(|key| self.asked.contains(*key)) {
            return Err(IllegalChange::KeyUsed(key.clone()));
        }
        if self.asked.len() + new.len() > MAX_TASK_INPUTS {
            return Err(IllegalChange::TooManyInputs);
        }
        let keys: Vec<_> = new.keys().cloned().collect();
        let mut open = match &self.state {
            TaskState::InputRequired(open) => open.clone(),
            _ => BTreeMap::new(),
        };
        open.extend(new);
        self.change(waiting_for(open), now)?;
        self.asked.extend(keys);
        Ok(())
    }

    /// Accepts answers and returns those to open questions. Others are ignored: they are late,
    /// duplicates, or unexpected. With the last open question the task is in progress again.
    pub fn answer(
        &mut self,
        mut responses: BTreeMap<String, Box<RawValue>>,
        now: Timestamp,
    ) -> BTreeMap<String, Box<RawValue>> {
        let TaskState::InputRequired(open) = &self.state else {
            return BTreeMap::new();
        };
        let mut open = open.clone();
        responses.retain(|key, _| open.remove(key).is_some());
        if !responses.is_empty() {
            // A waiting task has not ended, so this succeeds.
            let _ = self.change(waiting_for(open), now);
        }
        responses
    }

    /// Ends the task with the result that the request would have had.
    ///
    /// # Errors
    /// The task has ended, or the result cannot be JSON.
    pub fn complete(
        &mut self,
        result: &impl Serialize,
        now: Timestamp,
    ) -> Result<(), IllegalChange> {
        let result = to_raw_value(result).map_err(|_| IllegalChange::NotJson)?;
        self.change(TaskState::Completed(result), now)
    }

    /// Ends the task with the JSON-RPC error that the request would have had. A tool that failed
    /// does not fail its task.
    ///
    /// # Errors
    /// The task has ended.
    pub fn fail(&mut self, error: &RpcError, now: Timestamp) -> Result<(), IllegalChange> {
        let error = to_raw_value(error).map_err(|_| IllegalChange::NotJson)?;
        self.change(TaskState::Failed(error), now)
    }

    /// Ends the task at the client's request.
    ///
    /// # Errors
    /// The task has ended.
    pub fn cancel(&mut self, now: Timestamp) -> Result<(), IllegalChange> {
        self.change(TaskState::Cancelled, now)
    }

    /// Keeps the task for this long from now on, in place of the time that it was given before.
    pub fn keep_for(&mut self, time: Duration, now: Timestamp) {
        let ttl = now.since(self.created_at).saturating_add(time);
        self.ttl_ms = Some(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    }

    fn change(&mut self, next: TaskState, now: Timestamp) -> Result<(), IllegalChange> {
        if !self.status().may_become(next.status()) {
            return Err(IllegalChange::Over);
        }
        self.state = next;
        // Another edge's clock may be behind; a client must not see time run backwards.
        self.updated_at = self.updated_at.max(now);
        Ok(())
    }

    /// `DetailedTask`, for `tasks/get` and notifications.
    #[must_use]
    pub fn describe(&self) -> impl Serialize + '_ {
        let mut described = self.bare();
        match &self.state {
            TaskState::InputRequired(open) => described.input_requests = Some(open),
            TaskState::Completed(result) => described.result = Some(result),
            TaskState::Failed(error) => described.error = Some(error),
            TaskState::Working | TaskState::Cancelled => {}
        }
        described
    }

    /// `Task` without outcome and questions, for the answer that creates it.
    #[must_use]
    pub fn describe_bare(&self) -> impl Serialize + '_ {
        self.bare()
    }

    fn bare(&self) -> Described<'_> {
        Described {
            task_id: self.id.as_str(),
            status: self.status(),
            status_message: self.message.as_deref(),
            created_at: self.created_at,
            last_updated_at: self.updated_at,
            ttl_ms: self.ttl_ms,
            poll_interval_ms: self.poll_interval_ms,
            input_requests: None,
            result: None,
            error: None,
        }
    }
}

/// A task without open questions is in progress.
fn waiting_for(open: BTreeMap<String, DescribedRequest>) -> TaskState {
    if open.is_empty() {
        TaskState::Working
    } else {
        TaskState::InputRequired(open)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described<'a> {
    task_id: &'a str,
    status: TaskStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'a str>,
    created_at: Timestamp,
    last_updated_at: Timestamp,
    /// Null means no expiry; the member is required.
    ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll_interval_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_requests: Option<&'a BTreeMap<String, DescribedRequest>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
}
