//! `get_recent_events`: what is new, newest first.

use async_trait::async_trait;
use event_flow::query::{EventQuery, MAX_QUERY_EVENTS, Order};
use mcp::tool::{Annotations, CallParams, CallResult, ToolDescriptor};
use model::Sequence;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Tool, done,
    filters::{self, Events, FilterInput},
};
use crate::{
    policy::{Policy, RateClass},
    protocol::{CallError, Caller},
};

const NAME: &str = "get_recent_events";
const DEFAULT_LIMIT: usize = 50;

/// Input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Input {
    /// Any of these has to fit; none means every event.
    #[serde(default)]
    filters: Vec<FilterInput>,
    /// At most so many events (default 50).
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// The tool.
pub(super) struct GetRecentEvents;

#[async_trait]
impl Tool for GetRecentEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<Input>(
            NAME,
            "Recent GitHub events",
            "The newest GitHub events, newest first, and a cursor that replay_events goes on from.",
            Annotations::read_only(),
        )
        .with_output::<Events>()
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Store)
    }

    async fn call(&self, caller: &Caller, call: &CallParams) -> Result<CallResult, CallError> {
        answer(caller, call.arguments()?).await
    }
}

pub(super) async fn answer(caller: &Caller, input: Input) -> Result<CallResult, CallError> {
    let question = EventQuery {
        filters: filters::read(&input.filters)?,
        after: Sequence::START,
        from: None,
        to: None,
        order: Order::NewestFirst,
        limit: filters::limit(input.limit, DEFAULT_LIMIT, MAX_QUERY_EVENTS)?,
    };
    let page = filters::ask(caller, &question).await?;
    done(&Events::of(caller, page))
}
