//! `wait_for_events`: answers when something happens. For a client that knows tasks it waits for up to a
//! day and the client may go away meanwhile; for others as long as a request may last.

use async_trait::async_trait;
use event_flow::query::{EventQuery, Order};
use mcp::{
    Era,
    params::InputError,
    tool::{Annotations, CallParams, CallResult, ToolDescriptor},
};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Runs, Tool, done,
    filters::{self, Events, FilterInput},
    replay_events::{MAX_WAIT_SECONDS, position, wait},
};
use crate::{
    calls::asking::Asking,
    policy::{Policy, RateClass},
    protocol::{CallError, Caller},
};

const NAME: &str = "wait_for_events";
const DEFAULT_LIMIT: usize = 100;
const MAX_EVENTS: usize = 1000;
const DEFAULT_WAIT_SECONDS: u64 = 3600;
/// A task lives for a day.
const MAX_TASK_SECONDS: u64 = 23 * 3600;

/// Input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Input {
    /// Wait for what comes after this cursor; without one, for what comes from now on.
    #[serde(default)]
    cursor: Option<String>,
    /// Any of these has to fit; none means every event.
    #[serde(default)]
    filters: Vec<FilterInput>,
    /// At most so many events (default 100).
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// Give up after so many seconds (default 3600; without tasks 50 at most are waited).
    #[serde(default)]
    #[schemars(range(min = 1, max = 82800))]
    max_wait_seconds: Option<u64>,
}

/// The tool.
pub(super) struct WaitForEvents;

#[async_trait]
impl Tool for WaitForEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<Input>(
            NAME,
            "Wait for GitHub events",
            "Answers when the first event fits, with all that fit by then; empty when none came in time: \
             call again with the cursor of the answer. With the tasks extension the wait goes on in the \
             background.",
            Annotations::read_only(),
        )
        .with_output::<Events>()
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Wait)
    }

    fn runs(&self) -> Runs {
        Runs::AsTaskIfPossible
    }

    /// What does not fit is told at once, not by a task that ends.
    async fn before_task(&self, caller: &Caller, call: &CallParams) -> Result<(), CallError> {
        question(caller, &call.arguments()?).await.map(drop)
    }

    async fn call(&self, caller: &Caller, call: &CallParams) -> Result<CallResult, CallError> {
        let input: Input = call.arguments()?;
        let (mut question, gone, seconds) = question(caller, &input).await?;
        let longest = match caller.asking {
            Asking::InTask(_) if caller.version.era() == Era::Stateless => MAX_TASK_SECONDS,
            _ => MAX_WAIT_SECONDS,
        };
        let mut page = wait(caller, &mut question, gone, seconds.min(longest)).await?;
        page.truncated |= gone;
        done(&Events::of(caller, page))
    }
}

/// The question, whether something after the cursor is gone, and how long to wait.
async fn question(caller: &Caller, input: &Input) -> Result<(EventQuery, bool, u64), CallError> {
    let seconds = input.max_wait_seconds.unwrap_or(DEFAULT_WAIT_SECONDS);
    if !(1..=MAX_TASK_SECONDS).contains(&seconds) {
        let reason = format!("must be from 1 to {MAX_TASK_SECONDS}");
        return Err(InputError::new("maxWaitSeconds", &reason).into());
    }
    let (after, gone) = match &input.cursor {
        Some(cursor) => position(caller, Some(cursor)).await?,
        None => (caller.since.sequence, false),
    };
    let question = EventQuery {
        filters: filters::read(&input.filters)?,
        after,
        from: None,
        to: None,
        order: Order::OldestFirst,
        limit: filters::limit(input.limit, DEFAULT_LIMIT, MAX_EVENTS)?,
    };
    Ok((question, gone, seconds))
}
