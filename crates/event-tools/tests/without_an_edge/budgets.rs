//! An answer is one that an agent can read, whatever GitHub sends, and pages leave nothing out.

use std::{collections::BTreeSet, fs, path::PathBuf};

use github_events::{Envelope, encode, normalise};
use model::DeliveryId;
use proptest::prelude::*;

use super::*;

/// What an answer has if nobody asks for another size.
const DEFAULT_BYTES: usize = 40_000;
/// Above it the best-known agent refuses an answer; a token has three bytes at least.
const REFUSED_TOKENS: usize = 25_000;

/// Makes the texts of a payload as long as GitHub lets somebody write them.
fn lengthen(value: &mut Value, bytes: usize) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match (&**key, member.is_string()) {
                    ("body" | "description" | "message" | "from" | "summary" | "text", true) => {
                        *member = "\"long\" ".repeat(bytes / 7).into();
                    }
                    ("title", true) => *member = "\u{1F600}\"".repeat(128).into(),
                    _ => lengthen(member, bytes),
                }
            }
        }
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| lengthen(element, bytes)),
        _ => {}
    }
}

fn stored(number: usize, (name, payload): (&str, Value)) -> Option<StoredEvent> {
    let envelope = Envelope {
        event: name.to_owned(),
        delivery: DeliveryId::new(&format!("delivery-{number}")).unwrap(),
        hook_id: Some("1".to_owned()),
        received_at: Timestamp::parse("2026-11-20T10:00:00Z").unwrap(),
    };
    let event = normalise(&envelope, payload).ok()?.remove(0);
    Some(encode(event, TraceContext::start(&RandomIds), usize::MAX).unwrap())
}

/// GitHub's published examples, by the names of their events.
fn examples() -> Vec<(String, Vec<Value>)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../.setup/node_modules/@octokit/webhooks-examples/api.github.com/index.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{} is missing ({error}): run `make setup`", path.display())
    });
    let webhooks: Vec<Value> = serde_json::from_str(&text).unwrap();
    let named = |webhook: &Value| {
        let examples = webhook["examples"].as_array().unwrap().clone();
        (webhook["name"].as_str().unwrap().to_owned(), examples)
    };
    webhooks.iter().map(named).collect()
}

/// An event of each kind at its largest.
pub(super) fn largest_events() -> Vec<StoredEvent> {
    let mut events = Vec::new();
    for (number, (name, examples)) in examples().into_iter().enumerate() {
        let largest = examples
            .into_iter()
            .max_by_key(|payload| payload.to_string().len());
        let mut payload = largest.unwrap();
        lengthen(&mut payload, 60_000);
        events.extend(stored(number, (&name, payload)));
    }
    events
}

/// The text of a result, which its structured content repeats.
fn text(result: &Value) -> &str {
    let text = result["content"][0]["text"].as_str().unwrap();
    let said: Value = serde_json::from_str(text).unwrap();
    assert_eq!(said, result["structuredContent"], "the same and no more");
    text
}

/// All events that match, page by page; each page is within its size.
pub(super) async fn paged(
    server: &OfferRegistry,
    caller: &Caller,
    tool: &str,
    mut arguments: Value,
) -> Vec<String> {
    let max_bytes = arguments["maxBytes"]
        .as_u64()
        .map_or(DEFAULT_BYTES, |bytes| bytes as usize);
    let is_recent = ["get_recent_events", "get_subscribed_events"].contains(&tool);
    let is_newest_first = is_recent || arguments["order"] == "desc";
    let (next, parameter) = match is_newest_first {
        true => ("previousCursor", "before"),
        false => ("nextCursor", "cursor"),
    };
    let mut found = Vec::new();
    for page in 0.. {
        assert!(page < 1000, "the pages never end");
        let result = call(server, caller, tool, arguments.clone()).await;
        let text = text(&result);
        assert!(
            text.len() <= max_bytes,
            "{tool} {arguments}: {} bytes",
            text.len()
        );
        let told = &result["structuredContent"];
        let ids = ids(&result);
        assert_eq!(told["count"], ids.len(), "{told}");
        assert_eq!(told["truncated"], false, "{tool} {arguments}");
        found.extend(ids.into_iter().map(str::to_owned));
        if told["hasMore"] == false {
            break;
        }
        arguments[parameter] = told[next].clone();
    }
    if is_newest_first {
        found.reverse();
    }
    found
}

pub(super) fn ids_of(events: &[StoredEvent]) -> Vec<String> {
    events
        .iter()
        .map(|event| event.facts.id.to_string())
        .collect()
}

#[tokio::test]
async fn the_default_answer_of_every_tool_fits_an_agent_whatever_the_events_are() {
    let events = largest_events();
    let kinds: BTreeSet<_> = events
        .iter()
        .map(|event| &event.facts.resource_type)
        .collect();
    assert!(kinds.len() > 40, "{kinds:?}");
    let (all, server) = (
        ids_of(&events),
        server_over(events, Toolset::new("none")).await,
    );
    let caller = caller(Visibility::all());
    for include in [json!([]), json!(["data"]), json!(["urls"])] {
        for tool in ["get_recent_events", "replay_events"] {
            let found = paged(&server, &caller, tool, json!({ "include": include })).await;
            assert_eq!(found, all, "{tool}");
        }
        let mut calls = vec![
            ("wait_for_events", json!({ "maxWaitSeconds": 1 })),
            ("manage_events", json!({ "action": "get_recent" })),
            ("manage_events", json!({ "action": "replay" })),
        ];
        calls.extend(all.iter().map(|id| ("get_event", json!({ "id": id }))));
        calls.extend(
            all.iter()
                .map(|id| ("manage_events", json!({ "action": "get_event", "id": id }))),
        );
        for (tool, mut arguments) in calls {
            arguments["include"] = include.clone();
            let result = call(&server, &caller, tool, arguments.clone()).await;
            assert_ne!(result["isError"], true, "{arguments}: {result}");
            let bytes = text(&result).len();
            assert!(
                bytes <= DEFAULT_BYTES && bytes / 3 <= REFUSED_TOKENS,
                "{tool} {arguments}: {bytes}"
            );
        }
    }
}

/// A list of subscriptions as long as they come.
#[tokio::test]
async fn a_list_of_subscriptions_is_as_long_as_an_agent_reads() {
    let server = server().await;
    let caller = caller(Visibility::all());
    let filter =
        json!({ "owner": "a".repeat(39), "repo": "r".repeat(100), "tags": ["label ".repeat(8)] });
    let filters = vec![filter; 64];
    for _ in 0..30 {
        let subscribe = json!({ "clientId": "c".repeat(256), "filters": filters });
        let result = call(&server, &caller, "subscribe_to_events", subscribe).await;
        assert!(
            text(&result).len() <= DEFAULT_BYTES,
            "{}",
            text(&result).len()
        );
    }
    let mut counts = Vec::new();
    for max_bytes in [40_000, 200_000] {
        let list = json!({ "action": "list", "clientId": "c".repeat(256), "maxBytes": max_bytes });
        let listed = call(&server, &caller, "manage_events", list).await;
        assert!(text(&listed).len() <= max_bytes, "{}", text(&listed).len());
        assert_eq!(listed["structuredContent"]["hasMore"], true, "{listed}");
        counts.push(listed["structuredContent"]["count"].as_u64().unwrap());
    }
    assert!(1 <= counts[0] && counts[0] < counts[1], "{counts:?}");
}

fn issue(number: usize, body_bytes: usize) -> StoredEvent {
    let payload = json!({
        "action": "edited",
        "issue": {
            "id": number, "node_id": format!("I_{number}"), "number": number + 1, "title": format!("Issue {number}"),
            "html_url": format!("https://github.com/mine/repo/issues/{}", number + 1), "body": "\"b".repeat(body_bytes / 2),
            "user": {"login": "alice"}, "events_url": "https://api.github.com/x", "_links": {},
        },
        "changes": {"body": {"from": "a".repeat(body_bytes)}},
        "repository": {"id": 1, "node_id": "R_1", "name": "repo", "owner": {"login": "mine", "id": 2}},
        "sender": {"login": "octocat"},
    });
    stored(number, ("issues", payload)).unwrap()
}

/// An event that no answer of its size has room for is shown as far as it fits, and is no end and no loop.
#[tokio::test]
async fn an_event_larger_than_an_answer_is_shortened_and_says_how_to_get_it() {
    let sizes = [10, 150_000, 10, 60_000, 20].into_iter().enumerate();
    let events: Vec<_> = sizes.map(|(number, bytes)| issue(number, bytes)).collect();
    let (all, server) = (
        ids_of(&events),
        server_over(events, Toolset::new("none")).await,
    );
    let caller = caller(Visibility::all());
    let arguments = json!({ "include": ["data"], "maxBytes": 8000 });
    for tool in ["get_recent_events", "replay_events"] {
        assert_eq!(paged(&server, &caller, tool, arguments.clone()).await, all);
    }
    let first = call(&server, &caller, "replay_events", arguments.clone()).await;
    assert_eq!(
        ids(&first),
        [&all[0]],
        "the next is too large, and begins the next page"
    );
    assert!(first["structuredContent"]["notes"].is_null(), "{first}");
    let mut after = arguments.clone();
    after["cursor"] = first["structuredContent"]["cursor"].clone();
    let second = call(&server, &caller, "replay_events", after).await;
    assert_eq!(ids(&second), [&all[1]]);
    let note = second["structuredContent"]["notes"][0].as_str().unwrap();
    assert!(
        note.contains(&all[1]) && note.contains("get_event"),
        "{note}"
    );
    // One event, by the way that each answer names.
    let one = json!({ "id": all[3] });
    let short = call(&server, &caller, "get_event", one).await["structuredContent"].take();
    assert_eq!(short["shortened"], true, "{short}");
    assert!(
        short["event"]["data"]["body"]
            .as_str()
            .unwrap()
            .ends_with('…')
    );
    let note = short["notes"][0].as_str().unwrap();
    let needed: u64 = note
        .rsplit(' ')
        .next()
        .unwrap()
        .trim_end_matches('.')
        .parse()
        .unwrap();
    let larger = json!({ "id": all[3], "maxBytes": needed });
    let whole = call(&server, &caller, "get_event", larger).await["structuredContent"].take();
    assert_eq!(
        (&whole["shortened"], &whole["notes"]),
        (&json!(false), &Value::Null)
    );
    let data = &whole["event"]["data"];
    assert_eq!(data["body"].as_str().unwrap().len(), 60_000);
    assert!(data["events_url"].is_null() && data["_links"].is_null());
    let larger = json!({ "id": all[3], "maxBytes": needed + 200, "include": ["urls"] });
    let urls = call(&server, &caller, "get_event", larger).await;
    assert!(
        urls["structuredContent"]["event"]["data"]["events_url"].is_string(),
        "{urls}"
    );
    let largest = json!({ "id": all[1], "maxBytes": 262_144 });
    let told = call(&server, &caller, "get_event", largest).await["structuredContent"].take();
    let note = told["notes"][0].as_str().unwrap();
    assert!(
        note.contains("GET /fw/events/replay/2026-11-20T10:00:00"),
        "{note}"
    );
}

/// What may not be seen is answered like what is not there.
#[tokio::test]
async fn an_event_that_the_caller_may_not_see_is_not_there() {
    let server = server().await;
    let seen = call(
        &server,
        &caller(Visibility::all()),
        "get_event",
        json!({ "id": " e2 " }),
    )
    .await;
    assert_eq!(seen["structuredContent"]["event"]["id"], "e2", "{seen}");
    let caller = caller(Visibility::only(["mine"], []).unwrap());
    let hidden = call(&server, &caller, "get_event", json!({ "id": "e2" })).await;
    let absent = call(&server, &caller, "get_event", json!({ "id": "e9" })).await;
    assert_eq!((&hidden["isError"], &hidden), (&json!(true), &absent));
    let own = call(&server, &caller, "get_event", json!({ "id": "e1" })).await;
    assert_eq!(own["structuredContent"]["event"]["id"], "e1");
    for wrong in [
        json!({}),
        json!({ "id": "" }),
        json!({ "id": "e1", "ids": [] }),
        json!({ "id": "e\n" }),
    ] {
        let refused = call(&server, &caller, "get_event", wrong.clone()).await;
        assert_eq!(refused["isError"], true, "{wrong}");
    }
}

/// A summary is made from what the reader may see: of a change that names another repository only that there is one.
#[tokio::test]
async fn a_summary_withholds_what_the_event_withholds() {
    let hidden = json!({
        "id": 9, "node_id": "R_9", "name": "hidden", "full_name": "theirs/hidden", "owner": {"login": "theirs"},
        "html_url": "https://github.com/theirs/hidden", "private": true,
    });
    let payload = json!({
        "action": "transferred",
        "issue": {"id": 1, "node_id": "I_1", "number": 1, "title": "Moved", "html_url": "https://github.com/mine/repo/issues/1"},
        "changes": {"new_issue": {"id": 2, "repository_url": "https://api.github.com/repos/theirs/hidden"}, "new_repository": hidden},
        "repository": {"id": 1, "node_id": "R_1", "name": "repo", "full_name": "mine/repo", "owner": {"login": "mine", "id": 2}},
        "sender": {"login": "octocat"},
    });
    let event = stored(1, ("issues", payload)).unwrap();
    let server = server_over(vec![event], Toolset::new("none")).await;
    for (sees, is_shown) in [
        (Visibility::all(), true),
        (Visibility::only(["mine"], []).unwrap(), false),
    ] {
        let caller = caller(sees);
        for (tool, arguments) in [
            ("get_recent_events", json!({})),
            ("replay_events", json!({ "include": ["urls"] })),
            ("get_event", json!({ "id": "delivery-1" })),
        ] {
            let result = call(&server, &caller, tool, arguments).await;
            let said = text(&result);
            assert!(said.contains("transferred"), "{said}");
            assert_eq!(said.contains("hidden"), is_shown, "{tool}: {said}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// The union of the pages is everything that matches, each once and in order, in both orders.
    #[test]
    fn pages_leave_nothing_out_and_repeat_nothing(
        sizes in prop::collection::vec(prop_oneof![4 => 0_usize..300, 2 => 300_usize..9000, 1 => 9000_usize..90_000], 0..24),
        limit in 1_usize..20,
        max_bytes in prop_oneof![4096_usize..9000, 9000_usize..262_144],
        include in prop::sample::select(vec![json!([]), json!(["data"]), json!(["urls"])]),
        is_restricted in any::<bool>(),
    ) {
        let events: Vec<_> = sizes.iter().enumerate().map(|(number, bytes)| issue(number, *bytes)).collect();
        let sees = match is_restricted {
            true => Visibility::only(["mine"], []).unwrap(),
            false => Visibility::all(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let all = ids_of(&events);
            let (server, caller) = (server_over(events, Toolset::new("none")).await, caller(sees));
            let arguments = json!({ "limit": limit, "maxBytes": max_bytes, "include": include });
            for (tool, order) in [("get_recent_events", "desc"), ("replay_events", "asc"), ("replay_events", "desc")] {
                let mut arguments = arguments.clone();
                arguments["order"] = order.into();
                let found = paged(&server, &caller, tool, arguments).await;
                assert_eq!(found, all, "{tool} {order}");
            }
        });
    }
}
