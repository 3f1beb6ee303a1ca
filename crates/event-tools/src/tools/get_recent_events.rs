//! `get_recent_events`: the newest events, newest first.

use async_trait::async_trait;
use event_flow::query::{EventQuery, MAX_QUERY_EVENTS, Order};
use mcp::{
    lenient,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{CallError, Caller, Policy, RateClass, tool::Tool};
use model::Sequence;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    filter_input::{FilterInput, filter_list},
    filters::{self, EventsOutput},
    structured,
};
use crate::{events::EventAccess, limits::MAX_RESULT_BYTES};

const NAME: &str = "get_recent_events";
const DEFAULT_LIMIT: usize = 50;

/// Input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "Input")]
struct RecentInput {
    /// An event has to match one of these; no filter means every event.
    #[serde(default, deserialize_with = "filter_list")]
    filters: Vec<FilterInput>,
    /// Maximum number of events to return (default 50).
    #[serde(default, deserialize_with = "lenient::count")]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// Only events before this cursor (`previousCursor` of an earlier result).
    #[serde(default)]
    before: Option<String>,
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
            "The newest GitHub events, newest first, with a cursor from which replay_events \
             continues. `hasMore` means that there may be older ones: for these pass \
             `previousCursor` as `before`. `truncated` means that older events are no longer kept, so there are fewer than the limit.",
            ToolAnnotations::read_only(),
        )
        .with_output::<EventsOutput>()
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Store)
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        let input: RecentInput = call.arguments()?;
        let (before, gone) = self.events.before(caller, input.before.as_deref()).await?;
        let question = EventQuery {
            filters: filters::read(&input.filters)?,
            after: Sequence::START,
            before,
            from: None,
            to: None,
            order: Order::NewestFirst,
            limit: filters::limit(input.limit, DEFAULT_LIMIT, MAX_QUERY_EVENTS)?,
            max_bytes: MAX_RESULT_BYTES,
        };
        let mut page = self.events.query(caller, &question).await?;
        page.truncated |= gone;
        Ok(structured(&EventsOutput::of(&self.events, caller, page)?))
    }
}
