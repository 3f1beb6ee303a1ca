//! Appends events and says so: durable in the log first, then a hint on the bus.

use std::{fmt, sync::Arc, time::Duration};

use model::{
    Classified, Epoch, ErrorClass, EventFacts, EventId, Sequenced, StoredEvent, TraceContext,
};
use parking_lot::Mutex;
use ports::{AppendResult, Bus, BusMessage, EventHint, EventLog, EventLogError, Topic};
use tokio::time::{Instant, error::Elapsed, timeout};

use crate::limits::HINT_TIMEOUT;

/// The result of an append.
#[derive(Debug)]
pub struct AppendedEvents {
    /// Ids of all events that were given, in order.
    pub ids: Vec<EventId>,
    /// The hint to send for the new ones; `None` if the log had all of them before.
    pub hint: Option<EventHint>,
}

/// Why events are not known to be durable. Appending them again is safe: the log recognises their ids.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The log refused, or cannot be reached.
    #[error("the event log did not take the events")]
    Log(#[from] EventLogError),
    /// The log did not answer in time.
    #[error("the event log did not answer in time")]
    Timeout(#[from] Elapsed),
    /// The log answered for another number of events than it was given (contract EL-01).
    #[error("the event log answered for {answered} of {given} events")]
    ContractBroken {
        /// Events that were appended.
        given: usize,
        /// Events that the log answered for.
        answered: usize,
    },
}

impl Classified for AppendError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Log(error) => error.class(),
            Self::Timeout(_) => ErrorClass::Transient,
            Self::ContractBroken { .. } => ErrorClass::Permanent,
        }
    }
}

/// Counts what a [`Recorder`] does, in the metrics of the role that it works for.
pub trait RecordObserver: fmt::Debug + Send + Sync {
    /// An append took this long, successful or not.
    fn appended(&self, took: Duration);
    /// The log has a new event.
    fn recorded(&self, event: &EventFacts);
    /// The bus did not take a hint.
    fn hint_failed(&self);
}

/// Appends events to the log and sends the hints.
#[derive(Debug)]
pub struct Recorder {
    log: Arc<dyn EventLog>,
    bus: Arc<dyn Bus>,
    observer: Arc<dyn RecordObserver>,
    append_timeout: Duration,
    /// The identity of the log. Asked once, and again after an error, because it may be another one then.
    epoch: Mutex<Option<Epoch>>,
}

impl Recorder {
    /// A recorder; an append waits for up to `append_timeout`, or the log's own deadline if that is
    /// shorter.
    #[must_use]
    pub fn new(
        log: Arc<dyn EventLog>,
        bus: Arc<dyn Bus>,
        observer: Arc<dyn RecordObserver>,
        append_timeout: Duration,
    ) -> Self {
        let append_timeout = append_timeout.min(log.deadline());
        Self {
            log,
            bus,
            observer,
            append_timeout,
            epoch: Mutex::new(None),
        }
    }

    /// Appends; on success every event is durable. The epoch is known before the append begins, so that
    /// nothing stands between its return and the hint.
    ///
    /// # Errors
    /// The log does not answer, or answers something else than its contract says.
    pub async fn append(&self, events: Vec<StoredEvent>) -> Result<AppendedEvents, AppendError> {
        let epoch = self.epoch().await?;
        let began = Instant::now();
        let appended = timeout(self.append_timeout, self.log.append(events.clone())).await;
        self.observer.appended(began.elapsed());
        let appended = self.checked(appended)?;
        if appended.len() != events.len() {
            return Err(AppendError::ContractBroken {
                given: events.len(),
                answered: appended.len(),
            });
        }
        Ok(self.recorded(epoch, events, appended))
    }

    fn recorded(
        &self,
        epoch: Epoch,
        events: Vec<StoredEvent>,
        appended: Vec<AppendResult>,
    ) -> AppendedEvents {
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
            self.observer.recorded(&event.item.facts);
        }
        let hint = (!new.is_empty()).then_some(EventHint { epoch, events: new });
        AppendedEvents { ids, hint }
    }

    /// Sends a hint. A lost hint costs latency only, because readers poll the log; so a failure is counted
    /// and logged, and is no error for the caller.
    pub async fn hint(&self, hint: EventHint, trace: TraceContext) {
        let message = BusMessage::Events(Arc::new(hint));
        let publish = self.bus.publish(&Topic::Broadcast, message, Some(trace));
        let failure = match timeout(HINT_TIMEOUT, publish).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(elapsed) => chain(&elapsed),
        };
        self.observer.hint_failed();
        tracing::warn!(failure, trace_id = %trace.trace, "the bus did not take a hint");
    }

    /// The identity of the log.
    ///
    /// # Errors
    /// The log does not answer.
    pub async fn epoch(&self) -> Result<Epoch, AppendError> {
        if let Some(epoch) = *self.epoch.lock() {
            return Ok(epoch);
        }
        let head = timeout(self.append_timeout, self.log.head()).await;
        let epoch = self.checked(head)?.epoch;
        *self.epoch.lock() = Some(epoch);
        Ok(epoch)
    }

    /// Forgets the log's identity after an error, and logs the error with its causes.
    fn checked<T>(
        &self,
        answer: Result<Result<T, EventLogError>, Elapsed>,
    ) -> Result<T, AppendError> {
        let error = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => AppendError::from(error),
            Err(elapsed) => AppendError::from(elapsed),
        };
        *self.epoch.lock() = None;
        tracing::warn!(
            failure = chain(&error),
            class = error.class().as_str(),
            "the event log did not take events"
        );
        Err(error)
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
