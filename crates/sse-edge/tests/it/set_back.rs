//! Clients that are ahead of the store of sessions, because it went back to an earlier state: they are told,
//! and get everything that is there.

use model::{Cursor, CursorScope, PrincipalId, Sequence, SessionId, StreamCursor, StreamId};
use serde_json::Value;
use testkit::{mcp_client::McpClient, sse::SseStream};

use super::{calls, messages, world::*};

/// So far ahead of everything that the store has given out.
const AHEAD: u64 = 1 << 51;
const COUNTED: &str = "forgewire_edge_gaps_total{reason=\"store_went_back\"}";

fn session(client: &McpClient) -> SessionId {
    SessionId::new(client.session_id().unwrap()).unwrap()
}

/// The id of a client that had more of its session's stream than the store knows now.
fn ahead(world: &EdgeWorld, client: &McpClient, id: &str) -> String {
    let scope = CursorScope::session(&PrincipalId::anonymous(), &session(client));
    let cursor = world.keys().open(id, scope).unwrap();
    let ahead = Cursor {
        inbox: Sequence(cursor.inbox.0 + AHEAD),
        newest_subscription: cursor.newest_subscription + AHEAD,
        ..cursor
    };
    world.keys().seal(&ahead).to_string()
}

fn is_notice(message: &Value) -> bool {
    message["params"]["data"]["type"] == "gap"
}

/// The next messages, up to the first that fits.
async fn read_to(stream: &mut SseStream, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut read = Vec::new();
    loop {
        read.push(calls::message(stream).await);
        if read.last().is_some_and(&fits) {
            return read;
        }
    }
}

#[tokio::test]
async fn a_client_ahead_of_the_store_is_told_and_gets_what_is_there() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    for n in 1..3 {
        messages::send(&b, &client, n).await;
    }
    messages::take(&mut stream, 2).await;
    subscribe(&client, &b, "cat").await;
    let cat = world.happens("cat").await;
    assert_eq!(next_events(&mut stream, 1).await[0], cat);
    let id = ahead(&world, &client, stream.last_id().unwrap());
    drop(stream);
    world.settle(&b).await;

    let mut resumed = client.open_stream(&b.url, Some(&id)).await.unwrap();
    // Both are proof: of messages, and of subscriptions.
    for _ in 0..2 {
        read_to(&mut resumed, is_notice).await;
    }
    let again = read_to(&mut resumed, |message| message["params"]["n"] == 2).await;
    assert!(again.iter().any(|message| message["params"]["n"] == 1));
    // The subscription may be one that was made since, so its events come from its own beginning.
    read_to(&mut resumed, |message| {
        message["params"]["data"]["id"] == cat
    })
    .await;
    assert_eq!(b.metric(COUNTED), 2);
    messages::send(&a, &client, 3).await;
    read_to(&mut resumed, |message| message["params"]["n"] == 3).await;
}

#[tokio::test]
async fn a_client_ahead_of_the_answer_to_its_call_is_told_and_gets_what_is_there() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let (session, stream) = (session(&client), StreamId::new("call-of-before").unwrap());
    let message = br#"{"jsonrpc":"2.0","method":"notifications/test","params":{"n":1}}"#;
    let last = world.left_behind(&session, &stream, message).await;
    let scope = CursorScope::stream(&PrincipalId::anonymous(), &session, &stream);
    let sequence = Sequence(last.0 + AHEAD);
    let id = world
        .keys()
        .seal_stream(&StreamCursor { stream, sequence }, scope);
    let mut resumed = calls::resume(&client, &b, &id).await;
    let read = read_to(&mut resumed, |message| message["params"]["n"] == 1).await;
    assert!(is_notice(&read[0]), "{read:?}");
    assert_eq!(b.metric(COUNTED), 1);
}

#[tokio::test]
async fn a_reader_of_an_answer_that_the_store_has_lost_does_not_wait_for_ever() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let (session, stream) = (session(&client), StreamId::new("call-of-before").unwrap());
    let scope = CursorScope::stream(&PrincipalId::anonymous(), &session, &stream);
    let sequence = Sequence(AHEAD);
    let id = world
        .keys()
        .seal_stream(&StreamCursor { stream, sequence }, scope);
    let mut resumed = calls::resume(&client, &b, &id).await;
    read_to(&mut resumed, is_notice).await;
    // The reader asks after a silence whether an edge still runs the call.
    while resumed.next(SOON * 3).await.unwrap().is_some() {}
}
