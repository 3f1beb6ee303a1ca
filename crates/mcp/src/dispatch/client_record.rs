//! What a session keeps of the client's description of itself, within a bound.
//!
//! Clients send icons as data URIs and other decoration of any size. None of it is needed, so it is
//! left out instead of refused; only capabilities that do not fit are an error, because leaving one out
//! would change what the client can do.

use serde_json::{Map, Value};

use crate::{
    capability::ClientCapabilities,
    limits::{MAX_CLIENT_INFO_BYTES, MAX_CLIENT_TEXT_BYTES},
};

/// The texts of `clientInfo` that remain when all of it does not fit.
const TEXTS: [&str; 5] = ["name", "version", "title", "description", "websiteUrl"];
/// The capabilities that the server acts on; the others remain if they fit.
const USED: [&str; 5] = ["roots", "sampling", "elicitation", "extensions", "tasks"];

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

/// The capabilities in up to 16 KiB: as sent if they fit, otherwise those that the server acts on.
/// `None` if these do not fit either.
pub(super) fn capabilities(mut sent: Map<String, Value>) -> Option<ClientCapabilities> {
    if !fits(&sent) {
        sent.retain(|name, _| USED.contains(&name.as_str()));
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
}
