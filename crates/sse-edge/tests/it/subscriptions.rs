//! `/events/subscribe` and the streams that follow subscriptions, over two edges.

use std::{sync::Arc, time::Duration};

use access::Authenticator;
use model::{ManualClock, SystemClock, Timestamp};
use reqwest::{Method, StatusCode, Url, header::HeaderMap};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use store_memory::MemorySessionStore;
use subscriptions::limits::MAX_PAGE;
use testkit::sse::{self, SseStream};

use super::{
    principals::{SEES_ALL, SEES_CATS, Tokens, headers, world as with_tokens},
    world::*,
};

const NEVER: &str = "no-such-subscription";

async fn ask(
    method: Method,
    url: Url,
    token: Option<&str>,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let request = reqwest::Client::new().request(method, url);
    let request = match token {
        Some(token) => request.headers(headers(token, None)),
        None => request,
    };
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default())
}

/// A subscription; returns what the edge says of it.
async fn subscribe(node: &Node, asked: Value) -> Value {
    let (status, made) = ask(
        Method::POST,
        node.at("/events/subscribe"),
        None,
        Some(asked),
    )
    .await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["success"], true);
    made
}

fn id_of(made: &Value) -> &str {
    made["subscriptionId"].as_str().unwrap()
}

async fn delete(node: &Node, made: &Value) {
    let url = node.at(&format!("/events/subscribe/{}", id_of(made)));
    let (status, answer) = ask(Method::DELETE, url, None, None).await;
    assert_eq!(
        (status, &answer),
        (StatusCode::OK, &json!({ "success": true }))
    );
}

/// Opens a stream, and reads `connected`.
async fn open(node: &Node, query: &str, after: Option<&str>) -> (SseStream, Value) {
    let url = node.at(&format!("/events/stream?{query}"));
    let opened = match after {
        Some(id) => sse::resume(&url, HeaderMap::new(), id).await,
        None => sse::open(&url, HeaderMap::new()).await,
    };
    let mut stream = opened.unwrap();
    let connected = stream.next_event(SOON).await.unwrap();
    assert_eq!(
        connected.event.as_deref(),
        Some("connected"),
        "{connected:?}"
    );
    let head = connected.json().unwrap();
    (stream, head)
}

async fn follow(node: &Node, made: &Value, after: Option<&str>) -> SseStream {
    let (stream, head) = open(node, &format!("subscription={}", id_of(made)), after).await;
    assert_eq!(head["subscriptionId"], id_of(made));
    stream
}

async fn next_ids(stream: &mut SseStream, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let frame = stream.next_event(SOON).await.unwrap();
        assert_eq!(frame.event.as_deref(), Some("event"), "{frame:?}");
        ids.push(frame.json().unwrap()["id"].as_str().unwrap().to_owned());
    }
    ids
}

/// The reason for which the stream ends.
async fn ending(stream: &mut SseStream) -> String {
    let frame = stream.next_event(SOON).await.unwrap();
    assert_eq!(frame.event.as_deref(), Some("ended"), "{frame:?}");
    let reason = frame.json().unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(stream.next_event(SOON).await.is_err(), "the stream ends");
    reason
}

fn cats() -> Value {
    json!({ "filters": [{ "repo": "CAT" }] })
}

#[tokio::test]
async fn a_subscription_has_the_documented_shapes_and_tells_what_it_is() {
    let (_world, a, b) = EdgeWorld::two().await;
    let asked = json!({
        "clientId": "planner", "transport": "SSE", "filters": [{ "resourceType": "ISSUE", "owner": "octo" }],
        "expiresAt": "2099-01-01T00:00:00Z", "metadata": { "for": "tests" },
    });
    let refused = ask(
        Method::POST,
        a.at("/events/subscribe"),
        None,
        Some(asked.clone()),
    )
    .await;
    assert_eq!(refused.0, StatusCode::BAD_REQUEST);
    assert!(refused.1["detail"].as_str().unwrap().contains("366 days"));
    let end = model::Clock::now(&SystemClock).plus(Duration::from_secs(3600));
    let mut asked = asked;
    asked["expiresAt"] = end.to_string().into();
    let made = subscribe(&a, asked).await;
    for (field, value) in [
        ("clientId", json!("planner")),
        ("transport", json!("sse")),
        (
            "filters",
            json!([{ "resourceType": "issue", "owner": "octo" }]),
        ),
        ("expiresAt", json!(end.to_string())),
        ("metadata", json!({ "for": "tests" })),
        ("keptWhileUsed", Value::Null),
    ] {
        assert_eq!(made[field], value, "{field}: {made}");
    }
    let url = b.at(&format!("/events/subscribe/{}", id_of(&made)));
    let (status, shown) = ask(Method::GET, url.clone(), None, None).await;
    assert_eq!(status, StatusCode::OK);
    let fields = |value: &Value| {
        let mut value = value.clone();
        let fields = value.as_object_mut().unwrap();
        // Each cursor is sealed anew.
        fields.retain(|name, _| name != "success" && name != "cursor");
        value
    };
    assert_eq!(fields(&shown), fields(&made));
    let later = end.plus(Duration::from_secs(3600)).to_string();
    let renew = |end: Value| {
        ask(
            Method::PATCH,
            url.clone(),
            None,
            Some(json!({ "expiresAt": end })),
        )
    };
    let (status, renewed) = renew(json!(later)).await;
    assert_eq!(
        (status, &renewed["expiresAt"]),
        (StatusCode::OK, &json!(later))
    );
    let (_, kept) = renew(Value::Null).await;
    assert_eq!(kept["keptWhileUsed"], true, "{kept}");
    let (status, _) = ask(Method::PATCH, url.clone(), None, Some(json!({}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // What the refusal of a past end advises is what this method takes.
    let (status, problem) = renew(json!("2020-01-01T00:00:00Z")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("expiresAt: has passed; use null"),
        "{detail}"
    );
    delete(&a, &made).await;
    for method in [Method::GET, Method::DELETE, Method::PATCH] {
        let body = (method == Method::PATCH).then(|| json!({ "expiresAt": null }));
        let (status, problem) = ask(method, url.clone(), None, body).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::NOT_FOUND, &json!("subscription-not-found"))
        );
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    let (_world, a, _b) = EdgeWorld::two().await;
    for (asked, words) in [
        (
            json!({ "transport": "webhook", "endpoint": "https://example.org" }),
            &["transport: webhook", "later version"][..],
        ),
        (
            json!({ "transport": "pigeon" }),
            &["transport: use sse or internal"],
        ),
        (
            json!({ "endpoint": "https://example.org" }),
            &["endpoint: ", "/events/stream?subscription="],
        ),
        (
            json!({ "clientId": "c".repeat(257) }),
            &["clientId: up to 256"],
        ),
        (
            json!({ "filters": [{ "resourceType": "wiki page" }] }),
            &["filters[0].resourceType: ", "wiki page", "pull_request"],
        ),
        (
            json!({ "filters": [{ "repository": "x" }] }),
            &["repository", "filters"],
        ),
        (
            json!({ "expiresAt": "2020-01-01T00:00:00Z" }),
            &["expiresAt: has passed; leave it out"],
        ),
        (json!({ "expiresAt": "soon" }), &["expiresAt: ", "RFC 3339"]),
        (
            json!({ "since": "a long time ago" }),
            &["since: ", "neither a cursor"],
        ),
        (
            json!({ "metadata": { "text": "x".repeat(5000) } }),
            &["metadata: up to 4096"],
        ),
        (json!({ "client": "c" }), &["client: unknown field"]),
        (json!([]), &["body: must be a JSON object"]),
        (json!(null), &["body: must be a JSON object"]),
    ] {
        let (status, problem) = ask(
            Method::POST,
            a.at("/events/subscribe"),
            None,
            Some(asked.clone()),
        )
        .await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{asked}: {problem}");
        assert!(
            words.iter().all(|word| detail.contains(word)),
            "{asked}: {detail}"
        );
    }
    let made = subscribe(&a, json!({})).await;
    let query = format!("subscription={}&repo=cat", id_of(&made));
    for (query, expected) in [
        (query, StatusCode::BAD_REQUEST),
        (format!("subscription={NEVER}"), StatusCode::NOT_FOUND),
        ("subscription=%20x%20y".to_owned(), StatusCode::NOT_FOUND),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let url = a.at(&format!("/events/stream?{query}"));
            assert_eq!(ask(method, url, None, None).await.0, expected, "{query}");
        }
    }
}

#[tokio::test]
async fn a_stream_gets_the_events_of_its_subscription_and_those_of_the_time_away() {
    let (world, a, b) = EdgeWorld::two().await;
    let made = subscribe(&a, cats()).await;
    let missed = [world.happens("cat").await, world.happens("cat").await];
    world.happens("dog").await;
    // No stream was ever open: the subscription's own position counts.
    let mut stream = follow(&b, &made, None).await;
    assert_eq!(next_ids(&mut stream, 2).await, missed);
    let live = world.happens("cat").await;
    assert_eq!(next_ids(&mut stream, 1).await, [live.as_str()]);
    let last = stream.last_id().unwrap().to_owned();
    drop(stream);
    let away = world.happens("cat").await;
    let mut resumed = follow(&a, &made, Some(&last)).await;
    assert_eq!(next_ids(&mut resumed, 1).await, [away.as_str()]);
    drop(resumed);
    // The client named what it had, so a client without an id goes on there.
    let mut fresh = follow(&b, &made, None).await;
    assert_eq!(next_ids(&mut fresh, 1).await, [away.as_str()]);
    // An id that is none of this server's: nothing is missed, and it is said that something may be.
    let mut unknown = follow(&b, &made, Some("x y")).await;
    let notice = unknown.next_event(SOON).await.unwrap();
    assert_eq!(notice.event.as_deref(), Some("truncated"), "{notice:?}");
    assert_eq!(next_ids(&mut unknown, 1).await, [away.as_str()]);
    // At a time: also what came before the subscription was made.
    let mut all = follow(&a, &made, Some("2020-01-01T00:00:00Z")).await;
    assert_eq!(next_ids(&mut all, 4).await.len(), 4);
}

#[tokio::test]
async fn a_subscription_begins_where_its_client_asks() {
    let (world, a, b) = EdgeWorld::two().await;
    let first = world.happens("cat").await;
    let (_, recent) = ask(Method::GET, a.at("/events/recent"), None, None).await;
    let second = world.happens("cat").await;
    for (since, expected) in [
        (json!("2020-01-01"), vec![&first, &second]),
        (json!(1_577_836_800), vec![&first, &second]),
        (recent["nextCursor"].clone(), vec![&second]),
        (Value::Null, vec![]),
    ] {
        let mut asked = cats();
        asked["since"] = since.clone();
        let made = subscribe(&b, asked).await;
        assert_eq!(made["truncated"], Value::Null);
        let mut stream = follow(&a, &made, None).await;
        assert_eq!(
            next_ids(&mut stream, expected.len())
                .await
                .iter()
                .collect::<Vec<_>>(),
            expected,
            "{since}"
        );
        quiet(&mut stream).await;
    }
}

#[tokio::test]
async fn a_stream_ends_within_a_second_when_its_subscription_is_deleted_or_ends() {
    let (world, a, b) = EdgeWorld::two().await;
    let made = subscribe(&a, cats()).await;
    let mut streams = [follow(&a, &made, None).await, follow(&b, &made, None).await];
    let began = std::time::Instant::now();
    delete(&b, &made).await;
    for stream in &mut streams {
        assert_eq!(ending(stream).await, "subscription_deleted");
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    let life = Duration::from_millis(700);
    let end = model::Clock::now(&SystemClock).plus(life);
    let mut asked = cats();
    asked["expiresAt"] = end.to_string().into();
    let made = subscribe(&a, asked).await;
    let mut stream = follow(&b, &made, None).await;
    let event = world.happens("cat").await;
    assert_eq!(next_ids(&mut stream, 1).await, [event]);
    assert_eq!(ending(&mut stream).await, "subscription_expired");
    let late = model::Clock::now(&SystemClock).since(end);
    assert!(late < Duration::from_secs(1), "{late:?} after its end");
    let ended = r#"forgewire_edge_ended_streams_total{reason="subscription_expired"}"#;
    until("it is counted", || async { b.metric(ended) == 1 }).await;
}

#[tokio::test]
async fn a_renewed_subscription_goes_on_and_one_that_is_cut_short_does_not() {
    let (world, a, b) = EdgeWorld::two().await;
    let soon = |seconds| model::Clock::now(&SystemClock).plus(Duration::from_secs(seconds));
    let mut asked = cats();
    asked["expiresAt"] = soon(2).to_string().into();
    let made = subscribe(&a, asked).await;
    let mut stream = follow(&b, &made, None).await;
    let url = a.at(&format!("/events/subscribe/{}", id_of(&made)));
    let renew = |end: Timestamp| {
        let body = json!({ "expiresAt": end.to_string() });
        ask(Method::PATCH, url.clone(), None, Some(body))
    };
    assert_eq!(renew(soon(600)).await.0, StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(2200)).await;
    let event = world.happens("cat").await;
    assert_eq!(next_ids(&mut stream, 1).await, [event]);
    let end = model::Clock::now(&SystemClock).plus(Duration::from_millis(300));
    assert_eq!(renew(end).await.0, StatusCode::OK);
    assert_eq!(ending(&mut stream).await, "subscription_expired");
}

#[tokio::test]
async fn the_end_of_a_tools_subscription_is_kept_in_its_session_too() {
    let (world, a, b) = EdgeWorld::two().await;
    let soon = |millis| model::Clock::now(&SystemClock).plus(Duration::from_millis(millis));
    let client = connect(&a).await;
    let mut ids = Vec::new();
    for repo in ["cat", "dog"] {
        let arguments = json!({ "clientId": "planner", "filters": [{ "repo": repo }] });
        let made = client.call_tool(&a.url, "subscribe_to_events", arguments);
        ids.push(id_of(&made.await.unwrap()["structuredContent"]).to_owned());
    }
    let mut stream = client.open_stream(&b.url, None).await.unwrap();
    let renew = |end: Value| {
        let url = a.at(&format!("/events/subscribe/{}", ids[0]));
        ask(Method::PATCH, url, None, Some(json!({ "expiresAt": end })))
    };
    let listed = async |node: &Node| {
        let list = json!({ "action": "list" });
        let listed = client.call_tool(&node.url, "manage_events", list).await;
        listed.unwrap()["structuredContent"]["count"].clone()
    };
    // It is put off before its end, and then cut short.
    assert_eq!(renew(json!(soon(500).to_string())).await.0, StatusCode::OK);
    assert_eq!(renew(Value::Null).await.0, StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let event = world.happens("cat").await;
    assert_eq!(next_events(&mut stream, 1).await, [event]);
    assert_eq!(listed(&b).await, 2);
    assert_eq!(renew(json!(soon(300).to_string())).await.0, StatusCode::OK);
    until("the stream no longer has its events", || async {
        listed(&a).await == 1 && listed(&b).await == 1
    })
    .await;
    // The stream is told in a moment.
    let mut after = Vec::new();
    for _ in 0..50 {
        let (unwanted, wanted) = (world.happens("cat").await, world.happens("dog").await);
        after = next_events(&mut stream, 1).await;
        if after == [wanted.clone()] {
            break;
        }
        assert_eq!(after, [unwanted]);
        assert_eq!(next_events(&mut stream, 1).await, [wanted]);
        after.clear();
    }
    assert_eq!(after.len(), 1, "what is over is on the stream for good");
    let last = stream.last_id().unwrap().to_owned();
    drop(stream);
    let mut resumed = client.open_stream(&a.url, Some(&last)).await.unwrap();
    world.happens("cat").await;
    let dog = world.happens("dog").await;
    assert_eq!(next_events(&mut resumed, 1).await, [dog]);
}

#[tokio::test]
async fn a_client_id_is_the_same_on_every_surface() {
    let (world, a, b) = EdgeWorld::two().await;
    // It opens its stream first: until it subscribes it has every event.
    let (mut stream, head) = open(&a, "clientId=planner", None).await;
    assert_eq!(head["clientId"], "planner");
    let before = world.happens("dog").await;
    assert_eq!(next_ids(&mut stream, 1).await, [before]);
    let mut asked = cats();
    asked["clientId"] = "planner".into();
    let first = subscribe(&b, asked).await;
    settled(&world, &mut stream, "cat", "dog").await;
    // A tool of MCP makes another one under the same name.
    let client = connect(&b).await;
    let arguments =
        json!({ "clientId": "planner", "transport": "sse", "filters": [{ "repo": "bird" }] });
    let made = client
        .call_tool(&a.url, "subscribe_to_events", arguments)
        .await
        .unwrap();
    let second = made["structuredContent"].clone();
    settled(&world, &mut stream, "bird", "dog").await;
    let listed = client
        .call_tool(&a.url, "manage_events", json!({ "action": "list" }))
        .await
        .unwrap();
    assert_eq!(listed["structuredContent"]["count"], 2, "{listed}");
    // Somebody else's name, and a part of the client that reads by itself.
    subscribe(
        &a,
        json!({ "clientId": "other", "filters": [{ "repo": "fish" }] }),
    )
    .await;
    subscribe(
        &a,
        json!({ "clientId": "planner", "transport": "internal", "filters": [{ "repo": "fish" }] }),
    )
    .await;
    settled(&world, &mut stream, "bird", "fish").await;
    let last = stream.last_id().unwrap().to_owned();
    drop(stream);
    let away = [world.happens("cat").await, world.happens("bird").await];
    let (mut resumed, _) = open(&b, "clientId=planner", Some(&last)).await;
    let got = next_ids(&mut resumed, 2).await;
    // Within seconds of subscribing, what it had may come again; nothing is missed.
    let got = [got, drained(&mut resumed).await].concat();
    assert!(away.iter().all(|id| got.contains(id)), "{got:?}");
    delete(&a, &first).await;
    settled(&world, &mut resumed, "bird", "cat").await;
    let unsubscribe =
        json!({ "action": "unsubscribe", "subscriptionId": second["subscriptionId"] });
    client
        .call_tool(&b.url, "manage_events", unsubscribe)
        .await
        .unwrap();
    assert_eq!(ending(&mut resumed).await, "subscription_deleted");
    // Filters beside the name are what the stream shows.
    let (mut filtered, _) = open(&a, "clientId=planner&repo=dog", None).await;
    let dog = world.happens("dog").await;
    assert_eq!(next_ids(&mut filtered, 1).await, [dog]);
}

#[tokio::test]
async fn a_stream_comes_back_to_no_more_than_it_followed() {
    let (world, a, b) = EdgeWorld::two().await;
    let mut asked = cats();
    asked["clientId"] = "page".into();
    let made = subscribe(&a, asked.clone()).await;
    let (mut stream, head) = open(&a, "clientId=page", None).await;
    assert_eq!(
        (&head["subscriptions"], &head["everyEvent"]),
        (&json!(1), &json!(false))
    );
    delete(&b, &made).await;
    assert_eq!(ending(&mut stream).await, "subscription_deleted");
    // It never had an event: what it comes back with is from before.
    let last = stream.last_id().unwrap().to_owned();
    let (mut again, head) = open(&b, "clientId=page", Some(&last)).await;
    assert_eq!(
        (&head["subscriptions"], &head["everyEvent"]),
        (&json!(0), &json!(false))
    );
    for repo in ["cat", "dog"] {
        world.happens(repo).await;
    }
    assert_eq!(
        drained(&mut again).await,
        [""; 0],
        "nothing that it did not subscribe to"
    );
    // Once more with that stream's own id, and then it subscribes again.
    let last = again.last_id().unwrap().to_owned();
    drop(again);
    let (mut again, _) = open(&a, "clientId=page", Some(&last)).await;
    subscribe(&b, asked).await;
    settled(&world, &mut again, "cat", "dog").await;
    // A stream that had every event, until its client subscribed.
    let (mut early, head) = open(&a, "clientId=early", None).await;
    assert_eq!(
        (&head["subscriptions"], &head["everyEvent"]),
        (&json!(0), &json!(true))
    );
    let everything = early.last_id().unwrap().to_owned();
    let mut asked = cats();
    asked["clientId"] = "early".into();
    let made = subscribe(&b, asked).await;
    settled(&world, &mut early, "cat", "dog").await;
    delete(&b, &made).await;
    assert_eq!(ending(&mut early).await, "subscription_deleted");
    let last = early.last_id().unwrap().to_owned();
    let (mut again, _) = open(&a, "clientId=early", Some(&last)).await;
    world.happens("cat").await;
    assert_eq!(drained(&mut again).await, [""; 0]);
    // One whose stream broke while it had every event still has it.
    let (mut again, head) = open(&b, "clientId=early", Some(&everything)).await;
    assert_eq!(head["everyEvent"], true);
    assert!(!drained(&mut again).await.is_empty());
}

#[tokio::test]
async fn a_stream_that_follows_something_says_so_in_its_id_before_it_has_an_event_of_it() {
    let (world, a, b) = EdgeWorld::two().await;
    let (mut stream, head) = open(&a, "clientId=page", None).await;
    assert_eq!(head["everyEvent"], true);
    let opened = stream.last_id().unwrap().to_owned();
    let asked = json!({ "clientId": "page", "filters": [{ "repo": "bird" }] });
    let made = subscribe(&b, asked).await;
    for _ in 0..50 {
        if stream.last_id() != Some(&opened) {
            break;
        }
        let nothing = stream.next_event(QUIET).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }
    // The connection breaks, and the subscription ends while the client is away.
    let followed = stream.last_id().unwrap().to_owned();
    assert_ne!(followed, opened);
    delete(&a, &made).await;
    let ended = ending(&mut stream).await;
    assert_eq!(ended, "subscription_deleted");
    for last in [&followed, stream.last_id().unwrap()] {
        let (mut again, head) = open(&b, "clientId=page", Some(last)).await;
        assert_eq!(head["everyEvent"], false);
        world.happens("bird").await;
        assert_eq!(drained(&mut again).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_subscription_without_an_id_is_refused_by_name() {
    let (_world, a, _b) = EdgeWorld::two().await;
    for query in [
        "subscription=",
        "subscription=%20",
        "subscription=&clientId=c",
    ] {
        let url = a.at(&format!("/events/stream?{query}"));
        let (status, problem) = ask(Method::GET, url, None, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("subscription: is empty"), "{detail}");
    }
}

#[tokio::test]
async fn a_list_of_a_tool_says_that_there_is_more_and_where() {
    let (_world, a, b) = EdgeWorld::two().await;
    for n in 0..MAX_PAGE + 2 {
        let client = if n < MAX_PAGE + 1 { "many" } else { "one" };
        subscribe(
            &a,
            json!({ "clientId": client, "filters": [{ "repo": "cat" }] }),
        )
        .await;
    }
    let client = connect(&b).await;
    let list = async |arguments: Value| {
        let listed = client.call_tool(&b.url, "manage_events", arguments);
        listed.await.unwrap()["structuredContent"].clone()
    };
    for arguments in [
        json!({ "action": "list" }),
        json!({ "action": "list", "clientId": "many" }),
    ] {
        let listed = list(arguments).await;
        assert_eq!(
            (&listed["count"], &listed["hasMore"]),
            (&json!(MAX_PAGE), &json!(true))
        );
        let detail = listed["notes"][0].as_str().unwrap();
        assert!(detail.contains("GET /events/subscribe"), "{detail}");
    }
    let listed = list(json!({ "action": "list", "clientId": "one" })).await;
    assert_eq!(
        (&listed["count"], &listed["hasMore"]),
        (&json!(1), &Value::Null)
    );
}

/// What is left on the stream.
async fn drained(stream: &mut SseStream) -> Vec<String> {
    let mut ids = Vec::new();
    while let Ok(frame) = stream.next_event(QUIET * 2).await {
        ids.push(frame.json().unwrap()["id"].as_str().unwrap().to_owned());
    }
    ids
}

/// Waits until the stream has the events of one repository and none of another.
async fn settled(world: &EdgeWorld, stream: &mut SseStream, wanted: &str, other: &str) {
    for _ in 0..50 {
        let (unwanted, wanted) = (world.happens(other).await, world.happens(wanted).await);
        let mut got = next_ids(stream, 1).await;
        if *got.last().unwrap() == unwanted {
            got.extend(drained(stream).await);
        } else {
            got.extend(drained(stream).await);
            if got == [wanted] {
                return;
            }
        }
    }
    panic!("the stream does not follow what its client subscribed to");
}

#[tokio::test]
async fn the_subscriptions_of_others_do_not_exist() {
    let (world, node, _tokens) = with_tokens().await;
    let ask = |method, path: &str, token, body| ask(method, node.at(path), Some(token), body);
    let (status, made) = ask(
        Method::POST,
        "/events/subscribe",
        SEES_ALL,
        Some(json!({ "clientId": "c" })),
    )
    .await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/events/subscribe/{}", id_of(&made));
    let absent = format!("/events/subscribe/{NEVER}");
    for (method, body) in [
        (Method::GET, None),
        (Method::PATCH, Some(json!({ "expiresAt": null }))),
        (Method::DELETE, None),
    ] {
        let foreign = ask(method.clone(), &path, SEES_CATS, body.clone()).await;
        let unknown = ask(method, &absent, SEES_CATS, body).await;
        assert_eq!(foreign, unknown, "the same answer");
        assert_eq!(foreign.0, StatusCode::NOT_FOUND);
    }
    let stream = |id: &str| format!("/events/stream?subscription={id}");
    let foreign = ask(Method::GET, &stream(id_of(&made)), SEES_CATS, None).await;
    assert_eq!(
        foreign,
        ask(Method::GET, &stream(NEVER), SEES_CATS, None).await
    );
    let list = ask(Method::GET, "/events/subscribe", SEES_CATS, None).await;
    assert_eq!(list.1, json!({ "subscriptions": [], "count": 0 }));
    // Its own shows what its token may see, whatever it asks for.
    let (_, own) = ask(
        Method::POST,
        "/events/subscribe",
        SEES_CATS,
        Some(json!({ "clientId": "c" })),
    )
    .await;
    let url = node.at(&stream(id_of(&own)));
    let mut open = sse::open(&url, headers(SEES_CATS, None)).await.unwrap();
    open.next_event(SOON).await.unwrap();
    world.happens("dog").await;
    let cat = world.happens("cat").await;
    assert_eq!(next_ids(&mut open, 1).await, [cat]);
    // The other's subscription under the same name has every event, and this client's stream none of them.
    let mut named = sse::open(
        &node.at("/events/stream?clientId=c"),
        headers(SEES_CATS, None),
    )
    .await
    .unwrap();
    named.next_event(SOON).await.unwrap();
    assert_eq!(next_ids(&mut named, 1).await.len(), 1);
    quiet(&mut named).await;
    let (status, problem) = ask(
        Method::GET,
        &path,
        "a-token-that-nobody-has-0123456789abcdef",
        None,
    )
    .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{problem}");
}

#[tokio::test]
async fn a_list_comes_in_pages_and_the_bound_of_an_owner_is_told() {
    // With room for more than one owner.
    let store = Arc::new(MemorySessionStore::new(Arc::new(SystemClock), 10_000));
    let (world, tokens) = (EdgeWorld::on(stores_on(store)).await, Tokens::new());
    let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
    let config = EdgeConfig::default();
    let node = world.node_for(&config, world.bus.clone(), auth).await;
    let post = || {
        ask(
            Method::POST,
            node.at("/events/subscribe"),
            Some(SEES_CATS),
            Some(json!({})),
        )
    };
    let most = subscriptions::limits::MAX_PER_OWNER;
    let mut made = std::collections::BTreeSet::new();
    for _ in 0..most {
        let (status, answer) = post().await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        made.insert(id_of(&answer).to_owned());
    }
    let (status, problem) = post().await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("too-many-subscriptions"))
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("1000") && detail.contains("delete one first"),
        "{detail}"
    );
    assert_eq!(node.metric("forgewire_edge_refused_subscriptions_total"), 1);
    let other = ask(
        Method::POST,
        node.at("/events/subscribe"),
        Some(SEES_ALL),
        Some(json!({})),
    );
    assert_eq!(other.await.0, StatusCode::CREATED, "others have room");
    let (mut seen, mut query) = (std::collections::BTreeSet::new(), String::new());
    loop {
        let url = node.at(&format!("/events/subscribe{query}"));
        let (status, page) = ask(Method::GET, url, Some(SEES_CATS), None).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let entries = page["subscriptions"].as_array().unwrap();
        assert_eq!(page["count"], entries.len());
        assert!(entries.len() <= 100);
        seen.extend(entries.iter().map(|entry| id_of(entry).to_owned()));
        let Some(next) = page["nextCursor"].as_str() else {
            break;
        };
        query = format!("?cursor={next}");
    }
    assert_eq!(seen, made);
    let first = made.first().unwrap();
    let url = node.at(&format!("/events/subscribe/{first}"));
    assert_eq!(
        ask(Method::DELETE, url, Some(SEES_CATS), None).await.0,
        StatusCode::OK
    );
    assert_eq!(post().await.0, StatusCode::CREATED);
}

/// The store's clock decides, and not that of an edge.
#[tokio::test]
async fn a_subscription_that_is_used_lives_on_and_one_that_is_not_goes() {
    let clock = Arc::new(ManualClock::at(model::Clock::now(&SystemClock)));
    let world = EdgeWorld::at(clock.clone()).await;
    let node = world.node().await;
    let (used, unused) = (
        subscribe(&node, json!({})).await,
        subscribe(&node, json!({})).await,
    );
    let day = Duration::from_secs(24 * 3600);
    clock.advance(day * 20);
    let stream = follow(&node, &used, None).await;
    let url = |made: &Value| node.at(&format!("/events/subscribe/{}", id_of(made)));
    let end = |made: Value| {
        let url = url(&made);
        async move { ask(Method::GET, url, None, None).await.1["expiresAt"].clone() }
    };
    until("its use is stored", || async {
        end(used.clone()).await != used["expiresAt"]
    })
    .await;
    drop(stream);
    clock.advance(day * 15);
    assert_eq!(
        ask(Method::GET, url(&used), None, None).await.0,
        StatusCode::OK
    );
    assert_eq!(
        ask(Method::GET, url(&unused), None, None).await.0,
        StatusCode::NOT_FOUND
    );
}
