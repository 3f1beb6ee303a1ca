//! A user of NATS that may not do all that a role needs: said, with the operation and the fix, until it may.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::{fmt::Display, time::Duration};

use contract::StoredLog;
use futures_util::StreamExt;
use model::{Epoch, Sequence, SessionId};
use nats::{BusConfig, JetStreamLog, LogConfig, NatsBus, NatsConfig, NatsConnection};
use ports::{Bus, BusEvent, EdgeNews, EventLog, Topic};
use testkit::servers::NatsServer;
use tokio::time::timeout;

/// Longest time until a change of the permissions shows.
const SOON: Duration = Duration::from_secs(20);

/// The block of a configuration in which the user `role` is denied these subjects.
fn denying(publish: &str, subscribe: &str) -> String {
    let list = |subject: &str| match subject {
        "" => String::new(),
        subject => format!("\"{subject}\""),
    };
    format!(
        "authorization {{ users: [{{ user: role, password: secret, permissions: {{ \
         publish: {{ deny: [{}] }}, subscribe: {{ deny: [{}] }} }} }}] }}",
        list(publish),
        list(subscribe)
    )
}

async fn server() -> (NatsServer, NatsConnection) {
    let mut server = NatsServer::start().unwrap();
    server.authorize(&denying("", "")).unwrap();
    let url = format!("nats://role:secret@127.0.0.1:{}", server.port());
    let connection = NatsConnection::connect(NatsConfig::new(url)).await;
    (server, connection.unwrap())
}

async fn log(connection: &NatsConnection) -> StoredLog<JetStreamLog> {
    let config = LogConfig {
        creates_stream: true,
        ..LogConfig::default()
    };
    let log = StoredLog::new(
        JetStreamLog::open(connection.clone(), config)
            .await
            .unwrap(),
    );
    log.append(contract::events(0, 3)).await.unwrap();
    log
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// Waits until a check fails with these words.
async fn fails<T, E: std::error::Error>(
    words: impl Display,
    check: impl AsyncFn() -> Result<T, E>,
) {
    let words = words.to_string();
    let mut last = String::new();
    let failing = async {
        loop {
            match check().await {
                Ok(_) => last = "it succeeds".to_owned(),
                Err(error) => last = chain(&error),
            }
            if last.contains(&words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let failed = timeout(SOON, failing).await;
    assert!(failed.is_ok(), "{words}: {last}");
}

async fn succeeds<T, E: std::error::Error>(what: &str, check: impl AsyncFn() -> Result<T, E>) {
    let succeeding = async {
        while check().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(SOON, succeeding).await.is_ok(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_read_that_is_denied_is_named_until_it_is_allowed() {
    let (mut server, connection) = server().await;
    let log = log(&connection).await;
    for request in [
        "STREAM.INFO",
        "STREAM.MSG.GET",
        "CONSUMER.CREATE",
        "CONSUMER.MSG.NEXT",
    ] {
        let subject = format!("$JS.API.{request}.");
        server
            .authorize(&denying(&format!("{subject}>"), ""))
            .unwrap();
        let words = format!("may not publish to {subject}");
        fails(words, async || log.check_read().await).await;
        server.authorize(&denying("", "")).unwrap();
        succeeds(request, async || log.check_read().await).await;
    }
    let head = log.check_read().await.unwrap();
    assert_eq!(head.last, Sequence(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_that_are_denied_are_named_before_a_delivery_comes() {
    let (mut server, connection) = server().await;
    let log = log(&connection).await;
    for subject in [
        "forgewire.events.",
        "$JS.API.STREAM.INFO.",
        "$JS.API.STREAM.MSG.GET.",
    ] {
        server
            .authorize(&denying(&format!("{subject}>"), ""))
            .unwrap();
        let words = format!("may not publish to {subject}");
        fails(words, async || log.check_append().await).await;
        server.authorize(&denying("", "")).unwrap();
        succeeds(subject, async || log.check_append().await).await;
    }
    let stored = log.head().await.unwrap().last;
    assert_eq!(stored, Sequence(3), "a check stores nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_denied_are_named_on_both() {
    let (mut server, connection) = server().await;
    let log = log(&connection).await;
    let bus = NatsBus::new(connection, BusConfig::default());
    server.authorize(&denying("", "_INBOX.>")).unwrap();
    let words = "may not subscribe to _INBOX.*";
    fails(words, async || log.check_read().await).await;
    fails(words, async || log.check_append().await).await;
    fails(words, async || bus.check().await).await;
    server.authorize(&denying("", "")).unwrap();
    succeeds("the bus", async || bus.check().await).await;
    succeeds("reads", async || log.check_read().await).await;
    succeeds("appends", async || log.check_append().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_denied_is_named_and_works_once_it_is_allowed() {
    let (mut server, connection) = server().await;
    let bus = NatsBus::new(connection, BusConfig::default());
    let mut open = bus.subscribe(&Topic::Broadcast).await.unwrap();
    server.authorize(&denying("", "mcp.>")).unwrap();
    let words = "may not subscribe to mcp.broadcast";
    fails(words, async || bus.check().await).await;
    fails(words, async || bus.subscribe(&Topic::Broadcast).await).await;
    server.authorize(&denying("", "")).unwrap();
    succeeds("the bus", async || bus.check().await).await;
    let news: ports::BusMessage = EdgeNews::SessionEnded(SessionId::new("one").unwrap()).into();
    let arrives = async {
        loop {
            let _ = bus.publish(&Topic::Broadcast, news.clone(), None).await;
            let next = timeout(Duration::from_millis(100), open.0.next()).await;
            if matches!(&next, Ok(Some(BusEvent::Message(found, _))) if *found == news) {
                return;
            }
        }
    };
    assert!(
        timeout(SOON, arrives).await.is_ok(),
        "the subscription is silent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_denied_are_named() {
    let (mut server, connection) = server().await;
    let bus = NatsBus::new(connection, BusConfig::default());
    let session = Topic::Session(SessionId::new("probe").unwrap());
    for (topic, subject) in [
        (Topic::Broadcast, "mcp.broadcast"),
        (session, "mcp.session.*"),
    ] {
        server.authorize(&denying(subject, "")).unwrap();
        let words = format!("may not publish to {subject}");
        let topics = [topic];
        fails(words, async || bus.check_publish(&topics, Epoch(1)).await).await;
        server.authorize(&denying("", "")).unwrap();
        succeeds(subject, async || bus.check_publish(&topics, Epoch(1)).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_of_one_topic_says_nothing_about_another() {
    let (mut server, connection) = server().await;
    let bus = NatsBus::new(connection, BusConfig::default());
    let tries = async |topic: Topic| bus.check_publish(&[topic], Epoch(1)).await;
    server.authorize(&denying("mcp.session.*", "")).unwrap();
    let words = "may not publish to mcp.session.*";
    fails(words, async || tries(Topic::trial()).await).await;
    // Allowed, and tried now: the other topic's denial stands, and its next trial fails.
    tries(Topic::Broadcast).await.unwrap();
    let refused = tries(Topic::trial()).await.unwrap_err();
    assert!(chain(&refused).contains(words), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_to_one_session_that_is_denied_is_an_error() {
    let (mut server, connection) = server().await;
    let bus = NatsBus::new(connection, BusConfig::default());
    let session = Topic::Session(SessionId::new("one").unwrap());
    server.authorize(&denying("", "mcp.session.>")).unwrap();
    let words = "may not subscribe to mcp.session.one";
    fails(words, async || bus.subscribe(&session).await).await;
    let refused = bus.check().await.unwrap_err();
    assert!(chain(&refused).contains(words), "{refused}");
    server.authorize(&denying("", "")).unwrap();
    succeeds("the bus", async || bus.check().await).await;
    // The check connects again, and a subscription meanwhile gets no answer.
    let subscribing = async || bus.subscribe(&session).await;
    succeeds("the session", subscribing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_refused_while_it_runs_are_named() {
    let (mut server, connection) = server().await;
    let log = log(&connection).await;
    let bus = NatsBus::new(connection, BusConfig::default());
    let changed = denying("", "").replace("secret", "changed");
    server.authorize(&changed).unwrap();
    let words = "refuses the credentials of nats.url";
    fails(words, async || log.check_read().await).await;
    fails(words, async || log.check_append().await).await;
    fails(words, async || bus.check().await).await;
    server.authorize(&denying("", "")).unwrap();
    succeeds("reads", async || log.check_read().await).await;
}
