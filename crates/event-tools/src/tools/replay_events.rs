//! `replay_events`: the events after a cursor or a time, in order and without a gap; can wait for more.

use async_trait::async_trait;
use event_flow::query::{EventQuery, Order};
use mcp::{
    lenient,
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
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
use crate::{
    events::EventAccess,
    limits::{MAX_READ_BYTES, MAX_SILENT_WAIT_SECONDS},
};

const NAME: &str = "replay_events";
const DEFAULT_LIMIT: usize = 100;

/// The tool's own input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "Input")]
struct ReplayInput {
    /// Continue after this cursor (from get_recent_events, replay_events or subscribe_to_events, or
    /// the id of a frame of the stream events/stream). Oldest first only.
    #[serde(default)]
    cursor: Option<String>,
    /// An event has to match one of these; no filter means every event. The fields of a single filter may also
    /// stand beside the others, in place of this list.
    #[serde(default, deserialize_with = "filter_list")]
    filters: Vec<FilterInput>,
    /// Seconds to wait for an event if there is none yet (default 0). Oldest first only.
    #[serde(
        default,
        deserialize_with = "lenient::count_between::<0, MAX_SILENT_WAIT_SECONDS, _, _>"
    )]
    #[schemars(range(min = 0, max = 50))]
    wait_seconds: Option<u64>,
}

impl ReplayInput {
    /// Refuses what the order gives no meaning to; it would be passed over in silence.
    fn check(&self, order: Order, range: &RangeInput) -> Result<(), InputError> {
        let refused = match order {
            Order::OldestFirst if range.before.is_some() => (
                "before",
                "for order desc only; oldest first, continue with cursor",
            ),
            Order::NewestFirst if self.cursor.is_some() => (
                "cursor",
                "for order asc only; newest first, pass previousCursor as before",
            ),
            Order::NewestFirst if self.wait_seconds.is_some_and(|wait| wait > 0) => (
                "waitSeconds",
                "for order asc only; later events come last there",
            ),
            _ => return Ok(()),
        };
        Err(InputError::new(refused.0, refused.1))
    }
}

/// The tool.
#[derive(Clone)]
pub(crate) struct ReplayEvents {
    events: EventAccess,
}

impl ReplayEvents {
    pub(crate) fn new(events: EventAccess) -> Self {
        Self { events }
    }
}

#[async_trait]
impl Tool for ReplayEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<ReplayInput>(
            NAME,
            "Replay GitHub events",
            "Use this to catch up with GitHub: the events after a cursor or since a time (100 by default), oldest first, \
             without gaps, as summaries with title, URL and what changed; get_event has one whole. Pass the returned \
             cursor to the next call; with order desc, newest first, pass `previousCursor` as `before`. `truncated` means that events after the cursor or since the time are no longer kept.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<RangeInput>()
        .with_more_input::<FilterInput>()
        .with_more_input::<AnswerInput>()
        .with_output::<EventsOutput>()
        .with_meta(RESULT_SIZE_HINT)
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Wait)
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        let mut arguments = Arguments::of(call)?;
        let (beside, range): (FilterInput, RangeInput) = (arguments.take()?, arguments.take()?);
        let form = arguments.take::<AnswerInput>()?.form();
        let input: ReplayInput = arguments.rest()?;
        let order = range.order()?.unwrap_or(Order::OldestFirst);
        input.check(order, &range)?;
        let events = &self.events;
        let times = range.times()?;
        let filters = filters::read(events.filter_defaults(), &input.filters, beside)?;
        let limit = range.limit.unwrap_or(DEFAULT_LIMIT);
        let (after, is_after_gone) = events.position_of(caller, input.cursor.as_deref()).await?;
        let (before, is_before_gone) = events.before(caller, range.before.as_deref()).await?;
        let gone = is_after_gone || is_before_gone;
        let mut question = EventQuery {
            after,
            is_continued: input.cursor.is_some() || caller.earlier.is_some(),
            before,
            from: times.from,
            to: times.to,
            ..EventQuery::new(filters, order, limit, MAX_READ_BYTES)
        };
        let page = events.wait(caller, &mut question, gone, input.wait_seconds.unwrap_or(0));
        let mut page = page.await?;
        page.truncated |= gone;
        page.answer(|page| {
            let answer = EventsOutput::of(events, caller, page, (&question, form))?;
            Ok(structured_result(&answer))
        })
    }
}
