//! The event log on JetStream, on a server of its own. The floor is the bare driver on the same server: messages of the
//! same size that the server tells apart by their ids (`Nats-Msg-Id`), on one stream with the same settings.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::{
    self, Context,
    consumer::{AckPolicy, DeliverPolicy, pull},
    context::ContextBuilder,
    message::PublishMessage,
    stream::{Config, StorageType},
};
use bytes::Bytes;
use futures_util::StreamExt;
use nats::{JetStreamLog, LogConfig, NatsConfig, NatsConnection};
use ports::EventLog;
use store_layers::StoredLog;
use testkit::servers::NatsServer;
use tokio::runtime::Runtime;

use super::{APPENDERS, Interleaved, append_flat_out, fill, flat_out, millis_of, replay, sample};
use crate::{measure::MeasurePlan, table::Row};

/// Replay, as a multiple of the floor.
const REPLAY_TARGET: f64 = 1.2;
const FLOOR: &str = "FLOOR";

pub(super) fn run(plan: &MeasurePlan, runtime: &Runtime, rows: &mut Vec<Row>) -> Result<()> {
    for (sync, appenders) in Sync::ALL
        .into_iter()
        .flat_map(|sync| APPENDERS.map(|n| (sync, n)))
    {
        match runtime.block_on(appends(plan, sync, appenders))? {
            Some(row) => rows.push(row),
            None => eprintln!("  this nats-server cannot sync each message"),
        }
    }
    rows.push(runtime.block_on(replays(plan))?);
    Ok(())
}

/// What the server syncs before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// Nothing: the system writes it within two minutes. The default.
    Later,
    /// Every message.
    Always,
}

impl Sync {
    const ALL: [Self; 2] = [Self::Later, Self::Always];

    fn name(self) -> &'static str {
        match self {
            Self::Later => "synced later",
            Self::Always => "synced always",
        }
    }

    /// Issue 13, appends per second; it names no target for what a disk decides.
    fn target(self) -> Option<f64> {
        (self == Self::Later).then_some(40_000.0)
    }

    /// A server with this setting; `None` if it is too old for it.
    async fn server(self) -> Result<Option<NatsServer>> {
        let mut server = NatsServer::start()?;
        if self == Self::Always {
            let client = async_nats::connect(server.url()).await?;
            if !client.is_server_compatible(2, 10, 0) {
                return Ok(None);
            }
            server.sync_always()?;
        }
        Ok(Some(server))
    }
}

async fn open(server: &NatsServer) -> Result<Arc<dyn EventLog>> {
    let connection = NatsConnection::connect(NatsConfig::new(server.url())).await?;
    let config = LogConfig {
        creates_stream: true,
        ..LogConfig::default()
    };
    let store = JetStreamLog::open(connection, config).await?;
    Ok(Arc::new(StoredLog::new(store)))
}

/// The bare driver, and a stream with the settings of the log's and a window in which ids are told apart.
async fn bare(server: &NatsServer) -> Result<Context> {
    let client = async_nats::connect(server.url()).await?;
    let context = ContextBuilder::new()
        .timeout(Duration::from_secs(5))
        .max_ack_inflight(4096)
        .build(client);
    let stream = Config {
        name: FLOOR.to_owned(),
        subjects: vec![FLOOR.to_owned()],
        storage: StorageType::File,
        max_age: Duration::from_secs(30 * 24 * 3600),
        duplicate_window: Duration::from_secs(120),
        allow_direct: true,
        ..Config::default()
    };
    context.create_stream(stream).await?;
    Ok(context)
}

async fn publish(context: &Context, payload: Bytes, id: String) -> Result<()> {
    let message = PublishMessage::build().payload(payload).message_id(id);
    let answer = context.send_publish(FLOOR, message).await?.await?;
    ensure!(!answer.duplicate, "the floor was answered as a duplicate");
    Ok(())
}

fn payload() -> Bytes {
    // What the facts add.
    Bytes::from(vec![b'x'; sample::JSON_BYTES + 250])
}

async fn appends(plan: &MeasurePlan, sync: Sync, appenders: usize) -> Result<Option<Row>> {
    let mut results = Interleaved::default();
    for _ in 0..plan.runs {
        let Some(server) = sync.server().await? else {
            return Ok(None);
        };
        let (log, floor, payload) = (open(&server).await?, bare(&server).await?, payload());
        let lasting = plan.stores.lasting;
        append_flat_out(&log, appenders, lasting / 2).await?;
        let run = sample::next_run();
        let bare = flat_out(appenders, lasting, move |number| {
            let (floor, payload) = (floor.clone(), payload.clone());
            async move { publish(&floor, payload, sample::id(run, number)).await }
        });
        results.floor.push(bare.await?.per_second());
        let ours = append_flat_out(&log, appenders, lasting).await?;
        results.ours.push(ours.per_second());
    }
    let how = sync.name();
    let what = format!("JetStream ({how}), appends of one event, {appenders} at a time");
    let row = results.appends(what, "bare publish with ids", sync.target());
    Ok(Some(row))
}

async fn replays(plan: &MeasurePlan) -> Result<Row> {
    let server = NatsServer::start()?;
    let count = plan.stores.replay_events;
    let (log, floor) = (open(&server).await?, bare(&server).await?);
    fill(&log, count).await?;
    let payload = payload();
    for number in 0..count {
        publish(&floor, payload.clone(), number.to_string()).await?;
    }
    let mut results = Interleaved::default();
    for _ in 0..4 * plan.runs {
        results
            .floor
            .push(millis_of(bare_replay(&floor, count).await?));
        results.ours.push(millis_of(replay(&log, count).await?));
    }
    let what = format!("JetStream, replay of {count} events");
    let met = results.ours() <= REPLAY_TARGET * results.floor();
    let target = (format!("≤ {REPLAY_TARGET} × floor"), met);
    Ok(results.millis(what, "one consumer, one pull", target))
}

/// The time in which the bare driver reads the whole stream.
async fn bare_replay(context: &Context, count: u64) -> Result<Duration> {
    let begun = Instant::now();
    let stream: jetstream::stream::Stream<()> = context.get_stream_no_info(FLOOR).await?;
    let config = pull::Config {
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::None,
        memory_storage: true,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let wanted = usize::try_from(count)?;
    let mut messages = consumer.fetch().max_messages(wanted).messages().await?;
    let mut read = 0;
    while let Some(message) = messages.next().await {
        message
            .map_err(anyhow::Error::from_boxed)
            .context("reading the floor")?;
        read += 1;
    }
    ensure!(read == count, "the floor read {read} of {count} messages");
    Ok(begun.elapsed())
}
