//! A hint names the log that has its events, also after another process has replaced the log.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use model::{EventId, RandomIds, Sequence, Timestamp};
use ports::{EventPage, EventsBefore, LogHead, SeekResult};
use store_layers::StoredLog;
use store_memory::{InProcessBus, MemoryLogStore};

use super::*;

/// A log that another process replaces: no call fails because of it.
#[derive(Debug)]
struct ReplaceableLog(Mutex<Arc<StoredLog<MemoryLogStore>>>);

impl ReplaceableLog {
    fn empty() -> Arc<StoredLog<MemoryLogStore>> {
        let events = NonZeroUsize::new(100).expect("not zero");
        Arc::new(StoredLog::new(MemoryLogStore::new(&RandomIds, events)))
    }

    fn now(&self) -> Arc<StoredLog<MemoryLogStore>> {
        Arc::clone(&self.0.lock())
    }
}

#[async_trait]
impl EventLog for ReplaceableLog {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        self.now().append(events).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        self.now().read_after(after, limit).await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        self.now().read_before(before, limit).await
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        self.now().seek(time).await
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        self.now().position_of(id).await
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.now().head().await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        self.now().trim(time).await
    }
}

#[derive(Debug)]
struct NoMetrics;

impl RecordObserver for NoMetrics {
    fn appended(&self, _: Duration) {}
    fn recorded(&self, _: &EventFacts) {}
    fn hint_failed(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_hint_names_a_log_that_was_replaced_without_an_error() {
    let log = Arc::new(ReplaceableLog(Mutex::new(ReplaceableLog::empty())));
    let bus = Arc::new(InProcessBus::new(NonZeroUsize::MIN));
    let timeout = Duration::from_secs(1);
    let recorder = Recorder::new(log.clone(), bus, Arc::new(NoMetrics), timeout);
    let epoch = async |n| {
        let appended = recorder.append(vec![contract::event(n)]).await.unwrap();
        appended.hint.expect("a new event").epoch
    };
    let first = epoch(0).await;
    assert_eq!(first, log.head().await.unwrap().epoch);
    *log.0.lock() = ReplaceableLog::empty();
    tokio::time::advance(EPOCH_LIFETIME).await;
    let second = epoch(1).await;
    assert_ne!(first, second);
    assert_eq!(second, log.head().await.unwrap().epoch);
}

/// An event of a webhook, under the GUID of its delivery.
fn webhook(guid: &str, name: &str) -> StoredEvent {
    let at = "2026-11-20T10:00:00.000Z";
    let event = serde_json::json!({
        "id": guid, "type": "updated", "action": "edited", "resourceType": "issue", "resourceId": "I_7",
        "resource": {
            "owner": "o", "repo": "r", "number": 7, "nodeId": "I_7", "databaseId": 7, "title": "T", "url": null,
        },
        "timestamp": at, "receivedAt": at, "source": "webhook", "actor": null, "data": {"of": name},
        "metadata": {
            "delivery": guid, "event": name, "hookId": null, "installationId": null, "projectId": null,
            "isPullRequest": false, "changes": {}, "tags": [],
        },
    });
    let event: model::ResourceEvent = serde_json::from_value(event).expect("an event");
    let trace = TraceContext::start(&RandomIds);
    event.store(trace).expect("JSON that was just parsed")
}

#[tokio::test]
async fn events_of_one_guid_are_told_apart_by_their_names_in_whatever_order_they_come() {
    for names in [
        ["issues", "milestone", "projects_v2"],
        ["projects_v2", "issues", "milestone"],
    ] {
        let log = ReplaceableLog::empty();
        let recorder = || {
            let bus = Arc::new(InProcessBus::new(NonZeroUsize::MIN));
            let timeout = Duration::from_secs(1);
            Recorder::new(log.clone(), bus, Arc::new(NoMetrics), timeout)
        };
        let mut ids = Vec::new();
        for name in names {
            // Each is a process of its own: it knows nothing but the log.
            let appended = recorder()
                .append(vec![webhook("guid", name)])
                .await
                .unwrap();
            let hint = appended.hint.expect("a new event");
            assert_eq!(hint.events[0].item.facts.id, appended.ids[0]);
            ids.extend(appended.ids);
        }
        let expected = [
            "guid".to_owned(),
            format!("guid.{}", names[1]),
            format!("guid.{}", names[2]),
        ];
        assert_eq!(
            ids.iter().map(EventId::as_str).collect::<Vec<_>>(),
            expected
        );
        for (name, id) in names.iter().zip(&ids) {
            let again = recorder()
                .append(vec![webhook("guid", name)])
                .await
                .unwrap();
            assert_eq!((again.ids, again.hint), (vec![id.clone()], None));
        }
        let stored = log.read_after(Sequence::START, 10).await.unwrap().events;
        assert_eq!(stored.len(), names.len());
        for (stored, name) in stored.iter().zip(names) {
            assert_eq!(stored.item.webhook_event().as_deref(), Some(name));
        }
    }
}

#[tokio::test]
async fn an_event_whose_name_is_unknown_is_known_by_its_id_alone() {
    let log = ReplaceableLog::empty();
    let bus = Arc::new(InProcessBus::new(NonZeroUsize::MIN));
    let recorder = Recorder::new(log, bus, Arc::new(NoMetrics), Duration::from_secs(1));
    // The events of the suite have no name, as those that sync finds.
    for is_new in [true, false] {
        let appended = recorder.append(vec![contract::event(3)]).await.unwrap();
        assert_eq!(appended.hint.is_some(), is_new);
    }
    let id = contract::event(3).facts.id.clone();
    let appended = recorder
        .append(vec![webhook(id.as_str(), "issues")])
        .await
        .unwrap();
    assert_eq!((appended.ids, appended.hint), (vec![id], None));
}
