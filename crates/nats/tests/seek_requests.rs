//! What a search for a time asks of the server.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::{sync::Arc, time::Duration};

use contract::StoredLog;
use futures_util::{FutureExt, StreamExt};
use model::{Clock, Sequence, SystemClock, Timestamp};
use nats::{JetStreamLog, LogConfig, NatsConfig, NatsConnection};
use ports::{EventLog, LogStore};
use testkit::servers::NatsServer;
use tokio::time::timeout;

/// A stream from the beginning of all times, opened again and again, is the cheapest way to keep the server busy.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_before_the_oldest_entry_needs_no_consumer_and_reads_one_entry() {
    let server = NatsServer::start().unwrap();
    let connecting = NatsConnection::connect(NatsConfig::new(server.url()));
    let config = LogConfig {
        creates_stream: true,
        retention: None,
        ..LogConfig::default()
    };
    let store = JetStreamLog::open(connecting.await.unwrap(), config).await;
    let store = Arc::new(store.unwrap());
    let log = StoredLog::new(Arc::<JetStreamLog>::clone(&store));
    log.append(contract::events(0, 100)).await.unwrap();

    let spy = async_nats::connect(server.url()).await.unwrap();
    let mut requests = spy.subscribe("$JS.API.CONSUMER.CREATE.>").await.unwrap();
    spy.flush().await.unwrap();

    let one = store.read_after(Sequence::START, 1).await.unwrap();
    let one_bytes = one.entries[0].content.as_ref().unwrap().body.len();
    let found = store.seek(Timestamp::from_unix_millis(0)).await.unwrap();
    assert_eq!(
        (found.position, found.read_bytes),
        (Sequence::START, one_bytes)
    );

    let tomorrow = SystemClock.now().plus(Duration::from_secs(86_400));
    let found = store.seek(tomorrow).await.unwrap();
    assert_eq!((found.position, found.read_bytes), (Sequence(100), 0));
    spy.flush().await.unwrap();
    let first = timeout(Duration::from_secs(10), requests.next()).await;
    assert!(first.unwrap().is_some(), "the other search needed one");
    assert!(requests.next().now_or_never().is_none(), "and no other did");
}
