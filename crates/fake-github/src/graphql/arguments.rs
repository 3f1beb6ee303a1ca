//! The arguments of a field.

use apollo_compiler::{resolvers::ResolveInfo, response::JsonValue};

/// A text.
pub(super) fn word<'i>(info: &'i ResolveInfo<'_>, name: &str) -> Option<&'i str> {
    info.arguments().get(name)?.as_str()
}

/// A number that is not negative.
pub(super) fn number(info: &ResolveInfo<'_>, name: &str) -> Option<u64> {
    info.arguments().get(name)?.as_u64()
}

/// Texts, or words of an enumeration.
pub(super) fn words<'i>(info: &'i ResolveInfo<'_>, name: &str) -> Option<Vec<&'i str>> {
    let all = info.arguments().get(name)?.as_array()?;
    Some(all.iter().filter_map(JsonValue::as_str).collect())
}

/// A member of an object.
pub(super) fn member<'i>(info: &'i ResolveInfo<'_>, name: &str, member: &str) -> Option<&'i str> {
    info.arguments().get(name)?.get(member)?.as_str()
}
