//! The states of a task and how it gets from one to the next.

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

/// How a task is (SEP-2663, "Task Status").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Goes on.
    Working,
    /// Waits for answers of the client.
    InputRequired,
    /// Done; a tool that failed is done too.
    Completed,
    /// Ended by a JSON-RPC error.
    Failed,
    /// Ended because the client wanted it.
    Cancelled,
}

impl TaskStatus {
    /// All.
    pub const ALL: [Self; 5] = [
        Self::Working,
        Self::InputRequired,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether nothing comes after.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether `next` may follow. A terminal status is never left, not even for itself.
    #[must_use]
    pub const fn may_become(self, _next: Self) -> bool {
        !self.is_terminal()
    }
}

/// A status with what belongs to it. The payloads are JSON that is passed on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Goes on.
    Working,
    /// Waits for the answers to these questions; never empty.
    InputRequired(BTreeMap<String, DescribedRequest>),
    /// What the request would have been answered with.
    Completed(Box<RawValue>),
    /// The JSON-RPC error that the request would have been answered with.
    Failed(Box<RawValue>),
    /// Ended early.
    Cancelled,
}

impl TaskState {
    /// The status alone.
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

/// A change that a task does not make.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IllegalChange {
    /// It is over.
    #[error("the task is over")]
    Over,
    /// A key names one question over the whole life of a task.
    #[error("the task has asked under the key {0} before")]
    KeyUsed(String),
    /// It has asked 256 questions.
    #[error("a task asks at most {MAX_TASK_INPUTS} questions")]
    TooManyInputs,
    /// The outcome cannot be JSON.
    #[error("the outcome of the task is no JSON")]
    NotJson,
}

impl model::Classified for IllegalChange {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Permanent
    }
}

/// A task. Serialized it is the record for a store; what clients see is [`Self::describe`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    id: TaskId,
    created_at: Timestamp,
    updated_at: Timestamp,
    ttl_ms: Option<u64>,
    poll_interval_ms: Option<u64>,
    message: Option<String>,
    state: TaskState,
    /// Every key that was ever asked under.
    asked: BTreeSet<String>,
}

impl Task {
    /// A task that works. `ttl_ms` counts from now, in milliseconds; `None` is for ever.
    /// `poll_interval_ms` is how often a client should ask, in milliseconds.
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

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &TaskId {
        &self.id
    }

    /// How it is.
    #[must_use]
    pub const fn state(&self) -> &TaskState {
        &self.state
    }

    /// How it is, in a word.
    #[must_use]
    pub const fn status(&self) -> TaskStatus {
        self.state.status()
    }

    /// Whether its time is over: it may be forgotten, and is unknown from then on.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.ttl_ms
            .is_some_and(|ttl| now >= self.created_at.plus(Duration::from_millis(ttl)))
    }

    /// Says how it goes; the client may show it to the user or the model.
    ///
    /// # Errors
    /// It is over.
    pub fn say(&mut self, message: &str, now: Timestamp) -> Result<(), IllegalChange> {
        self.change(self.state.clone(), now)?;
        self.message = Some(message.to_owned());
        Ok(())
    }

    /// Asks the client; questions that are open stay open.
    ///
    /// # Errors
    /// It is over, a key was used before, or there are more than 256 questions in its life.
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

    /// Takes answers; gives back those to open questions. Others are ignored: they come late,
    /// twice, or out of nowhere. With the last open question the task works again.
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
            // A task that waits is not over.
            let _ = self.change(waiting_for(open), now);
        }
        responses
    }

    /// Ends with what the request would have been answered with.
    ///
    /// # Errors
    /// It is over, or the result cannot be JSON.
    pub fn complete(
        &mut self,
        result: &impl Serialize,
        now: Timestamp,
    ) -> Result<(), IllegalChange> {
        let result = to_raw_value(result).map_err(|_| IllegalChange::NotJson)?;
        self.change(TaskState::Completed(result), now)
    }

    /// Ends with the JSON-RPC error that the request would have been answered with. A tool that
    /// failed does not fail its task.
    ///
    /// # Errors
    /// It is over.
    pub fn fail(&mut self, error: &RpcError, now: Timestamp) -> Result<(), IllegalChange> {
        let error = to_raw_value(error).map_err(|_| IllegalChange::NotJson)?;
        self.change(TaskState::Failed(error), now)
    }

    /// Ends because the client wanted it.
    ///
    /// # Errors
    /// It is over.
    pub fn cancel(&mut self, now: Timestamp) -> Result<(), IllegalChange> {
        self.change(TaskState::Cancelled, now)
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

/// Without open questions a task works.
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
    /// Null is for ever, and has to be there.
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
