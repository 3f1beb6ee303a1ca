//! `get_event`: one event whole.

use async_trait::async_trait;
use form_urlencoded::byte_serialize;
use mcp::{
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, RateClass,
    answer_size::{MAX_RESULT_BYTES, RESULT_SIZE_HINT, structured_result},
    arguments::Arguments,
    tool::Tool,
};
use model::{EventId, StoredEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use super::answer_input::{AnswerForm, AnswerInput};
use crate::{events::EventAccess, limits::NOTE_BYTES};

const NAME: &str = "get_event";

/// The tool's own input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "Input")]
struct EventInput {
    /// The id of the event, as every answer and notification has it.
    id: String,
}

/// Output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Output")]
struct EventOutput {
    /// Always true: a call that fails is an error.
    success: bool,
    /// Whether the event is larger than the answer may be, so that parts are cut or left out; `notes` say how to get
    /// it whole.
    shortened: bool,
    /// How to get an event that is shortened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// The event: id, type, action, resourceType, resourceId, resource, timestamp, receivedAt, source, actor, data
    /// (GitHub's object) and metadata.
    #[schemars(with = "Map<String, Value>")]
    event: Box<RawValue>,
}

/// The tool.
#[derive(Clone)]
pub(crate) struct GetEvent {
    events: EventAccess,
}

impl GetEvent {
    pub(crate) fn new(events: EventAccess) -> Self {
        Self { events }
    }
}

#[async_trait]
impl Tool for GetEvent {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<EventInput>(
            NAME,
            "One GitHub event",
            "Use this to read one GitHub event whole, with GitHub's object in `data`, when its summary in another \
             answer or a notification is not enough. The object comes without its links and without repeated \
             repositories; include urls adds them. An event that is larger than maxBytes is shortened, and `notes` say \
             how to get the rest.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<AnswerInput>()
        .with_output::<EventOutput>()
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
        let form = arguments.take::<AnswerInput>()?.form();
        let EventInput { id } = arguments.rest()?;
        let id = EventId::new(id.trim());
        let id = id.map_err(|error| InputError::new("id", &error.to_string()))?;
        let found = self.events.event(caller, &id).await?;
        // The same for an event that the caller may not see.
        let missing = || InputError::new("id", "there is no such event, or it is no longer kept");
        let event = found.ok_or_else(missing)?;
        let shown = EventOutput::of(&self.events, &event, form);
        Ok(shown.map_or_else(
            || CallToolResult::failed("the stored event cannot be read"),
            |output| structured_result(&output),
        ))
    }
}

impl EventOutput {
    /// The event in this form; `None` if its JSON is none.
    fn of(events: &EventAccess, event: &StoredEvent, form: AnswerForm) -> Option<Self> {
        let whole = form.whole(&event.json)?;
        let (bytes, room) = (whole.len(), form.max_bytes - NOTE_BYTES);
        let shortened = bytes > room;
        let text = match shortened {
            true => {
                let form = AnswerForm {
                    has_data: true,
                    ..form
                };
                form.show_within(&event.json, room)
            }
            false => whole,
        };
        Some(Self {
            success: true,
            shortened,
            notes: Vec::from_iter(shortened.then(|| way_to_whole(events, event, bytes))),
            event: RawValue::from_string(text).ok()?,
        })
    }
}

/// How to get an event of this many bytes.
fn way_to_whole(events: &EventAccess, event: &StoredEvent, bytes: usize) -> String {
    let facts = &event.facts;
    match bytes + NOTE_BYTES {
        needed if needed <= MAX_RESULT_BYTES => {
            format!("The whole event has {bytes} bytes: call again with maxBytes {needed}.")
        }
        _ => {
            let replay = events.path("/events/replay");
            // An id may have characters that end a query, and `%`.
            let id: String = byte_serialize(facts.resource_id.as_str().as_bytes()).collect();
            format!(
                "The whole event has {bytes} bytes, more than an answer may have. \
                 GET {replay}/{}?limit=1&resourceId={id} on this server has it.",
                facts.received_at
            )
        }
    }
}
