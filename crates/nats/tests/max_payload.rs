//! Servers whose `max_payload` is smaller than the default.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use contract::StoredLog;
use model::{Classified, ErrorClass, StoredEvent, TraceContext};
use nats::{BusConfig, JetStreamLog, LogConfig, NatsBus, NatsConfig, NatsConnection, NatsError};
use ports::{Bus, BusMessage, EventHint, EventLog, EventLogError, Topic};
use testkit::servers::NatsServer;

const KIB: usize = 1024;
/// Time for a reconnection on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// A server that takes messages of up to `kib` KiB.
fn server(kib: usize) -> NatsServer {
    let mut server = NatsServer::start().unwrap();
    server.set_max_payload(kib * KIB).unwrap();
    server
}

async fn connect(server: &NatsServer) -> Result<NatsConnection, NatsError> {
    NatsConnection::connect(NatsConfig::new(server.url())).await
}

async fn open(connection: &NatsConnection) -> StoredLog<JetStreamLog> {
    let config = LogConfig {
        creates_stream: true,
        ..LogConfig::default()
    };
    StoredLog::new(
        JetStreamLog::open(connection.clone(), config)
            .await
            .unwrap(),
    )
}

/// An event whose JSON has this size, and the largest facts that there are.
fn event(n: u64, json_bytes: usize) -> StoredEvent {
    let mut event = contract::event(n);
    let facts = Arc::make_mut(&mut event.facts);
    facts.tags = (0..100).map(|tag| format!("{tag:0256}")).collect();
    facts.owner = Some("o".repeat(KIB));
    facts.repo = Some("r".repeat(KIB));
    facts.actor = Some("a".repeat(KIB));
    let filler = json_bytes - r#"{"filler":""}"#.len();
    event.json = Bytes::from(format!(r#"{{"filler":"{}"}}"#, "x".repeat(filler)));
    event
}

/// Waits until the log has another bound than before.
async fn bound_other_than(log: &StoredLog<JetStreamLog>, before: usize) -> usize {
    let changed = async {
        while log.max_event_bytes() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, changed).await.unwrap();
    log.max_event_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_small_for_any_event_is_refused_with_the_setting_to_change() {
    let refused = connect(&server(64)).await.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Permanent);
    let text = refused.to_string();
    for word in ["max_payload", "65536", "131072"] {
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_event_of_a_small_server_is_stored_and_announced_and_a_larger_one_refused() {
    for kib in [128, 256] {
        let server = server(kib);
        let connection = connect(&server).await.unwrap();
        let log = open(&connection).await;
        let most = log.max_event_bytes();
        assert!(most >= (kib - 48) * KIB, "{most} of {kib} KiB");
        let event = event(1, most);
        let stored = log.append(vec![event.clone()]).await.unwrap();
        let hint = EventHint {
            epoch: log.head().await.unwrap().epoch,
            events: vec![model::Sequenced {
                sequence: stored[0].sequence,
                item: event,
            }],
        };
        let bus = NatsBus::new(connection, BusConfig::default());
        let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let hint = BusMessage::Events(hint.into());
        bus.publish(&Topic::Broadcast, hint, trace).await.unwrap();
        let refused = log
            .append(vec![self::event(2, kib * KIB)])
            .await
            .unwrap_err();
        assert!(
            matches!(refused, EventLogError::Overloaded { .. }),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_smaller_lowers_the_bound_and_one_that_is_too_small_is_told() {
    let mut server = server(1024);
    let connection = connect(&server).await.unwrap();
    let log = open(&connection).await;
    let large = log.max_event_bytes();
    server.set_max_payload(200 * KIB).unwrap();
    let small = bound_other_than(&log, large).await;
    assert!(small < 200 * KIB && small > 100 * KIB, "{small}");
    log.append(vec![event(1, small)]).await.unwrap();
    log.check_append().await.unwrap();
    server.set_max_payload(100 * KIB).unwrap();
    let tiny = bound_other_than(&log, small).await;
    let refused = log.check_append().await.unwrap_err().to_string();
    assert!(refused.contains("max_payload"), "{refused}");
    server.set_max_payload(1024 * KIB).unwrap();
    assert_eq!(bound_other_than(&log, tiny).await, large);
    log.check_append().await.unwrap();
}
