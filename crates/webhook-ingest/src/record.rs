//! The event log and the bus: durable first, then said.

use std::{sync::Arc, time::Instant};

use model::{Classified, Epoch, EventId, Sequenced, StoredEvent, TraceContext};
use parking_lot::Mutex;
use ports::{Appended, Bus, BusMessage, EventHint, EventLog, Topic};
use tokio::time::timeout;

use crate::{error::Refusal, limits, metrics::Metrics};

/// What an append did.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// Ids of all events of the delivery, in order.
    pub(crate) ids: Vec<EventId>,
    /// What the bus is told; `None` if all of them were there before.
    pub(crate) hint: Option<EventHint>,
}

/// Appends events and says so.
#[derive(Debug)]
pub(crate) struct Recorder {
    log: Arc<dyn EventLog>,
    bus: Arc<dyn Bus>,
    metrics: Metrics,
    /// Which log this is. Asked once, and again after an error, when it may be another one.
    epoch: Mutex<Option<Epoch>>,
}

impl Recorder {
    pub(crate) fn new(log: Arc<dyn EventLog>, bus: Arc<dyn Bus>, metrics: Metrics) -> Self {
        Self {
            log,
            bus,
            metrics,
            epoch: Mutex::new(None),
        }
    }

    /// Appends. On success every event is durable. The epoch is known before the append begins, so
    /// that nothing stands between its return and the hint.
    pub(crate) async fn append(&self, events: Vec<StoredEvent>) -> Result<Recorded, Refusal> {
        let epoch = self.epoch().await?;
        let started = Instant::now();
        let appended = timeout(self.patience(), self.log.append(events.clone())).await;
        self.metrics
            .append_seconds
            .observe(started.elapsed().as_secs_f64());
        match appended {
            Ok(Ok(appended)) if appended.len() == events.len() => {
                Ok(self.recorded(epoch, events, appended))
            }
            Ok(Ok(appended)) => {
                let (given, got) = (events.len(), appended.len());
                tracing::error!(given, got, "the event log broke its contract (EL-01)");
                Err(Refusal::Internal)
            }
            Ok(Err(error)) => Err(self.unavailable(&error)),
            Err(elapsed) => Err(self.unavailable(&elapsed)),
        }
    }

    fn recorded(
        &self,
        epoch: Epoch,
        events: Vec<StoredEvent>,
        appended: Vec<Appended>,
    ) -> Recorded {
        let ids = appended.iter().map(|place| place.id.clone()).collect();
        let places = appended.into_iter().zip(events);
        let new: Vec<Sequenced<StoredEvent>> = places
            .filter(|(place, _)| !place.duplicate)
            .map(|(place, item)| Sequenced {
                sequence: place.sequence,
                item,
            })
            .collect();
        for event in &new {
            self.metrics.event(&event.item.facts.resource_type);
        }
        let hint = (!new.is_empty()).then_some(EventHint { epoch, events: new });
        Recorded { ids, hint }
    }

    /// Tells the bus. A hint that gets lost costs latency only, because the log is the truth and
    /// readers look there now and then; so a failure is counted and is nobody's error.
    pub(crate) async fn hint(&self, hint: EventHint, trace: TraceContext) {
        let message = BusMessage::Events(Arc::new(hint));
        let publish = self.bus.publish(&Topic::Broadcast, message, Some(trace));
        let failure = match timeout(limits::HINT_TIMEOUT, publish).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(elapsed) => chain(&elapsed),
        };
        self.metrics.hint_failures.inc();
        tracing::warn!(failure, trace_id = %trace.trace, "the bus did not take a hint");
    }

    /// Which log this is.
    pub(crate) async fn epoch(&self) -> Result<Epoch, Refusal> {
        if let Some(epoch) = *self.epoch.lock() {
            return Ok(epoch);
        }
        let epoch = match timeout(self.patience(), self.log.head()).await {
            Ok(Ok(head)) => head.epoch,
            Ok(Err(error)) => return Err(self.unavailable(&error)),
            Err(elapsed) => return Err(self.unavailable(&elapsed)),
        };
        *self.epoch.lock() = Some(epoch);
        Ok(epoch)
    }

    fn patience(&self) -> std::time::Duration {
        self.log.deadline().min(limits::APPEND_TIMEOUT)
    }

    fn unavailable(&self, error: &(dyn std::error::Error + 'static)) -> Refusal {
        *self.epoch.lock() = None;
        let failure = chain(error);
        let class = error
            .downcast_ref::<ports::EventLogError>()
            .map_or("transient", |error| error.class().as_str());
        tracing::warn!(failure, class, "the event log did not take a delivery");
        Refusal::LogUnavailable
    }
}

/// An error with all its sources, for the log.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
