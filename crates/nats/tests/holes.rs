//! Events that the stream has lost in its middle: an operator deleted them, or the server dropped them because
//! its files are damaged. Nothing but trimming removes events, so every reader is told.

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

/// Numbers of the events that are there, and the ends of the gaps, as a reader sees them in pages.
async fn read(log: &StoredLog<JetStreamLog>, limit: usize) -> (Vec<u64>, Vec<u64>) {
    let (mut after, mut found, mut gaps) = (Sequence::START, Vec::new(), Vec::new());
    loop {
        let page = log.read_after(after, limit).await.unwrap();
        gaps.extend(page.resumes_after.map(|resumes| resumes.0));
        found.extend(page.events.iter().map(|event| event.sequence.0));
        after = page.through;
        if page.at_head {
            return (found, gaps);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_gone_from_the_middle_are_a_gap() {
    let server = NatsServer::start().unwrap();
    let connection = NatsConnection::connect(NatsConfig::new(server.url()));
    let config = LogConfig {
        creates_stream: true,
        ..LogConfig::default()
    };
    let log = JetStreamLog::open(connection.await.unwrap(), config);
    let log = StoredLog::new(log.await.unwrap());
    log.append(contract::events(0, 60)).await.unwrap();
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = context.get_stream("FORGEWIRE_EVENTS").await.unwrap();
    for lost in [6, 7, 30, 60] {
        assert!(stream.delete_message(lost).await.unwrap());
    }
    let there: Vec<_> = (1..60).filter(|n| ![6, 7, 30].contains(n)).collect();
    // One by one, and through a consumer.
    for limit in [3, 10, 100] {
        assert_eq!(
            read(&log, limit).await,
            (there.clone(), vec![7, 30, 60]),
            "{limit}"
        );
    }
    let (mut before, mut found, mut gone) = (Sequence(61), Vec::new(), Vec::new());
    while let page = log.read_before(before, 25).await.unwrap()
        && let Some(lowest) = page.lowest()
    {
        found.extend(page.events.iter().map(|event| event.sequence.0));
        gone.extend(page.undecodable.iter().map(|entry| entry.sequence.0));
        before = lowest;
    }
    found.reverse();
    assert_eq!((found, gone), (there, vec![60, 30, 7]));
}
