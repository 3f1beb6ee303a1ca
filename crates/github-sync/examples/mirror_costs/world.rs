//! The log, its events, and a sync role that follows it.

use std::{
    net::Ipv4Addr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use github_sync::{RunningSync, SyncConfig, SyncDeps, SyncService};
use model::{
    EventFacts, EventId, EventOrigin, EventType, GithubIds, OwnerId, RandomIds, RepositoryId,
    ResourceId, ResourceType, Sequenced, StoredEvent, Timestamp,
};
use ports::{Bus, BusMessage, EventHint, EventLog, Topic};
use role_keys::RoleTrust;
use serde_json::{Value, json};
use service_kit::{
    lifecycle::{Lifecycle, OnExit},
    metrics::MetricsRegistry,
};
use store_layers::StoredLog;
use store_memory::{InProcessBus, MemoryLogStore};
use tokio::net::TcpListener;

/// Bytes of text in an issue.
const TEXT_BYTES: usize = 1_500;
const CAPACITY: NonZeroUsize = NonZeroUsize::new(400_000).expect("not zero");
/// Labels of the repository, and the id of the first one.
const LABELS: u64 = 20;
const FIRST_LABEL: u64 = 500;
/// Events that are appended at once.
const BATCH_EVENTS: u64 = 500;

/// The log, and what happens.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) bus: Arc<dyn Bus>,
    /// The number of the issue of the newest event.
    pub(crate) newest: Arc<AtomicU64>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            log: Arc::new(StoredLog::new(MemoryLogStore::new(&RandomIds, CAPACITY))),
            bus: Arc::new(InProcessBus::new(CAPACITY)),
            newest: Arc::new(AtomicU64::new(1)),
        }
    }

    /// The `n`-th event, which changes an issue.
    pub(crate) async fn happens(&self, number: u64, n: u64) -> Result<()> {
        let item = event(number, n);
        let appended = self.log.append(vec![item.clone()]).await?;
        let sequence = appended.first().context("one event")?.sequence;
        let hint = EventHint {
            epoch: self.log.head().await?.epoch,
            events: vec![Sequenced { sequence, item }],
        };
        let message = BusMessage::Events(Arc::new(hint));
        self.bus.publish(&Topic::Broadcast, message, None).await?;
        self.newest.store(number, Ordering::Relaxed);
        Ok(())
    }

    /// All labels get other names, with the events from `first` on.
    pub(crate) async fn rename_labels(&self, first: u64) -> Result<()> {
        let events = (0..LABELS).map(|k| {
            let data = label(k, "renamed");
            stored(ResourceType::LABEL, None, FIRST_LABEL + k, first + k, &data)
        });
        self.log.append(events.collect()).await?;
        Ok(())
    }

    /// One event for each issue up to a number, which no hint announces. They are the events from `first` on.
    pub(crate) async fn fill(&self, issues: u64, first: u64) -> Result<()> {
        let mut number = 1;
        while number <= issues {
            let end = issues.min(number + BATCH_EVENTS - 1);
            let batch = (number..=end).map(|number| event(number, first + number));
            self.log.append(batch.collect()).await?;
            number = end + 1;
        }
        Ok(())
    }
}

/// The `n`-th event, of an issue with three labels.
fn event(number: u64, n: u64) -> StoredEvent {
    let labels = (number..number + 3).map(|k| label(k % LABELS, "label"));
    let data = json!({
        "node_id": format!("I_{number}"), "updated_at": time(n).to_string(), "n": n,
        "body": "x".repeat(TEXT_BYTES), "labels": labels.collect::<Vec<_>>(),
    });
    stored(
        ResourceType::ISSUE,
        Some(number),
        1_000_000 + number,
        n,
        &data,
    )
}

/// A label, the first word of whose name is this.
fn label(k: u64, word: &str) -> Value {
    json!({
        "id": FIRST_LABEL + k, "node_id": format!("LA_{k}"), "name": format!("{word} {k}"),
        "color": "d73a4a", "default": false, "description": "What it is about",
        "url": format!("https://api.github.com/repos/octo/cat/labels/{word}%20{k}"),
    })
}

fn time(n: u64) -> Timestamp {
    Timestamp::from_unix_millis(1_795_168_800_000 + i64::try_from(n).unwrap_or_default())
}

fn stored(
    resource_type: ResourceType,
    number: Option<u64>,
    id: u64,
    n: u64,
    data: &Value,
) -> StoredEvent {
    let node = data["node_id"].as_str().unwrap_or_default();
    let facts = EventFacts {
        id: EventId::new(&format!("e{n}")).expect("visible ASCII"),
        event_type: EventType::UPDATED,
        action: None,
        resource_type,
        resource_id: ResourceId::new(node).expect("visible ASCII"),
        owner: Some("octo".to_owned()),
        repo: Some("cat".to_owned()),
        number,
        ids: GithubIds {
            owner: Some(OwnerId(1)),
            repository: Some(RepositoryId(2)),
            resource: Some(id),
        },
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: time(n),
        received_at: time(n),
    };
    let json = json!({
        "id": facts.id.as_str(),
        "data": data,
        "metadata": { "event": if number.is_some() { "issues" } else { "label" } },
    });
    StoredEvent {
        json: json.to_string().into(),
        facts: facts.into(),
        trace: None,
    }
}

/// A sync role that follows the log, and its address.
pub(crate) async fn start(world: &World, lifecycle: &Lifecycle) -> Result<(RunningSync, String)> {
    let deps = SyncDeps {
        log: Arc::clone(&world.log),
        bus: Arc::clone(&world.bus),
        ids: Arc::new(RandomIds),
        trust: RoleTrust::none(),
        github: None,
        records: None,
    };
    let service = SyncService::build(
        &SyncConfig::default(),
        deps,
        &mut MetricsRegistry::default(),
    )?;
    let running = service.spawn(lifecycle);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let served = running.clone();
    lifecycle.spawn("grpc", OnExit::MayFinish, async move {
        served
            .serve_grpc(listener, 100)
            .await
            .expect("the server runs");
    });
    Ok((running, endpoint))
}

/// Waits until the mirror has all that the log has.
pub(crate) async fn caught_up(running: &RunningSync) -> Result<()> {
    while !running.reader().status(None).await?.caught_up {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}
