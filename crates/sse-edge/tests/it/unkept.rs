//! The stream of a call whose messages the store does not take: for a moment, or at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use model::{PrincipalId, Sequence, SessionId, StreamId};
use parking_lot::Mutex;
use ports::{Mailbox, MailboxError, MailboxLimits, MailboxPage, StoreFailure};
use serde_json::{Value, json};
use testkit::{mcp_client::McpClient, raw_http::RawConnection, sse::SseStream};
use tokio::time::timeout;

use super::{
    calls::{message, resume, wait_message, waiting},
    http_sse,
    world::*,
};

/// What a mailbox does with an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AppendFault {
    None,
    /// The store has no memory left.
    Full,
    /// It does not answer, and has not stored anything.
    Gone,
    /// It does not answer, and has stored what it was given.
    AnswerLost,
    /// As `Full`, for what has more than 300 bytes.
    FullForLong,
    /// The owner of the session has its share, for what has more than 300 bytes.
    OwnerFullForLong,
    /// A mailbox takes no more than 300 bytes.
    TooLong,
}

#[derive(Debug)]
struct FaultyMailbox {
    mailbox: Arc<dyn Mailbox>,
    fault: Mutex<AppendFault>,
    refused: AtomicUsize,
}

impl FaultyMailbox {
    fn set(&self, fault: AppendFault) {
        *self.fault.lock() = fault;
    }

    /// Waits until it has refused something since it was faulty.
    async fn refuses(&self) {
        until("something is refused", || async {
            self.refused.load(Ordering::SeqCst) > 0
        })
        .await;
    }
}

#[async_trait]
impl Mailbox for FaultyMailbox {
    async fn open(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        ttl: Duration,
    ) -> Result<(), MailboxError> {
        self.mailbox.open(session, owner, ttl).await
    }

    async fn touch(&self, session: &SessionId, ttl: Duration) -> Result<bool, MailboxError> {
        self.mailbox.touch(session, ttl).await
    }

    async fn end(&self, session: &SessionId) -> Result<bool, MailboxError> {
        self.mailbox.end(session).await
    }

    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        self.mailbox.open_stream(session, stream, limits).await
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        let fault = *self.fault.lock();
        let bytes = payload.len();
        let is_long = bytes > 300;
        let refusal = match fault {
            AppendFault::Full => StoreFailure::full("no memory is left").into(),
            AppendFault::FullForLong if is_long => StoreFailure::full("no memory is left").into(),
            AppendFault::OwnerFullForLong if is_long => MailboxError::owner_is_full(),
            AppendFault::TooLong if is_long => MailboxError::TooLarge { bytes },
            AppendFault::Gone => StoreFailure::unavailable("append a message", "gone").into(),
            AppendFault::AnswerLost => {
                let stored = self.mailbox.append(session, stream, payload, limits);
                stored.await?;
                StoreFailure::unavailable("append a message", "gone").into()
            }
            _ => return self.mailbox.append(session, stream, payload, limits).await,
        };
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(refusal)
    }

    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        let read = self.mailbox.read_after(session, stream, after, limit);
        read.await
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        self.mailbox.trim(session, stream, through).await
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        self.mailbox.close_stream(session, stream).await
    }
}

/// Two edges over a mailbox that can be made to refuse appends.
async fn faulty() -> (EdgeWorld, Node, Node, Arc<FaultyMailbox>) {
    let mut stores = EdgeWorld::new().await.stores;
    let mailbox = Arc::new(FaultyMailbox {
        mailbox: stores.mailboxes,
        fault: Mutex::new(AppendFault::None),
        refused: AtomicUsize::new(0),
    });
    stores.mailboxes = mailbox.clone();
    let world = EdgeWorld::on(stores).await;
    let (a, b) = (world.node().await, world.node().await);
    (world, a, b, mailbox)
}

/// A call that waits for a cat, and whose client is away with this id.
async fn left(client: &McpClient, node: &Node) -> String {
    let edge = node.url.socket_addrs(|| None).unwrap()[0];
    let mut connection = RawConnection::open(edge).await.unwrap();
    let body = wait_message(77).to_string();
    let mut request = format!(
        "POST /mcp HTTP/1.1\r\nHost: {edge}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Accept: application/json, text/event-stream\r\n",
        body.len()
    );
    for (name, value) in &client.headers() {
        let value = value.to_str().unwrap();
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("\r\n{body}"));
    connection.send(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let id = loop {
        let line = text.lines().find_map(|line| line.strip_prefix("id: "));
        if let Some(id) = line.filter(|_| text.ends_with("\n\n")) {
            break id.to_owned();
        }
        let more = timeout(SOON, connection.some()).await.unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(&more).replace("\r\n", "\n"));
    };
    // The edge knows that the client has gone once it has closed the connection too.
    connection.finish().await.unwrap();
    timeout(SOON, connection.drain()).await.unwrap();
    id
}

fn is_told(answer: &Value, words: &str) {
    let text = answer["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(answer["id"], 77);
    assert!(text.contains(words), "{answer}");
    assert!(!text.contains("stopped"), "{answer}");
}

async fn comes_once(stream: &mut SseStream, cat: &str) {
    let answer = message(stream).await;
    let events = &answer["result"]["structuredContent"]["events"];
    assert_eq!(
        (&answer["id"], &events[0]["id"]),
        (&77.into(), &cat.into()),
        "{answer}"
    );
    assert!(ended(stream).await.is_empty(), "the answer ends it");
}

async fn refused_for_a_moment(fault: AppendFault) {
    let (world, a, b, mailbox) = faulty().await;
    let client = connect(&a).await;
    let id = left(&client, &a).await;
    mailbox.set(fault);
    let cat = world.happens("cat").await;
    mailbox.refuses().await;
    let mut resumed = resume(&client, &b, &id).await;
    mailbox.set(AppendFault::None);
    comes_once(&mut resumed, &cat).await;
    comes_once(&mut resume(&client, &a, &id).await, &cat).await;
}

#[tokio::test]
async fn an_answer_that_the_store_refuses_for_a_moment_is_there_when_its_client_is_back() {
    tokio::join!(
        refused_for_a_moment(AppendFault::Full),
        refused_for_a_moment(AppendFault::Gone),
        refused_for_a_moment(AppendFault::AnswerLost),
    );
}

async fn cannot_be_kept(fault: AppendFault) {
    let (world, a, b, mailbox) = faulty().await;
    let client = connect(&a).await;
    let id = left(&client, &a).await;
    let mut resumed = resume(&client, &b, &id).await;
    mailbox.set(fault);
    world.happens("cat").await;
    is_told(&message(&mut resumed).await, "was done");
    assert!(ended(&mut resumed).await.is_empty());
}

#[tokio::test]
async fn an_answer_that_cannot_be_kept_is_told_as_lost_and_soon() {
    tokio::join!(
        cannot_be_kept(AppendFault::OwnerFullForLong),
        cannot_be_kept(AppendFault::TooLong),
    );
}

/// An edge that has to stop gives the attempts up; what it can still store says what is true.
#[tokio::test]
async fn an_edge_that_stops_with_an_answer_that_is_not_stored_says_so() {
    let (world, a, b, mailbox) = faulty().await;
    let client = connect(&a).await;
    let id = left(&client, &a).await;
    mailbox.set(AppendFault::FullForLong);
    world.happens("cat").await;
    mailbox.refuses().await;
    let mut resumed = resume(&client, &b, &id).await;
    a.life.hard_stop();
    is_told(&message(&mut resumed).await, "was done");
    assert!(ended(&mut resumed).await.is_empty());
}

/// It could store nothing at all, but close the stream.
#[tokio::test]
async fn an_edge_that_left_no_answer_is_not_said_to_have_stopped_before_it_was_done() {
    let (world, a, b, mailbox) = faulty().await;
    let client = connect(&a).await;
    let id = left(&client, &a).await;
    mailbox.set(AppendFault::Full);
    world.happens("cat").await;
    mailbox.refuses().await;
    let mut resumed = resume(&client, &b, &id).await;
    a.life.hard_stop();
    is_told(&message(&mut resumed).await, "ended without an answer");
    assert!(ended(&mut resumed).await.is_empty());
}

/// The store refuses the beginning of the stream: the client learns later from where on it can come back.
#[tokio::test]
async fn a_stream_that_could_not_begin_in_the_store_can_be_resumed_once_it_takes_it() {
    let (world, a, b, mailbox) = faulty().await;
    let client = connect(&a).await;
    mailbox.set(AppendFault::Gone);
    let mut stream = waiting(&client, &a, 77).await;
    mailbox.refuses().await;
    assert!(
        stream.next_event(Duration::from_millis(50)).await.is_err(),
        "no id yet"
    );
    mailbox.set(AppendFault::None);
    let frame = stream.next_event(SOON).await.unwrap();
    assert_eq!(frame.data.as_deref(), Some(""));
    drop(stream);
    let mut resumed = resume(&client, &b, &frame.id.unwrap()).await;
    let cat = world.happens("cat").await;
    comes_once(&mut resumed, &cat).await;
}

/// The client is there: it has the answer at once, and the store has it later.
#[tokio::test]
async fn a_client_that_is_there_does_not_wait_for_the_store() {
    let (world, a, b, mailbox) = faulty().await;
    let client = connect(&a).await;
    let mut stream = waiting(&client, &a, 77).await;
    let id = stream.next_event(SOON).await.unwrap().id.unwrap();
    mailbox.set(AppendFault::Full);
    let cat = world.happens("cat").await;
    comes_once(&mut stream, &cat).await;
    mailbox.set(AppendFault::None);
    comes_once(&mut resume(&client, &b, &id).await, &cat).await;
}

/// Over HTTP+SSE the answer has no other way than through the store, and nobody repeats the request.
#[tokio::test]
async fn an_answer_over_http_sse_waits_for_a_store_that_refuses_it_for_some_seconds() {
    let (_world, a, b, mailbox) = faulty().await;
    let mut client = http_sse::Client::connected(&a, &b).await;
    mailbox.set(AppendFault::Full);
    let call = json!({ "name": "get_recent_events", "arguments": {} });
    let mend = async {
        until("it is refused again and again", || async {
            mailbox.refused.load(Ordering::SeqCst) > 5
        })
        .await;
        mailbox.set(AppendFault::None);
    };
    let (answer, ()) = tokio::join!(client.call(&b, 2, "tools/call", call), mend);
    let text = answer["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(r#""count":0"#), "{answer}");
}
