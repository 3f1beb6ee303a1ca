//! `wait_for_events`: waits for a matching event, for as long as the client shows that it can: a client that asks for
//! progress waits up to 28 hours, and one that supports tasks may disconnect meanwhile.

use async_trait::async_trait;
use event_flow::query::{EventQuery, Order};
use mcp::{
    lenient,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, RateClass,
    answer_size::{RESULT_SIZE_HINT, structured_result},
    arguments::Arguments,
    tool::{Execution, Tool},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    answer_input::{AnswerForm, AnswerInput},
    filter_input::{FilterInput, filter_list},
    filters::{self, EventsOutput},
};
use crate::{
    events::EventAccess,
    limits::{MAX_READ_BYTES, MAX_SILENT_WAIT_SECONDS, MAX_TASK_WAIT_SECONDS, MAX_WAIT_SECONDS},
};

const NAME: &str = "wait_for_events";
const DEFAULT_LIMIT: usize = 100;
const DEFAULT_WAIT_SECONDS: u64 = 3600;

/// Input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "Input")]
struct WaitInput {
    /// Wait for events after this cursor; without one, for events from now on.
    #[serde(default)]
    cursor: Option<String>,
    /// An event has to match one of these; no filter means every event. The fields of a single filter may also
    /// stand beside the others, in place of this list.
    #[serde(default, deserialize_with = "filter_list")]
    filters: Vec<FilterInput>,
    /// Maximum number of events to return (default 100).
    #[serde(default, deserialize_with = "lenient::count_between::<1, 1000, _, _>")]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// Seconds to wait before giving up (default 3600); call again with the returned cursor to wait for longer. A call with a progressToken waits up to 28 hours, as a task
    /// up to 23, any other one up to 50 seconds.
    #[serde(
        default,
        deserialize_with = "lenient::count_between::<1, MAX_WAIT_SECONDS, _, _>"
    )]
    #[schemars(range(min = 1, max = 100_800))]
    max_wait_seconds: Option<u64>,
}

/// A checked call.
struct Wait {
    question: EventQuery,
    /// Whether events after the cursor are gone.
    gone: bool,
    seconds: u64,
    form: AnswerForm,
}

/// The tool.
pub(crate) struct WaitForEvents {
    events: EventAccess,
}

impl WaitForEvents {
    pub(crate) fn new(events: EventAccess) -> Self {
        Self { events }
    }

    async fn checked(&self, caller: &Caller, call: &CallToolParams) -> Result<Wait, CallError> {
        let mut arguments = Arguments::of(call)?;
        let beside: FilterInput = arguments.take()?;
        let form = arguments.take::<AnswerInput>()?.form();
        let input: WaitInput = arguments.rest()?;
        let seconds = input.max_wait_seconds.unwrap_or(DEFAULT_WAIT_SECONDS);
        let (after, gone) = match (&input.cursor, caller.earlier) {
            (None, None) => (self.events.resolve(caller.since)?, false),
            (cursor, _) => self.events.position_of(caller, cursor.as_deref()).await?,
        };
        let filters = filters::read(self.events.filter_defaults(), &input.filters, beside)?;
        let limit = input.limit.unwrap_or(DEFAULT_LIMIT);
        let question = EventQuery {
            after,
            ..EventQuery::new(filters, Order::OldestFirst, limit, MAX_READ_BYTES)
        };
        Ok(Wait {
            question,
            gone,
            seconds,
            form,
        })
    }
}

#[async_trait]
impl Tool for WaitForEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<WaitInput>(
            NAME,
            "Wait for GitHub events",
            "Use this to be told when something happens on GitHub: waits until an event matches, and returns all that \
             match by then and fit, as summaries; get_event has one whole. Empty if none arrived in time: call again with the returned cursor. With the tasks extension, the wait continues in the \
             background.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<FilterInput>()
        .with_more_input::<AnswerInput>()
        .with_output::<EventsOutput>()
        .with_meta(RESULT_SIZE_HINT)
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Wait)
    }

    fn execution(&self) -> Execution {
        Execution::TaskIfPossible
    }

    /// Refuses invalid input at once instead of in a task that fails.
    async fn before_task(&self, caller: &Caller, call: &CallToolParams) -> Result<(), CallError> {
        self.checked(caller, call).await.map(drop)
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        let Wait {
            mut question,
            gone,
            seconds,
            form,
        } = Box::pin(self.checked(caller, call)).await?;
        let longest = match caller.output.progress_token() {
            _ if caller.is_task => MAX_TASK_WAIT_SECONDS,
            Some(_) => MAX_WAIT_SECONDS,
            None => MAX_SILENT_WAIT_SECONDS,
        };
        let wait = seconds.min(longest);
        let page = self.events.wait(caller, &mut question, gone, wait);
        let mut page = page.await?;
        page.truncated |= gone;
        page.answer(|page| {
            let answer = EventsOutput::of(&self.events, caller, page, (&question, form))?;
            Ok(structured_result(&answer))
        })
    }
}
