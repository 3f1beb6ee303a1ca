//! The forms of answers.

use github_events::{EventTrim, trim_object};
use mcp::tool::CallToolResult;
use mcp_server::{
    CallError, Caller,
    answer_size::{MAX_RESULT_BYTES, structured_result},
};
use model::Timestamp;
use ports::MirroredState;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{
    limits::FRAME_BYTES,
    mirror::MirrorAccess,
    page_reader::{ListedItems, PageQuestion},
};

/// A page of a list. The cursor comes before the items: a client that cuts a long text keeps it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Output")]
pub(crate) struct ListOutput {
    /// Everything that GitHub had at this time is in the list, or newer; null if the list may have gaps, see notes.
    as_of: Option<String>,
    /// Whether there may be more items: call again with nextCursor as after, and the same other arguments.
    has_more: bool,
    /// Pass it as after for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Number of items in this page.
    count: usize,
    /// What to know of this answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Items of up to 1 KB each; texts that were cut end with an ellipsis.
    #[schemars(with = "Vec<Map<String, Value>>")]
    items: Vec<Box<RawValue>>,
}

/// One resource.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Output")]
pub(crate) struct ObjectOutput<M: Serialize + JsonSchema> {
    /// Everything that GitHub had at this time is known here, or newer; null if it is not known whole, see notes.
    as_of: Option<String>,
    /// Whether the object is larger than the answer may be, so that texts are cut or only a summary is left; `notes` say
    /// how to get it whole.
    shortened: bool,
    /// What to know of this answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(flatten)]
    more: M,
    /// GitHub's object without its links and without repeated repositories.
    #[schemars(with = "Map<String, Value>")]
    item: Box<RawValue>,
}

/// Nothing beside the object.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NothingMore {}

/// Why a list may have gaps.
fn gap_note(place: &str) -> String {
    format!(
        "{place} is not mirrored here (sync.repositories names what is), or its first reading is not over: this is what \
         events have shown"
    )
}

/// Answers with a page of a list.
///
/// # Errors
/// The page cannot be read.
pub(crate) async fn answer_list(
    mirror: &MirrorAccess,
    caller: &Caller,
    mut question: PageQuestion<'_>,
    place: &str,
) -> Result<CallToolResult, CallError> {
    question.max_bytes = question.max_bytes.saturating_sub(FRAME_BYTES);
    let ListedItems { items, next, as_of } = mirror.read_page(caller, &question).await?;
    let note = as_of.is_none().then(|| gap_note(place));
    Ok(structured_result(&ListOutput {
        as_of: as_of.map(|time| time.to_string()),
        has_more: next.is_some(),
        next_cursor: next,
        count: items.len(),
        notes: Vec::from_iter(note),
        items,
    }))
}

/// What is said of a resource that is not there, or may not be seen.
pub(crate) fn missing(what: &str, (place, as_of): (&str, Option<Timestamp>)) -> String {
    match as_of {
        Some(_) => format!("there is no such {what} in {place}"),
        None => format!("no such {what} is known in {place}; {}", gap_note(place)),
    }
}

/// An object, as whole as it fits into this many bytes; `item` is what is left of it at least.
pub(crate) fn object_result<M: Serialize + JsonSchema>(
    (state, as_of): (&MirroredState, Option<Timestamp>),
    (place, max_bytes): (&str, usize),
    (more, item): (M, String),
) -> CallToolResult {
    let room = max_bytes.saturating_sub(FRAME_BYTES);
    let whole = trim_object(&state.json, EventTrim::default());
    let bytes = whole.as_ref().map_or(0, String::len);
    let mut notes = Vec::from_iter(as_of.is_none().then(|| gap_note(place)));
    let shortened = bytes > room || whole.is_none();
    let text = if shortened {
        notes.push(way_to_whole(bytes));
        let cut = EventTrim {
            keeps_urls: false,
            cuts_texts: true,
        };
        let cut = trim_object(&state.json, cut).filter(|text| text.len() <= room);
        cut.unwrap_or(item)
    } else {
        whole.unwrap_or(item)
    };
    match RawValue::from_string(text) {
        Ok(item) => structured_result(&ObjectOutput {
            as_of: as_of.map(|time| time.to_string()),
            shortened,
            notes,
            more,
            item,
        }),
        Err(_) => CallToolResult::failed("the mirrored object cannot be read"),
    }
}

/// How to get an object of this many bytes.
fn way_to_whole(bytes: usize) -> String {
    match bytes + FRAME_BYTES {
        needed if needed <= MAX_RESULT_BYTES => {
            format!("The whole object has {bytes} bytes: call again with maxBytes {needed}.")
        }
        _ => format!(
            "The whole object has {bytes} bytes, more than an answer may have: see its URL."
        ),
    }
}
