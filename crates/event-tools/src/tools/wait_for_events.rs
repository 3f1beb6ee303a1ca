//! `wait_for_events`: waits for a matching event. If the client supports tasks, the call waits for
//! up to a day, and the client may disconnect meanwhile; otherwise for as long as a request may
//! last.

use async_trait::async_trait;
use event_flow::query::{EventQuery, Order};
use mcp::{
    lenient,
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, RateClass,
    tool::{Execution, Tool},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    filter_input::{FilterInput, filter_list},
    filters::{self, EventsOutput},
    replay_events::MAX_WAIT_SECONDS,
    structured,
};
use crate::{events::EventAccess, limits::MAX_RESULT_BYTES};

const NAME: &str = "wait_for_events";
const DEFAULT_LIMIT: usize = 100;
const MAX_EVENTS: usize = 1000;
const DEFAULT_WAIT_SECONDS: u64 = 3600;
/// A task lives for a day.
const MAX_TASK_SECONDS: u64 = 23 * 3600;

/// Input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "Input")]
struct WaitInput {
    /// Wait for events after this cursor; without one, for events from now on.
    #[serde(default)]
    cursor: Option<String>,
    /// An event has to match one of these; no filter means every event.
    #[serde(default, deserialize_with = "filter_list")]
    filters: Vec<FilterInput>,
    /// Maximum number of events to return (default 100).
    #[serde(default, deserialize_with = "lenient::count")]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// Seconds to wait before giving up (default 3600; up to 50 without the tasks extension).
    #[serde(default, deserialize_with = "lenient::count")]
    #[schemars(range(min = 1, max = 82800))]
    max_wait_seconds: Option<u64>,
}

/// A checked call.
struct Wait {
    question: EventQuery,
    /// Whether events after the cursor are gone.
    gone: bool,
    seconds: u64,
}

/// The tool.
pub(crate) struct WaitForEvents {
    events: EventAccess,
}

impl WaitForEvents {
    pub(crate) fn new(events: EventAccess) -> Self {
        Self { events }
    }

    async fn checked(&self, caller: &Caller, input: &WaitInput) -> Result<Wait, CallError> {
        let seconds = input.max_wait_seconds.unwrap_or(DEFAULT_WAIT_SECONDS);
        if !(1..=MAX_TASK_SECONDS).contains(&seconds) {
            let reason = format!("must be from 1 to {MAX_TASK_SECONDS}");
            return Err(InputError::new("maxWaitSeconds", &reason).into());
        }
        let (after, gone) = match &input.cursor {
            Some(cursor) => self.events.position_of(caller, Some(cursor)).await?,
            None => (self.events.resolve(caller.since)?, false),
        };
        let question = EventQuery {
            filters: filters::read(&input.filters)?,
            after,
            before: None,
            from: None,
            to: None,
            order: Order::OldestFirst,
            limit: filters::limit(input.limit, DEFAULT_LIMIT, MAX_EVENTS)?,
            max_bytes: MAX_RESULT_BYTES,
        };
        Ok(Wait {
            question,
            gone,
            seconds,
        })
    }
}

#[async_trait]
impl Tool for WaitForEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<WaitInput>(
            NAME,
            "Wait for GitHub events",
            "Waits until an event matches, and returns all that match by then and fit; empty if none arrived in time: \
             call again with the returned cursor. With the tasks extension, the wait continues in the \
             background.",
            ToolAnnotations::read_only(),
        )
        .with_output::<EventsOutput>()
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Wait)
    }

    fn execution(&self) -> Execution {
        Execution::TaskIfPossible
    }

    /// Refuses invalid input at once instead of in a task that fails.
    async fn before_task(&self, caller: &Caller, call: &CallToolParams) -> Result<(), CallError> {
        self.checked(caller, &call.arguments()?).await.map(drop)
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        let input: WaitInput = call.arguments()?;
        let Wait {
            mut question,
            gone,
            seconds,
        } = self.checked(caller, &input).await?;
        let longest = match caller.is_task {
            true => MAX_TASK_SECONDS,
            false => MAX_WAIT_SECONDS,
        };
        let page = self
            .events
            .wait(caller, &mut question, gone, seconds.min(longest));
        let mut page = page.await?;
        page.truncated |= gone;
        page.answer(|page| Ok(structured(&EventsOutput::of(&self.events, caller, page)?)))
    }
}
