//! Single values, in the notations in which models write them.

use mcp::{lenient, params::InputError};
use model::{GithubReference, Timestamp};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use crate::limits::{MAX_LABELS, MAX_NAME_BYTES};

/// One of these words, in any case.
///
/// # Errors
/// Another one; the error names the field, and all words.
pub(crate) fn choice<T: Copy>(
    field: &str,
    given: Option<&str>,
    words: &[(&str, T)],
) -> Result<Option<T>, InputError> {
    let Some(given) = given else {
        return Ok(None);
    };
    let mut found = words.iter();
    let found = found.find(|(word, _)| word.eq_ignore_ascii_case(given.trim()));
    let found = found.map(|(_, value)| Some(*value));
    found.ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        InputError::new(field, &format!("use {}", words.join(", ")))
    })
}

/// A time.
///
/// # Errors
/// It is in no known notation.
pub(crate) fn time(field: &str, given: Option<&str>) -> Result<Option<Timestamp>, InputError> {
    let read = |text: &str| {
        let time = Timestamp::from_input(text.trim());
        let reason = "not a time; use for instance 2026-11-30T08:00:00Z, or 2026-11-30";
        time.ok_or_else(|| InputError::new(field, reason))
    };
    given.map(read).transpose()
}

/// A login.
///
/// # Errors
/// It is none; the error names the field. `@me` is none either: whose token calls is not known on GitHub's side.
pub(crate) fn login(field: &str, given: &str) -> Result<String, InputError> {
    if given.trim().eq_ignore_ascii_case("@me") {
        return Err(InputError::new(
            field,
            "@me is not known here; use the login",
        ));
    }
    let read = GithubReference::read_account(given.trim().trim_start_matches('@'));
    read.map_err(|error| InputError::new(field, &error.to_string()))
}

/// A number of a resource: 7, "7", "#7". Null counts as absent.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    lenient::optional_resource_number(deserializer)
}

/// Names as a list, or one name as a text. Null counts as absent.
pub(crate) fn name_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let wrong = || D::Error::custom(format!("use a list of up to {MAX_LABELS} names"));
    let name = |text: &str| match text.trim() {
        "" => None,
        text if text.len() > MAX_NAME_BYTES => Some(Err(wrong())),
        text => Some(Ok(text.to_owned())),
    };
    let names = match Value::deserialize(deserializer)? {
        Value::Null => Vec::new(),
        Value::String(text) => name(&text).into_iter().collect::<Result<_, _>>()?,
        Value::Array(names) => {
            let texts = names.iter().map(|value| value.as_str().ok_or_else(wrong));
            let texts = texts.collect::<Result<Vec<_>, _>>()?;
            texts
                .into_iter()
                .filter_map(name)
                .collect::<Result<Vec<_>, _>>()?
        }
        _ => return Err(wrong()),
    };
    if names.len() > MAX_LABELS {
        return Err(wrong());
    }
    Ok(names)
}
