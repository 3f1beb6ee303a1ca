//! Header values: optional white space, the base64 sentinel, `Accept`.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName,
    header::{ACCEPT, CONTENT_TYPE},
};

/// The session id of the handshake era.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// The protocol revision.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The method, in the stateless era.
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// The name of the tool, prompt, resource or task, in the stateless era.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Prefix of all headers that mirror an argument of `tools/call`.
pub const PARAM_PREFIX: &str = "mcp-param-";
/// The position to resume from, in the handshake era.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A header that does not follow the spec: it occurs twice with different values, is not ASCII, or has a
/// base64 sentinel around something that is not base64 of UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the header has two values, or its value is illegal")]
pub struct IllegalHeader;

impl model::Classified for IllegalHeader {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Caller
    }
}

/// The only value of a header, without surrounding white space (RFC 9110 §5.6.3); `None` if absent. The
/// same value may occur twice: a program and its library both set it.
///
/// # Errors
/// The header has two values, or bytes other than visible ASCII, space and tab.
pub fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, IllegalHeader> {
    let mut only = None;
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| IllegalHeader)?;
        let text = text.trim_matches([' ', '\t']);
        if only.is_some_and(|only| only != text) {
            return Err(IllegalHeader);
        }
        only = Some(text);
    }
    Ok(only)
}

/// Decodes a value of `Mcp-Name` or `Mcp-Param-*` (MCP 2026-07-28, Streamable HTTP, "Value
/// Encoding"): `=?base64?` + base64 of UTF-8 + `?=`, with lower-case markers; any other value
/// stands for itself.
///
/// # Errors
/// The text inside the sentinel is not padded base64, or not UTF-8.
pub fn decode_value(value: &str) -> Result<Cow<'_, str>, IllegalHeader> {
    let inner = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    let Some(inner) = inner else {
        return Ok(Cow::Borrowed(value));
    };
    let bytes = STANDARD.decode(inner).map_err(|_| IllegalHeader)?;
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| IllegalHeader)
}

/// Encodes a value as a header: plain if possible, otherwise in the base64 sentinel.
#[must_use]
pub fn encode_value(value: &str) -> Cow<'_, str> {
    let plain = value.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    let at_edge = value.starts_with(' ') || value.ends_with(' ');
    let like_sentinel = value.starts_with("=?base64?") && value.ends_with("?=");
    if plain && !at_edge && !like_sentinel && !value.is_empty() {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(format!("=?base64?{}?=", STANDARD.encode(value)))
    }
}

/// The response content types that a client accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AcceptedTypes {
    /// `application/json`.
    pub json: bool,
    /// `text/event-stream`.
    pub sse: bool,
}

impl AcceptedTypes {
    /// Reads `Accept`. A missing or empty header means any type (RFC 9110 §12.5.1); `*/*`, `application/*`
    /// and `text/*` count; `q=0` excludes a type. The spec requires clients to list both types and
    /// names no status for those that do not: the server answers in the type that they accept.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter();
        let mut values = values.filter(|value| !value.is_empty()).peekable();
        if values.peek().is_none() {
            return Self {
                json: true,
                sse: true,
            };
        }
        let (mut json, mut sse) = (Preference::default(), Preference::default());
        let ranges = values.filter_map(|value| value.to_str().ok());
        for range in ranges.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let wanted = !parts.any(is_zero_quality);
            json.note(&kind, ["application/json", "application/*", "*/*"], wanted);
            sse.note(&kind, ["text/event-stream", "text/*", "*/*"], wanted);
        }
        Self {
            json: json.wanted,
            sse: sse.wanted,
        }
    }

    /// Whether the client accepts neither type.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        !self.json && !self.sse
    }
}

/// The most specific range decides (RFC 9110 §12.5.1).
#[derive(Default)]
struct Preference {
    wanted: bool,
    specificity: usize,
}

impl Preference {
    fn note(&mut self, kind: &str, from_exact_to_any: [&str; 3], wanted: bool) {
        let Some(position) = from_exact_to_any.iter().position(|range| *range == kind) else {
            return;
        };
        let specificity = 3 - position;
        if specificity >= self.specificity {
            *self = Self {
                wanted,
                specificity,
            };
        }
    }
}

fn is_zero_quality(parameter: &str) -> bool {
    let quality = parameter
        .split_once('=')
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    quality.is_some_and(|(_, value)| value.trim().parse::<f32>().is_ok_and(|q| q <= 0.0))
}

/// The media type of the body, in lower case and without parameters; `None` without a `Content-Type`, or
/// with two that differ. A value that a library has joined to itself (`a/b, a/b`) counts once.
#[must_use]
pub fn content_type(headers: &HeaderMap) -> Option<String> {
    let mut kinds = single(headers, &CONTENT_TYPE)
        .ok()??
        .split(',')
        .map(|value| {
            let kind = value.split(';').next().unwrap_or_default();
            kind.trim().to_ascii_lowercase()
        });
    let only = kinds.next()?;
    kinds.all(|kind| kind == only).then_some(only)
}

/// Whether `Content-Type` is JSON: `application/json`, names that older clients use, and every type with
/// the suffix `+json` (RFC 6839). All of them need a preflight before a foreign page may send them, which
/// `text/plain` and no type at all do not.
#[must_use]
pub fn is_json(headers: &HeaderMap) -> bool {
    const JSON: [&str; 4] = [
        "application/json",
        "application/json-rpc",
        "application/jsonrequest",
        "text/json",
    ];
    content_type(headers).is_some_and(|kind| {
        let is_suffixed = kind.starts_with("application/") && kind.ends_with("+json");
        JSON.contains(&kind.as_str()) || is_suffixed
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn accepts(values: &[&'static str]) -> (bool, bool) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        let AcceptedTypes { json, sse } = AcceptedTypes::read(&headers);
        (json, sse)
    }

    #[test]
    fn accept_follows_the_http_rules() {
        for (values, expected) in [
            (vec![], (true, true)),
            (vec!["application/json, text/event-stream"], (true, true)),
            (vec!["application/json", "text/event-stream"], (true, true)),
            (vec!["*/*"], (true, true)),
            (vec!["application/json"], (true, false)),
            (vec!["Text/Event-Stream; charset=utf-8"], (false, true)),
            (vec!["text/*;q=0.5"], (false, true)),
            (vec!["*/*, text/event-stream;q=0"], (true, false)),
            (vec!["text/event-stream;q=0.0, */*"], (true, false)),
            (vec!["text/html"], (false, false)),
            (vec![""], (true, true)),
            (vec!["", "application/json"], (true, false)),
        ] {
            assert_eq!(accepts(&values), expected, "{values:?}");
        }
    }

    #[test]
    fn json_has_many_names_and_none_that_a_foreign_page_can_send_unasked() {
        let typed = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
            }
            is_json(&headers)
        };
        for json in [
            &["application/json"][..],
            &["Application/JSON ; charset=UTF-8"],
            &["text/json;charset=utf-8"],
            &["application/json-rpc"],
            &["application/vnd.acme.v1+json"],
            &["application/json", "application/json"],
            &["application/json, application/json; charset=utf-8"],
        ] {
            assert!(typed(json), "{json:?}");
        }
        for other in [
            &[][..],
            &[""],
            &["text/plain"],
            &["text/plain+json"],
            &["multipart/form-data"],
            &["application/x-www-form-urlencoded"],
            &["application/json", "text/plain"],
            &["text/plain, application/json"],
        ] {
            assert!(!typed(other), "{other:?}");
        }
    }

    #[test]
    fn a_header_may_repeat_its_value_and_not_change_it() {
        let mut headers = HeaderMap::new();
        assert_eq!(single(&headers, &SESSION_ID), Ok(None));
        for value in ["a", " a\t"] {
            headers.append(SESSION_ID, HeaderValue::from_static(value));
            assert_eq!(single(&headers, &SESSION_ID), Ok(Some("a")));
        }
        headers.append(SESSION_ID, HeaderValue::from_static("b"));
        assert_eq!(single(&headers, &SESSION_ID), Err(IllegalHeader));
    }

    #[test]
    fn the_sentinel_is_strict_and_case_sensitive() {
        assert_eq!(decode_value("=?base64?SGVsbG8=?="), Ok("Hello".into()));
        assert_eq!(decode_value("=?base64??="), Ok("".into()));
        for plain in ["hello", "=?BASE64?SGVsbG8=?=", "=?base64?SGVsbG8=", ""] {
            assert_eq!(decode_value(plain), Ok(plain.into()));
        }
        for bad in ["=?base64?SGVsbG8?=", "=?base64?%%?=", "=?base64?/w==?="] {
            assert_eq!(decode_value(bad), Err(IllegalHeader), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_text_survives_as_a_header(text in "\\PC{0,40}") {
            let encoded = encode_value(&text);
            let header = HeaderValue::from_str(&encoded).unwrap();
            prop_assert_eq!(decode_value(header.to_str().unwrap()).unwrap(), text);
        }
    }
}
