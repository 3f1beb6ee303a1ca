//! The size of an answer, and how much of each event it has, as tools take them.

use mcp::lenient;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use mcp_server::{
    answer_size::{DEFAULT_RESULT_BYTES, MAX_RESULT_BYTES, MIN_RESULT_BYTES},
    arguments::ArgumentGroup,
};

/// A part of an event that a summary does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum EventPart {
    Data,
    Urls,
}

impl EventPart {
    fn read(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "data" => Some(Self::Data),
            "urls" => Some(Self::Urls),
            _ => None,
        }
    }
}

/// How much an answer has.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default,
    expecting = "an object"
)]
pub(super) struct AnswerInput {
    /// What to add to the events: data for GitHub's objects, urls for their links as well. Without it an event is a
    /// summary of up to 1 KB.
    #[serde(deserialize_with = "event_parts")]
    include: Vec<EventPart>,
    /// Maximum size of the answer in bytes of text (default 40000): fewer events then, and `hasMore`.
    #[serde(
        deserialize_with = "lenient::count_between::<{ MIN_RESULT_BYTES as u64 }, { MAX_RESULT_BYTES as u64 }, _, _>"
    )]
    #[schemars(range(min = 4096, max = 262_144))]
    max_bytes: Option<usize>,
}

impl ArgumentGroup for AnswerInput {
    const FIELDS: &[&str] = &["include", "maxBytes"];
}

/// How much an answer has, and of each event in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AnswerForm {
    /// Maximum size of its text, in bytes.
    pub(super) max_bytes: usize,
    /// Whether events have GitHub's object.
    pub(super) has_data: bool,
    /// Whether the object has its links.
    pub(super) has_urls: bool,
}

impl AnswerInput {
    /// The size and the parts.
    pub(super) fn form(&self) -> AnswerForm {
        AnswerForm {
            max_bytes: self.max_bytes.unwrap_or(DEFAULT_RESULT_BYTES),
            has_data: !self.include.is_empty(),
            has_urls: self.include.contains(&EventPart::Urls),
        }
    }
}

/// Parts as a list, or as one text. Null counts as absent.
fn event_parts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<EventPart>, D::Error> {
    let wrong = || D::Error::custom("use a list of data and urls");
    let read = |text: &str| EventPart::read(text).ok_or_else(wrong);
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => text
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(read)
            .collect(),
        Value::Array(parts) => parts
            .iter()
            .map(|part| read(part.as_str().ok_or_else(wrong)?))
            .collect(),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(json: &str) -> Result<AnswerForm, String> {
        let input: AnswerInput = serde_json::from_str(json).map_err(|error| error.to_string())?;
        Ok(input.form())
    }

    #[test]
    fn parts_are_read_in_every_notation_and_links_are_of_the_object() {
        for (given, data, urls) in [
            ("{}", false, false),
            (r#"{"include":null}"#, false, false),
            (r#"{"include":[]}"#, false, false),
            (r#"{"include":["data"]}"#, true, false),
            (r#"{"include":"Data"}"#, true, false),
            (r#"{"include":["urls"]}"#, true, true),
            (r#"{"include":"data, urls"}"#, true, true),
        ] {
            let form = form(given).unwrap();
            assert_eq!((form.has_data, form.has_urls), (data, urls), "{given}");
        }
        for wrong in [
            r#"{"include":["body"]}"#,
            r#"{"include":[1]}"#,
            r#"{"include":{}}"#,
        ] {
            let refused = form(wrong).unwrap_err();
            assert!(refused.contains("data and urls"), "{wrong}: {refused}");
        }
    }

    #[test]
    fn the_size_has_bounds() {
        for (given, bytes) in [
            ("{}", Some(40_000)),
            (r#"{"maxBytes":"100000"}"#, Some(100_000)),
            (r#"{"maxBytes":4096}"#, Some(4096)),
            (r#"{"maxBytes":4095}"#, None),
            (r#"{"maxBytes":262145}"#, None),
        ] {
            assert_eq!(
                form(given).ok().map(|form| form.max_bytes),
                bytes,
                "{given}"
            );
        }
    }
}
