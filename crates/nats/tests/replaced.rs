//! The stream is deleted, or made anew, under running handles: ingest makes it again, and every handle
//! takes the new one without a restart.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::time::Duration;

use async_nats::jetstream;
use contract::StoredLog;
use model::Sequence;
use nats::{JetStreamLog, LogConfig, NatsConfig, NatsConnection};
use ports::{EventLog, EventLogError};
use testkit::servers::NatsServer;

const STREAM: &str = "FORGEWIRE_EVENTS";

async fn open(server: &NatsServer, creates_stream: bool) -> StoredLog<JetStreamLog> {
    let connection = NatsConnection::connect(NatsConfig::new(server.url()));
    let config = LogConfig {
        creates_stream,
        retention: None,
        ..LogConfig::default()
    };
    StoredLog::new(
        JetStreamLog::open(connection.await.unwrap(), config)
            .await
            .unwrap(),
    )
}

async fn context(server: &NatsServer) -> jetstream::Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_is_made_again_by_ingest_and_taken_by_an_edge() {
    let server = NatsServer::start().unwrap();
    let (ingest, edge) = (open(&server, true).await, open(&server, false).await);
    ingest.append(contract::events(0, 5)).await.unwrap();
    let before = edge.head().await.unwrap();
    context(&server).await.delete_stream(STREAM).await.unwrap();
    // Within the deadline of one call.
    let appended = ingest.append(contract::events(5, 7)).await.unwrap();
    assert_eq!(appended[0].sequence, Sequence(1), "in a new stream");
    // A position of the old log means nothing in the new one.
    let stale = edge.read_after(before.last, 10).await;
    assert!(
        matches!(stale, Err(EventLogError::Unavailable { .. })),
        "{stale:?}"
    );
    let after = edge.head().await.unwrap();
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(after, ingest.head().await.unwrap());
    let page = edge.read_after(Sequence::START, 10).await.unwrap();
    let read: Vec<_> = page.events.into_iter().map(|event| event.item).collect();
    assert_eq!(read, contract::events(5, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_empty_gets_its_stream_without_a_delivery() {
    let mut server = NatsServer::start().unwrap();
    let (ingest, edge) = (open(&server, true).await, open(&server, false).await);
    ingest.append(contract::events(0, 5)).await.unwrap();
    let before = edge.head().await.unwrap();
    server.restart_empty().unwrap();
    let after = edge.head().await.unwrap();
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(after.last, Sequence::START);
    // An event of the old log is not a duplicate in the new one.
    let again = ingest.append(contract::events(0, 5)).await.unwrap();
    assert!(again.iter().all(|one| !one.duplicate));
    assert_eq!(edge.head().await.unwrap().last, Sequence(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_ingest_creates_the_stream_and_the_others_wait_for_it() {
    let server = NatsServer::start().unwrap();
    let edge = open(&server, false).await;
    let unready = edge.head().await;
    assert!(
        matches!(&unready, Err(EventLogError::Unavailable { source, .. })
            if source.to_string().contains("the ingest role creates it")),
        "{unready:?}"
    );
    let missing = context(&server).await.get_stream(STREAM).await;
    assert!(missing.is_err(), "an edge created the stream");
    let waiting = tokio::spawn({
        let edge = edge.clone();
        async move { edge.head().await }
    });
    let ingest = open(&server, true).await;
    let head = waiting.await.unwrap().unwrap();
    assert_eq!(head, ingest.head().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_another_process_made_anew_is_taken_by_an_ingest_too() {
    let server = NatsServer::start().unwrap();
    let ingest = open(&server, true).await;
    ingest.append(contract::events(0, 5)).await.unwrap();
    let before = ingest.head().await.unwrap();
    let context = context(&server).await;
    let config = context.get_stream(STREAM).await.unwrap();
    let config = config.cached_info().config.clone();
    context.delete_stream(STREAM).await.unwrap();
    context.create_stream(config).await.unwrap();
    let appended = ingest.append(contract::events(0, 1)).await.unwrap();
    assert!(!appended[0].duplicate);
    let after = tokio::time::timeout(Duration::from_secs(5), ingest.head()).await;
    let after = after.unwrap().unwrap();
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(after.last, Sequence(1));
}
