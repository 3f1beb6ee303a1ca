//! A stored event without what only programs follow: GitHub's objects are for two thirds addresses of its interface.

use serde_json::{Map, Value, value::RawValue};

use crate::limits::MAX_CUT_TEXT_BYTES;

/// What stays of an object that describes a repository within another one: the event's own is in `resource`.
const REPOSITORY_FACTS: [&str; 6] = [
    "id",
    "full_name",
    "private",
    "fork",
    "archived",
    "default_branch",
];

/// How much of GitHub's object stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventTrim {
    /// With `*_url`, `_links`, addresses of GitHub's interface, and whole repositories within other objects.
    pub keeps_urls: bool,
    /// Texts of more than [`MAX_CUT_TEXT_BYTES`] bytes are cut, and end with `…`.
    pub cuts_texts: bool,
}

/// A stored event as JSON without its `*_url`, `_links`, addresses of GitHub's interface and repeated repositories, as
/// far as `trim` asks for it; `None` if `json` is not JSON of an event, which Forgewire never stores. Everything that
/// Forgewire itself says of the event stays.
#[must_use]
pub fn trim_event(json: &[u8], trim: EventTrim) -> Option<String> {
    if trim == EventTrim::WHOLE {
        // Unchanged, byte by byte.
        let whole: &RawValue = serde_json::from_slice(json).ok()?;
        return whole.get().starts_with('{').then(|| whole.get().to_owned());
    }
    let mut event: Map<String, Value> = serde_json::from_slice(json).ok()?;
    if let Some(data) = event.get_mut("data") {
        // The object that the event is about stays whole, also where it is a repository.
        trim.inside(data);
    }
    if let Some(Value::Object(metadata)) = event.get_mut("metadata") {
        for part in ["changes", "related"] {
            if let Some(part) = metadata.get_mut(part) {
                trim.inside(part);
            }
        }
    }
    serde_json::to_string(&event).ok()
}

/// GitHub's object as JSON without what [`trim_event`] leaves out; `None` if it is no JSON of an object.
#[must_use]
pub fn trim_object(json: &[u8], trim: EventTrim) -> Option<String> {
    let mut object = Value::Object(serde_json::from_slice(json).ok()?);
    trim.inside(&mut object);
    serde_json::to_string(&object).ok()
}

impl EventTrim {
    /// Everything stays.
    pub const WHOLE: Self = Self {
        keeps_urls: true,
        cuts_texts: false,
    };

    fn inside(self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                if !self.keeps_urls {
                    members.retain(|key, value| !is_link(key, value));
                }
                members.values_mut().for_each(|member| self.whole(member));
            }
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.whole(element)),
            Value::String(text) if self.cuts_texts => cut(text),
            _ => {}
        }
    }

    fn whole(self, value: &mut Value) {
        if !self.keeps_urls
            && let Value::Object(members) = value
            && is_repository(members)
        {
            members.retain(|key, _| REPOSITORY_FACTS.contains(&&**key));
        }
        self.inside(value);
    }
}

fn is_repository(members: &Map<String, Value>) -> bool {
    let has_name = members.get("full_name").is_some_and(Value::is_string);
    has_name && members.contains_key("id") && members.len() > REPOSITORY_FACTS.len()
}

/// Whether a member only says where GitHub has something. An address of its interface begins with one of two texts,
/// on github.com and on a server of one's own.
fn is_link(key: &str, value: &Value) -> bool {
    let of_interface =
        |text: &str| text.starts_with("https://api.github.com/") || text.contains("/api/v3/");
    key == "_links"
        || key.ends_with("_url")
        || (key == "url" && value.as_str().is_some_and(of_interface))
}

fn cut(text: &mut String) {
    if text.len() <= MAX_CUT_TEXT_BYTES {
        return;
    }
    let end = text.floor_char_boundary(MAX_CUT_TEXT_BYTES);
    text.truncate(end);
    text.push('…');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        let repository = json!({
            "id": 1, "node_id": "R_1", "full_name": "octo/site", "private": false, "fork": true,
            "description": "a site", "url": "https://api.github.com/repos/octo/site", "html_url": "https://github.com/octo/site",
        });
        json!({
            "id": "e1", "resource": {"url": "https://github.com/octo/site/pull/1"},
            "data": {
                "number": 1, "url": "https://api.github.com/repos/octo/site/pulls/1",
                "diff_url": "https://github.com/octo/site/pull/1.diff", "_links": {"self": {}},
                "body": "é".repeat(1000), "homepage": {"url": "https://octo.example/"},
                "head": {"ref": "topic", "repo": repository}, "labels": [{"name": "bug", "url": "https://ghe.example/api/v3/x"}],
            },
            "metadata": {"delivery": "d", "related": {"repository": repository}, "changes": null},
        })
    }

    fn trimmed(trim: EventTrim) -> Value {
        let json = trim_event(event().to_string().as_bytes(), trim).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn an_object_comes_without_addresses_of_the_interface_and_repeated_repositories() {
        let repository = json!({"id": 1, "full_name": "octo/site", "private": false, "fork": true});
        assert_eq!(
            trimmed(EventTrim::default()),
            json!({
                "id": "e1", "resource": {"url": "https://github.com/octo/site/pull/1"},
                "data": {
                    "number": 1, "body": "é".repeat(1000), "homepage": {"url": "https://octo.example/"},
                    "head": {"ref": "topic", "repo": repository}, "labels": [{"name": "bug"}],
                },
                "metadata": {"delivery": "d", "related": {"repository": repository}, "changes": null},
            })
        );
        assert_eq!(trimmed(EventTrim::WHOLE), event());
    }

    #[test]
    fn the_object_of_an_event_of_a_repository_is_not_repeated() {
        let event = json!({"data": event()["metadata"]["related"]["repository"]});
        let json = trim_event(event.to_string().as_bytes(), EventTrim::default()).unwrap();
        let shown: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(shown["data"]["description"], "a site");
    }

    #[test]
    fn an_object_by_itself_is_trimmed_as_that_of_an_event() {
        for trim in [EventTrim::default(), EventTrim::WHOLE] {
            let data = event()["data"].to_string();
            let object = trim_object(data.as_bytes(), trim).unwrap();
            let object: Value = serde_json::from_str(&object).unwrap();
            assert_eq!(object, trimmed(trim)["data"]);
        }
        assert_eq!(trim_object(b"[]", EventTrim::default()), None);
    }

    #[test]
    fn a_long_text_is_cut_between_characters_if_that_is_asked_for() {
        let trim = EventTrim {
            cuts_texts: true,
            ..EventTrim::default()
        };
        let shown = trimmed(trim);
        let body = shown["data"]["body"].as_str().unwrap();
        assert_eq!(body.chars().count(), 513);
        assert!(body.ends_with("é…"), "{body}");
        assert!(trim_event(b"{", trim).is_none() && trim_event(b"[]", trim).is_none());
    }
}
