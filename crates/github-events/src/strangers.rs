//! Events and resources without the texts of strangers.
//!
//! GitHub says beside a text what its author is to the repository (`author_association`). A text stays only where the
//! object that has it, or the one around that, says that its author belongs there. Everything else is withheld, also
//! where nothing is said (commit messages, names of releases), because a text that is not vouched for may be anybody's.

use serde_json::{Map, Value};

/// Stands in the place of a text.
pub const WITHHELD_TEXT: &str = "[withheld by edge.lockdown]";
/// The associations of those who belong to a repository.
const TRUSTED: [&str; 3] = ["OWNER", "MEMBER", "COLLABORATOR"];
/// The members that hold free text, in GitHub's objects and in events.
const TEXTS: [&str; 19] = [
    "title",
    "body",
    "body_text",
    "body_html",
    "bodyText",
    "bodyHTML",
    "message",
    "description",
    "short_description",
    "summary",
    "text",
    "display_title",
    "diff_hunk",
    "commit_message",
    "commit_title",
    "annotation",
    "note",
    "notes",
    "reason_text",
];

/// Whether the author of a text belongs to the repository, by GitHub's word for it.
#[must_use]
pub fn is_trusted_association(association: &str) -> bool {
    TRUSTED.contains(&association)
}

/// The JSON of an event or a resource without the texts of strangers, and how many were withheld; `None` if there are
/// none. What cannot be read is withheld whole.
#[must_use]
pub fn without_strangers_texts(json: &[u8]) -> Option<(String, u64)> {
    let Ok(mut root) = serde_json::from_slice::<Value>(json) else {
        return Some(("null".to_owned(), 1));
    };
    let mut withheld = 0;
    match root.as_object_mut() {
        Some(event) if event.contains_key("resource") && event.contains_key("metadata") => {
            of_event(event, &mut withheld);
        }
        _ => walk(&mut root, false, &mut withheld),
    }
    (withheld > 0).then(|| (root.to_string(), withheld))
}

/// The parts of an event beside GitHub's object have its texts too.
fn of_event(event: &mut Map<String, Value>, withheld: &mut u64) {
    let data = &event["data"];
    let is_trusted = association(data).is_some_and(is_trusted_association);
    // The title of a comment is that of the issue, which has another author.
    let has_own_title = is_trusted && data["title"].is_string();
    for (key, value) in event.iter_mut() {
        match (key.as_str(), value) {
            ("resource", value) => walk(value, has_own_title, withheld),
            ("metadata", Value::Object(members)) => {
                for (key, value) in members {
                    walk(value, is_trusted && key == "changes", withheld);
                }
            }
            (_, value) => walk(value, false, withheld),
        }
    }
}

fn association(value: &Value) -> Option<&str> {
    let member = |key| value.get(key).and_then(Value::as_str);
    member("author_association").or_else(|| member("authorAssociation"))
}

fn walk(value: &mut Value, is_trusted: bool, withheld: &mut u64) {
    let own = association(value).map(is_trusted_association);
    let is_trusted = own.unwrap_or(is_trusted);
    match value {
        Value::Object(members) => {
            // The name of the author of a commit is a text that anybody chooses.
            let is_git_identity = members.contains_key("email");
            for (key, member) in members {
                let is_text = TEXTS.contains(&key.as_str())
                    || (is_git_identity && matches!(key.as_str(), "name" | "email"));
                match is_text && !is_trusted {
                    true => withhold(member, withheld),
                    false => walk(member, is_trusted, withheld),
                }
            }
        }
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| walk(element, is_trusted, withheld)),
        _ => {}
    }
}

/// Withholds a text, or all of those in a value that stands in the place of one, as what it was before a change.
fn withhold(value: &mut Value, withheld: &mut u64) {
    match value {
        Value::String(text) if !text.is_empty() => {
            WITHHELD_TEXT.clone_into(text);
            *withheld += 1;
        }
        Value::Array(elements) => elements.iter_mut().for_each(|v| withhold(v, withheld)),
        Value::Object(members) => members.values_mut().for_each(|v| withhold(v, withheld)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event(association: &Value, data: &Value) -> Value {
        let mut event = json!({ "id": "e", "type": "created", "action": "opened", "resourceType": "issue", "actor": "m",
            "resource": { "owner": "acme", "repo": "rocket", "number": 1, "title": "secret title" },
            "data": data, "metadata": { "changes": { "title": { "from": "secret before" } }, "tags": ["bug"] } });
        event["data"]["author_association"] = association.clone();
        event
    }

    fn without(event: &Value) -> (Value, u64) {
        match without_strangers_texts(event.to_string().as_bytes()) {
            Some((text, withheld)) => (serde_json::from_str(&text).unwrap(), withheld),
            None => (event.clone(), 0),
        }
    }

    #[test]
    fn texts_of_strangers_are_withheld_and_facts_stay() {
        let issue = json!({ "title": "secret title", "body": "secret", "user": { "login": "mallory" }, "body_html": null,
            "labels": [{ "name": "bug", "description": "secret" }] });
        for association in [
            json!("NONE"),
            json!("CONTRIBUTOR"),
            json!("owner"),
            Value::Null,
        ] {
            let (seen, withheld) = without(&event(&association, &issue));
            assert_eq!(withheld, 5, "{seen}");
            assert!(!seen.to_string().contains("secret"), "{seen}");
            assert_eq!(seen["resource"]["title"], WITHHELD_TEXT);
            assert_eq!(seen["data"]["user"]["login"], "mallory");
            assert_eq!(seen["data"]["labels"][0]["name"], "bug");
        }
        let (seen, withheld) = without(&event(&json!("MEMBER"), &issue));
        assert_eq!(withheld, 0, "{seen}");
    }

    #[test]
    fn a_trusted_comment_does_not_vouch_for_the_issue_that_it_is_on() {
        let comment = json!({ "body": "from a member", "issue": { "author_association": "NONE", "title": "secret" } });
        let (seen, withheld) = without(&event(&json!("COLLABORATOR"), &comment));
        assert_eq!(seen["data"]["body"], "from a member");
        assert_eq!(seen["resource"]["title"], WITHHELD_TEXT);
        assert_eq!(seen["data"]["issue"]["title"], WITHHELD_TEXT);
        assert_eq!(withheld, 2, "{seen}");
    }

    #[test]
    fn nothing_is_vouched_for_where_nothing_is_said() {
        let push = json!({ "commits": [{ "id": "c0ffee", "message": "secret", "author": { "name": "secret", "email": "secret" } }] });
        let (seen, _) = without(&push);
        assert!(!seen.to_string().contains("secret"), "{seen}");
        assert_eq!(seen["commits"][0]["id"], "c0ffee");
        assert_eq!(without_strangers_texts(b"{").unwrap().0, "null");
    }

    proptest! {
        #[test]
        fn no_text_of_a_stranger_is_left_at_any_depth(
            path in proptest::collection::vec("[a-z]{1,6}|commits|issue|comment", 0..6),
            key in proptest::sample::select(TEXTS.to_vec()),
            array in any::<bool>(),
        ) {
            let mut value = json!({ key: "secret", "author_association": "FIRST_TIMER" });
            for step in path {
                value = match array {
                    true => json!({ step: [value] }),
                    false => json!({ step: value }),
                };
            }
            let (seen, _) = without(&event(&json!("OWNER"), &json!({ "inner": value })));
            let inner = seen["data"].to_string();
            prop_assert!(!inner.contains("secret"), "{inner}");
        }
    }
}
