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

/// The edge was killed after it had stored its answer, and before it said so: the client has this answer and no other.
#[tokio::test]
async fn an_answer_that_was_stored_before_its_edge_was_killed_is_the_only_one() {
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
    // A request of the server with the same id is no answer.
    let asked = r#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#;
    let answer = r#"{"type":"tool-result","id":7,"result":{},"timestamp":"t"}"#;
    for message in [asked, answer] {
        let inbox = StreamId::new("inbox").unwrap();
        world.left_behind(&id, &inbox, message.as_bytes()).await;
    }
    let resumed = sse::resume(&node.at("/mcp/sse"), HeaderMap::new(), &last).await;
    let (mut resumed, is_resumed) = Connection::begin(resumed.unwrap()).await;
    assert!(is_resumed);
    let mut names = Vec::new();
    for _ in 0..2 {
        names.push(named(&mut resumed.stream).await.0);
    }
    assert_eq!(names, ["mcp-notification", "tool-result"]);
    quiet(&mut resumed.stream).await;
    let id = SessionId::new(&resumed.id).unwrap();
    let journal = StreamId::new("posted").unwrap();
    until("the journal says that the call has ended", || async {
        world.kept(&id, &journal).await == 0
    })
    .await;
}

/// Answers leave nothing behind: of a call that was answered nobody is told anything later.
#[tokio::test]
async fn of_calls_that_were_answered_little_is_left_in_the_journal() {
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
    let kept = world.kept(&id, &StreamId::new("posted").unwrap()).await;
    assert!(kept <= 40, "{kept} entries of calls that are over");
}
