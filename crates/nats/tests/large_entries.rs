//! Entries that are larger than a page, and pages that come over a connection of their own.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use async_nats::jetstream;
use contract::StoredLog;
use model::Sequence;
use nats::{JetStreamLog, LogConfig, NatsConfig, NatsConnection};
use ports::{EventLog, MAX_PAGE_BYTES};
use testkit::servers::NatsServer;

async fn connected(server: &NatsServer) -> NatsConnection {
    let connecting = NatsConnection::connect(NatsConfig::new(server.url()));
    connecting.await.unwrap()
}

async fn opened(connection: NatsConnection) -> StoredLog<JetStreamLog> {
    let config = LogConfig {
        creates_stream: true,
        ..LogConfig::default()
    };
    StoredLog::new(JetStreamLog::open(connection, config).await.unwrap())
}

/// No role writes such an entry; somebody else did.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_larger_than_a_page_stops_no_reader() {
    let mut server = NatsServer::start().unwrap();
    server.set_max_payload(8 << 20).unwrap();
    let log = opened(connected(&server).await).await;
    log.append(contract::events(0, 30)).await.unwrap();
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let large = vec![b'x'; 3 * MAX_PAGE_BYTES];
    let planted = context.publish("forgewire.events.planted", large.into());
    assert_eq!(planted.await.unwrap().await.unwrap().sequence, 31);
    log.append(contract::events(30, 60)).await.unwrap();
    let there: Vec<_> = (1..=61).filter(|n| *n != 31).collect();
    let (mut after, mut found) = (Sequence::START, Vec::new());
    loop {
        let page = log.read_after(after, 100).await.unwrap();
        found.extend(page.events.iter().map(|event| event.sequence.0));
        after = page.through;
        if page.at_head {
            break;
        }
    }
    assert_eq!(found, there);
    let (mut before, mut found) = (Sequence(62), Vec::new());
    while let page = log.read_before(before, 100).await.unwrap()
        && let Some(lowest) = page.lowest()
    {
        found.extend(page.events.iter().map(|event| event.sequence.0));
        before = lowest;
    }
    found.reverse();
    assert_eq!(found, there, "backwards");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_over_a_connection_of_their_own_are_the_same_and_a_lost_one_comes_back() {
    let mut server = NatsServer::start().unwrap();
    let log = opened(connected(&server).await).await;
    let pages = log.store().clone();
    let pages = pages.reading_pages_over(connected(&server).await);
    let pages = log.over(pages.await.unwrap());
    log.append(contract::events(0, 60)).await.unwrap();
    for limit in [3, 100] {
        let page = pages.read_after(Sequence::START, limit).await.unwrap();
        assert_eq!(page, log.read_after(Sequence::START, limit).await.unwrap());
        let page = pages.read_before(Sequence(61), limit).await.unwrap();
        assert_eq!(page, log.read_before(Sequence(61), limit).await.unwrap());
    }
    assert_eq!(pages.check_read().await.unwrap(), log.head().await.unwrap());
    server.kill();
    assert!(pages.check_read().await.is_err());
    server.restart().unwrap();
    let page = pages.read_after(Sequence::START, 100).await.unwrap();
    assert_eq!(page.events.len(), 60);
}
