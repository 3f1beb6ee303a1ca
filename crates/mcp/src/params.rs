//! Parameters and tool arguments, parsed into types; errors name the field.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{envelope::RpcError, lenient::is_no_object, limits::MAX_INPUT_ERROR_BYTES};

/// Input that does not fit, with a message that a client's developer or a model can act on. It
/// quotes only what the client sent, up to 400 bytes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    message: String,
}

impl InputError {
    /// Input that is well-formed but not valid: `field` is a path such as `filters[0].owner`.
    #[must_use]
    pub fn new(field: &str, reason: &str) -> Self {
        Self {
            message: shortened(format!("{field}: {reason}")),
        }
    }

    /// An error that names its field itself, for instance `owner: not a GitHub login`.
    #[must_use]
    pub fn naming(error: &impl std::fmt::Display) -> Self {
        Self {
            message: shortened(error.to_string()),
        }
    }

    fn from_serde(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        let cause = error.into_inner().to_string();
        // serde's line and column count from a place that the client cannot see.
        let reason = cause.split(" at line ").next().unwrap_or_default();
        Self {
            message: match path.as_str() {
                "." => shortened(reason.to_owned()),
                // An unknown field is both in the path and in the message.
                _ if reason.contains(&format!("`{path}`")) => shortened(reason.to_owned()),
                _ => shortened(format!("{path}: {reason}")),
            },
        }
    }
}

impl From<InputError> for RpcError {
    fn from(error: InputError) -> Self {
        Self::invalid_params(error.message)
    }
}

impl model::Classified for InputError {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Caller
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_INPUT_ERROR_BYTES {
        text.truncate(text.floor_char_boundary(MAX_INPUT_ERROR_BYTES));
        text.push('…');
    }
    text
}

/// The same JSON without white space between its parts.
pub(crate) fn compact(json: &RawValue) -> Box<RawValue> {
    let (mut in_string, mut escaped) = (false, false);
    let kept = |character: &char| {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = in_string,
            '"' => in_string = !in_string,
            ' ' | '\t' | '\n' | '\r' => return in_string,
            _ => {}
        }
        true
    };
    let compact = json.get().chars().filter(kept).collect();
    RawValue::from_string(compact).unwrap_or_else(|_| json.to_owned())
}

/// Reads params or arguments; absent ones, null and an empty array count as an empty object.
///
/// # Errors
/// They do not fit `T`; the error names the field.
pub fn parse<T: DeserializeOwned>(params: Option<&RawValue>) -> Result<T, InputError> {
    read(params)
}

/// As [`parse`], for a type that borrows from the params.
pub(crate) fn borrow<'p, T: Deserialize<'p>>(params: &'p RawValue) -> Result<T, InputError> {
    read(Some(params))
}

fn read<'p, T: Deserialize<'p>>(params: Option<&'p RawValue>) -> Result<T, InputError> {
    let given = params.filter(|raw| !is_no_object(raw));
    let text = given.map_or("{}", RawValue::get);
    if text.starts_with('[') {
        // serde would take the items for the fields, in their order.
        let reason = "an array in the place of a JSON object with named members";
        return Err(InputError {
            message: reason.to_owned(),
        });
    }
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(InputError::from_serde)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its parsing matters")]
    struct Input {
        limit: u32,
        #[serde(default)]
        filters: Vec<Inner>,
    }

    #[derive(Deserialize, Debug)]
    #[expect(dead_code, reason = "only its parsing matters")]
    struct Inner {
        owner: String,
    }

    fn refusal(json: &str) -> String {
        let raw = RawValue::from_string(json.into()).unwrap();
        parse::<Input>(Some(&raw)).unwrap_err().to_string()
    }

    #[test]
    fn the_message_names_the_field() {
        assert_eq!(
            refusal(r#"{"limit":"x"}"#),
            r#"limit: invalid type: string "x", expected u32"#
        );
        assert_eq!(
            refusal(r#"{"limit":1,"filters":[{"owner":1}]}"#),
            "filters[0].owner: invalid type: integer `1`, expected a string"
        );
        assert_eq!(refusal("{}"), "missing field `limit`");
        assert_eq!(
            refusal(r#"{"limt":1}"#),
            "unknown field `limt`, expected `limit` or `filters`"
        );
        assert_eq!(
            refusal(r#"{"limit":1,"filters":[{}]}"#),
            "filters[0]: missing field `owner`"
        );
    }

    #[test]
    fn absent_params_are_an_empty_object_and_the_message_is_bounded() {
        let missing = parse::<Input>(None).unwrap_err().to_string();
        for absent in ["null", "[]", "[ ]", "{}"] {
            assert_eq!(refusal(absent), missing, "{absent}");
        }
        assert!(refusal("[7]").contains("an array"), "never by position");
        let long = refusal(&format!(r#"{{"limit":"{}"}}"#, "é".repeat(100_000)));
        assert!(long.len() < 410, "{}", long.len());
    }
}
