//! What tools read with filters, and the events that they return.

use event_flow::{query::QueryPage, raw_events::raw_events_up_to};
use mcp::params::InputError;
use mcp_server::{CallError, Caller};
use model::{Filter, FilterSet};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use super::filter_input::FilterInput;
use crate::{events::EventAccess, limits::MAX_RESULT_BYTES};

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
    /// Pass it to get_recent_events as `before` for older events; absent if there can be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_cursor: Option<String>,
    /// Whether there may be more events that match, beyond the limit or what fits; call again for them with the
    /// cursor (get_recent_events: older ones, with `previousCursor`).
    has_more: bool,
    /// Whether some of the requested events are no longer kept.
    truncated: bool,
}

impl EventsOutput {
    pub(super) fn of(
        events: &EventAccess,
        caller: &Caller,
        page: QueryPage,
    ) -> Result<Self, CallError> {
        let cursor = events.cursor_after(caller, &page)?;
        let previous_cursor = events.cursor_before(caller, &page)?;
        let raw = raw_events_up_to(page.events, page.truncated, MAX_RESULT_BYTES);
        Ok(Self {
            count: raw.events.len(),
            events: raw.events,
            cursor,
            previous_cursor,
            has_more: page.has_more,
            truncated: raw.truncated,
        })
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
