//! An entry that was copied in the stream: by a tool that publishes what it read, or a restored backup that is
//! played in beside the original.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use async_nats::jetstream;
use contract::StoredLog;
use model::Sequence;
use nats::{JetStreamLog, LogConfig, NatsConfig, NatsConnection};
use ports::EventLog;
use testkit::servers::NatsServer;

/// Publishes the entry at a position again, at its own subject, without the condition that it is the first there.
async fn copy(server: &NatsServer, position: Sequence) {
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = context.get_stream("FORGEWIRE_EVENTS").await.unwrap();
    let entry = stream.get_raw_message(position.0).await.unwrap();
    let copied = context.publish(entry.subject, entry.payload);
    copied.await.unwrap().await.unwrap();
}

/// It is an entry of its own to every reader, in the same order for all; its id tells that it is the same event,
/// and a redelivery of the webhook is still a duplicate.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_entry_comes_again_with_the_id_of_its_event() {
    let server = NatsServer::start().unwrap();
    let connection = NatsConnection::connect(NatsConfig::new(server.url()))
        .await
        .unwrap();
    let config = LogConfig {
        creates_stream: true,
        ..LogConfig::default()
    };
    let log = StoredLog::new(JetStreamLog::open(connection, config).await.unwrap());
    log.append(contract::events(0, 2)).await.unwrap();
    copy(&server, Sequence(1)).await;
    let page = log.read_after(Sequence::START, 100).await.unwrap();
    let ids: Vec<_> = page
        .events
        .iter()
        .map(|event| &event.item.facts.id)
        .collect();
    assert_eq!((ids.len(), page.resumes_after), (3, None));
    assert_eq!(ids[0], ids[2], "consumers tell it by the id");
    let again = log.append(contract::events(0, 1)).await.unwrap();
    assert!(again[0].duplicate);
}
