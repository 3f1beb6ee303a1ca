//! Reads fields of a payload whose shape is not guaranteed.

use model::{ResourceId, Timestamp};
use serde_json::Value;

use crate::limits::{MAX_TAG_BYTES, MAX_TAGS, MAX_TEXT_BYTES};

/// The text at a JSON pointer, unless it is empty or longer than [`MAX_TEXT_BYTES`].
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    let text = value.pointer(pointer)?.as_str()?;
    (1..=MAX_TEXT_BYTES).contains(&text.len()).then_some(text)
}

/// As [`text`], owned.
pub(crate) fn owned(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer).map(str::to_owned)
}

/// The whole number at a JSON pointer.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer)?.as_u64()
}

/// The time at a JSON pointer.
pub(crate) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    Timestamp::parse(text(value, pointer)?)
}

/// The node id at a JSON pointer.
pub(crate) fn node_id(value: &Value, pointer: &str) -> Option<ResourceId> {
    ResourceId::new(text(value, pointer)?).ok()
}

/// The object under a key of the payload.
pub(crate) fn object<'a>(payload: &'a Value, key: &str) -> Option<&'a Value> {
    payload.get(key).filter(|value| value.is_object())
}

/// Names of an object's labels, the first [`MAX_TAGS`].
pub(crate) fn label_names(object: &Value) -> Vec<String> {
    let labels = object.get("labels").and_then(Value::as_array);
    labels
        .into_iter()
        .flatten()
        .filter_map(|label| text(label, "/name"))
        .filter(|name| name.len() <= MAX_TAG_BYTES)
        .take(MAX_TAGS)
        .map(str::to_owned)
        .collect()
}
