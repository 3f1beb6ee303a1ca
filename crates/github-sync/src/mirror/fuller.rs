//! What a pull request's own object says, and a list does not: it stays while the list shows nothing that makes it stale.
//!
//! | members | stay while |
//! | --- | --- |
//! | `mergeable`, `mergeable_state`, `rebaseable`, `comments`, `review_comments`, `maintainer_can_modify` | `updated_at` is the same |
//! | `commits`, `additions`, `deletions`, `changed_files` | the head's commit and the base branch are the same |
//! | `merged`, `merged_by` | `merged_at` is the same |

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, value::RawValue};

const OF_STATE: [&str; 6] = [
    "mergeable",
    "mergeable_state",
    "rebaseable",
    "comments",
    "review_comments",
    "maintainer_can_modify",
];
const OF_CODE: [&str; 4] = ["commits", "additions", "deletions", "changed_files"];
const OF_MERGE: [&str; 2] = ["merged", "merged_by"];

type Members<'a> = BTreeMap<&'a str, &'a RawValue>;

/// The pull request in a list, with what is known of it besides; as it is if nothing is. The members that are added come last.
pub(crate) fn fuller(listed: &Bytes, known: &[u8]) -> Bytes {
    added_members(listed, known).map_or_else(|| listed.clone(), Bytes::from)
}

fn added_members(listed: &[u8], known: &[u8]) -> Option<Vec<u8>> {
    let now: Members<'_> = serde_json::from_slice(listed).ok()?;
    let before: Members<'_> = serde_json::from_slice(known).ok()?;
    if now.is_empty() {
        return None;
    }
    let is_same = |name: &str| value(&now, name) == value(&before, name);
    let part = |of: &Members<'_>, pointer: &str, name: &str| {
        value(of, name).and_then(|value| value.pointer(pointer).cloned())
    };
    let is_same_part =
        |pointer: &str, name: &str| part(&now, pointer, name) == part(&before, pointer, name);
    let is_same_time = is_same("updated_at");
    let is_same_code = is_same_part("/sha", "head") && is_same_part("/ref", "base");
    let kept = [
        (&OF_STATE[..], is_same_time),
        (&OF_CODE[..], is_same_code),
        (&OF_MERGE[..], is_same("merged_at")),
    ];
    let names = kept.into_iter().filter(|(_, stays)| *stays);
    let names = names.flat_map(|(names, _)| names.iter().copied());
    let added = names.filter(|name| !now.contains_key(name));
    let added = added.filter_map(|name| Some((name, before.get(name)?.get())));
    let text = listed.trim_ascii_end().strip_suffix(b"}")?;
    let mut text = text.trim_ascii_end().to_vec();
    let length = text.len();
    for (name, value) in added {
        text.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    }
    let is_fuller = text.len() > length;
    text.push(b'}');
    is_fuller.then_some(text)
}

fn value(of: &Members<'_>, name: &str) -> Option<Value> {
    serde_json::from_str(of.get(name)?.get()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn own() -> Value {
        json!({ "updated_at": "1", "title": "t", "head": { "sha": "a" }, "base": { "ref": "main" }, "merged_at": null,
            "mergeable": true, "comments": 3, "commits": 2, "merged": false, "requested_reviewers": [1], "other": 1 })
    }

    fn listed(changes: &Value) -> Value {
        let mut listed = json!({ "updated_at": "1", "title": "t", "head": { "sha": "a" }, "base": { "ref": "main" },
            "merged_at": null, "requested_reviewers": [] });
        for (name, value) in changes.as_object().unwrap() {
            listed[name] = value.clone();
        }
        listed
    }

    /// The members that stay, beside those of the list, which are as the list has them.
    fn kept(changes: &Value) -> Vec<String> {
        let listed = listed(changes);
        let fuller = fuller(&listed.to_string().into(), own().to_string().as_bytes());
        let fuller: BTreeMap<String, Value> = serde_json::from_slice(&fuller).unwrap();
        let (same, more): (Vec<_>, Vec<_>) = fuller
            .into_iter()
            .partition(|(name, _)| listed.get(name).is_some());
        assert!(same.iter().all(|(name, value)| listed[name] == *value));
        assert!(more.iter().all(|(name, value)| own()[name] == *value));
        more.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_a_list_does_not_say_stays_until_it_is_stale() {
        let all = ["comments", "commits", "mergeable", "merged"];
        assert_eq!(kept(&json!({ "title": "other" })), all);
        assert_eq!(kept(&json!({ "updated_at": "2" })), ["commits", "merged"]);
        let pushed = json!({ "updated_at": "2", "head": { "sha": "b" } });
        assert_eq!(kept(&pushed), ["merged"]);
        let merged = json!({ "updated_at": "2", "merged_at": "2" });
        assert_eq!(kept(&merged), ["commits"]);
        // What GitHub's list says itself is its own.
        assert_eq!(
            kept(&json!({ "mergeable": null })),
            ["comments", "commits", "merged"]
        );
    }

    #[test]
    fn what_cannot_be_read_stays_as_it_is() {
        for (listed, known) in [
            ("broken", "{}"),
            ("{}", "null"),
            ("[]", "{}"),
            ("{}", r#"{"mergeable":1}"#),
        ] {
            let text = Bytes::from_static(listed.as_bytes());
            assert_eq!(fuller(&text, known.as_bytes()), text);
        }
    }
}
