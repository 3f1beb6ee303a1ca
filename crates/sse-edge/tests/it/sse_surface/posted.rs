//! Calls that were posted beside the stream, when the edge that runs them is killed.

use std::time::Duration;

use model::{SessionId, StreamId};

use super::*;

/// The edge that ran a call was killed: whichever edge has the stream says so, once, also after the stream has moved.
#[tokio::test]
async fn a_call_whose_edge_was_killed_is_an_error_on_the_stream_once() {
    let mut world = EdgeWorld::new().await;
    world.call_lease = Duration::from_millis(600);
    let (a, b) = (world.node().await, world.node().await);
    let lost =
        json!({ "type": "mcp-error", "id": 7, "requestId": 7, "error": {}, "timestamp": "t" });
    let mut connection = Connection::open(&a, None).await;
    let id = SessionId::new(&connection.id).unwrap();
    world.left_posted(&id, "inbox", &lost).await;
    let (name, data) = named(&mut connection.stream).await;
    assert_eq!((name.as_str(), &data["id"]), ("mcp-error", &json!(7)));
    quiet(&mut connection.stream).await;
    let last = connection.stream.last_id().unwrap().to_owned();
    // What is told by then is told by neither edge again.
    for node in [&b, &a] {
        let resumed = sse::resume(&node.at("/mcp/sse"), HeaderMap::new(), &last).await;
        let (mut resumed, is_resumed) = Connection::begin(resumed.unwrap()).await;
        assert!(is_resumed);
        quiet(&mut resumed.stream).await;
    }
    drop(connection);
    until("no edge has the stream", || async {
        a.open_streams("connection") + b.open_streams("connection") == 0
    })
    .await;
    // Nobody was there to see it.
    world.left_posted(&id, "inbox", &lost).await;
    let resumed = sse::resume(&b.at("/mcp/sse"), HeaderMap::new(), &last).await;
    let (mut resumed, _) = Connection::begin(resumed.unwrap()).await;
    let (name, data) = named(&mut resumed.stream).await;
    assert_eq!((name.as_str(), &data["id"]), ("mcp-error", &json!(7)));
    quiet(&mut resumed.stream).await;
}

/// Answers leave nothing behind: neither an open call nor anything in the mailbox that takes the places of messages.
#[tokio::test]
async fn of_calls_that_were_answered_nothing_is_left() {
    let mut world = EdgeWorld::new().await;
    world.call_lease = Duration::from_millis(600);
    let (a, b) = (world.node().await, world.node().await);
    let mut connection = Connection::open(&a, None).await;
    let recent = json!({ "name": "get_recent_events", "arguments": {} });
    for id in 0..40 {
        let call = json!({ "id": id, "method": "tools/call", "params": recent });
        connection.send(&b, None, call).await;
        let (name, data) = named(&mut connection.stream).await;
        assert_eq!((name.as_str(), &data["id"]), ("tool-result", &json!(id)));
    }
    quiet(&mut connection.stream).await;
    let id = SessionId::new(&connection.id).unwrap();
    assert_eq!(world.open_posted(&id).await, 0);
    let kept = world.kept(&id, &StreamId::new("posted").unwrap()).await;
    assert_eq!(kept, 0);
}

/// However many messages there are meanwhile, what is known of a call stays.
#[tokio::test]
async fn a_call_is_answered_for_beside_more_messages_than_a_mailbox_keeps() {
    let mut world = EdgeWorld::new().await;
    world.call_lease = Duration::from_millis(600);
    let node = world.node().await;
    let mut connection = Connection::open(&node, None).await;
    let id = SessionId::new(&connection.id).unwrap();
    let ping = json!({ "id": 1, "method": "ping" });
    connection.send(&node, None, ping).await;
    named(&mut connection.stream).await;
    let last = connection.stream.last_id().unwrap().to_owned();
    drop(connection);
    until("no edge has the stream", || async {
        node.open_streams("connection") == 0
    })
    .await;
    let lost = json!({ "type": "mcp-error", "id": 7, "error": {}, "timestamp": "t" });
    world.left_posted(&id, "inbox", &lost).await;
    let inbox = StreamId::new("inbox").unwrap();
    for n in 0..1100 {
        let message = format!("{{\"type\":\"mcp-notification\",\"timestamp\":\"t\",\"n\":{n}}}");
        world.left_behind(&id, &inbox, message.as_bytes()).await;
    }
    let resumed = sse::resume(&node.at("/mcp/sse"), HeaderMap::new(), &last).await;
    let (mut resumed, is_resumed) = Connection::begin(resumed.unwrap()).await;
    assert!(is_resumed);
    loop {
        let (name, data) = named(&mut resumed.stream).await;
        if name == "mcp-error" {
            assert_eq!(data["id"], 7);
            break;
        }
    }
    quiet(&mut resumed.stream).await;
    until("the call has ended", || async {
        world.open_posted(&id).await == 0
    })
    .await;
}
