//! Reads fields of JSON whose shape is not guaranteed.

use model::{ResourceId, Timestamp};
use serde_json::Value;

use crate::{
    limits::{MAX_TAG_BYTES, MAX_TAGS, MAX_TEXT_BYTES, READ_TITLE_BYTES},
    safe_text::visible,
};

/// The end of a title that is cut.
const CUT: &str = "…";

/// The value at a JSON pointer without escapes. As [`Value::pointer`], which makes two texts of each part to look for escapes:
/// twenty lookups for each delivery.
pub(crate) fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    debug_assert!(!pointer.contains('~'), "{pointer}");
    let mut parts = pointer.split('/');
    if parts.next() != Some("") {
        return None;
    }
    parts.try_fold(value, |value, part| match value {
        Value::Object(members) => members.get(part),
        Value::Array(elements) => elements.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The text at a JSON pointer, unless it is empty, longer than [`MAX_TEXT_BYTES`], or has a control character
/// that JSON writes as six bytes: no name or URL on GitHub has one, and half of one would name something else.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    let text = at(value, pointer)?.as_str()?;
    let fits = (1..=MAX_TEXT_BYTES).contains(&text.len()) && !text.bytes().any(is_escaped_long);
    fits.then_some(text)
}

fn is_escaped_long(byte: u8) -> bool {
    byte < b' ' && !matches!(byte, b'\n' | b'\r' | b'\t' | 8 | 12)
}

/// As [`text`], owned.
pub(crate) fn owned(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer).map(str::to_owned)
}

/// The title at a JSON pointer. It is for readers and identifies nothing, so one that is no [`text`] is shown as far as
/// it can be: on one line without control characters, and cut to [`MAX_TEXT_BYTES`], where `…` says so.
pub(crate) fn title(value: &Value, pointer: &str) -> Option<String> {
    if let Some(text) = owned(value, pointer) {
        return Some(text);
    }
    let given = at(value, pointer)?.as_str()?;
    // What is cleaned is bounded too: most of a long text is not looked at.
    let beginning = &given[..given.floor_char_boundary(READ_TITLE_BYTES)];
    let mut title = visible(beginning);
    if title.len() > MAX_TEXT_BYTES || beginning.len() < given.len() {
        title.truncate(title.floor_char_boundary(MAX_TEXT_BYTES - CUT.len()));
        title.truncate(title.trim_end().len());
        title.push_str(CUT);
    }
    (!title.is_empty()).then_some(title)
}

/// The whole number at a JSON pointer.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<u64> {
    at(value, pointer)?.as_u64()
}

/// The time at a JSON pointer: a text, or seconds since 1970, as in the repository of a push.
pub(crate) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    if let Some(text) = text(value, pointer) {
        return Timestamp::parse(text);
    }
    let seconds = at(value, pointer)?.as_i64()?;
    // The years that a text can have.
    let is_year = (0..=253_402_300_799).contains(&seconds);
    is_year.then(|| Timestamp::from_unix_millis(seconds * 1000))
}

/// The node id at a JSON pointer; what does not look like GitHub's counts as absent, because a filter would take it for
/// something else.
pub(crate) fn node_id(value: &Value, pointer: &str) -> Option<ResourceId> {
    let text = text(value, pointer)?;
    let id = ResourceId::is_node_id(text).then(|| ResourceId::new(text));
    id.and_then(Result::ok)
}

/// The object under a key.
pub(crate) fn object<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).filter(|value| value.is_object())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_finds_what_serde_jsons_finds() {
        let value = json!({"a": {"b": [1, {"c": null}]}, "": {"": 2}});
        for pointer in [
            "", "a", "/", "//", "/a", "/a/", "/a/b", "/a/b/0", "/a/b/1/c", "/a/b/2", "/a/b/x",
            "/a/b/0/c", "/x/b",
        ] {
            assert_eq!(at(&value, pointer), value.pointer(pointer), "{pointer}");
        }
    }
}
