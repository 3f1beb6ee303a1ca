//! `GET /health` of the edge: a status for everybody, and numbers for who may read all events.

use access::Authenticator;
use model::SystemClock;
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;

use super::{
    principals::{self, SEES_ALL, SEES_CATS, Tokens},
    world::*,
};

async fn health(node: &Node, headers: HeaderMap) -> (StatusCode, Value) {
    let request = reqwest::Client::new().get(node.at("/health"));
    let answer = request.headers(headers).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test]
async fn the_edge_tells_its_health_in_the_documented_shape() {
    let world = EdgeWorld::keeping(3).await;
    for _ in 0..5 {
        world.happens("cat").await;
    }
    let node = world.node().await;
    let stream = node.at("/events/stream");
    let mut stream = testkit::sse::open(&stream, HeaderMap::new()).await.unwrap();
    stream.next_event(SOON).await.unwrap();
    // The sync role is asked in the background.
    until("the sync role has answered", || async {
        !health(&node, HeaderMap::new()).await.1["cache"].is_null()
    })
    .await;
    let (status, health) = health(&node, HeaderMap::new()).await;
    assert_eq!(
        (status, &health["status"]),
        (StatusCode::OK, &json!("healthy"))
    );
    let events = &health["events"];
    assert_eq!(
        (&events["totalEvents"], &events["eventsOnDisk"]),
        (&json!(3), &json!(3))
    );
    for time in ["oldestEvent", "newestEvent"] {
        let time = events[time].as_str().unwrap_or_default();
        assert!(model::Timestamp::parse(time).is_some(), "{events}");
    }
    assert_eq!(health["server"]["running"], true);
    assert_eq!(health["server"]["connections"], 1);
    assert_eq!(health["subscriptions"]["activeSubscriptions"], 1);
    // Those in the store are not counted, and nothing that is null stands for their number.
    let subscriptions = health["subscriptions"].as_object().unwrap();
    assert!(
        !subscriptions.contains_key("totalSubscriptions"),
        "{health}"
    );
    assert_eq!(
        health["subscriptions"]["subscriptionsByTransport"]["sse"],
        1
    );
    assert_eq!(health["cache"], json!({ "resources": 1, "caughtUp": true }));
    assert!(health["uptimeSeconds"].is_u64());
}

#[tokio::test]
async fn who_may_not_read_all_events_learns_the_status_alone() {
    let (world, tokens) = (EdgeWorld::new().await, Tokens::new());
    world.happens("cat").await;
    let auth = Authenticator::tokens(&tokens.path, std::sync::Arc::new(SystemClock)).unwrap();
    let config = EdgeConfig::default();
    let node = world.node_for(&config, world.bus.clone(), auth).await;
    let alone = (StatusCode::OK, json!({ "status": "healthy" }));
    let invalid = principals::headers("fw_no_such_token", None);
    for headers in [
        HeaderMap::new(),
        invalid,
        principals::headers(SEES_CATS, None),
    ] {
        assert_eq!(health(&node, headers.clone()).await, alone, "{headers:?}");
    }
    let (_, all) = health(&node, principals::headers(SEES_ALL, None)).await;
    assert_eq!(all["events"]["totalEvents"], 1, "{all}");
}
