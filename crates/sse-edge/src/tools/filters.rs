//! Filters and events as tools take and give them.

use mcp::params::InputError;
use model::{CursorScope, EventFacts, Filter, FilterRequest, FilterSet};
use ports::{EventQuery, QueryPage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    protocol::{CallError, Caller},
    raw_events::raw_events,
};

/// Which events: all fields that are given have to fit. Names are read in any case.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct FilterInput {
    /// issue, pull_request, milestone, project or draft_issue.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_type: Option<String>,
    /// created, updated, deleted, closed or reopened.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    /// GitHub's node id of one resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
    /// Login of the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Name of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    repo: Option<String>,
    /// Login of who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// webhook, api or sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Any of these labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

impl FilterInput {
    fn request(&self) -> FilterRequest {
        let Self {
            resource_type,
            event_type,
            resource_id,
            owner,
            repo,
            actor,
            source,
            tags,
        } = self.clone();
        FilterRequest {
            resource_type,
            event_type,
            resource_id,
            owner,
            repo,
            actor,
            source,
            tags,
        }
    }
}

/// Reads filters: any of them has to fit, none means every event.
pub(super) fn read(filters: &[FilterInput]) -> Result<FilterSet, InputError> {
    let read = |(place, input): (usize, &FilterInput)| {
        let filter = input.request().read();
        filter.map_err(|error| InputError::new(&format!("filters[{place}]"), &error.to_string()))
    };
    let filters = filters.iter().enumerate().map(read);
    let filters: Vec<Filter> = filters.collect::<Result<_, _>>()?;
    FilterSet::new(filters).map_err(|error| InputError::new("filters", &error.to_string()))
}

/// Events as GitHub's resource events (the JSON of the log, as it is).
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Events {
    /// Resource events: id (dedupe on it), type, action, resourceType, resourceId, resource, timestamp,
    /// actor, data, metadata.
    #[schemars(with = "Vec<Map<String, Value>>")]
    events: Vec<Box<RawValue>>,
    /// How many.
    count: usize,
    /// Give it to replay_events to go on without a hole.
    cursor: String,
    /// More is there: call again with the cursor.
    has_more: bool,
    /// Some of what was asked for is no longer kept.
    truncated: bool,
}

impl Events {
    pub(super) fn of(caller: &Caller, page: ports::QueryPage) -> Self {
        let reader = caller
            .edge
            .hub
            .reader(CursorScope::events(&caller.principal.id));
        let events = raw_events(page.events);
        Self {
            count: events.len(),
            events,
            cursor: reader.cursor(page.through).to_string(),
            has_more: page.has_more,
            truncated: page.truncated,
        }
    }
}

/// A limit between 1 and `max`.
pub(super) fn limit(given: Option<usize>, default: usize, max: usize) -> Result<usize, InputError> {
    match given.unwrap_or(default) {
        limit if (1..=max).contains(&limit) => Ok(limit),
        _ => Err(InputError::new(
            "limit",
            &format!("must be from 1 to {max}"),
        )),
    }
}

/// Asks the log for what fits the question and may be seen by the caller.
pub(super) async fn ask(caller: &Caller, question: &EventQuery) -> Result<QueryPage, CallError> {
    let visible = |event: &EventFacts| caller.principal.sees.allows(event);
    Ok(caller.edge.hub.ask(question, &visible).await?)
}

/// Whether an event fits the question and may be seen by the caller.
pub(super) fn fits(caller: &Caller, question: &EventQuery, event: &EventFacts) -> bool {
    question.filters.matches(event) && caller.principal.sees.allows(event)
}
