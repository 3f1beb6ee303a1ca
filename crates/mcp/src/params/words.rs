//! What serde says of a value that does not fit, in the words of JSON: the field, what it has to be, and what it is.
//! Its own words name Rust's types and places in a text that the sender may never have seen as such.

use model::JsonFault;

/// What follows the list of known names in place of one where there are none.
const NONE_KNOWN: &str = "none are known here; leave it out";

/// The words for an error at a path (`.` for the whole).
pub(super) fn of_error(path: &str, error: &serde_json::Error) -> String {
    let path = if path == "." { "" } else { path };
    if let Some(fault) = JsonFault::of(error) {
        let path = match fault {
            // Its full path has every level.
            JsonFault::TooDeep => path.split(['.', '[']).next().unwrap_or_default(),
            _ => path,
        };
        return about(path, fault.as_str());
    }
    let text = error.to_string();
    let cause = without_place(&text);
    let named = |begin: &str| cause.strip_prefix(begin)?.split_once('`');
    if let Some((name, _)) = named("missing field `") {
        return about(&member(path, name), "missing; it is required");
    }
    if let Some((name, _)) = named("duplicate field `") {
        return about(&member(path, name), "given twice; give it once");
    }
    if let Some((name, rest)) = named("unknown field `") {
        let reason = format!("unknown field; known: {}", known_list(rest));
        return about(&member(path, name), &reason);
    }
    if let Some((name, rest)) = named("unknown variant `") {
        let reason = format!("unknown name {name:?}; known: {}", known_list(rest));
        return about(path, &reason);
    }
    for begin in ["invalid type: ", "invalid value: "] {
        // What was given may have any text in it, and what was expected has none of the sender.
        let parts = cause.strip_prefix(begin);
        if let Some((given, expected)) = parts.and_then(|parts| parts.rsplit_once(", expected ")) {
            let reason = format!("must be {}, not {}", wanted(expected), found(given));
            return about(path, &reason);
        }
    }
    match cause.strip_prefix("invalid length ") {
        Some(parts) => {
            let (length, expected) = parts
                .split_once(", expected ")
                .unwrap_or((parts, "shorter"));
            let reason = format!("must be {}, not of length {length}", wanted(expected));
            about(path, &reason)
        }
        None => about(path, cause),
    }
}

fn about(path: &str, reason: &str) -> String {
    match path {
        "" => reason.to_owned(),
        path => format!("{path}: {reason}"),
    }
}

/// The path of a member, which may be the end of `path` already.
fn member(path: &str, name: &str) -> String {
    let is_named = path
        .strip_suffix(name)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    match path {
        path if is_named => path.to_owned(),
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// Without the line and the column, which count from a place that the sender cannot see.
fn without_place(text: &str) -> &str {
    let is_place = |place: &str| {
        let numbers = place.split_once(" column ");
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        numbers.is_some_and(|(line, column)| is_number(line) && is_number(column))
    };
    match text.rsplit_once(" at line ") {
        Some((cause, place)) if is_place(place) => cause,
        _ => text,
    }
}

/// The member of the whole that is unknown, and the names that are known in its place.
pub(super) fn unknown_member(
    path: &str,
    error: &serde_json::Error,
) -> Option<(String, Vec<String>)> {
    let text = error.to_string();
    let cause = without_place(&text).strip_prefix("unknown field `")?;
    let (name, rest) = cause.split_once('`')?;
    let is_of_whole = path == "." || path == name;
    let known = known_names(rest).map(str::to_owned);
    is_of_whole.then(|| (name.to_owned(), known.collect()))
}

/// The names between backquotes.
fn known_names(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn known_list(text: &str) -> String {
    let names: Vec<_> = known_names(text).collect();
    match names.is_empty() {
        true => NONE_KNOWN.to_owned(),
        false => names.join(", "),
    }
}

/// What a value has to be. Words of our own stay as they are.
fn wanted(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        "a borrowed string" => "a string",
        "unit" => "null",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("enum ") || other.starts_with("variant ") => "a name",
        other => other,
    }
}

/// What a value is.
fn found(given: &str) -> String {
    let quoted = |begin: &str| given.strip_prefix(begin)?.strip_suffix('`');
    if let Some(flag) = quoted("boolean `") {
        return flag.to_owned();
    }
    if let Some(number) = quoted("integer `").or_else(|| quoted("floating point `")) {
        return format!("the number {number}");
    }
    match given {
        "null" | "unit value" => "null".to_owned(),
        "sequence" => "an array".to_owned(),
        "map" => "an object".to_owned(),
        other => match other.strip_prefix("string ") {
            Some(text) => format!("the text {text}"),
            None => other.to_owned(),
        },
    }
}
