//! Streams that reach their maximum age: their clients reconnect, to any edge, and miss nothing.

use std::time::{Duration, Instant};

use reqwest::{StatusCode, header::HeaderMap};
use serde_json::json;
use sse_edge::EdgeConfig;
use testkit::{
    mcp_client::ModernClient,
    sse::{self, SseStream},
};

use super::world::*;

/// The minimum of the setting, checked every second.
const MAX_SECONDS: u32 = 8;

fn old_soon() -> EdgeConfig {
    EdgeConfig {
        max_stream_seconds: MAX_SECONDS,
        heartbeat_seconds: 1,
        ..EdgeConfig::default()
    }
}

/// Reads to the end of a stream that was opened just before `opened` was taken, and checks its age.
async fn grows_old(stream: &mut SseStream, opened: Instant) {
    assert_eq!(stream.headers()["connection"], "close", "to another edge");
    ended(stream).await;
    let age = opened.elapsed();
    let least = Duration::from_secs(u64::from(MAX_SECONDS) * 3 / 4);
    // The test reads its clock a little late, later still on a busy machine.
    assert!(age > least - Duration::from_secs(1), "{age:?}");
    assert!(
        age < Duration::from_secs(u64::from(MAX_SECONDS)) + SOON,
        "{age:?}"
    );
    assert!(stream.retry().is_some());
}

#[tokio::test]
async fn an_old_stream_ends_and_another_edge_goes_on_where_it_was() {
    let world = EdgeWorld::new().await;
    let a = world.node_with(&old_soon(), world.bus.clone()).await;
    let b = world.node().await;
    let client = connect(&a).await;
    subscribe(&client, &a, "cat").await;
    let endless = sse::open(&a.at("/sse"), HeaderMap::new()).await;
    let mut endless = endless.unwrap();
    let endpoint = endless.next_event(SOON).await.unwrap().data.unwrap();
    let opened = Instant::now();
    let mut session = client.open_stream(&a.url, None).await.unwrap();
    let mut plain = sse::open(&a.at("/events/stream"), HeaderMap::new())
        .await
        .unwrap();
    let filter = json!({ "resourceSubscriptions": ["github://events"] });
    let mut listening = ModernClient::new().listen(&a.url, filter).await.unwrap();
    let first = world.happens("cat").await;
    assert_eq!(next_events(&mut session, 1).await, [first]);
    let told = listening.next(SOON).await.unwrap();
    assert!(listening.has_subscription_id(&told) && !listening.is_end(&told));
    let listens = async {
        let end = listening.next(2 * SOON).await.unwrap();
        assert!(listening.is_end(&end) && listening.has_subscription_id(&end));
    };
    tokio::join!(
        grows_old(&mut session, opened),
        grows_old(&mut plain, opened),
        listens
    );

    let missed = world.happens("cat").await;
    let id = session.last_id().unwrap().to_owned();
    let mut resumed = client.open_stream(&b.url, Some(&id)).await.unwrap();
    assert_eq!(next_events(&mut resumed, 1).await[0], missed);
    let mut headers = HeaderMap::new();
    headers.insert("last-event-id", plain.last_id().unwrap().parse().unwrap());
    let mut resumed = sse::open(&b.at("/events/stream"), headers).await.unwrap();
    let hello = resumed.next_event(SOON).await.unwrap();
    assert_eq!(hello.event.as_deref(), Some("connected"));
    let event = resumed.next_event(SOON).await.unwrap();
    assert_eq!(event.json().unwrap()["id"], missed);

    // The stream of a session is older than all of them by now, and still open.
    while opened.elapsed() < Duration::from_secs(u64::from(MAX_SECONDS) + 2) {
        endless.next(SOON).await.unwrap().expect("a heartbeat");
    }
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let post = reqwest::Client::new().post(a.at(&endpoint)).json(&ping);
    let status = post.send().await.unwrap().status();
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(
        endless.next_event(SOON).await.unwrap().json().unwrap()["id"],
        1
    );
}
