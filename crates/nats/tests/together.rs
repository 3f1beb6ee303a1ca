//! Appends of many callers at once: as batches where the server has them (2.12), one by one where it has not.

use std::{collections::HashMap, sync::Arc};

use async_nats::jetstream;
use contract::{StoredLog, event};
use futures_util::future::join_all;
use model::Sequence;
use nats::{BatchUse, JetStreamLog, LogConfig, NatsConfig, NatsConnection};
use ports::EventLog;
use testkit::servers::NatsServer;

const EVENTS: u64 = 100;
const STREAM: &str = "FORGEWIRE_EVENTS";

async fn open(server: &NatsServer) -> anyhow::Result<Arc<StoredLog<JetStreamLog>>> {
    let connection = NatsConnection::connect(NatsConfig::new(server.url())).await?;
    let config = LogConfig {
        creates_stream: true,
        retention: None,
        batches: BatchUse::Always,
        ..LogConfig::default()
    };
    let store = JetStreamLog::open(connection, config).await?;
    Ok(Arc::new(StoredLog::new(store)))
}

async fn takes_batches(server: &NatsServer) -> anyhow::Result<(bool, jetstream::Context)> {
    let client = async_nats::connect(server.url()).await?;
    let has = client.is_server_compatible(2, 12, 0);
    Ok((has, jetstream::new(client)))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_many_callers_is_stored_once_and_each_caller_is_told_where()
-> anyhow::Result<()> {
    let server = NatsServer::start()?;
    let (has_batches, raw) = takes_batches(&server).await?;
    let (one, other) = (open(&server).await?, open(&server).await?);
    let append = |log: &Arc<StoredLog<JetStreamLog>>, n| {
        let log = Arc::clone(log);
        tokio::spawn(async move { log.append(vec![event(n), event(EVENTS + n)]).await })
    };
    // Each event through both handles, and twice through one.
    let mut calls = Vec::new();
    for log in [&one, &other, &one] {
        calls.extend((0..EVENTS).map(|n| append(log, n)));
    }
    let (mut places, mut fresh) = (HashMap::new(), 0);
    for answer in join_all(calls).await {
        for place in answer?? {
            fresh += u64::from(!place.duplicate);
            let known = places.entry(place.id).or_insert(place.sequence);
            assert_eq!(*known, place.sequence);
        }
    }
    assert_eq!(fresh, 2 * EVENTS, "each is new to one caller");
    let page = one.read_after(Sequence::START, 1000).await?;
    assert_eq!(page.events.len() as u64, 2 * EVENTS);
    for stored in page.events {
        assert_eq!(places[&stored.item.facts.id], stored.sequence);
    }
    let stream = raw.get_stream(STREAM).await?;
    let mut in_batches = 0;
    for sequence in 1..=2 * EVENTS {
        let message = stream.get_raw_message(sequence).await?;
        in_batches += u64::from(message.headers.get("Nats-Batch-Id").is_some());
    }
    assert_eq!(in_batches > 0, has_batches, "{in_batches} in batches");
    Ok(())
}

#[tokio::test]
async fn a_stream_of_an_earlier_server_takes_batches_after_a_start() -> anyhow::Result<()> {
    let server = NatsServer::start()?;
    let (has_batches, raw) = takes_batches(&server).await?;
    let config = jetstream::stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["forgewire.events.*".to_owned()],
        ..Default::default()
    };
    raw.create_stream(config).await?;
    let _log = open(&server).await?;
    let found = raw.get_stream(STREAM).await?.cached_info().config.clone();
    assert_eq!(found.allow_atomic_publish, has_batches);
    Ok(())
}
