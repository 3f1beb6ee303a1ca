//! Parameters, tool arguments and the bodies of REST, parsed into types; errors name the field.

mod words;

use model::{JsonFault, without_byte_order_mark};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{envelope::RpcError, lenient::is_no_object, limits::MAX_INPUT_ERROR_BYTES};

/// Input that does not fit, with a message that a client's developer or a model can act on. It
/// quotes only what the client sent, up to 400 bytes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    message: String,
    /// The member of the whole that is unknown, and the names that are known in its place.
    unknown: Option<Box<(String, Vec<String>)>>,
}

impl InputError {
    /// Input that is well-formed but not valid: `field` is a path such as `filters[0].owner`. A reason that names the
    /// field itself names it once.
    #[must_use]
    pub fn new(field: &str, reason: &str) -> Self {
        let is_named = reason
            .strip_prefix(field)
            .is_some_and(|rest| rest.starts_with(": "));
        Self::of_message(match is_named {
            true => reason.to_owned(),
            false => format!("{field}: {reason}"),
        })
    }

    /// An error that names its field itself, of a value within `path`: `owner: …` in `filters[0]` is
    /// `filters[0].owner: …`.
    #[must_use]
    pub fn within(path: &str, error: &impl std::fmt::Display) -> Self {
        Self::of_message(format!("{path}.{error}"))
    }

    /// An error that names its field itself, for instance `owner: not a GitHub login`.
    #[must_use]
    pub fn naming(error: &impl std::fmt::Display) -> Self {
        Self::of_message(error.to_string())
    }

    /// The member that is unknown, and the names that are known in its place; `None` for any other error, and for a
    /// member of something within.
    #[must_use]
    pub fn unknown_member(&self) -> Option<(&str, &[String])> {
        let (name, known) = &**self.unknown.as_ref()?;
        Some((name, known))
    }

    fn of_message(message: String) -> Self {
        Self {
            message: shortened(message),
            unknown: None,
        }
    }

    fn from_serde(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        Self {
            unknown: words::unknown_member(&path, error.inner()).map(Box::new),
            ..Self::of_message(words::of_error(&path, error.inner()))
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

/// Reads the body of a request, which is one JSON object; a byte order mark before it is skipped.
///
/// # Errors
/// It is not JSON, or no object, or does not fit `T`; the error names the field, or else `body`.
pub fn parse_body<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, InputError> {
    let refused = |reason: &str| InputError::new("body", reason);
    let body = without_byte_order_mark(body);
    if body.trim_ascii().is_empty() {
        return Err(refused("is empty; send a JSON object"));
    }
    let json: &RawValue = serde_json::from_slice(body).map_err(|error| {
        let fault = JsonFault::of_text(&error);
        refused(&format!("{fault}; send a JSON object"))
    })?;
    if !json.get().starts_with('{') {
        return Err(refused("must be a JSON object with named members"));
    }
    read(Some(json))
}

fn read<'p, T: Deserialize<'p>>(params: Option<&'p RawValue>) -> Result<T, InputError> {
    let given = params.filter(|raw| !is_no_object(raw));
    let text = given.map_or("{}", RawValue::get);
    if text.starts_with('[') {
        // serde would take the items for the fields, in their order.
        let reason = "an array in the place of a JSON object with named members";
        return Err(InputError::of_message(reason.to_owned()));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| InputError::from_serde(&error))
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
    #[serde(deny_unknown_fields)]
    struct Inner {
        owner: String,
        kind: Option<Kind>,
    }

    #[derive(Deserialize, Debug)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        One,
        Two,
    }

    fn refusal(json: &str) -> String {
        let raw = RawValue::from_string(json.into()).unwrap();
        parse::<Input>(Some(&raw)).unwrap_err().to_string()
    }

    #[test]
    fn the_message_names_the_field_and_the_fix_in_the_words_of_json() {
        let inner = |json: &str| refusal(&format!(r#"{{"limit":1,"filters":[{json}]}}"#));
        for (refused, words) in [
            (
                refusal(r#"{"limit":"x"}"#),
                r#"limit: must be a whole number from 0, not the text "x""#,
            ),
            (
                refusal(r#"{"limit":-1}"#),
                "limit: must be a whole number from 0, not the number -1",
            ),
            (
                refusal(r#"{"limit":true}"#),
                "limit: must be a whole number from 0, not true",
            ),
            (
                refusal(r#"{"limit":1e400}"#),
                "limit: has a number beyond 1.8e308, the largest that is read; write it as text",
            ),
            (refusal("{}"), "limit: missing; it is required"),
            (
                refusal(r#"{"limit":1,"limit":2}"#),
                "limit: given twice; give it once",
            ),
            (
                refusal(r#"{"limt":1}"#),
                "limt: unknown field; known: limit, filters",
            ),
            (
                refusal(r#"{"limit":1,"filters":{}}"#),
                "filters: must be an array, not an object",
            ),
            (inner("{}"), "filters[0].owner: missing; it is required"),
            (
                inner(r#"{"owner":1}"#),
                "filters[0].owner: must be a string, not the number 1",
            ),
            (
                inner(r#"{"owner":null}"#),
                "filters[0].owner: must be a string, not null",
            ),
            (
                inner(r#"{"owner":["a, expected b at line 1 column 2"]}"#),
                "filters[0].owner: must be a string, not an array",
            ),
            (
                inner(r#"{"owner":"a","kind":"b"}"#),
                r#"filters[0].kind: unknown name "b"; known: one, two"#,
            ),
            (
                inner("7"),
                "filters[0]: must be an object, not the number 7",
            ),
        ] {
            assert_eq!(refused, words);
        }
    }

    #[test]
    fn a_body_is_one_object_and_its_refusal_names_it() {
        let body = |json: &[u8]| parse_body::<Input>(json).map(|input| input.limit);
        let refusal = |json: &[u8]| body(json).unwrap_err().to_string();
        assert_eq!(body("\u{feff} {\"limit\": 3}".as_bytes()), Ok(3));
        for (json, words) in [
            (&b""[..], "body: is empty; send a JSON object"),
            (b" \n", "body: is empty; send a JSON object"),
            (
                b"{",
                "body: is not JSON: it ends too early; send a JSON object",
            ),
            (b"{'limit':1}", "body: is not JSON; send a JSON object"),
            (
                b"{\"limit\":\"\xff\"}",
                "body: is not UTF-8; send a JSON object",
            ),
            (b"[3]", "body: must be a JSON object with named members"),
            (b"null", "body: must be a JSON object with named members"),
            (b"{}", "limit: missing; it is required"),
        ] {
            assert_eq!(refusal(json), words);
        }
    }

    #[test]
    fn a_member_that_is_too_deep_is_named_without_its_levels() {
        #[derive(Deserialize, Debug)]
        struct Any {
            #[expect(dead_code, reason = "only its parsing matters")]
            any: serde_json::Value,
        }
        let deep = format!(r#"{{"any":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        let refused = parse_body::<Any>(deep.as_bytes()).unwrap_err().to_string();
        assert!(
            refused.starts_with("any: has arrays or objects nested more than 127 deep"),
            "{refused}"
        );
    }

    #[test]
    fn a_field_is_named_once() {
        let twice = InputError::new("filters", "filters: at most 64 are allowed");
        assert_eq!(twice.to_string(), "filters: at most 64 are allowed");
        let other = InputError::new("filters", "filters:x");
        assert_eq!(other.to_string(), "filters: filters:x");
        let within = InputError::within("filters[0]", &"owner: is empty");
        assert_eq!(within.to_string(), "filters[0].owner: is empty");
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
