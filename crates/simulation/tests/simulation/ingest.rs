//! The ingest: the production recorder, and events that it receives by its own clock.

use std::{sync::Arc, time::Duration};

use event_flow::record::{RecordObserver, Recorder};
use model::{
    Clock, EventFacts, EventId, EventOrigin, EventType, ManualClock, ResourceId, ResourceType,
    StoredEvent, TraceContext,
};
use ports::{Bus, EventLog};

use crate::{ledger::Ledger, time::NodeClock};

/// The repositories of all events.
pub(crate) const REPOS: [&str; 2] = ["cat", "dog"];

/// The ingest of one history.
pub(crate) struct SimulatedIngest {
    recorder: Recorder,
    clock: Arc<NodeClock>,
    ledger: Arc<Ledger>,
    events: u64,
    trace_ids: ManualClock,
}

#[derive(Debug)]
struct Unobserved;

impl RecordObserver for Unobserved {
    fn appended(&self, _: Duration) {}
    fn recorded(&self, _: &EventFacts) {}
    fn hint_failed(&self) {}
}

impl SimulatedIngest {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        bus: Arc<dyn Bus>,
        clock: Arc<NodeClock>,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let (observer, timeout) = (Arc::new(Unobserved), log.deadline());
        Self {
            recorder: Recorder::new(log, bus, observer, timeout),
            clock,
            ledger: Arc::clone(ledger),
            events: 0,
            trace_ids: ManualClock::default(),
        }
    }

    /// One delivery of events of these repositories; after an error it comes once more.
    pub(crate) async fn deliver(&mut self, repos: Vec<&'static str>) {
        let events: Vec<_> = repos.into_iter().map(|repo| self.event(repo)).collect();
        let mut appended = self.recorder.append(events.clone()).await;
        if appended.is_err() {
            appended = self.recorder.append(events).await;
        }
        let appended = match appended {
            Ok(appended) => appended,
            Err(error) => return self.ledger.tell(format!("not acknowledged: {error}")),
        };
        for id in &appended.ids {
            self.ledger.acknowledge(id.as_str());
        }
        if let Some(hint) = appended.hint {
            let trace = TraceContext::start(&self.trace_ids);
            self.recorder.hint(hint, trace).await;
        }
    }

    /// An event that is received now.
    pub(crate) fn event(&mut self, repo: &'static str) -> StoredEvent {
        self.events += 1;
        let id = format!("e{}", self.events);
        self.ledger.receive(&id, repo);
        let facts = EventFacts {
            id: EventId::new(&id).expect("letters and digits"),
            event_type: EventType::UPDATED,
            // Every third is of a kind that only newer builds know.
            action: None,
            resource_type: match self.events % 3 {
                0 => ResourceType::open("wiki_page"),
                _ => ResourceType::ISSUE,
            },
            resource_id: ResourceId::new("I_1").expect("letters and digits"),
            owner: Some("octo".to_owned()),
            repo: Some(repo.to_owned()),
            number: Some(1),
            ids: model::GithubIds::default(),
            former: None,
            actor: None,
            author: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: self.clock.now(),
            received_at: self.clock.now(),
        };
        let json = format!(r#"{{"id":"{id}"}}"#).into();
        StoredEvent {
            facts: facts.into(),
            json,
            trace: None,
        }
    }
}
