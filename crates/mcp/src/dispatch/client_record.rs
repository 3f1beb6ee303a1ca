//! What a session keeps of the client's description of itself, within a bound.
//!
//! Clients send icons as data URIs, settings of extensions that this server does not have, and other
//! decoration of any size. None of it is needed, so it is left out instead of refused; only capabilities that
//! this server acts on and that do not fit are an error, because leaving one out would change what the client
//! can do.

use std::collections::BTreeMap;

use serde_json::{Map, Value, value::RawValue};

use crate::{
    capability::ClientCapabilities,
    limits::{MAX_CLIENT_INFO_BYTES, MAX_CLIENT_TEXT_BYTES},
    task,
};

/// The texts of `clientInfo` that remain when all of it does not fit.
const TEXTS: [&str; 5] = ["name", "version", "title", "description", "websiteUrl"];
/// The capabilities that the server acts on; the others remain if they fit.
const USED: [&str; 5] = ["roots", "sampling", "elicitation", EXTENSIONS, "tasks"];
const EXTENSIONS: &str = "extensions";

fn fits(members: &Map<String, Value>) -> bool {
    // A map of JSON always encodes; a failure would count as too large.
    serde_json::to_vec(members).is_ok_and(|json| json.len() <= MAX_CLIENT_INFO_BYTES)
}

/// `clientInfo` in up to 16 KiB: as sent if it fits, otherwise its name, version and other texts, each
/// cut at 1 KiB.
pub(super) fn client_info(mut sent: Map<String, Value>) -> Value {
    if fits(&sent) {
        return Value::Object(sent);
    }
    let texts = TEXTS.iter().filter_map(|name| {
        let Value::String(mut text) = sent.remove(*name)? else {
            return None;
        };
        text.truncate(text.floor_char_boundary(MAX_CLIENT_TEXT_BYTES));
        Some(((*name).to_owned(), Value::String(text)))
    });
    Value::Object(texts.collect())
}

/// As [`capabilities`], before anything is built from them.
pub(super) fn sent_capabilities(sent: &RawValue) -> Option<ClientCapabilities> {
    if sent.get().len() <= MAX_CLIENT_INFO_BYTES {
        return capabilities(serde_json::from_str(sent.get()).ok()?);
    }
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(sent.get()).ok()?;
    members.retain(|name, _| USED.contains(&name.as_str()));
    let bytes = |members: &BTreeMap<String, &RawValue>| -> usize {
        members.values().map(|value| value.get().len()).sum()
    };
    let mut extensions = None;
    if bytes(&members) > MAX_CLIENT_INFO_BYTES {
        extensions = members.remove(EXTENSIONS).map(own_extension);
        if bytes(&members) > MAX_CLIENT_INFO_BYTES {
            return None;
        }
    }
    let read =
        |(name, value): (String, &RawValue)| Some((name, serde_json::from_str(value.get()).ok()?));
    let mut members: Map<String, Value> = members.into_iter().filter_map(read).collect();
    members.extend(extensions.map(|own| (EXTENSIONS.to_owned(), own)));
    capabilities(members)
}

/// Of the extensions that a client declares, the one that this server has. Whether it is declared counts; it has no
/// settings.
fn own_extension(sent: &RawValue) -> Value {
    let declared: BTreeMap<String, &RawValue> =
        serde_json::from_str(sent.get()).unwrap_or_default();
    let is_object = |settings: &&RawValue| settings.get().starts_with('{');
    let declares_tasks = declared.get(task::EXTENSION).is_some_and(is_object);
    let own = declares_tasks.then(|| (task::EXTENSION.to_owned(), Value::Object(Map::new())));
    Value::Object(own.into_iter().collect())
}

/// The capabilities in up to 16 KiB: as sent if they fit, otherwise those that the server acts on, and of the
/// extensions only the one that it has.
/// `None` if these do not fit either.
pub(super) fn capabilities(mut sent: Map<String, Value>) -> Option<ClientCapabilities> {
    if !fits(&sent) {
        sent.retain(|name, _| USED.contains(&name.as_str()));
    }
    if !fits(&sent)
        && let Some(Value::Object(extensions)) = sent.get_mut(EXTENSIONS)
    {
        // Whether it is declared counts; it has no settings.
        let declares_tasks = extensions
            .get(task::EXTENSION)
            .is_some_and(Value::is_object);
        extensions.clear();
        if declares_tasks {
            extensions.insert(task::EXTENSION.to_owned(), Value::Object(Map::new()));
        }
    }
    let sent = Some(sent).filter(fits)?;
    ClientCapabilities::from_value(Value::Object(sent))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(members) => members,
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn a_large_icon_is_left_out_and_the_texts_are_cut() {
        let icons = json!([{"src": format!("data:image/png;base64,{}", "A".repeat(300_000))}]);
        let small = json!({"name": "a", "version": "1", "icons": [{"src": "x"}], "own": 7});
        assert_eq!(client_info(members(small.clone())), small);
        let large = json!({"name": "a", "version": "1", "icons": icons, "own": 7});
        assert_eq!(
            client_info(members(large)),
            json!({"name": "a", "version": "1"})
        );
        let long = json!({"name": "é".repeat(20_000), "version": 1, "title": "t"});
        let kept = client_info(members(long));
        assert_eq!(
            kept["name"].as_str().map(str::len),
            Some(MAX_CLIENT_TEXT_BYTES)
        );
        assert_eq!((kept.get("version"), &kept["title"]), (None, &json!("t")));
    }

    #[test]
    fn capabilities_that_nobody_acts_on_make_room_and_the_others_stay() {
        let filler = "x".repeat(20_000);
        let sent = json!({"roots": {}, "experimental": {"a": filler}, "own": {}});
        let kept = capabilities(members(sent)).map(ClientCapabilities::into_value);
        assert_eq!(kept, Some(json!({"roots": {}})));
        let small = json!({"experimental": {"a": {}}});
        let kept = capabilities(members(small.clone())).map(ClientCapabilities::into_value);
        assert_eq!(kept, Some(small));
        assert!(capabilities(members(json!({"roots": {"a": filler}}))).is_none());
    }

    #[test]
    fn the_capabilities_of_one_request_have_the_same_bound() {
        let filler = "x".repeat(20_000);
        let read = |sent: Value| {
            let sent = RawValue::from_string(sent.to_string()).unwrap();
            sent_capabilities(&sent).map(ClientCapabilities::into_value)
        };
        let large = json!({"roots": {}, "experimental": [filler], "own": filler});
        assert_eq!(read(large), Some(json!({"roots": {}})));
        let small = json!({"experimental": {"a": {}}});
        assert_eq!(read(small.clone()), Some(small));
        let extensions = json!({"extensions": {"a": filler, "io.modelcontextprotocol/tasks": {}}});
        let tasks = json!({"io.modelcontextprotocol/tasks": {}});
        assert_eq!(read(extensions), Some(json!({"extensions": tasks})));
        assert_eq!(read(json!({"roots": {"a": filler}})), None);
    }

    #[test]
    fn settings_of_extensions_make_room_and_the_one_that_is_served_stays_declared() {
        let filler = "x".repeat(20_000);
        let kept = |extensions: Value| {
            let sent = members(json!({"roots": {}, "extensions": extensions}));
            capabilities(sent).map(ClientCapabilities::into_value)
        };
        let other = json!({"com.example/a": {"b": filler}});
        assert_eq!(kept(other), Some(json!({"roots": {}, "extensions": {}})));
        let both = json!({"com.example/a": {}, "io.modelcontextprotocol/tasks": {"b": filler}});
        let tasks = json!({"io.modelcontextprotocol/tasks": {}});
        assert_eq!(kept(both), Some(json!({"roots": {}, "extensions": tasks})));
    }
}
