//! A start never weakens the stream that is there, and refuses one that cannot keep its promises.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::time::Duration;

use async_nats::jetstream::{
    self,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use contract::StoredLog;
use nats::{JetStreamLog, LogConfig, NatsConfig, NatsConnection, NatsError};
use ports::EventLog;
use testkit::servers::NatsServer;

const STREAM: &str = "FORGEWIRE_EVENTS";

fn days(days: u64) -> Option<Duration> {
    Some(Duration::from_secs(days * 24 * 3600))
}

async fn open(
    server: &NatsServer,
    creates_stream: bool,
    retention: Option<Duration>,
) -> Result<StoredLog<JetStreamLog>, NatsError> {
    let connection = NatsConnection::connect(NatsConfig::new(server.url()));
    let config = LogConfig {
        creates_stream,
        retention,
        ..LogConfig::default()
    };
    let log = JetStreamLog::open(connection.await.unwrap(), config).await?;
    Ok(StoredLog::new(log))
}

async fn context(server: &NatsServer) -> jetstream::Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

async fn max_age(server: &NatsServer) -> Duration {
    let stream = context(server).await.get_stream(STREAM).await.unwrap();
    stream.cached_info().config.max_age
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_lengthens_the_retention_as_ingest_only_and_never_shortens_it() {
    let server = NatsServer::start().unwrap();
    for (creates_stream, configured, kept) in [
        (true, days(30), days(30)),
        (false, days(3), days(30)),
        (true, days(3), days(30)),
        (false, days(60), days(30)),
        (true, days(60), days(60)),
        (true, None, Some(Duration::ZERO)),
        (true, days(30), Some(Duration::ZERO)),
    ] {
        open(&server, creates_stream, configured).await.unwrap();
        assert_eq!(
            Some(max_age(&server).await),
            kept,
            "creates_stream {creates_stream}, configured {configured:?}"
        );
    }
}

/// A server without a cluster accepts more copies for a stream that is there, and then cannot recover it.
#[tokio::test(flavor = "multi_thread")]
async fn more_copies_than_a_single_server_has_do_not_cost_the_stream() {
    let mut server = NatsServer::start().unwrap();
    let log = open(&server, true, days(30)).await.unwrap();
    log.append(contract::events(0, 3)).await.unwrap();
    let epoch = log.head().await.unwrap().epoch;
    let three = LogConfig {
        creates_stream: true,
        replicas: 3,
        ..LogConfig::default()
    };
    let connect = || NatsConnection::connect(NatsConfig::new(server.url()));
    JetStreamLog::open(connect().await.unwrap(), three.clone())
        .await
        .unwrap();
    let applied = JetStreamLog::apply_settings(connect().await.unwrap(), three).await;
    assert!(applied.is_err(), "{applied:?}");
    server.restart().unwrap();
    assert_eq!(log.head().await.unwrap().epoch, epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_shorten_the_retention() {
    let server = NatsServer::start().unwrap();
    open(&server, true, days(30)).await.unwrap();
    let connection = NatsConnection::connect(NatsConfig::new(server.url()));
    let config = LogConfig {
        retention: days(3),
        ..LogConfig::default()
    };
    let applied = JetStreamLog::apply_settings(connection.await.unwrap(), config).await;
    let applied = applied.unwrap();
    assert_eq!(applied.before, "events for 30 days in 1 copy");
    assert_eq!(applied.after, "events for 3 days in 1 copy");
    assert_eq!(Some(max_age(&server).await), days(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_keep_its_promises_is_refused_with_the_setting() {
    let subjects = vec!["forgewire.events.*".to_owned()];
    let good = Config {
        name: STREAM.to_owned(),
        subjects,
        ..Config::default()
    };
    let bad = [
        (
            "memory storage",
            Config {
                storage: StorageType::Memory,
                ..good.clone()
            },
        ),
        (
            "discard: new",
            Config {
                discard: DiscardPolicy::New,
                ..good.clone()
            },
        ),
        (
            "no_ack",
            Config {
                no_ack: true,
                ..good.clone()
            },
        ),
        (
            "retention policy",
            Config {
                retention: RetentionPolicy::Interest,
                ..good.clone()
            },
        ),
        (
            "subjects",
            Config {
                subjects: vec!["other".to_owned()],
                ..good.clone()
            },
        ),
    ];
    let server = NatsServer::start().unwrap();
    let context = context(&server).await;
    for (setting, config) in bad {
        context.create_stream(config).await.unwrap();
        for creates_stream in [true, false] {
            let refused = open(&server, creates_stream, days(30)).await;
            let error = refused.expect_err(setting).to_string();
            assert!(error.contains(setting) && error.contains(STREAM), "{error}");
        }
        context.delete_stream(STREAM).await.unwrap();
    }
    // A matter of degree.
    let limited = Config {
        max_messages: 1000,
        ..good
    };
    context.create_stream(limited).await.unwrap();
    open(&server, true, days(30)).await.unwrap();
    let kept = context.get_stream(STREAM).await.unwrap();
    assert_eq!(kept.cached_info().config.max_messages, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_weakened_while_it_is_used_takes_no_events_until_that_is_undone() {
    let server = NatsServer::start().unwrap();
    let log = open(&server, true, days(30)).await.unwrap();
    log.check_append().await.unwrap();
    log.append(contract::events(0, 1)).await.unwrap();
    let context = context(&server).await;
    let stream = context.get_stream(STREAM).await.unwrap();
    let good = stream.cached_info().config.clone();
    let no_acks = Config {
        no_ack: true,
        ..good.clone()
    };
    context.update_stream(no_acks).await.unwrap();
    let refused = log.check_append().await.unwrap_err();
    let reason = std::error::Error::source(&refused).unwrap().to_string();
    assert!(
        reason.contains("no_ack") && reason.contains("nats stream edit"),
        "{reason}"
    );
    let page = log.read_after(model::Sequence::START, 10).await.unwrap();
    assert_eq!(page.events.len(), 1, "what is there can be read");
    context.update_stream(good).await.unwrap();
    log.check_append().await.unwrap();
    log.append(contract::events(1, 2)).await.unwrap();
}
