//! `get_recent_events`: the newest events, newest first.

use async_trait::async_trait;
use event_flow::query::{EventQuery, Order};
use mcp::tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor};
use mcp_server::{
    CallError, Caller, Policy, RateClass,
    answer_size::{RESULT_SIZE_HINT, structured_result},
    arguments::Arguments,
    tool::Tool,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    answer_input::AnswerInput,
    filter_input::{FilterInput, filter_list},
    filters::{self, EventsOutput},
    range_input::RangeInput,
};
use crate::{events::EventAccess, limits::MAX_READ_BYTES};

const NAME: &str = "get_recent_events";
const DEFAULT_LIMIT: usize = 50;

/// The tool's own input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "Input")]
struct RecentInput {
    /// An event has to match one of these; no filter means every event. The fields of a single filter may also
    /// stand beside the others, in place of this list.
    #[serde(default, deserialize_with = "filter_list")]
    filters: Vec<FilterInput>,
}

/// The tool.
#[derive(Clone)]
pub(crate) struct GetRecentEvents {
    events: EventAccess,
}

impl GetRecentEvents {
    pub(crate) fn new(events: EventAccess) -> Self {
        Self { events }
    }
}

#[async_trait]
impl Tool for GetRecentEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<RecentInput>(
            NAME,
            "Recent GitHub events",
            "Use this to see what happened lately on GitHub: the newest events (50 by default), newest first, as \
             summaries with title, URL and what changed; get_event has one whole. With order asc, the same events \
             oldest first. `hasMore` means that there may be older ones: for these pass `previousCursor` as `before`. \
             For what comes later, pass `cursor` to replay_events or wait_for_events. `truncated` means that older \
             events are no longer kept, so there are fewer than the limit.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<RangeInput>()
        .with_more_input::<FilterInput>()
        .with_more_input::<AnswerInput>()
        .with_output::<EventsOutput>()
        .with_meta(RESULT_SIZE_HINT)
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Store)
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        let mut arguments = Arguments::of(call)?;
        let (beside, range): (FilterInput, RangeInput) = (arguments.take()?, arguments.take()?);
        let form = arguments.take::<AnswerInput>()?.form();
        let RecentInput { filters } = arguments.rest()?;
        let filters = filters::read(self.events.filter_defaults(), &filters, beside)?;
        let limit = range.limit.unwrap_or(DEFAULT_LIMIT);
        let (times, order) = (range.times()?, range.order()?);
        let (before, gone) = self.events.before(caller, range.before.as_deref()).await?;
        let question = EventQuery {
            before,
            from: times.from,
            to: times.to,
            ..EventQuery::new(filters, Order::NewestFirst, limit, MAX_READ_BYTES)
        };
        let mut page = self.events.query(caller, &question).await?;
        page.truncated |= gone;
        let answer = EventsOutput::of(&self.events, caller, page, (&question, form))?;
        Ok(structured_result(&match order {
            Some(Order::OldestFirst) => answer.reversed(),
            Some(Order::NewestFirst) | None => answer,
        }))
    }
}
