//! Every answer has a budget of bytes: as many events as fit, and a cursor for the rest.

use std::sync::Arc;

use access::Authenticator;
use model::SystemClock;
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::sse;

use super::{
    principals::{self, SEES_ALL, SEES_CATS, Tokens},
    world::*,
};

/// Bytes of an answer beside its events.
const ENVELOPE_BYTES: usize = 16 << 10;
const REST_BYTES: usize = 4 << 20;
const TOOL_BYTES: usize = 256 << 10;

fn ids(answer: &Value) -> Vec<String> {
    let events = answer["events"].as_array().unwrap();
    let ids = events.iter().map(|event| event["id"].as_str().unwrap());
    ids.map(ToOwned::to_owned).collect()
}

/// The pages of a path until there are no more, each as text; `next` names the field with the cursor of the
/// following page and the parameter that takes it.
async fn pages(nodes: [&Node; 2], path: &str, next: (&str, &str)) -> Vec<Value> {
    let (mut pages, mut cursor) = (Vec::<Value>::new(), String::new());
    while pages.last().is_none_or(|page| page["hasMore"] == true) {
        let node = nodes[pages.len() % 2];
        let url = node.at(&format!("{path}{cursor}"));
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        assert!(
            text.len() <= REST_BYTES + ENVELOPE_BYTES,
            "{} bytes",
            text.len()
        );
        pages.push(serde_json::from_str(&text).unwrap());
        let position = pages.last().unwrap()[next.0].as_str();
        cursor = position.map_or_else(String::new, |at| format!("&{}={at}", next.1));
    }
    pages
}

#[tokio::test]
async fn large_events_come_over_rest_in_as_many_answers_as_they_need() {
    let (world, a, b) = EdgeWorld::two().await;
    let all = world.happen("cat", 25, 500 << 10).await;
    world.settle(&a).await;
    world.settle(&b).await;
    let since = "/events/replay/2020-01-01T00:00:00Z?limit=1000";
    let replayed = pages([&a, &b], since, ("nextCursor", "cursor")).await;
    assert!(replayed.len() >= 3, "{} pages", replayed.len());
    let ids_of = |pages: &[Value]| pages.iter().flat_map(ids).collect::<Vec<_>>();
    assert_eq!(ids_of(&replayed), all);

    let recent = "/events/recent?limit=1000";
    let recent = pages([&a, &b], recent, ("previousCursor", "before")).await;
    assert!(recent.len() >= 3, "{} pages", recent.len());
    let newest_first: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(ids_of(&recent), newest_first);
}

#[tokio::test]
async fn a_tool_gives_as_many_events_as_an_agent_can_read_and_a_cursor_for_the_rest() {
    let (world, a, b) = EdgeWorld::two().await;
    let all = world.happen("cat", 12, 100 << 10).await;
    world.settle(&a).await;
    world.settle(&b).await;
    let client = connect(&a).await;
    let whole = json!({ "include": ["urls"], "maxBytes": TOOL_BYTES });
    for (tool, first, next, parameter) in [
        ("get_recent_events", json!({}), "previousCursor", "before"),
        (
            "get_recent_events",
            whole.clone(),
            "previousCursor",
            "before",
        ),
        ("replay_events", json!({}), "cursor", "cursor"),
        ("replay_events", whole, "cursor", "cursor"),
    ] {
        let most = first["maxBytes"]
            .as_u64()
            .map_or(40_000, |bytes| bytes as usize);
        let (mut arguments, mut found) = (first, Vec::new());
        for node in [&a, &b].into_iter().cycle() {
            let result = client
                .call_tool(&node.url, tool, arguments.clone())
                .await
                .unwrap();
            assert!(result.to_string().len() < 1 << 20, "{tool}");
            let page = &result["structuredContent"];
            let bytes = result["content"][0]["text"].as_str().unwrap().len();
            assert!(bytes <= most, "{tool}: {bytes} bytes");
            found.extend(ids(page));
            if page["hasMore"] == false {
                break;
            }
            arguments[parameter] = page[next].clone();
        }
        if tool == "get_recent_events" {
            found.reverse();
        }
        assert_eq!(found, all, "{tool}");
    }
}

/// Older events can be paged through also where each answer is full, and to the log's beginning.
#[tokio::test]
async fn the_newest_events_lead_to_older_ones() {
    let (world, a, b) = EdgeWorld::two().await;
    let mut all = Vec::new();
    for repo in ["cat", "dog", "cat", "dog", "cat"] {
        all.push(world.happens(repo).await);
    }
    world.settle(&a).await;
    world.settle(&b).await;
    let get = async |node: &Node, query: &str| -> Value {
        let url = node.at(&format!("/events/recent?limit=2&repo=cat{query}"));
        reqwest::get(url).await.unwrap().json().await.unwrap()
    };
    let newest = get(&a, "").await;
    assert_eq!(ids(&newest), [all[4].as_str(), &all[2]]);
    assert_eq!(
        newest["hasMore"], true,
        "there is an older one, which was not asked for"
    );
    let before = format!("&before={}", newest["previousCursor"].as_str().unwrap());
    let older = get(&b, &before).await;
    assert_eq!(ids(&older), [all[0].as_str()]);
    assert!(older["previousCursor"].is_null(), "{older}");
    assert_eq!(older["hasMore"], false, "{older}");
    let unreadable = reqwest::get(a.at("/events/recent?before=x")).await.unwrap();
    assert_eq!(unreadable.status(), 400);
}

/// The result of a task is in its record, which has a bound of 1 MiB.
#[tokio::test]
async fn a_task_ends_with_the_events_that_fit_however_large_they_are() {
    let (world, a, b) = EdgeWorld::two().await;
    world.settle(&a).await;
    let client = super::tasks::client();
    for bytes in [100 << 10, 500 << 10] {
        let whole = json!({ "repo": "cat", "include": ["urls"], "maxBytes": TOOL_BYTES });
        let task = super::tasks::wait_with(&client, &a, whole).await;
        let all = world.happen("cat", 8, bytes).await;
        let done = super::tasks::until_it_is(&client, &b, &task, "completed").await;
        let page = &done["result"]["structuredContent"];
        let found = ids(page);
        assert!(
            !found.is_empty() && found == all[..found.len()],
            "{found:?}"
        );
        assert_eq!(page["hasMore"], true);
        let shortened = page["notes"][0].is_string();
        assert_eq!(shortened, bytes > TOOL_BYTES, "{}", page["notes"]);
    }
}

/// A client that opens all the streams that it can leaves places to others.
#[tokio::test]
async fn places_for_streams_are_shared_out_between_clients() {
    let (world, tokens) = (EdgeWorld::new().await, Tokens::new());
    let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
    let config = EdgeConfig {
        max_streams: 18,
        ..EdgeConfig::default()
    };
    let node = world.node_for(&config, world.bus.clone(), auth).await;
    let url = node.at("/events/stream");
    let open = async |token| sse::open(&url, principals::headers(token, None)).await;
    let mut greedy = Vec::new();
    while let Ok(stream) = open(SEES_ALL).await {
        greedy.push(stream);
    }
    assert_eq!(greedy.len(), 16);
    let refused = reqwest::Client::new()
        .get(url.clone())
        .headers(principals::headers(SEES_ALL, None));
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let text = refused.text().await.unwrap();
    assert!(text.contains("16 streams on this edge"), "{text}");
    let modest = open(SEES_CATS).await.unwrap();
    let _second = open(SEES_CATS).await.unwrap();
    drop(modest);
    until("the place is free", || async {
        open(SEES_CATS).await.is_ok()
    })
    .await;
}
