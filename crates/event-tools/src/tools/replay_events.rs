//! `replay_events`: the events after a cursor or a time, in order and without a gap; can wait for more.

use async_trait::async_trait;
use event_flow::query::{EventQuery, Order};
use mcp::{
    lenient,
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{CallError, Caller, Policy, RateClass, tool::Tool};
use model::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    filter_input::{FilterInput, filter_list},
    filters::{self, EventsOutput},
    structured,
};
use crate::{events::EventAccess, limits::MAX_RESULT_BYTES};

const NAME: &str = "replay_events";
const DEFAULT_LIMIT: usize = 100;
const MAX_EVENTS: usize = 1000;
/// Below the 60 s after which the strictest balancers cut a response that has not begun.
pub(super) const MAX_WAIT_SECONDS: u64 = 50;

/// Input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "Input")]
struct ReplayInput {
    /// Continue after this cursor (from get_recent_events, replay_events or subscribe_to_events, or
    /// the id of a frame of GET /events/stream).
    #[serde(default)]
    cursor: Option<String>,
    /// Only events received at or after this time (RFC 3339).
    #[serde(default)]
    from: Option<String>,
    /// Only events received before this time (RFC 3339).
    #[serde(default)]
    to: Option<String>,
    /// An event has to match one of these; no filter means every event.
    #[serde(default, deserialize_with = "filter_list")]
    filters: Vec<FilterInput>,
    /// Maximum number of events to return (default 100).
    #[serde(default, deserialize_with = "lenient::count")]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// Seconds to wait for an event if there is none yet (default 0).
    #[serde(default, deserialize_with = "lenient::count_or_zero")]
    #[schemars(range(min = 0, max = 50))]
    wait_seconds: u64,
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
            "GitHub events after a cursor or since a time, oldest first, without gaps. Pass the returned \
             cursor to the next call. `truncated` means that events after the cursor or since the time are no longer kept.",
            ToolAnnotations::read_only(),
        )
        .with_output::<EventsOutput>()
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Wait)
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        let input: ReplayInput = call.arguments()?;
        if input.wait_seconds > MAX_WAIT_SECONDS {
            let reason = format!("must be from 0 to {MAX_WAIT_SECONDS}");
            return Err(InputError::new("waitSeconds", &reason).into());
        }
        let events = &self.events;
        let (after, gone) = events.position_of(caller, input.cursor.as_deref()).await?;
        let mut question = EventQuery {
            filters: filters::read(&input.filters)?,
            after,
            before: None,
            from: time("from", input.from.as_deref())?,
            to: time("to", input.to.as_deref())?,
            order: Order::OldestFirst,
            limit: filters::limit(input.limit, DEFAULT_LIMIT, MAX_EVENTS)?,
            max_bytes: MAX_RESULT_BYTES,
        };
        let page = events.wait(caller, &mut question, gone, input.wait_seconds);
        let mut page = page.await?;
        page.truncated |= gone;
        page.answer(|page| Ok(structured(&EventsOutput::of(events, caller, page)?)))
    }
}

fn time(field: &str, text: Option<&str>) -> Result<Option<Timestamp>, InputError> {
    let parse = |text| {
        Timestamp::from_input(text).ok_or_else(|| {
            InputError::new(field, "use RFC 3339, for instance 2026-11-20T10:00:00Z")
        })
    };
    let given = text.filter(|text| !text.is_empty());
    given.map(parse).transpose()
}
