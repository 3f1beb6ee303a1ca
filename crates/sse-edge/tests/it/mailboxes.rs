//! The mailbox of a session: opened when it is needed, kept as long as the session, and gone with it.

use model::{Sequence, SessionId, StreamId};
use ports::MailboxError;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{calls, messages, world::*};

fn is_notice(message: &Value) -> bool {
    message["params"]["data"]["type"] == "gap"
}

/// Whether the session has a mailbox.
async fn has_mailbox(world: &EdgeWorld, session: &SessionId) -> bool {
    let stream = StreamId::new("inbox").unwrap();
    let mailbox = &world.stores.mailboxes;
    match mailbox
        .read_after(session, &stream, Sequence::START, 1)
        .await
    {
        Ok(_) => true,
        Err(MailboxError::Missing) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_first_message_opens_a_mailbox_and_the_end_of_the_session_ends_it() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let session = SessionId::new(client.session_id().unwrap()).unwrap();
    let mut stream = client.open_stream(&b.url, None).await.unwrap();
    assert!(!has_mailbox(&world, &session).await, "no one needs it yet");
    messages::send(&a, &client, 1).await;
    messages::take(&mut stream, 1).await;
    assert!(has_mailbox(&world, &session).await);
    client.end(&b.url).await.unwrap();
    assert!(!has_mailbox(&world, &session).await);
    // A message that comes too late brings nothing back.
    let body =
        json!({ "sessionId": session.as_str(), "message": { "jsonrpc": "2.0", "method": "late" } });
    let late = reqwest::Client::new()
        .post(a.at("/mcp/sse/send"))
        .json(&body);
    assert_eq!(late.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert!(!has_mailbox(&world, &session).await);
}

/// As a store does that evicts keys.
#[tokio::test]
async fn a_client_whose_mailbox_is_gone_is_told_and_gets_the_next_messages() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let session = SessionId::new(client.session_id().unwrap()).unwrap();
    let mut stream = client.open_stream(&b.url, None).await.unwrap();
    for n in [1, 3] {
        messages::send(&a, &client, n).await;
        loop {
            let message = calls::message(&mut stream).await;
            if message["params"]["n"] == n {
                break;
            }
            assert!(n > 1 && is_notice(&message), "{message}");
        }
        assert!(world.stores.mailboxes.end(&session).await.unwrap());
    }
    let last = stream.last_id().unwrap().to_owned();
    drop(stream);
    // Also if the message comes before the reader.
    messages::send(&a, &client, 5).await;
    let mut resumed = client.open_stream(&b.url, Some(&last)).await.unwrap();
    assert!(is_notice(&calls::message(&mut resumed).await));
    assert_eq!(messages::take(&mut resumed, 1).await.0, [5]);
}
