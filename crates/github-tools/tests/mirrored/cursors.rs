//! Cursors of pages: they say nothing, belong to a principal, and go on at any edge with the same key.

use proptest::prelude::*;

use super::*;

fn ten_issues() -> Arc<MemoryMirror> {
    mirror((1..=10).map(|number| issue(number, json!({}))).collect())
}

fn page_after(after: &Value) -> Value {
    json!({"owner": "acme", "repo": "rocket", "perPage": 4, "after": after})
}

#[tokio::test]
async fn a_cursor_shows_nothing_of_the_place_at_which_a_list_goes_on() {
    let server = server(&ten_issues());
    let mut cursors = Vec::new();
    for _ in 0..2 {
        let page = answer(&server, &all(), "list_issues", page_after(&Value::Null)).await;
        cursors.push(page["nextCursor"].as_str().unwrap().to_owned());
    }
    assert_ne!(
        cursors[0], cursors[1],
        "equal ones would tell that nothing has changed"
    );
    // The mirror of these tests writes the place as text.
    for cursor in cursors {
        let letters = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        assert!(cursor.chars().all(letters), "{cursor}");
        assert!(!cursor.contains("rocket") && cursor.len() < 300, "{cursor}");
    }
}

#[tokio::test]
async fn a_list_goes_on_at_another_edge_with_the_same_key() {
    let mirror = ten_issues();
    let edges = [server(&mirror), server(&mirror)];
    let (mut found, mut after) = (Vec::new(), Value::Null);
    for edge in edges.iter().cycle().take(3) {
        let page = answer(edge, &all(), "list_issues", page_after(&after)).await;
        found.extend(numbers(&page));
        after = page["nextCursor"].clone();
    }
    assert_eq!(found, (1..=10).rev().collect::<Vec<u64>>());
    assert!(after.is_null());
}

#[tokio::test]
async fn a_cursor_of_another_list_principal_or_key_is_refused_with_the_field_and_the_fix() {
    let mirror = ten_issues();
    let server = server(&mirror);
    let page = answer(&server, &all(), "list_issues", page_after(&Value::Null)).await;
    let cursor = page["nextCursor"].clone();
    let mut other_list = page_after(&cursor);
    other_list["repo"] = json!("missile");
    let refused = refusal(&server, &all(), "list_issues", other_list).await;
    assert!(
        refused.starts_with("after: not a cursor of this list; "),
        "{refused}"
    );
    let other = caller_named("another", Visibility::all());
    let refused = refusal(&server, &other, "list_issues", page_after(&cursor)).await;
    assert!(
        refused.starts_with("after: ") && refused.contains("another reader; use one of an answer"),
        "{refused}"
    );
    let other_key = server_with(&mirror, &TestKeys::of("another key"));
    let refused = refusal(&other_key, &all(), "list_issues", page_after(&cursor)).await;
    assert!(
        refused.starts_with("after: ") && refused.contains("or leave it out"),
        "{refused}"
    );
}

#[tokio::test]
async fn the_refusal_of_a_cursor_does_not_depend_on_what_is_hidden() {
    let server = server(&ten_issues());
    let sees = Visibility::only(["other"], []).unwrap();
    let refused = |repo: &'static str| {
        let arguments = json!({"owner": "acme", "repo": repo, "after": "AAAA"});
        refusal_of(&server, sees.clone(), arguments)
    };
    assert_eq!(refused("rocket").await, refused("nothing").await);
}

async fn refusal_of(server: &OfferRegistry, sees: Visibility, arguments: Value) -> String {
    refusal(server, &caller(sees), "list_issues", arguments).await
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a client sends in place of a cursor, it is refused, and names the field.
    #[test]
    fn a_mangled_cursor_is_refused(
        at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_-]", cut in 1_usize..200, other in "[!-~]{1,80}",
    ) {
        let server = server(&ten_issues());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let page = answer(&server, &all(), "list_issues", page_after(&Value::Null)).await;
            let cursor = page["nextCursor"].as_str().unwrap();
            let at = at.index(cursor.len());
            let mut changed = cursor.to_owned();
            changed.replace_range(at..=at, &with);
            let cut = cursor[..cut.min(cursor.len() - 1)].to_owned();
            for wrong in [changed, cut, other] {
                // The last letter has bits that say nothing; they are refused as well.
                if wrong.trim() == cursor {
                    continue;
                }
                let refused = refusal(&server, &all(), "list_issues", page_after(&json!(wrong))).await;
                assert!(refused.starts_with("after: "), "{wrong}: {refused}");
            }
        });
    }
}
