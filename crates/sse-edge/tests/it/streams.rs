//! The stream of a session: exactly what the session subscribed to, on whichever edge holds the
//! stream.

use std::{sync::Arc, time::Duration};

use model::SessionId;
use sse_edge::EdgeConfig;
use testkit::{mcp_client::McpClient, sse::SseStream};

use super::world::*;

#[tokio::test]
async fn a_subscription_made_on_one_edge_reaches_the_stream_on_the_other() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stream = client.open_stream(&b.url, None).await.unwrap();
    assert_eq!(stream.headers()["cache-control"], "no-cache, no-transform");
    world.happens("cat").await;
    subscribe(&client, &a, "cat").await;
    let first = world.happens("cat").await;
    world.happens("dog").await;
    let second = world.happens("cat").await;
    assert_eq!(next_events(&mut stream, 2).await, [first, second]);
    quiet(&mut stream).await;
}

/// A session whose stream is on an edge that gets news late: it knows of the subscription to dogs,
/// and not yet of the one to cats.
struct Late {
    world: EdgeWorld,
    slow: Arc<SlowSessions>,
    a: Node,
    /// Serves as long as this struct lives.
    _b: Node,
    client: McpClient,
    stream: SseStream,
}

async fn late() -> Late {
    let world = EdgeWorld::new().await;
    let slow = SlowSessions::new(&world.bus);
    let (a, b) = (
        world.node().await,
        world.node_with(&EdgeConfig::default(), slow.clone()).await,
    );
    let client = connect(&a).await;
    let mut stream = client.open_stream(&b.url, None).await.unwrap();
    subscribe(&client, &a, "dog").await;
    let dog = world.happens("dog").await;
    assert_eq!(next_events(&mut stream, 1).await, [dog]);
    slow.hold();
    subscribe(&client, &a, "cat").await;
    Late {
        world,
        slow,
        a,
        _b: b,
        client,
        stream,
    }
}

#[tokio::test]
async fn events_before_an_edge_hears_of_the_subscription_are_not_missed() {
    let mut late = late().await;
    let first = late.world.happens("cat").await;
    let dog = late.world.happens("dog").await;
    let second = late.world.happens_unheard("cat").await;
    assert_eq!(
        next_events(&mut late.stream, 1).await,
        [dog],
        "what it knows of goes on"
    );
    late.slow.flow();
    assert_eq!(next_events(&mut late.stream, 2).await, [first, second]);
    quiet(&mut late.stream).await;
}

/// Its edge may have died before the client had anything to resume from.
#[tokio::test]
async fn a_stream_that_reached_nobody_does_not_count() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    world.happens("cat").await;
    world.settle(&a).await;
    subscribe(&client, &a, "cat").await;
    drop(client.open_stream(&b.url, None).await.unwrap());
    let (first, second) = (world.happens("cat").await, world.happens("cat").await);
    for node in [&b, &a] {
        let mut stream = client.open_stream(&node.url, None).await.unwrap();
        let events = next_events(&mut stream, 2).await;
        assert_eq!(events, [first.clone(), second.clone()]);
    }
}

/// By the real clock, because the edge's periodic checks use that.
#[tokio::test]
async fn after_a_stream_that_reached_its_client_the_next_one_begins_now() {
    let world = EdgeWorld::new().await;
    let checks_often = EdgeConfig {
        session_idle_seconds: 2,
        ..EdgeConfig::default()
    };
    let node = world.node_with(&checks_often, world.bus.clone()).await;
    let client = connect(&node).await;
    let session = SessionId::new(client.session_id().unwrap()).unwrap();
    subscribe(&client, &node, "cat").await;
    let mut stream = client.open_stream(&node.url, None).await.unwrap();
    let first = world.happens("cat").await;
    assert_eq!(next_events(&mut stream, 1).await, [first]);
    until("the stream outlives a check", || {
        world.has_streamed(&session)
    })
    .await;
    drop(stream);
    world.happens("cat").await;
    // No stream has covered this one: it keeps its own position.
    subscribe(&client, &node, "dog").await;
    let dog = world.happens("dog").await;
    world.settle(&node).await;
    let mut later = client.open_stream(&node.url, None).await.unwrap();
    let second = world.happens("cat").await;
    assert_eq!(next_events(&mut later, 2).await, [dog, second]);
}

#[tokio::test]
async fn a_newer_stream_takes_over_on_the_same_edge_and_on_another() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    subscribe(&client, &a, "cat").await;
    let mut older = client.open_stream(&a.url, None).await.unwrap();
    let mut last_id = older.next_event(SOON).await.unwrap().id;
    for node in [&a, &b, &a] {
        let newer = client.open_stream(&node.url, last_id.as_deref()).await;
        let mut newer = newer.unwrap();
        assert_eq!(ended(&mut older).await, []);
        let event = world.happens("cat").await;
        assert_eq!(next_events(&mut newer, 1).await, [event]);
        last_id = newer.last_id().map(ToOwned::to_owned);
        older = newer;
    }
}

#[tokio::test]
async fn a_hundred_events_while_away_come_exactly_on_the_other_edge_and_then_live() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    subscribe(&client, &a, "cat").await;
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    let first = world.happens("cat").await;
    assert_eq!(next_events(&mut stream, 1).await, [first]);
    let last_id = stream.last_id().unwrap().to_owned();
    drop(stream);
    let mut missed = Vec::new();
    for _ in 0..100 {
        missed.push(world.happens("cat").await);
        world.happens("dog").await;
    }
    let mut resumed = client.open_stream(&b.url, Some(&last_id)).await.unwrap();
    assert_eq!(next_events(&mut resumed, 100).await, missed);
    let live = world.happens("cat").await;
    assert_eq!(next_events(&mut resumed, 1).await, [live]);
    quiet(&mut resumed).await;
}

#[tokio::test]
async fn a_priming_event_is_enough_to_resume_from() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    subscribe(&client, &a, "cat").await;
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    let priming = stream.next_event(SOON).await.unwrap();
    assert_eq!(
        (priming.data.as_deref(), priming.id.is_some()),
        (Some(""), true)
    );
    assert_eq!(stream.retry(), Some(Duration::from_secs(1)));
    let id = priming.id.unwrap();
    drop(stream);
    let event = world.happens("cat").await;
    let mut resumed = client.open_stream(&b.url, Some(&id)).await.unwrap();
    assert_eq!(next_events(&mut resumed, 1).await, [event]);
}

#[tokio::test]
async fn an_id_that_says_nothing_here_is_answered_with_a_notice() {
    let (world, a, b) = EdgeWorld::two().await;
    let (client, other) = (connect(&a).await, connect(&a).await);
    subscribe(&client, &a, "cat").await;
    let mut stream = other.open_stream(&b.url, None).await.unwrap();
    let foreign = stream.next_event(SOON).await.unwrap().id.unwrap();
    for id in [foreign.as_str(), "not-one-of-ours", "1"] {
        let mut resumed = client.open_stream(&b.url, Some(id)).await.unwrap();
        let notice = next(&mut resumed).await;
        assert_eq!(notice.params()["data"]["truncated"], true, "{notice:?}");
        assert_eq!(notice.params()["level"], "warning");
        let event = world.happens("cat").await;
        assert_eq!(next_events(&mut resumed, 1).await, [event]);
    }
}

#[tokio::test]
async fn a_cursor_whose_future_was_trimmed_is_answered_with_a_notice_and_the_rest() {
    let world = EdgeWorld::keeping(50).await;
    let a = world.node().await;
    let client = connect(&a).await;
    subscribe(&client, &a, "cat").await;
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    world.happens("cat").await;
    next_events(&mut stream, 1).await;
    let id = stream.last_id().unwrap().to_owned();
    drop(stream);
    let mut all = Vec::new();
    for _ in 0..80 {
        all.push(world.happens("cat").await);
    }
    // An edge that starts now has none of the events in its ring.
    let b = world.node().await;
    let mut resumed = client.open_stream(&b.url, Some(&id)).await.unwrap();
    let notice = next(&mut resumed).await;
    assert_eq!(notice.params()["data"]["truncated"], true);
    assert_eq!(next_events(&mut resumed, 50).await, all[30..]);
    drop(resumed);
    // The notice's own id is a position from which to resume.
    let mut resumed = client
        .open_stream(&b.url, notice.id.as_deref())
        .await
        .unwrap();
    assert_eq!(next_events(&mut resumed, 50).await, all[30..]);
}

#[tokio::test]
async fn a_resource_that_changes_is_told_as_the_client_spelt_it() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stream = client.open_stream(&b.url, None).await.unwrap();
    let uri = "github://issues/OCTO/Cat/7";
    client.subscribe(&a.url, uri).await.unwrap();
    world.happens("dog").await;
    world.happens("cat").await;
    let told = next(&mut stream).await;
    assert_eq!(told.method(), "notifications/resources/updated");
    assert_eq!(told.params()["uri"], uri);
    client.unsubscribe(&a.url, uri).await.unwrap();
    // Once the next subscription has reached the stream's edge, this one has too.
    subscribe(&client, &a, "dog").await;
    let dog = world.happens("dog").await;
    assert_eq!(next_events(&mut stream, 1).await, [dog]);
    world.happens("cat").await;
    let dog = world.happens("dog").await;
    assert_eq!(next_events(&mut stream, 1).await, [dog]);
}

#[tokio::test]
async fn a_subscription_that_the_edge_learnt_of_late_survives_a_reconnect() {
    let mut late = late().await;
    let cat = late.world.happens("cat").await;
    let dog = late.world.happens("dog").await;
    assert_eq!(next_events(&mut late.stream, 1).await, [dog]);
    let id = late.stream.last_id().unwrap().to_owned();
    drop(late.stream);
    let mut resumed = late
        .client
        .open_stream(&late.a.url, Some(&id))
        .await
        .unwrap();
    assert_eq!(next_events(&mut resumed, 1).await, [cat]);
}
