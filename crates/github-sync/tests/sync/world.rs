//! A sync role on an in-memory log and bus, with a gRPC server on a free port.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use github_sync::{RunningSync, SyncConfig, SyncDeps, SyncService, client};
use model::{
    EventId, EventMetadata, EventType, ManualClock, ResourceEvent, ResourceId, ResourceRef,
    ResourceType, ResourceUri, Timestamp, TraceContext,
};
use ports::{Bus, BusMessage, EventHint, EventLog, ResourceReader, Topic};
use role_keys::RoleTrust;
use serde_json::json;
use service_kit::{
    lifecycle::{Lifecycle, OnExit},
    metrics::MetricsRegistry,
};
use store_layers::StoredLog;
use store_memory::{InProcessBus, MemoryLogStore};
use tokio::{net::TcpListener, time::timeout};

pub(crate) const DEADLINE: Duration = Duration::from_secs(2);
/// Longest time that a test waits for an expected effect.
const PATIENCE: Duration = Duration::from_secs(10);

/// The log and the bus that the role reads.
pub(crate) struct Source {
    log: Arc<StoredLog<MemoryLogStore>>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) trust: RoleTrust,
    ids: Arc<ManualClock>,
}

impl Source {
    pub(crate) fn new() -> Self {
        let ids = Arc::new(ManualClock::default());
        let capacity = NonZeroUsize::new(10_000).unwrap();
        Self {
            log: Arc::new(StoredLog::new(MemoryLogStore::new(&*ids, capacity))),
            bus: Arc::new(InProcessBus::new(capacity)),
            trust: RoleTrust::none(),
            ids,
        }
    }

    /// Appends the events in this order and publishes the hints, as a writer does.
    pub(crate) async fn append(&self, events: impl IntoIterator<Item = ResourceEvent>) {
        let trace = TraceContext::start(&*self.ids);
        let events: Vec<_> = events
            .into_iter()
            .map(|e| e.store(trace).unwrap())
            .collect();
        let appended = self.log.append(events.clone()).await.unwrap();
        let epoch = self.log.head().await.unwrap().epoch;
        let sequenced = events.into_iter().zip(appended);
        let events = sequenced.map(|(item, at)| model::Sequenced {
            sequence: at.sequence,
            item,
        });
        let hint = Arc::new(EventHint {
            epoch,
            events: events.collect(),
        });
        self.bus
            .publish(&Topic::Broadcast, BusMessage::Events(hint), Some(trace))
            .await
            .unwrap();
    }
}

pub(crate) struct World {
    pub(crate) source: Source,
    pub(crate) running: RunningSync,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) registry: MetricsRegistry,
}

impl World {
    /// Starts the role on `source`. The listeners stay open for the whole drain, so that tests can
    /// observe it.
    pub(crate) fn start(source: Source, max_resources: usize) -> Self {
        let lifecycle = Lifecycle::with_keep_accepting(PATIENCE, PATIENCE);
        Self::start_with(lifecycle, source, max_resources)
    }

    /// As [`World::start`], with a drain of the test's own.
    pub(crate) fn start_with(lifecycle: Lifecycle, source: Source, max_resources: usize) -> Self {
        let mut registry = MetricsRegistry::default();
        let deps = SyncDeps {
            log: source.log.clone(),
            bus: source.bus.clone(),
            ids: source.ids.clone(),
            trust: source.trust.clone(),
            github: None,
            records: None,
        };
        let config = SyncConfig {
            max_resources,
            deadline_seconds: 2,
            ..SyncConfig::default()
        };
        let service = SyncService::build(&config, deps, &mut registry).unwrap();
        Self {
            source,
            running: service.spawn(&lifecycle),
            lifecycle,
            registry,
        }
    }

    /// Starts the role on an empty log and waits until it has caught up.
    pub(crate) async fn running(max_resources: usize) -> Self {
        let world = Self::start(Source::new(), max_resources);
        world.caught_up().await;
        world
    }

    /// Waits until all events in the log have been processed.
    pub(crate) async fn caught_up(&self) {
        let head = self.source.log.head().await.unwrap().last;
        let reader = self.running.reader();
        let caught_up = async {
            loop {
                let status = reader.status(None).await.unwrap();
                if status.caught_up && status.position >= head {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, caught_up).await.expect("sync catches up");
    }

    /// Serves gRPC on `listener`.
    pub(crate) fn serve(&self, listener: TcpListener) {
        let running = self.running.clone();
        self.lifecycle.spawn("grpc", OnExit::MayFinish, async move {
            running.serve_grpc(listener, 100).await.unwrap();
        });
    }

    /// Serves gRPC on a free port and returns the endpoint.
    pub(crate) async fn serve_anywhere(&self) -> String {
        let (listener, address) = free_port().await;
        self.serve(listener);
        format!("http://{address}")
    }

    /// Two readers of the same state: one in this process and one over the network.
    pub(crate) async fn readers(&self) -> [Arc<dyn ResourceReader>; 2] {
        let endpoint = self.serve_anywhere().await;
        [
            self.running.reader(),
            client::connect(&endpoint, DEADLINE, RoleTrust::none()).unwrap(),
        ]
    }
}

pub(crate) async fn free_port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(crate) fn uri(text: &str) -> ResourceUri {
    ResourceUri::parse(text).unwrap()
}

pub(crate) fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// An event of the issue `Octo/Repo#number`, with the issue's state at this time.
pub(crate) fn issue(number: u64, id: &str, event_type: EventType, at: &str) -> ResourceEvent {
    let node_id = format!("I_{number}");
    ResourceEvent {
        id: EventId::new(id).unwrap(),
        action: event_type.to_string(),
        event_type,
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new(&node_id).unwrap(),
        resource: ResourceRef {
            owner: Some("Octo".into()),
            repo: Some("Repo".into()),
            number: Some(number),
            ..ResourceRef::of(ResourceId::new(&node_id).unwrap())
        },
        timestamp: time(at),
        received_at: time(at),
        source: model::EventOrigin::WEBHOOK,
        actor: None,
        data: json!({ "node_id": node_id, "updated_at": at, "event": id }),
        metadata: EventMetadata {
            event: Some("issues".into()),
            ..EventMetadata::default()
        },
    }
}
