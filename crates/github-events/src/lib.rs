//! From GitHub's payloads to resource events (design §5): pure functions, one file per family of webhooks.
//!
//! Rules that hold for every family:
//! - Every event maps, also one that GitHub adds later: then its kind is its name.
//! - Every action maps. An unknown action is an update, because GitHub adds actions without notice; `action` keeps
//!   GitHub's own word, and is the event's name where there is none (`push`).
//! - One resource has one identity, its node id, regardless of the webhook that reported it. What has no node id
//!   in payloads has an id derived from its place (`identity`).
//! - The resource is the thing itself: the comment, not the issue that it is on. Its number is its own, or else that
//!   of the issue, pull request or discussion to which it belongs, and so are its labels, so that a filter by number
//!   finds whatever concerns an issue.
//! - `data` is GitHub's object, and `metadata.related` the rest of the payload, without the objects that the
//!   resource belongs to.
//! - The time is the object's, or else that of reception.
//! - A payload without the fields that identify its resource is skipped with the reason. It is never an error:
//!   GitHub would show a failed delivery that no operator can repair.

mod channel;
mod delivery;
mod encode;
mod event;
mod families;
mod family;
mod fields;
mod identity;
mod item_content;
pub mod limits;
mod line;
mod object_class;
mod payload;
mod payload_text;
mod safe_text;
mod strangers;
mod summary;
#[cfg(test)]
mod tests;
mod trim;

use model::ResourceEvent;
use serde_json::Value;

pub use channel::{ChannelText, channel_text};
pub use delivery::{Envelope, Skip};
pub use encode::{encode, encode_delivered};
pub use family::WebhookFamily;
pub use item_content::{describe_content, is_item_event, item_content, place_item};
pub use line::event_line;
pub use object_class::{EventObject, object_of, updated_at};
pub use payload_text::{EventContent, PayloadText};
pub use safe_text::{one_line_json, visible_within};
pub use strangers::{
    WITHHELD_TEXT, is_trusted_association, without_strangers_texts,
    without_strangers_texts_of_label,
};
pub use summary::{
    pick::{JsonSelection, pick},
    summarise_event,
    text::{json_bytes, shortened},
};
pub use trim::{EventTrim, trim_event, trim_object};

/// Converts a payload to its events. The name of the event is not signed, and one under which GitHub sends no such payload
/// yields none.
///
/// # Errors
/// The reason why the payload has no events.
pub fn normalise(envelope: &Envelope, payload: Value) -> Result<Vec<ResourceEvent>, Skip> {
    let (event, _) = normalise_payload(envelope, payload)?;
    Ok(vec![event])
}

/// As [`normalise`]; says too where in the payload the event's JSON is. Each payload has one event.
///
/// # Errors
/// As [`normalise`].
pub fn normalise_payload(
    envelope: &Envelope,
    payload: Value,
) -> Result<(ResourceEvent, EventContent), Skip> {
    match envelope.event.as_str() {
        "ping" => Err(Skip::Ping),
        event => {
            let family = families::of_event(event);
            // Of an event without rules nothing is known.
            if family.event == event {
                families::members::check(event, &payload)?;
            }
            family.normalise(envelope, payload)
        }
    }
}

/// The webhooks that have rules of their own, in the order of the documentation. `ping` is skipped, and every other
/// event has its own name as its kind.
pub fn families() -> impl Iterator<Item = &'static WebhookFamily> {
    families::all()
}
