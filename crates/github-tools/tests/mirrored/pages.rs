//! Pages within their bytes, to the end of a list, without a loss.

use proptest::prelude::*;

use super::*;

/// As large as GitHub has them.
fn largest(number: u64, body: usize) -> Value {
    let label = |n: usize| {
        json!({"id": n, "name": format!("{n} {}", "\u{1f680}".repeat(48)), "color": "ff0000",
        "description": "d".repeat(100), "url": "https://api.github.com/repos/acme/rocket/labels/x"})
    };
    let account = |n: usize| {
        json!({"login": format!("{}{n}", "l".repeat(37)), "id": n,
        "avatar_url": "https://avatars.githubusercontent.com/u/1"})
    };
    let branch = json!({"ref": "b".repeat(250), "label": format!("acme:{}", "b".repeat(250)), "sha": "0".repeat(40)});
    json!({
        "number": number, "id": number, "title": "\"".repeat(256), "state": "open", "state_reason": "reopened",
        "draft": true, "type": {"name": "t".repeat(200)}, "user": account(0), "body": "\n".repeat(body),
        "labels": (0..100).map(label).collect::<Vec<_>>(), "assignees": (0..10).map(account).collect::<Vec<_>>(),
        "requested_reviewers": (0..15).map(account).collect::<Vec<_>>(),
        "milestone": {"number": 1, "title": "m".repeat(255), "description": "d".repeat(10_000)},
        "head": branch, "base": branch, "comments": 2500, "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2026-11-01T00:00:00Z", "due_on": "2026-11-01T00:00:00Z", "open_issues": 10, "closed_issues": 20,
        "html_url": format!("https://github.com/acme/{}", "r".repeat(100)),
        "sub_issues_summary": {"total": 100, "completed": 50, "percent_completed": 50},
        "name": "n".repeat(250), "tag_name": "v".repeat(250), "color": "ff0000", "description": "\\".repeat(body),
        "display_title": "d".repeat(500), "head_branch": "b".repeat(250), "head_sha": "0".repeat(40),
        "path": format!(".github/workflows/{}.yaml", "w".repeat(200)), "event": "pull_request_target",
        "status": "in_progress", "conclusion": "action_required", "workflow_id": 1, "run_number": 1, "run_attempt": 1,
        "actor": account(1), "author": account(2), "creator": account(3), "short_description": "s".repeat(1000),
        "public": true, "published_at": "2026-11-01T00:00:00Z", "prerelease": false,
    })
}

/// Of each kind.
const COUNT: u64 = 60;

fn largest_of_all_kinds() -> Vec<MirroredState> {
    let kinds = MirroredKind::ALL.into_iter();
    let many = kinds.flat_map(|kind| {
        (1..=COUNT).map(move |number| {
            let place = match kind {
                MirroredKind::Project => "acme",
                _ => "acme/rocket",
            };
            // Reading them is most of the time of these tests, so one has the longest text.
            let mut object = largest(number, if number == 1 { 65_536 } else { 100 });
            if kind == MirroredKind::Release {
                object["draft"] = false.into();
            }
            state((kind, place, number), (10, 1), object)
        })
    });
    many.collect()
}

const LISTS: [(&str, &str); 9] = [
    ("list_issues", r#"{"owner":"acme","repo":"rocket"}"#),
    ("list_pull_requests", r#"{"owner":"acme","repo":"rocket"}"#),
    ("search_issues", r#"{"query":"repo:acme/rocket"}"#),
    ("search_pull_requests", r#"{"query":"org:acme"}"#),
    ("list_releases", r#"{"owner":"acme","repo":"rocket"}"#),
    ("list_label", r#"{"owner":"acme","repo":"rocket"}"#),
    ("list_milestones", r#"{"owner":"acme","repo":"rocket"}"#),
    ("actions_list", r#"{"owner":"acme","repo":"rocket"}"#),
    ("projects_list", r#"{"owner":"acme"}"#),
];

const READS: [(&str, &str); 5] = [
    (
        "issue_read",
        r#"{"owner":"acme","repo":"rocket","issue_number":1}"#,
    ),
    (
        "pull_request_read",
        r#"{"owner":"acme","repo":"rocket","pullNumber":1}"#,
    ),
    ("get_latest_release", r#"{"owner":"acme","repo":"rocket"}"#),
    (
        "get_milestone",
        r#"{"owner":"acme","repo":"rocket","milestone_number":1}"#,
    ),
    ("projects_get", r#"{"owner":"acme","project_number":1}"#),
];

fn with(arguments: &str, more: &[(&str, Value)]) -> Value {
    let mut arguments: Value = serde_json::from_str(arguments).unwrap();
    for (key, value) in more {
        arguments[*key] = value.clone();
    }
    arguments
}

#[tokio::test]
async fn every_answer_over_the_largest_objects_is_within_its_bytes() {
    let server = server(&mirror(largest_of_all_kinds()));
    for (tool, arguments) in LISTS.into_iter().chain(READS) {
        let takes_a_page = LISTS.contains(&(tool, arguments));
        for (max_bytes, per_page) in [
            (None, 30),
            (None, 100),
            (Some(4096), 100),
            (Some(262_144), 100),
        ] {
            let mut more = Vec::new();
            more.extend(takes_a_page.then(|| ("perPage", json!(per_page))));
            more.extend(max_bytes.map(|bytes| ("maxBytes", json!(bytes))));
            let result = call(&server, &all(), tool, with(arguments, &more)).await;
            let text = result["content"][0]["text"].as_str().unwrap();
            let most = max_bytes.unwrap_or(40_000);
            assert_ne!(result["isError"], true, "{tool}: {text}");
            assert!(text.len() <= most, "{tool} {more:?}: {}", text.len());
            if !takes_a_page {
                continue;
            }
            // As many as have room are there.
            let answer = &result["structuredContent"];
            let items = answer["items"].as_array().unwrap();
            assert!(
                items.iter().all(|item| item.to_string().len() <= 1024),
                "{tool}"
            );
            let is_full =
                items.len() == per_page.min(COUNT as usize) || text.len() + 1024 + 1500 > most;
            assert!(
                is_full,
                "{tool} {more:?}: {} items in {} bytes",
                items.len(),
                text.len()
            );
        }
    }
}

#[tokio::test]
async fn every_list_is_read_to_its_end_with_each_item_once() {
    let server = server(&mirror(largest_of_all_kinds()));
    for (tool, arguments) in LISTS {
        for (per_page, max_bytes) in [(7, 40_000), (100, 40_000), (100, 12_000)] {
            let (mut all_numbers, mut more) = (Vec::new(), Vec::new());
            more.push(("perPage", json!(per_page)));
            more.push(("maxBytes", json!(max_bytes)));
            for _ in 0..200 {
                let page = answer(&server, &all(), tool, with(arguments, &more)).await;
                assert_eq!(page["asOf"], "2026-12-01T14:00:00.000Z", "{tool}");
                assert_eq!(page["count"], page["items"].as_array().unwrap().len());
                if tool == "list_label" {
                    // A label has no number that anybody uses.
                    let count = page["count"].as_u64().unwrap();
                    all_numbers.extend((1..=count).map(|_| 0));
                } else {
                    all_numbers.extend(numbers(&page));
                }
                assert_eq!(page["hasMore"], page["nextCursor"].is_string());
                more.truncate(2);
                match page["nextCursor"].as_str() {
                    Some(next) => more.push(("after", json!(next))),
                    None => break,
                }
            }
            let expected: Vec<u64> = match tool {
                "list_label" => vec![0; 60],
                _ => (1..=COUNT).rev().collect(),
            };
            assert_eq!(all_numbers, expected, "{tool} {per_page} {max_bytes}");
        }
    }
}

/// The states that are there all the time are in the pages once, whatever comes and goes meanwhile.
#[tokio::test]
async fn a_list_that_changes_while_it_is_read_loses_nothing() {
    let steady: Vec<_> = (1..=90)
        .map(|n| issue(n * 10, json!({"title": "t".repeat(200)})))
        .collect();
    let mirror = mirror(steady);
    let mut turn = 0_u64;
    *mirror.unrest.lock().unwrap() = Some(Box::new(move |states| {
        turn += 1;
        states.retain(|state| state.address.number % 10 == 0);
        // Others come where the reader is, and go before it comes again.
        states.extend(
            (0..900)
                .step_by(7)
                .map(|n| issue(n + turn % 3 + 1, json!({})))
                .filter(|s| s.address.number % 10 != 0),
        );
    }));
    let server = server(&mirror);
    let (mut found, mut after) = (Vec::new(), Value::Null);
    for _ in 0..100 {
        let arguments = json!({"owner": "acme", "repo": "rocket", "perPage": 40, "maxBytes": 9000, "after": after});
        let page = answer(&server, &all(), "list_issues", arguments).await;
        found.extend(numbers(&page).into_iter().filter(|number| number % 10 == 0));
        after = page["nextCursor"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(found, (1..=90).rev().map(|n| n * 10).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_list_that_is_selected_here_is_looked_through() {
    let pull = |number: u64| {
        let head = if number % 100 == 1 { "topic" } else { "other" };
        let object = json!({"state": "open", "title": "t", "head": {"ref": head, "label": format!("Octo:{head}")}});
        state(
            (MirroredKind::PullRequest, "acme/rocket", number),
            (10, 1),
            object,
        )
    };
    let mirror = mirror((1..=1000).map(pull).collect());
    let server = server(&mirror);
    for head in ["topic", "octo:topic"] {
        let arguments = json!({"owner": "acme", "repo": "rocket", "head": head});
        let found = answer(&server, &all(), "list_pull_requests", arguments).await;
        assert_eq!(
            numbers(&found),
            (0..10).rev().map(|n| n * 100 + 1).collect::<Vec<u64>>(),
            "{head}"
        );
        assert_eq!(found["hasMore"], false);
    }
    let arguments = json!({"owner": "acme", "repo": "rocket", "head": "octo:Topic"});
    let found = answer(&server, &all(), "list_pull_requests", arguments).await;
    assert_eq!(numbers(&found), [0_u64; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever the sizes of items, pages and answers are, each item is in the pages once and in order.
    #[test]
    fn pages_of_any_size_have_each_item_once(
        titles in prop::collection::vec(0_usize..300, 1..120),
        hidden in prop::collection::vec(any::<bool>(), 120),
        (per_page, max_bytes) in (1_usize..=100, 4096_usize..20_000),
        is_restricted in any::<bool>(),
    ) {
        let states = titles.iter().zip(1..).map(|(length, number)| {
            let title = "é\"".repeat(*length / 2);
            let place = if hidden[number as usize - 1] { "acme/secret" } else { "acme/rocket" };
            let ids = if hidden[number as usize - 1] { (10, 2) } else { (10, 1) };
            state((MirroredKind::Issue, place, number), ids, json!({"title": title, "state": "open"}))
        });
        let server = server(&mirror(states.collect()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (sees, query) = match is_restricted {
            true => (Visibility::only([], ["acme/rocket"]).unwrap(), "repo:acme/rocket"),
            false => (Visibility::all(), "org:acme"),
        };
        let found = runtime.block_on(async {
            let (mut found, mut after) = (Vec::new(), Value::Null);
            loop {
                let arguments = json!({"query": query, "perPage": per_page, "maxBytes": max_bytes,
                    "after": after, "order": "asc"});
                let page = answer(&server, &caller(sees.clone()), "search_issues", arguments).await;
                found.extend(numbers(&page));
                after = page["nextCursor"].clone();
                if after.is_null() {
                    break found;
                }
            }
        });
        let expected = (1..=titles.len() as u64).filter(|n| !is_restricted || !hidden[*n as usize - 1]);
        prop_assert_eq!(found, expected.collect::<Vec<_>>());
    }
}
