//! `GET /events/…`: for browsers, curl and agents without MCP.

use reqwest::{StatusCode, Url, header::HeaderMap};
use serde_json::Value;
use testkit::sse::{self, SseStream};

use super::world::*;

async fn open(url: &Url) -> SseStream {
    sse::open(url, HeaderMap::new()).await.unwrap()
}

async fn ids(stream: &mut SseStream, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let frame = stream.next_event(SOON).await.unwrap();
        assert_eq!(frame.event.as_deref(), Some("event"), "{frame:?}");
        ids.push(frame.json().unwrap()["id"].as_str().unwrap().to_owned());
    }
    ids
}

async fn get(url: Url) -> (StatusCode, Value) {
    let response = reqwest::get(url).await.unwrap();
    (response.status(), response.json().await.unwrap())
}

fn listed(list: &Value) -> Vec<&str> {
    let events = list["events"].as_array().unwrap();
    assert_eq!(list["count"], events.len());
    events
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_stream_begins_with_connected_and_filters() {
    let (world, a, _b) = EdgeWorld::two().await;
    let mut all = open(&a.at("/events/stream?clientId=me")).await;
    let connected = all.next_event(SOON).await.unwrap();
    assert_eq!(connected.event.as_deref(), Some("connected"));
    assert_eq!(connected.json().unwrap()["clientId"], "me");
    assert_eq!(
        connected.json().unwrap()["cursor"],
        connected.id.as_deref().unwrap()
    );
    let mut cats = open(&a.at("/events/stream?repo=CAT&resourceType=Issue&tags=x,bug")).await;
    let mut none = open(&a.at("/events/stream?repo=cat&resourceType=project")).await;
    for stream in [&mut cats, &mut none] {
        stream.next_event(SOON).await.unwrap();
    }
    let (cat, dog) = (world.happens("cat").await, world.happens("dog").await);
    assert_eq!(ids(&mut all, 2).await, [cat.clone(), dog]);
    assert_eq!(ids(&mut cats, 1).await, [cat]);
    quiet(&mut cats).await;
    quiet(&mut none).await;
}

#[tokio::test]
async fn what_nobody_knows_is_refused_by_name() {
    let (_world, a, _b) = EdgeWorld::two().await;
    for (query, words) in [
        ("repository=cat", ["repository", "repo"]),
        ("resourceType=wiki%20page", ["wiki page", "pull_request"]),
        ("owner=a&owner=b", ["owner", "twice"]),
        ("lastEventId=a&lastEventId=b", ["lastEventId", "twice"]),
    ] {
        let (status, problem) = get(a.at(&format!("/events/stream?{query}"))).await;
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(words.iter().all(|word| detail.contains(word)), "{detail}");
        assert!(problem["code"].is_string());
    }
}

#[tokio::test]
async fn a_browser_that_reconnects_elsewhere_goes_on_exactly() {
    let (world, a, b) = EdgeWorld::two().await;
    let mut stream = open(&a.at("/events/stream?repo=cat")).await;
    let connected = stream.next_event(SOON).await.unwrap().id.unwrap();
    let first = world.happens("cat").await;
    assert_eq!(ids(&mut stream, 1).await, [first.as_str()]);
    let last_id = stream.last_id().unwrap().to_owned();
    drop(stream);
    let second = world.happens("cat").await;
    world.happens("dog").await;
    let url = b.at("/events/stream?repo=cat");
    let mut resumed = sse::resume(&url, HeaderMap::new(), &last_id).await.unwrap();
    assert_eq!(
        resumed.next_event(SOON).await.unwrap().event.as_deref(),
        Some("connected")
    );
    assert_eq!(ids(&mut resumed, 1).await, [second.as_str()]);
    // The id of `connected`, as a parameter.
    let mut again = open(&b.at(&format!("/events/stream?repo=cat&lastEventId={connected}"))).await;
    again.next_event(SOON).await.unwrap();
    assert_eq!(ids(&mut again, 2).await, [first, second]);
}

#[tokio::test]
async fn a_stream_may_begin_at_a_time() {
    let (world, a, _b) = EdgeWorld::two().await;
    let first = world.happens("cat").await;
    let mut stream = open(&a.at("/events/stream?lastEventId=2020-01-01T00:00:00Z")).await;
    stream.next_event(SOON).await.unwrap();
    assert_eq!(ids(&mut stream, 1).await, [first]);
    let mut later = open(&a.at("/events/stream?lastEventId=2099-01-01T00:00:00Z")).await;
    later.next_event(SOON).await.unwrap();
    let second = world.happens("cat").await;
    assert_eq!(ids(&mut later, 1).await, [second]);
}

#[tokio::test]
async fn recent_events_come_newest_first_with_a_cursor_that_a_stream_takes() {
    let (world, a, b) = EdgeWorld::two().await;
    let (first, second) = (world.happens("cat").await, world.happens("cat").await);
    world.happens("dog").await;
    let (status, list) = get(a.at("/events/recent?repo=cat")).await;
    assert_eq!(
        (status, listed(&list)),
        (StatusCode::OK, vec![second.as_str(), &first])
    );
    let (_, newest) = get(a.at("/events/recent?repo=cat&limit=1")).await;
    assert_eq!(listed(&newest), [second.as_str()]);
    let (_, oldest_first) = get(a.at("/events/recent?repo=cat&order=asc")).await;
    assert_eq!(listed(&oldest_first), [first.as_str(), &second]);
    let third = world.happens("cat").await;
    let cursor = list["nextCursor"].as_str().unwrap();
    let mut stream = open(&b.at(&format!("/events/stream?repo=cat&lastEventId={cursor}"))).await;
    stream.next_event(SOON).await.unwrap();
    assert_eq!(ids(&mut stream, 1).await, [third]);
    for bad in ["limit=0", "limit=1001", "limit=x", "order=up", "cursor=x"] {
        let (status, _) = get(a.at(&format!("/events/recent?{bad}"))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_replay_goes_through_everything_page_by_page() {
    let (world, a, b) = EdgeWorld::two().await;
    let mut all = Vec::new();
    for _ in 0..25 {
        all.push(world.happens("cat").await);
    }
    let (mut got, mut cursor) = (Vec::new(), String::new());
    for node in [&a, &b, &a] {
        let path = format!("/events/replay/2020-01-01T00:00:00Z?limit=10{cursor}");
        let (status, page) = get(node.at(&path)).await;
        assert_eq!(
            (status, &page["truncated"]),
            (StatusCode::OK, &Value::Bool(false))
        );
        got.extend(listed(&page).iter().map(ToString::to_string));
        cursor = format!("&cursor={}", page["nextCursor"].as_str().unwrap());
        assert_eq!(page["hasMore"], got.len() < all.len());
    }
    assert_eq!(got, all);
    let (_, nothing) = get(a.at("/events/replay/2099-01-01T00:00:00Z")).await;
    assert_eq!(nothing["count"], 0);
    for bad in [
        "yesterday",
        "2020-01-01T00:00:00Z?to=x",
        "2020-01-01T00:00:00Z?cursor=x",
    ] {
        let (status, _) = get(a.at(&format!("/events/replay/{bad}"))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_log_is_told() {
    let (old, a, _) = EdgeWorld::two().await;
    old.happens("cat").await;
    let (_, list) = get(a.at("/events/recent")).await;
    let cursor = list["nextCursor"].as_str().unwrap();
    let (new, b, _) = EdgeWorld::two().await;
    let event = new.happens("cat").await;
    let (_, page) = get(b.at(&format!(
        "/events/replay/2020-01-01T00:00:00Z?cursor={cursor}"
    )))
    .await;
    assert_eq!(
        (listed(&page), &page["truncated"]),
        (vec![event.as_str()], &Value::Bool(true))
    );
    let mut stream = open(&b.at(&format!("/events/stream?lastEventId={cursor}"))).await;
    stream.next_event(SOON).await.unwrap();
    let notice = stream.next_event(SOON).await.unwrap();
    assert_eq!(notice.event.as_deref(), Some("truncated"));
    assert_eq!(ids(&mut stream, 1).await, [event]);
}
