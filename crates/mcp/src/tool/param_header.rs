//! Arguments that a client mirrors into `Mcp-Param-*` headers, so that intermediaries can route by
//! them (MCP 2026-07-28, Streamable HTTP, "Custom Headers from Tool Parameters").

use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{
    Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::ToolDescriptor;
use crate::{
    headers::{PARAM_PREFIX, decode_value, encode_value, single},
    refusal::HttpRefusal,
};

/// The keyword that marks a property.
const ANNOTATION: &str = "x-mcp-header";

/// Keywords whose values are data: a look-alike of the annotation in them does not count.
const DATA: [&str; 5] = ["const", "default", "enum", "examples", ANNOTATION];

/// Keywords whose values map names to schemas.
const NAMED_SCHEMAS: [&str; 5] = [
    "properties",
    "patternProperties",
    "dependentSchemas",
    "$defs",
    "definitions",
];

/// The largest integer that every client can mirror without loss: 2^53 - 1.
const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// A property that is marked `x-mcp-header` in a tool's input schema. The mark is a token of RFC
/// 9110, unique regardless of case, on a property whose only type is string, integer or boolean
/// (not `number`, not nullable), and which is reached from the root through `properties` alone.
/// Clients drop a tool that breaks these rules from their list, so such a tool is refused at start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParamHeader {
    name: HeaderName,
    path: Vec<String>,
}

impl ParamHeader {
    /// The full name of the header, in lower case.
    #[must_use]
    pub const fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The marked properties of a tool of another server; `None` if a mark breaks a rule, in which
    /// case the tool must not be called.
    #[must_use]
    pub fn read(input_schema: &Value) -> Option<Vec<Self>> {
        scan(input_schema).ok()
    }

    /// The names of the properties that lead to the argument.
    #[must_use]
    pub fn path(&self) -> &[String] {
        &self.path
    }
}

/// The marked properties of one of this server's tools.
///
/// # Panics
/// A mark breaks a rule.
pub(super) fn declared(tool: &str, schema: &Value) -> Vec<ParamHeader> {
    match scan(schema) {
        Ok(found) => found,
        Err(reason) => panic!("x-mcp-header in the input schema of the tool {tool}: {reason}"),
    }
}

fn scan(schema: &Value) -> Result<Vec<ParamHeader>, String> {
    let mut found = Vec::new();
    visit(schema, &mut Vec::new(), true, &mut found)?;
    Ok(found)
}

fn visit(
    node: &Value,
    path: &mut Vec<String>,
    reachable: bool,
    found: &mut Vec<ParamHeader>,
) -> Result<(), String> {
    if let Value::Array(items) = node {
        return items
            .iter()
            .try_for_each(|item| visit(item, path, false, found));
    }
    let Value::Object(schema) = node else {
        return Ok(());
    };
    if let Some(mark) = schema.get(ANNOTATION) {
        if !reachable || path.is_empty() {
            return Err(format!("{path:?} is not reached through properties alone"));
        }
        let header = header(mark, schema.get("type"), path)?;
        if found.iter().any(|other| other.name == header.name) {
            return Err(format!("{mark} is not unique"));
        }
        found.push(header);
    }
    for (keyword, value) in schema {
        if DATA.contains(&keyword.as_str()) {
            continue;
        }
        let reachable = reachable && keyword == "properties";
        match value {
            Value::Object(named) if NAMED_SCHEMAS.contains(&keyword.as_str()) => {
                for (name, child) in named {
                    path.push(name.clone());
                    visit(child, path, reachable, found)?;
                    path.pop();
                }
            }
            other => visit(other, path, false, found)?,
        }
    }
    Ok(())
}

fn header(mark: &Value, kind: Option<&Value>, path: &[String]) -> Result<ParamHeader, String> {
    let token = mark.as_str().unwrap_or_default();
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if token.is_empty() || !token.bytes().all(is_tchar) {
        return Err(format!("{mark} is not a token of RFC 9110"));
    }
    let kind = kind.and_then(Value::as_str).unwrap_or_default();
    if !["string", "integer", "boolean"].contains(&kind) {
        return Err(format!(
            "{path:?} is neither string nor integer nor boolean"
        ));
    }
    let name = format!("{PARAM_PREFIX}{token}").to_ascii_lowercase();
    Ok(ParamHeader {
        name: HeaderName::try_from(name).map_err(|_| format!("{mark} is too long"))?,
        path: path.to_vec(),
    })
}

/// Checks the headers of a `tools/call` against its arguments ("Server Behavior for Custom
/// Headers"). An absent or null argument has no header; a present one has a header with the same
/// value once the base64 sentinel is decoded; integers compare as numbers. Headers that no property
/// of the tool asks for are ignored. An argument that is an array or an object cannot be mirrored;
/// the later check against the schema refuses it by name.
///
/// The spec says only that a header for an absent argument is not expected. If it is present, the
/// request is refused: an intermediary may have routed it by a value that the body does not
/// contain.
///
/// # Errors
/// 400 with -32020, without the id of the request.
pub fn check_param_headers(
    tool: &ToolDescriptor,
    arguments: Option<&RawValue>,
    headers: &HeaderMap,
) -> Result<(), HttpRefusal> {
    tool.param_headers
        .iter()
        .try_for_each(|header| check(header, arguments, headers))
}

fn check(
    header: &ParamHeader,
    arguments: Option<&RawValue>,
    headers: &HeaderMap,
) -> Result<(), HttpRefusal> {
    let refuse = |what: &str| {
        Err(HttpRefusal::header_mismatch(format!(
            "{}: {what}",
            header.name
        )))
    };
    let Ok(argument) = at_path(arguments, &header.path) else {
        return refuse("the argument is duplicated");
    };
    let argument = argument.map(RawValue::get).filter(|json| *json != "null");
    let value = match single(headers, &header.name) {
        Ok(Some(value)) => match decode_value(value) {
            Ok(value) => Some(value),
            Err(_) => return refuse("a bad base64 value"),
        },
        Ok(None) => None,
        Err(_) => return refuse("the header is illegal"),
    };
    match (argument, value) {
        (None, None) => Ok(()),
        (None, Some(_)) => refuse("the body has no such argument"),
        (Some(json), None) if json.starts_with(['{', '[']) => Ok(()),
        (Some(_), None) => refuse("the header is missing"),
        (Some(json), Some(value)) if mirrors(json, &value) => Ok(()),
        (Some(_), Some(_)) => refuse("header and body have different values"),
    }
}

/// The headers of a `tools/call`, as a client makes them from its arguments. An absent or null
/// argument, an array or an object has no header; nor has a duplicate argument, which the server
/// refuses.
#[must_use]
pub fn mirror_arguments(marked: &[ParamHeader], arguments: Option<&RawValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for header in marked {
        let Ok(Some(argument)) = at_path(arguments, &header.path) else {
            continue;
        };
        let text = match argument.get() {
            json if json.starts_with('"') => serde_json::from_str(json).ok(),
            json if json == "null" || json.starts_with(['{', '[']) => None,
            json => Some(json.to_owned()),
        };
        let value = text.and_then(|text: String| HeaderValue::from_str(&encode_value(&text)).ok());
        if let Some(value) = value {
            headers.insert(header.name.clone(), value);
        }
    }
    headers
}

/// Whether a header value equals a JSON value.
fn mirrors(json: &str, header: &str) -> bool {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(json).is_ok_and(|text| text == header),
        Some(b't' | b'f') => json == header,
        Some(b'-' | b'0'..=b'9') => match (integer(json), integer(header)) {
            (Some(body), Some(header)) => {
                body == header && body.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs()
            }
            // Not an integer: the tool refuses it later; until then only the same spelling counts
            // as equal.
            (None, None) => json == header,
            _ => false,
        },
        _ => false,
    }
}

/// The value of a JSON number that is an integer, in any spelling (`42`, `42.0`, `4.2e1`). Exact;
/// `None` for everything else and beyond 64 bits.
fn integer(text: &str) -> Option<i64> {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        .then_some(())?;
    serde_json::from_str::<serde_json::Number>(text).ok()?;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}").parse::<i64>().ok()?;
    if digits == 0 {
        return Some(0);
    }
    let shift = exponent.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()?;
    let scale = 10_i64.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?)?;
    if shift >= 0 {
        digits.checked_mul(scale)
    } else {
        (digits % scale == 0).then_some(digits / scale)
    }
}

/// A duplicate member: two readers could see two different values.
struct DuplicateMember;

fn at_path<'a>(
    arguments: Option<&'a RawValue>,
    path: &[String],
) -> Result<Option<&'a RawValue>, DuplicateMember> {
    let mut current = arguments;
    for name in path {
        let Some(object) = current.filter(|json| json.get().starts_with('{')) else {
            return Ok(None);
        };
        current = serde_json::Deserializer::from_str(object.get())
            .deserialize_map(Member(name))
            .map_err(|_| DuplicateMember)?;
    }
    Ok(current)
}

/// Finds one member of an object, without building the others.
struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name != self.0 {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom("a member is duplicated"));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
