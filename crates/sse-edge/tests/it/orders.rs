//! A long history read page by page, in either order, by time and by cursor, on every surface.

use serde_json::{Value, json};
use testkit::mcp_client::McpClient;

use super::world::*;

/// More than an edge has in one page, and than the largest answer.
const EVENTS: u64 = 2000;
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// A backlog of events of two repositories in turn; those of `cat`, oldest first.
async fn backlog() -> (EdgeWorld, Node, Node, Vec<String>) {
    let world = EdgeWorld::new().await;
    let a = world.node().await;
    let mut cats = Vec::new();
    for _ in 0..EVENTS / 100 {
        cats.extend(world.happen("cat", 50, 0).await);
        world.happen("dog", 50, 0).await;
    }
    world.settle(&a).await;
    // Begins behind the backlog: it reads from the log what the other has in memory.
    let b = world.node().await;
    (world, a, b, cats)
}

fn ids(page: &Value) -> Vec<String> {
    let events = page["events"]
        .as_array()
        .unwrap_or_else(|| panic!("{page}"));
    assert_eq!(page["count"], events.len());
    let ids = events
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn get(node: &Node, path: &str) -> Value {
    let answer = reqwest::get(node.at(path)).await.unwrap();
    answer.json().await.unwrap()
}

async fn tool(client: &McpClient, node: &Node, name: &str, arguments: &Value) -> Value {
    let result = client.call_tool(&node.url, name, arguments.clone()).await;
    result.unwrap()["structuredContent"].clone()
}

/// The names of the cursor in an answer, and of the parameter that takes it.
fn cursor_of(order: &str) -> (&'static str, &'static str) {
    match order {
        "asc" => ("nextCursor", "cursor"),
        _ => ("previousCursor", "before"),
    }
}

#[tokio::test]
async fn a_backlog_is_read_over_rest_without_a_loss_in_each_order() {
    let (_world, a, b, cats) = backlog().await;
    let newest_first: Vec<_> = cats.iter().rev().cloned().collect();
    for (path, order) in [
        (format!("/events/replay/{LONG_AGO}?order=asc"), "asc"),
        (format!("/events/replay/{LONG_AGO}?order=desc"), "desc"),
        ("/events/recent?order=desc".to_owned(), "desc"),
        (format!("/events/recent?from={LONG_AGO}"), "desc"),
    ] {
        let (next, parameter) = cursor_of(order);
        let (mut found, mut cursor) = (Vec::new(), String::new());
        for node in [&a, &b].into_iter().cycle() {
            let page = get(node, &format!("{path}&limit=170&repo=cat{cursor}")).await;
            found.extend(ids(&page));
            assert_eq!(page["truncated"], false, "{path}: {page}");
            if page["hasMore"] == false {
                break;
            }
            cursor = format!("&{parameter}={}", page[next].as_str().unwrap());
        }
        let expected = if order == "asc" { &cats } else { &newest_first };
        assert!(found == *expected, "{path}: {} events", found.len());
    }
}

#[tokio::test]
async fn a_backlog_is_read_by_offset_in_each_order() {
    let (_world, a, b, cats) = backlog().await;
    let newest_first: Vec<_> = cats.iter().rev().cloned().collect();
    for (path, expected) in [
        (format!("/events/replay/{LONG_AGO}?order=asc"), &cats),
        (
            format!("/events/replay/{LONG_AGO}?order=desc"),
            &newest_first,
        ),
        ("/events/recent?order=desc".to_owned(), &newest_first),
    ] {
        let mut found: Vec<String> = Vec::new();
        for node in [&a, &b].into_iter().cycle() {
            let query = format!("&limit=300&repo=cat&offset={}", found.len());
            let page = get(node, &format!("{path}{query}")).await;
            let more = ids(&page);
            if more.is_empty() {
                assert_eq!(page["hasMore"], false, "{path}: {page}");
                break;
            }
            found.extend(more);
        }
        assert!(found == *expected, "{path}: {} events", found.len());
    }
    for (path, words) in [
        ("/events/recent?offset=10001", "from 0 to 10000"),
        (
            "/events/recent?offset=1&before=c",
            "leave it out with before",
        ),
    ] {
        let refused = get(&a, path).await;
        let detail = refused["detail"].as_str().unwrap();
        assert!(
            detail.contains("offset: ") && detail.contains(words),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn a_backlog_is_read_with_the_tools_without_a_loss_in_each_order() {
    let (_world, a, b, cats) = backlog().await;
    let client = connect(&a).await;
    let newest_first: Vec<_> = cats.iter().rev().cloned().collect();
    for (name, order) in [
        ("replay_events", "asc"),
        ("replay_events", "desc"),
        ("get_recent_events", "desc"),
    ] {
        let (next, parameter) = cursor_of(order);
        let mut arguments = json!({ "limit": 170, "repo": "cat", "order": order });
        let mut found = Vec::new();
        for node in [&a, &b].into_iter().cycle() {
            let page = tool(&client, node, name, &arguments).await;
            found.extend(ids(&page));
            if page["hasMore"] == false {
                break;
            }
            arguments[parameter] = page[next].clone();
        }
        let expected = if order == "asc" { &cats } else { &newest_first };
        assert!(found == *expected, "{name} {order}: {} events", found.len());
    }
    // The newest ones in the order in which they happened.
    let arguments = json!({ "limit": 3, "repo": "cat", "order": "asc" });
    let page = tool(&client, &b, "get_recent_events", &arguments).await;
    assert_eq!(ids(&page), cats[cats.len() - 3..]);
}

/// The list of a resource leads on in both directions.
#[tokio::test]
async fn the_list_of_a_resource_leads_to_older_and_to_later_events() {
    let (world, a, b, cats) = backlog().await;
    let client = connect(&a).await;
    let uri = "github://events/octo/cat";
    let read = client.read_resource(&b.url, uri).await.unwrap();
    let list: Value = serde_json::from_str(read[0]["text"].as_str().unwrap()).unwrap();
    let listed = list["events"].as_array().unwrap().len();
    assert_eq!(list["nextCursor"], list["cursor"]);
    let older = json!({ "repo": "cat", "before": list["previousCursor"], "limit": 1000 });
    let older = tool(&client, &a, "get_recent_events", &older).await;
    assert_eq!(ids(&older).first(), cats.get(cats.len() - listed - 1));
    let later = world.happens("cat").await;
    let asked = json!({ "repo": "cat", "cursor": list["nextCursor"] });
    assert_eq!(
        ids(&tool(&client, &a, "replay_events", &asked).await),
        [later]
    );
}

#[tokio::test]
async fn a_range_of_time_has_two_ends_in_either_order() {
    let world = EdgeWorld::new().await;
    let node = world.node().await;
    let mut received = Vec::new();
    for n in 0..4 {
        let at = model::Timestamp::from_unix_millis(1_700_000_000_000 + n * 1000);
        received.push(at.to_string());
        world.happens_as(|event| event.received_at = at).await;
    }
    world.settle(&node).await;
    let client = connect(&node).await;
    let (from, to) = (&received[1], &received[3]);
    let (ascending, descending) = (["e2", "e3"], ["e3", "e2"]);
    for (path, expected) in [
        (format!("/events/replay/{from}?to={to}"), ascending),
        (
            format!("/events/replay/{from}?to={to}&order=desc"),
            descending,
        ),
        (format!("/events/recent?from={from}&to={to}"), descending),
        (
            format!("/events/recent?from={from}&to={to}&order=asc"),
            ascending,
        ),
    ] {
        assert_eq!(ids(&get(&node, &path).await), expected, "{path}");
    }
    for (name, arguments, expected) in [
        (
            "replay_events",
            json!({ "from": from, "to": to }),
            ascending,
        ),
        (
            "replay_events",
            json!({ "from": from, "to": to, "order": "DESC" }),
            descending,
        ),
        (
            "get_recent_events",
            json!({ "from": from, "to": to }),
            descending,
        ),
    ] {
        let found = tool(&client, &node, name, &arguments).await;
        assert_eq!(ids(&found), expected, "{name} {arguments}");
    }
}
