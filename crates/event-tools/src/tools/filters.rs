//! The filters that tools take, and the events that they return.

use event_flow::{query::QueryPage, raw_events::raw_events_up_to};
use mcp::{lenient::null_as_default, params::InputError};
use mcp_server::Caller;
use model::{Filter, FilterRequest, FilterSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::{events::EventAccess, limits::MAX_RESULT_BYTES};

/// Selects events: every given field has to match. Names are case-insensitive.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct FilterInput {
    /// issue, pull_request, milestone, project or draft_issue.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_type: Option<String>,
    /// created, updated, deleted, closed or reopened.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    /// GitHub's node id of one resource, or its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
    /// Login of the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Name of the repository, `owner/repo`, or the URL of a repository, issue, pull request or milestone.
    #[serde(skip_serializing_if = "Option::is_none")]
    repo: Option<String>,
    /// Number of an issue, pull request, milestone or project.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    number: Option<u64>,
    /// Login of the account that acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// webhook, api or sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Any of these labels (up to 32, each up to 50 characters).
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
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
            number,
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
            number,
            actor,
            source,
            tags,
        }
    }
}

/// Reads filters: an event has to match one of them; no filter means every event.
pub(super) fn read(filters: &[FilterInput]) -> Result<FilterSet, InputError> {
    let read = |(place, input): (usize, &FilterInput)| {
        let filter = input.request().read();
        filter.map_err(|error| InputError::new(&format!("filters[{place}]"), &error.to_string()))
    };
    let filters = filters.iter().enumerate().map(read);
    let filters: Vec<Filter> = filters.collect::<Result<_, _>>()?;
    FilterSet::new(filters).map_err(|error| InputError::new("filters", &error.to_string()))
}

/// A page of events as GitHub's resource events (the JSON of the log, unchanged).
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventsOutput {
    /// Resource events: id (deduplicate by it), type, action, resourceType, resourceId, resource,
    /// timestamp, actor, data, metadata.
    #[schemars(with = "Vec<Map<String, Value>>")]
    events: Vec<Box<RawValue>>,
    /// Number of events.
    count: usize,
    /// Pass it to replay_events to continue without a gap.
    cursor: String,
    /// Pass it to get_recent_events as `before` for older events; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_cursor: Option<String>,
    /// Whether there are more of the requested events than fit; call again with the cursor (from
    /// get_recent_events: with `previousCursor`).
    has_more: bool,
    /// Whether some of the requested events are no longer kept.
    truncated: bool,
}

impl EventsOutput {
    pub(super) fn of(events: &EventAccess, caller: &Caller, page: QueryPage) -> Self {
        let cursor = events.cursor_after(caller, &page);
        let previous_cursor = events.cursor_before(caller, &page);
        let raw = raw_events_up_to(page.events, page.truncated, MAX_RESULT_BYTES);
        Self {
            count: raw.events.len(),
            events: raw.events,
            cursor,
            previous_cursor,
            has_more: page.has_more,
            truncated: raw.truncated,
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
