//! What tools read with filters, and the events that they return.

use event_flow::query::{EventQuery, QueryPage};
use mcp::params::InputError;
use mcp_server::{CallError, Caller};
use model::{Filter, FilterDefaults, FilterSet};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, value::RawValue};

use super::{
    answer_input::AnswerForm,
    filter_input::{FilterInput, filter_list},
    shown_events::{AddedMembers, ShownEvents},
};
use crate::{events::EventAccess, limits::NOTE_BYTES};

/// Reads filters: an event has to match one of them; no filter means every event. `beside` has the fields of one
/// filter that stand beside the list, in its place; of them, `includePullRequests` applies to each of a list.
///
/// # Errors
/// A filter that can never match, or both a list and the fields of one filter.
pub(super) fn read(
    mut defaults: FilterDefaults,
    filters: &[FilterInput],
    mut beside: FilterInput,
) -> Result<FilterSet, InputError> {
    if let Some(include) = beside.take_include_pull_requests() {
        defaults.issues_include_pull_requests = include;
    }
    if beside != FilterInput::default() {
        if !filters.is_empty() {
            let reason = "given with the fields of another filter beside it; put those into a filter of the list";
            return Err(InputError::new("filters", reason));
        }
        let filter = beside.request().read_with(defaults);
        let filter = filter.map_err(|error| InputError::naming(&error))?;
        return FilterSet::new(vec![filter]).map_err(|error| InputError::naming(&error));
    }
    let read = |(place, input): (usize, &FilterInput)| {
        let filter = input.request().read_with(defaults);
        filter.map_err(|error| InputError::within(&format!("filters[{place}]"), &error))
    };
    let filters = filters.iter().enumerate().map(read);
    let filters: Vec<Filter> = filters.collect::<Result<_, _>>()?;
    FilterSet::new(filters).map_err(|error| InputError::naming(&error))
}

/// Filters as a body of REST has them: a list, or one filter without the list, with the fields that tools take.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct FilterList(Vec<FilterInput>);

impl<'de> Deserialize<'de> for FilterList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        filter_list(deserializer).map(Self)
    }
}

impl FilterList {
    /// Reads the filters: an event has to match one of them; none means every event.
    ///
    /// # Errors
    /// A filter that can never match, or too many; the error names the field.
    pub fn read(&self, defaults: FilterDefaults) -> Result<FilterSet, InputError> {
        read(defaults, &self.0, FilterInput::default())
    }
}

/// What a reader should know of filters that are valid and may find nothing, or not what is meant.
pub(super) fn notes(events: &EventAccess, caller: &Caller, filters: &FilterSet) -> Vec<String> {
    let mut notes = filters.notes();
    notes.extend(events.name_notes(caller, filters));
    notes
}

/// A page of events. The cursors come first: a client that cuts a long text keeps them.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventsOutput {
    /// Always true: a call that fails is an error.
    success: bool,
    /// Pass it to replay_events or wait_for_events to continue without a gap.
    cursor: String,
    /// The same as `cursor`.
    next_cursor: String,
    /// For the newest events first: pass it as `before` for older events; absent if there can be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_cursor: Option<String>,
    /// Whether there may be more events that match, beyond the limit or what fits; call again for them with the
    /// cursor (newest first: older ones, with `previousCursor`).
    has_more: bool,
    /// Whether some of the requested events are no longer kept.
    truncated: bool,
    /// Number of events.
    count: usize,
    /// The given start of the time range.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_timestamp: Option<String>,
    /// The given end of the time range.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_timestamp: Option<String>,
    /// What to know of the given filters, and of an event that is shortened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Events: id (deduplicate by it; get_event has the event whole), type, action, resourceType, resourceId, resource,
    /// timestamp, actor; in a summary details and what changed (metadata.changes), otherwise data and metadata whole.
    #[schemars(with = "Vec<Map<String, Value>>")]
    events: Vec<Box<RawValue>>,
}

impl EventsOutput {
    /// The answer to a question, with as many of the events of the page as have room.
    pub(super) fn of(
        events: &EventAccess,
        caller: &Caller,
        page: QueryPage,
        (question, form): (&EventQuery, AnswerForm),
    ) -> Result<Self, CallError> {
        Self::with(events, caller, page, (question, form), (Vec::new(), &()))
    }

    /// The same with notes of its own, and with members that are added to each event.
    pub(super) fn with(
        events: &EventAccess,
        caller: &Caller,
        mut page: QueryPage,
        (question, form): (&EventQuery, AnswerForm),
        (own_notes, added): (Vec<String>, &impl AddedMembers),
    ) -> Result<Self, CallError> {
        let time = |time: Option<model::Timestamp>| time.map(|time| time.to_string());
        let cursor = events.cursor_after(caller, &page)?;
        let mut answer = Self {
            success: true,
            // Newest first there is one of each as soon as the page is cut.
            previous_cursor: Some(cursor.clone()),
            next_cursor: cursor.clone(),
            cursor,
            has_more: false,
            truncated: false,
            count: page.events.len(),
            from_timestamp: time(question.from),
            to_timestamp: time(question.to),
            notes: own_notes
                .into_iter()
                .chain(notes(events, caller, &question.filters))
                .collect(),
            events: Vec::new(),
        };
        let frame = serde_json::to_vec(&answer).map_or(0, |json| json.len());
        let room = form.max_bytes.saturating_sub(frame + NOTE_BYTES);
        let shown = ShownEvents::of(
            &mut page,
            question.order,
            (form, events.summaries()),
            (room, added),
        );
        let cursor = events.cursor_after(caller, &page)?;
        answer.previous_cursor = events.cursor_before(caller, &page)?;
        answer.next_cursor = cursor.clone();
        answer.cursor = cursor;
        answer.has_more = page.has_more;
        answer.truncated = page.truncated || shown.has_hole;
        answer.count = shown.events.len();
        answer.notes.extend(shown.shortened.map(|id| {
            format!(
                "The event {id} is larger than this answer may be, and is shortened: get_event has it whole, or says how \
                 to get it."
            )
        }));
        answer.events = shown.events;
        Ok(answer)
    }

    /// The same with the events in the opposite order.
    pub(super) fn reversed(mut self) -> Self {
        self.events.reverse();
        self
    }
}
