//! An ingest of a newer build: it writes events of a kind that no node of this build knows, with
//! the same adapters, into the store of the system under test.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use model::{
    EventFacts, EventId, EventOrigin, EventType, ResourceId, ResourceType, Sequenced, StoredEvent,
    Timestamp,
};
use nats::{BusConfig, JetStreamLog, LogConfig, NatsBus, NatsConfig, NatsConnection};
use ports::{Bus, BusMessage, EventHint, EventLog, Topic};
use serde_json::json;
use store_layers::StoredLog;
use store_sqlite::Database;
use testkit::{
    cluster::{System, SystemKind, SystemNode},
    ledger::DeliveryLedger,
};

use crate::forgery::role_trust;

/// The kind that only the newer build knows.
pub const NEWER_KIND: &str = "wiki_page";

/// Appends `count` events of [`NEWER_KIND`] and records them as acknowledged. On the cluster it
/// sends the hint too; the embedded system is stopped meanwhile, because its file belongs to one
/// process.
///
/// # Errors
/// The store does not accept them, or the system does not become ready again.
pub async fn append_newer_events(
    system: &mut System,
    count: usize,
    received_at: Timestamp,
    ledger: &DeliveryLedger,
) -> Result<()> {
    let events: Vec<_> = (0..count).map(|n| newer_event(n, received_at)).collect();
    for event in &events {
        let facts = &event.facts;
        ledger.record_sending(facts.id.as_str(), facts.resource_id.as_str(), NEWER_KIND);
    }
    append_events(system, &events).await?;
    for event in &events {
        ledger.record_acknowledged(event.facts.id.as_str());
    }
    Ok(())
}

/// Appends events as an ingest does that knows more of them than this build. The embedded system is stopped
/// meanwhile, and starts again.
///
/// # Errors
/// The store does not accept them, or the system does not become ready again.
async fn append_events(system: &mut System, events: &[StoredEvent]) -> Result<()> {
    match system.kind() {
        SystemKind::Cluster => append_to_cluster(system, events).await,
        SystemKind::Embedded => append_to_file(system, events).await,
    }
}

/// The event log of a cluster, and the connection to its NATS.
pub(crate) async fn open_jetstream(
    system: &mut System,
) -> Result<(NatsConnection, StoredLog<JetStreamLog>)> {
    let port = system.cluster().port("nats").context("NATS has a port")?;
    let connection = NatsConnection::connect(NatsConfig {
        trust: role_trust(system)?,
        ..NatsConfig::new(format!("nats://127.0.0.1:{port}"))
    })
    .await?;
    let log = JetStreamLog::open(connection.clone(), LogConfig::default()).await?;
    Ok((connection, StoredLog::new(log)))
}

async fn append_to_cluster(system: &mut System, events: &[StoredEvent]) -> Result<()> {
    let (connection, log) = open_jetstream(system).await?;
    let bus = NatsBus::new(connection, BusConfig::default());
    let epoch = log.head().await?.epoch;
    let appended = log.append(events.to_vec()).await?;
    ensure!(appended.len() == events.len(), "every event is appended");
    let events = appended
        .iter()
        .zip(events)
        .map(|(appended, event)| Sequenced {
            sequence: appended.sequence,
            item: event.clone(),
        });
    let hint = BusMessage::Events(Arc::new(EventHint {
        epoch,
        events: events.collect(),
    }));
    bus.publish(&Topic::Broadcast, hint, None).await?;
    Ok(())
}

async fn append_to_file(system: &mut System, events: &[StoredEvent]) -> Result<()> {
    let process = SystemNode::Ingest(0);
    let _ = system.terminate(process).await?;
    let database = Database::open(&system.cluster().dir().join("forgewire/forgewire.db"))?;
    StoredLog::new(database.log_store())
        .append(events.to_vec())
        .await?;
    database.close().await?;
    let _ = system.restart(process).await?;
    Ok(())
}

/// The `n`-th event of [`NEWER_KIND`]; its id is `newer-<n>`.
///
/// # Panics
/// Never: its ids are visible ASCII.
#[must_use]
pub fn newer_event(n: usize, at: Timestamp) -> StoredEvent {
    let id = EventId::new(&format!("newer-{n}")).expect("visible ASCII");
    let resource_id = ResourceId::new("WP_1").expect("visible ASCII");
    let json = json!({
        "id": id.as_str(), "type": "renovated", "action": "renovated",
        "resourceType": NEWER_KIND, "resourceId": resource_id.as_str(),
        "timestamp": at.to_string(), "receivedAt": at.to_string(),
        "source": "relay", "data": {}, "metadata": {},
    });
    StoredEvent {
        facts: Arc::new(EventFacts {
            id,
            event_type: EventType::open("renovated"),
            action: None,
            resource_type: ResourceType::open(NEWER_KIND),
            resource_id,
            owner: Some("Octo".into()),
            repo: Some("Repo".into()),
            number: Some(1),
            ids: model::GithubIds::default(),
            former: None,
            actor: None,
            author: None,
            source: EventOrigin::open("relay"),
            tags: Vec::new(),
            timestamp: at,
            received_at: at,
        }),
        json: json.to_string().into(),
        trace: None,
    }
}
