use proptest::prelude::*;
use serde_json::json;

use super::*;

fn event(association: &Value, data: &Value) -> Value {
    let mut event = json!({ "id": "e", "type": "created", "action": "opened", "resourceType": "issue", "actor": "m",
        "resource": { "owner": "acme", "repo": "rocket", "number": 1, "title": "secret title" },
        "data": data, "metadata": { "changes": { "title": { "from": "secret before" } }, "tags": ["good first issue"] } });
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
        "state": "open", "html_url": "https://github.com/acme/rocket/issues/1", "closed_at": "2026-11-20T10:00:00Z",
        "labels": [{ "name": "good first issue", "description": "secret" }] });
    for association in [
        json!("NONE"),
        json!("CONTRIBUTOR"),
        json!("owner"),
        json!(["OWNER"]),
        Value::Null,
    ] {
        let (seen, _) = without(&event(&association, &issue));
        assert!(!seen.to_string().contains("secret"), "{seen}");
        assert_eq!(seen["resource"]["title"], WITHHELD_TEXT);
        assert_eq!(seen["data"]["user"]["login"], "mallory");
        assert_eq!(seen["data"]["labels"][0]["name"], "good first issue");
        for key in ["state", "html_url", "closed_at"] {
            assert_eq!(seen["data"][key], issue[key]);
        }
        assert_eq!(seen["metadata"]["tags"], json!(["good first issue"]));
    }
    let (seen, withheld) = without(&event(&json!("MEMBER"), &issue));
    assert_eq!(withheld, 1, "the description of the label: {seen}");
    assert_eq!(seen["data"]["body"], "secret");
    assert_eq!(
        seen["metadata"]["changes"]["title"]["from"],
        "secret before"
    );
}

#[test]
fn a_trusted_author_vouches_for_the_own_words_alone() {
    let comment = json!({ "body": "from a member", "diff_hunk": "+secret", "path": "secret.md",
        "issue": { "author_association": "NONE", "title": "secret" }, "milestone": { "title": "secret" },
        "commit_title": "secret" });
    let (seen, _) = without(&event(&json!("COLLABORATOR"), &comment));
    assert_eq!(seen["data"]["body"], "from a member");
    assert_eq!(seen["resource"]["title"], WITHHELD_TEXT);
    for at in [
        "/diff_hunk",
        "/path",
        "/issue/title",
        "/milestone/title",
        "/commit_title",
    ] {
        let seen = seen["data"].pointer(at);
        assert_eq!(seen.and_then(Value::as_str), Some(WITHHELD_TEXT), "{at}");
    }
}

#[test]
fn what_somebody_made_up_is_withheld_with_its_keys() {
    let forged = json!({ "author_association": "OWNER", "title": "secret", "secret": 1 });
    for data in [
        json!({ "client_payload": { "issue": forged } }),
        json!({ "inputs": forged }),
        json!({ "deployment": { "payload": [forged] } }),
        json!({ "matrix": { "secret words": 1 } }),
        json!({ "pages": [{ "page_name": "secret-words", "html_url": "https://github.com/a/b/wiki/secret-words" }] }),
        json!({ "new_member_of_later": { "new_text": "secret", "texts": ["secret", "secret"] } }),
        json!({ "data_of_later": forged["title"] }),
    ] {
        let (seen, withheld) = without(&event(&json!("OWNER"), &data));
        let text = seen["data"].to_string();
        assert!(!text.contains("secret") && withheld > 0, "{text}");
    }
}

#[test]
fn nothing_is_vouched_for_where_nothing_is_said() {
    let push = json!({ "commits": [{ "id": "c0ffee1", "message": "secret", "added": ["secret", "secret.md"],
        "author": { "name": "secret", "email": "secret", "username": "mona" } }] });
    let (seen, _) = without(&push);
    assert!(!seen.to_string().contains("secret"), "{seen}");
    assert_eq!(seen["commits"][0]["id"], "c0ffee1");
    assert_eq!(seen["commits"][0]["added"], json!([WITHHELD_TEXT]));
    assert_eq!(seen["commits"][0]["author"]["username"], "mona");
    assert_eq!(without_strangers_texts(b"{").unwrap().0, "null");
}

proptest! {
    #[test]
    fn no_text_of_a_stranger_is_left_at_any_depth(
        path in proptest::collection::vec("[a-z_]{1,12}|commits|issue|comment|from|labels", 0..6),
        key in "[a-z_]{1,12}|title|body|message|url|state|login|ref|node_id",
        array in any::<bool>(),
    ) {
        let mut value = json!({ key: "secret words of a stranger", "author_association": "FIRST_TIMER" });
        for step in path {
            value = match array {
                true => json!({ step: [value] }),
                false => json!({ step: value }),
            };
        }
        let (seen, _) = without(&event(&json!("OWNER"), &json!({ "inner": value })));
        let inner = seen["data"].to_string();
        prop_assert!(!inner.contains("secret"), "{inner}");
        prop_assert_eq!(without(&seen), (seen.clone(), 0), "once is enough");
    }
}
