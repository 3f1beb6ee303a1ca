//! [`ports::TaskStore`]: a task is one hash, `{prefix}task:{<owner>}:<id>`, with its `state`, its
//! `revision` and `endless` (no expiry was requested), and the key's expiry as its time to live.
//!
//! One sorted set per owner, `{prefix}tasks:{<owner>}`, holds the ids of the owner's tasks by their
//! expiry time in milliseconds: it counts them. All keys of an owner are in one slot, so each
//! change is one script that is applied completely or not at all, and the owners are distributed
//! over a cluster.

use std::{fmt::Write, time::Duration};

use async_trait::async_trait;
use fred::types::{Value, scripts::Script};
use model::{PrincipalId, TaskId};
use ports::{Revision, TaskLimits, TaskRecord, TaskStore, TaskStoreError, VersionedTask};

use crate::{RedisSessionStore, store::millis};

#[derive(Debug, thiserror::Error)]
#[error("the task store returned an unexpected answer or holds a foreign entry")]
struct UnexpectedTaskAnswer;

fn unexpected_answer(op: &'static str) -> TaskStoreError {
    let source = UnexpectedTaskAnswer.into();
    TaskStoreError::Corrupt { op, source }
}

/// An owner for use inside braces: its own braces would end the hash tag, and its keys would be in
/// several slots.
fn tag(owner: &PrincipalId) -> String {
    let mut tag = String::with_capacity(owner.as_str().len());
    for character in owner.as_str().chars() {
        if matches!(character, '{' | '}' | '%') {
            // Writing to a string cannot fail.
            let _ = write!(tag, "%{:02x}", u32::from(character));
        } else {
            tag.push(character);
        }
    }
    tag
}

fn number(value: Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(number).ok(),
        other => other.as_str()?.parse().ok(),
    }
}

/// Reads a task from the script's answer after the outcome.
fn loaded(
    (owner, id): (&PrincipalId, &TaskId),
    answer: &mut impl Iterator<Item = Value>,
) -> Option<VersionedTask> {
    let revision = Revision(number(answer.next()?)?);
    let left = Duration::from_millis(number(answer.next()?)?);
    let endless = number(answer.next()?)? == 1;
    let record = TaskRecord {
        id: id.clone(),
        owner: owner.clone(),
        state: answer.next()?.into_bytes()?,
        ttl: (!endless).then_some(left),
    };
    Some(VersionedTask { record, revision })
}

impl RedisSessionStore {
    /// Runs a script on an owner's task; returns the outcome and the values after it.
    async fn on_task(
        &self,
        op: &'static str,
        script: &Script,
        (owner, id): (&PrincipalId, &TaskId),
        arguments: Vec<Value>,
    ) -> Result<(u64, std::vec::IntoIter<Value>), TaskStoreError> {
        let keys = self.index.task_keys(&tag(owner), id);
        let arguments = [id.as_str().into()].into_iter().chain(arguments).collect();
        let call = self.run::<Vec<Value>, TaskStoreError>(op, script, keys, arguments);
        let mut answer = self.bounded(op, call).await?.into_iter();
        let outcome = answer.next().and_then(number);
        Ok((outcome.ok_or_else(|| unexpected_answer(op))?, answer))
    }

    async fn write_task(
        &self,
        op: &'static str,
        script: &Script,
        task: &TaskRecord,
        (limits, last): (TaskLimits, Vec<Value>),
    ) -> Result<Revision, TaskStoreError> {
        TaskStoreError::check_state(&task.state)?;
        let mut arguments = vec![
            millis(limits.time_to_live(task.ttl)).into(),
            i64::from(task.ttl.is_none()).into(),
            Value::Bytes(task.state.clone()),
        ];
        arguments.extend(last);
        let at = (&task.owner, &task.id);
        let (outcome, mut answer) = self.on_task(op, script, at, arguments).await?;
        let stored = answer.next().and_then(number).map(Revision);
        match (outcome, stored) {
            (0, _) => Err(TaskStoreError::Missing),
            (1, Some(current)) => Err(TaskStoreError::Conflict { current }),
            (2, Some(revision)) => Ok(revision),
            (4, _) => Err(TaskStoreError::Exists),
            (5, _) => Err(TaskStoreError::too_many()),
            _ => Err(unexpected_answer(op)),
        }
    }
}

#[async_trait]
impl TaskStore for RedisSessionStore {
    async fn create_task(
        &self,
        task: &TaskRecord,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError> {
        let most = i64::from(limits.max_tasks_per_owner).into();
        let bounds = (limits, vec![most, millis(limits.spare_ttl).into()]);
        let script = &self.task_scripts.create;
        self.write_task("create a task", script, task, bounds).await
    }

    async fn load_task(
        &self,
        owner: &PrincipalId,
        id: &TaskId,
    ) -> Result<Option<VersionedTask>, TaskStoreError> {
        const OP: &str = "load a task";
        let (at, script) = ((owner, id), &self.task_scripts.load);
        let (outcome, mut answer) = self.on_task(OP, script, at, Vec::new()).await?;
        match outcome {
            0 => Ok(None),
            2 => loaded(at, &mut answer)
                .map(Some)
                .ok_or_else(|| unexpected_answer(OP)),
            _ => Err(unexpected_answer(OP)),
        }
    }

    async fn replace_task(
        &self,
        task: &TaskRecord,
        expected: Revision,
        limits: TaskLimits,
    ) -> Result<Revision, TaskStoreError> {
        let script = &self.task_scripts.replace;
        self.write_task(
            "replace a task",
            script,
            task,
            (limits, vec![expected.0.to_string().into()]),
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_cannot_end_its_hash_tag_or_be_another() {
        let tag = |owner: &str| tag(&PrincipalId::new(owner).unwrap());
        assert_eq!(tag("user:1@example.org"), "user:1@example.org");
        assert_eq!(tag("}{%"), "%7d%7b%25");
        assert_ne!(tag("a%7d"), tag("a}"));
    }
}
