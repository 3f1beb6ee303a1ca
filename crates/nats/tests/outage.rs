//! Behaviour while a server is gone, silent, or back again.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::time::{Duration, Instant};

use contract::StoredLog;
use model::{Sequence, StoredEvent};
use nats::{BusConfig, JetStreamLog, LogConfig, NatsBus, NatsConfig, NatsConnection, NatsError};
use ports::{Bus, BusError, EdgeNews, EventLog, EventLogError, Topic};
use testkit::servers::NatsServer;

/// Time that a call may take beyond its deadline on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

async fn connect(server: &NatsServer) -> NatsConnection {
    NatsConnection::connect(NatsConfig::new(server.url()))
        .await
        .unwrap()
}

fn config() -> LogConfig {
    LogConfig {
        creates_stream: true,
        retention: None,
        deadline: Duration::from_secs(3),
        ..LogConfig::default()
    }
}

async fn open(server: &NatsServer) -> StoredLog<JetStreamLog> {
    StoredLog::new(
        JetStreamLog::open(connect(server).await, config())
            .await
            .unwrap(),
    )
}

fn batch(n: u64) -> Vec<StoredEvent> {
    contract::events(n * 3, n * 3 + 3)
}

/// All events in the log, read page by page.
async fn all(log: &StoredLog<JetStreamLog>) -> Vec<(Sequence, model::EventId)> {
    let (mut after, mut events) = (Sequence::START, Vec::new());
    loop {
        let page = log.read_after(after, 500).await.unwrap();
        after = page.through;
        events.extend(
            page.events
                .into_iter()
                .map(|e| (e.sequence, e.item.facts.id.clone())),
        );
        if page.at_head {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_under_writers_loses_nothing_it_acknowledged() {
    let mut server = NatsServer::start().unwrap();
    let log = open(&server).await;
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0..150 {
                    let batch = batch(writer * 1000 + n);
                    // An error leaves the outcome open: send the same batch again until it is
                    // acknowledged.
                    let answer = loop {
                        if let Ok(answer) = log.append(batch.clone()).await {
                            break answer;
                        }
                    };
                    acknowledged.extend(answer.into_iter().map(|a| (a.sequence, a.id)));
                }
                acknowledged
            })
        })
        .collect();
    let epoch = log.head().await.unwrap().epoch;
    for kills in 1..=3 {
        while log.head().await.unwrap().last < Sequence(kills * 400) {
            tokio::task::yield_now().await;
        }
        server.restart().unwrap();
    }
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    acknowledged.sort();
    assert_eq!(acknowledged.len(), 1800);
    assert_eq!(
        all(&log).await,
        acknowledged,
        "acknowledged and stored are not the same"
    );
    assert_eq!(log.head().await.unwrap().epoch, epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_append_stored_in_an_earlier_try_is_no_duplicate_of_its_own() {
    let mut server = NatsServer::start().unwrap();
    let log = open(&server).await;
    for round in 0..5 {
        // Killed at any point of the append; no other append writes these events.
        let appending = tokio::spawn({
            let log = log.clone();
            async move {
                log.append(contract::events(round * 1000, round * 1000 + 800))
                    .await
            }
        });
        while log.head().await.unwrap().last < Sequence(round * 800 + 1) && !appending.is_finished()
        {
            tokio::task::yield_now().await;
        }
        server.restart().unwrap();
        let appended = appending.await.unwrap().unwrap();
        assert!(
            appended.iter().all(|one| !one.duplicate),
            "no other append wrote these"
        );
    }
}

async fn is_unavailable_in_time(log: &StoredLog<JetStreamLog>) {
    let started = Instant::now();
    let (append, read, head) = tokio::join!(
        log.append(batch(1)),
        log.read_after(Sequence::START, 500),
        log.head()
    );
    assert!(
        started.elapsed() < log.deadline() + SLACK,
        "{:?}",
        started.elapsed()
    );
    assert!(
        matches!(append, Err(EventLogError::Unavailable { .. })),
        "{append:?}"
    );
    assert!(
        matches!(read, Err(EventLogError::Unavailable { .. })),
        "{read:?}"
    );
    assert!(
        matches!(head, Err(EventLogError::Unavailable { .. })),
        "{head:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_every_call_ends_in_time_and_then_goes_on() {
    let mut server = NatsServer::start().unwrap();
    let log = open(&server).await;
    let bus = NatsBus::new(connect(&server).await, BusConfig::default());
    log.append(batch(0)).await.unwrap();
    server.kill();
    is_unavailable_in_time(&log).await;
    let news = EdgeNews::SessionEnded(model::SessionId::new("one").unwrap());
    let started = Instant::now();
    let published = bus.publish(&Topic::Broadcast, news.into(), None).await;
    assert!(
        matches!(published, Err(BusError::Unavailable { .. })),
        "{published:?}"
    );
    assert!(matches!(
        bus.check().await,
        Err(BusError::Unavailable { .. })
    ));
    assert!(started.elapsed() < Duration::from_secs(3) + SLACK);
    server.restart().unwrap();
    log.append(batch(1)).await.unwrap();
    assert_eq!(all(&log).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_unavailable_too() {
    let server = NatsServer::start().unwrap();
    let log = open(&server).await;
    log.append(batch(0)).await.unwrap();
    server.pause().unwrap();
    is_unavailable_in_time(&log).await;
    server.resume().unwrap();
    log.append(batch(1)).await.unwrap();
    assert_eq!(all(&log).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_log_remembers_its_sequences_over_a_kill() {
    let mut server = NatsServer::start().unwrap();
    let log = open(&server).await;
    let last = log.append(contract::events(0, 50)).await.unwrap()[49].sequence;
    let far = contract::event(1000).facts.received_at;
    assert_eq!(log.trim(far).await.unwrap(), 50);
    server.restart().unwrap();
    let head = log.head().await.unwrap();
    assert_eq!((head.trimmed_through, head.last), (last, last));
    assert!(log.append(batch(100)).await.unwrap()[0].sequence > last);
}

#[tokio::test(flavor = "multi_thread")]
async fn trimming_under_a_reader_is_said_and_never_skipped() {
    const EVENTS: u64 = 3000;
    let server = NatsServer::start().unwrap();
    let (log, trimmer) = (open(&server).await, open(&server).await);
    for from in (0..EVENTS).step_by(500) {
        log.append(contract::events(from, from + 500))
            .await
            .unwrap();
    }
    let trimming = tokio::spawn(async move {
        for n in (0..EVENTS).step_by(100) {
            trimmer
                .trim(contract::event(n).facts.received_at)
                .await
                .unwrap();
        }
    });
    let mut position = Sequence::START;
    while position < Sequence(EVENTS) {
        let page = log.read_after(position, 250).await.unwrap();
        if let Some(resumes_after) = page.resumes_after {
            assert!(resumes_after > position);
            position = resumes_after;
        }
        for event in page.events {
            assert_eq!(event.sequence, position.next(), "skipped without a word");
            position = event.sequence;
        }
        assert_eq!(page.through, position);
    }
    trimming.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_that_open_at_once_share_one_log() {
    let server = NatsServer::start().unwrap();
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let url = server.url();
            tokio::spawn(async move {
                let connection = NatsConnection::connect(NatsConfig::new(url)).await.unwrap();
                let log = StoredLog::new(JetStreamLog::open(connection, config()).await.unwrap());
                log.head().await.unwrap().epoch
            })
        })
        .collect();
    let mut epochs = Vec::new();
    for opened in opening {
        epochs.push(opened.await.unwrap());
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_keep_installations_apart() {
    let server = NatsServer::start().unwrap();
    let with_prefix = async |prefix: &str| {
        let config = NatsConfig {
            prefix: prefix.to_owned(),
            ..NatsConfig::new(server.url())
        };
        NatsConnection::connect(config).await.unwrap()
    };
    let (one, other) = (with_prefix("one").await, with_prefix("other").await);
    assert_eq!(
        NatsBus::new(one.clone(), BusConfig::default()).subject(&Topic::Broadcast),
        "one.mcp.broadcast"
    );
    let one = StoredLog::new(JetStreamLog::open(one, config()).await.unwrap());
    let other = StoredLog::new(JetStreamLog::open(other, config()).await.unwrap());
    one.append(batch(0)).await.unwrap();
    assert!(all(&other).await.is_empty());
    assert_ne!(
        one.head().await.unwrap().epoch,
        other.head().await.unwrap().epoch
    );
}

#[tokio::test]
async fn connecting_to_nobody_ends_in_time() {
    let mut server = NatsServer::start().unwrap();
    server.kill();
    let startup_timeout = Duration::from_millis(500);
    let started = Instant::now();
    let config = NatsConfig {
        startup_timeout,
        ..NatsConfig::new(server.url())
    };
    let refused = NatsConnection::connect(config).await;
    assert!(
        matches!(refused, Err(NatsError::Unreachable { .. })),
        "{refused:?}"
    );
    assert!(started.elapsed() < startup_timeout + SLACK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_its_time_and_a_silent_one_none() {
    let server = NatsServer::start().unwrap();
    let log = open(&server).await;
    let told = log.time().await.unwrap();
    assert!(told.is_some(), "the server has a clock of its own");
    server.pause().unwrap();
    let started = Instant::now();
    let silent = log.time().await;
    assert!(
        matches!(silent, Err(EventLogError::Unavailable { .. })),
        "{silent:?}"
    );
    assert!(started.elapsed() < config().deadline + SLACK);
    server.resume().unwrap();
}
