//! Appends events and announces them: first durable in the log, then a hint on the bus.
//!
//! The log knows an event by its id, which is the GUID of its delivery. Two webhooks that share a GUID and
//! differ in the event's name are two events: the later one gets an id of its own, `<guid>.<event name>`.
//! It depends on nothing but these two, so a redelivery to any process is recognised. The same id is given to
//! a delivery whose GUID is taken by an entry that does not decode, which would hide it for ever.

use std::{fmt, sync::Arc, time::Duration};

use instruments::{SpanName, TraceSpan};
use model::{
    Classified, Epoch, ErrorClass, EventFacts, EventId, Sequence, Sequenced, StoredEvent,
    TraceContext, error_chain,
};
use parking_lot::Mutex;
use ports::{AppendResult, Bus, BusError, BusMessage, EventHint, EventLog, EventLogError, Topic};
use tokio::time::{Instant, error::Elapsed, timeout};

use crate::limits::{EPOCH_LIFETIME, FAILED_APPENDS, FAILED_APPENDS_PERIOD, HINT_TIMEOUT};

/// The result of an append.
#[derive(Debug)]
pub struct AppendedEvents {
    /// Ids of all given events, in order.
    pub ids: Vec<EventId>,
    /// The hint to send for the new ones; `None` if the log already had all of them.
    pub hint: Option<EventHint>,
}

/// The reason why events are not known to be durable. Appending them again is safe: the log recognises
/// their ids.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The log refused the events or cannot be reached.
    #[error("the event log did not take the events")]
    Log(#[from] EventLogError),
    /// The log did not answer in time.
    #[error("the event log did not answer in time")]
    Timeout(#[from] Elapsed),
    /// The log answers, and yet the last appends failed.
    #[error("the event log failed the last {appends} appends")]
    Failing {
        /// Number of failed appends since the last one that succeeded.
        appends: u32,
    },
    /// The log reported on another number of events than it was given (contract EL-01).
    #[error("the event log answered for {answered} of {given} events")]
    ContractBroken {
        /// Number of events that were given.
        given: usize,
        /// Number of events that the log reported on.
        answered: usize,
    },
}

/// The reason why hints are not known to be taken.
#[derive(Debug, thiserror::Error)]
pub enum HintCheckError {
    /// The log does not say which one it is.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// The bus does not take them.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl Classified for HintCheckError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Log(error) => error.class(),
            Self::Bus(error) => error.class(),
        }
    }
}

impl Classified for AppendError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Log(error) => error.class(),
            Self::Timeout(_) | Self::Failing { .. } => ErrorClass::Transient,
            Self::ContractBroken { .. } => ErrorClass::Permanent,
        }
    }
}

/// Counts the work of a [`Recorder`] in the metrics of its role.
pub trait RecordObserver: fmt::Debug + Send + Sync {
    /// An append has ended, successfully or not, after `took`. Called inside its span.
    fn appended(&self, took: Duration);
    /// The log stored a new event.
    fn recorded(&self, event: &EventFacts);
    /// The bus did not accept a hint.
    fn hint_failed(&self);
}

/// Appends events to the log and sends the hints.
#[derive(Debug)]
pub struct Recorder {
    log: Arc<dyn EventLog>,
    bus: Arc<dyn Bus>,
    observer: Arc<dyn RecordObserver>,
    append_timeout: Duration,
    /// The identity of the log, and when it was read. It is read again after an error and when it is older
    /// than [`EPOCH_LIFETIME`], because the log may have been replaced.
    epoch: Mutex<Option<(Epoch, Instant)>>,
    failures: Mutex<AppendFailures>,
}

/// The appends that failed since the last one that succeeded.
#[derive(Debug, Default)]
struct AppendFailures {
    count: u32,
    last: Option<Instant>,
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
            failures: Mutex::default(),
        }
    }

    /// Appends events; on success all of them are durable. The epoch is read before the append begins, so
    /// that nothing delays the hint afterwards.
    ///
    /// # Errors
    /// The log does not answer, or its answer breaks the contract.
    pub async fn append(&self, events: Vec<StoredEvent>) -> Result<AppendedEvents, AppendError> {
        let span = TraceSpan::of_current(SpanName::Append);
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        span.set("forgewire.events", count);
        let appended = span.enclose(self.append_once(events)).await;
        if let Err(error) = &appended {
            span.fail(error);
        }
        self.count_failure(appended.as_ref().err());
        appended
    }

    async fn append_once(&self, events: Vec<StoredEvent>) -> Result<AppendedEvents, AppendError> {
        let epoch = self.epoch().await?;
        let began = Instant::now();
        let mut events = events;
        let appended = timeout(self.append_timeout, self.append_all(&mut events)).await;
        self.observer.appended(began.elapsed());
        let appended = self.checked(appended)?;
        if appended.len() != events.len() {
            let (given, answered) = (events.len(), appended.len());
            tracing::error!(given, answered, "the event log broke its contract (EL-01)");
            return Err(AppendError::ContractBroken { given, answered });
        }
        Ok(self.recorded(epoch, events, appended))
    }

    /// Appends the events; those whose id belongs to an event of another name get an id of their own.
    async fn append_all(
        &self,
        events: &mut [StoredEvent],
    ) -> Result<Vec<AppendResult>, EventLogError> {
        let mut appended = self.log.append(events.to_vec()).await?;
        let (mut places, mut separate) = (Vec::new(), Vec::new());
        for (index, (event, place)) in events.iter_mut().zip(&appended).enumerate() {
            if place.duplicate
                && let Some(other) = self.under_its_own_id(event, place).await?
            {
                *event = other.clone();
                places.push(index);
                separate.push(other);
            }
        }
        if !separate.is_empty() {
            let again = self.log.append(separate).await?;
            for (index, place) in places.into_iter().zip(again) {
                appended[index] = place;
            }
        }
        Ok(appended)
    }

    /// The event under an id of its own, if the log has an event of another name at its place, or an entry that
    /// is none.
    async fn under_its_own_id(
        &self,
        event: &StoredEvent,
        place: &AppendResult,
    ) -> Result<Option<StoredEvent>, EventLogError> {
        let Some(name) = event.webhook_event() else {
            return Ok(None);
        };
        let before = Sequence(place.sequence.0.saturating_sub(1));
        let page = self.log.read_after(before, 1).await?;
        let there = page.events.first();
        // It may be trimmed by now: then it was readable, and there is nothing to tell it from.
        let there = there.filter(|there| there.item.facts.id == place.id);
        let known = there.and_then(|there| there.item.webhook_event());
        let is_another = known.is_some_and(|known| known != name);
        // An entry that nobody can read (damage, or no role's) is no event: the delivery is not lost for it.
        let mut undecodable = page.undecodable.iter();
        let is_unreadable = undecodable.any(|entry| entry.sequence == place.sequence);
        if !is_another && !is_unreadable {
            return Ok(None);
        }
        let id = EventId::new(&format!("{}.{name}", place.id));
        Ok(id.ok().and_then(|id| event.under_id(id)))
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

    /// Sends a hint. A lost hint costs only latency, because readers poll the log: a failure is counted and
    /// logged, and is not an error for the caller.
    pub async fn hint(&self, hint: EventHint, trace: TraceContext) {
        let span = TraceSpan::child(SpanName::Hint, Some(trace));
        let count = i64::try_from(hint.events.len()).unwrap_or(i64::MAX);
        span.set("forgewire.events", count);
        span.set("messaging.destination.name", "mcp.broadcast");
        let message = BusMessage::Events(Arc::new(hint));
        let handed_on = span.context().unwrap_or(trace);
        let publish = self
            .bus
            .publish(&Topic::Broadcast, message, Some(handed_on));
        let failure = match timeout(HINT_TIMEOUT, span.enclose(publish)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error_chain(&error),
            Err(elapsed) => error_chain(&elapsed),
        };
        span.fail_as(ErrorClass::Transient.as_str());
        self.observer.hint_failed();
        tracing::warn!(failure, trace_id = %trace.trace, "the bus did not take a hint");
    }

    /// Checks whether the bus takes hints (as [`Bus::check_publish`]).
    ///
    /// # Errors
    /// The log or the bus does not answer, or the bus refuses hints.
    pub async fn check_hints(&self) -> Result<(), HintCheckError> {
        let epoch = self.epoch().await?;
        Ok(self.bus.check_publish(&[Topic::Broadcast], epoch).await?)
    }

    /// Checks whether an append would succeed now, as far as that can be known without one: the log
    /// says so, and the last appends did not all fail.
    ///
    /// # Errors
    /// The log does not answer, is full, or failed the last appends.
    pub async fn check(&self) -> Result<(), AppendError> {
        timeout(self.append_timeout, self.log.check_append()).await??;
        let failures = self.failures.lock();
        let recent = failures
            .last
            .is_some_and(|at| at.elapsed() < FAILED_APPENDS_PERIOD);
        if recent && failures.count >= FAILED_APPENDS {
            let appends = failures.count;
            return Err(AppendError::Failing { appends });
        }
        Ok(())
    }

    /// Largest JSON of an event that the log takes now, in bytes (EL-27).
    #[must_use]
    pub fn max_event_bytes(&self) -> usize {
        self.log.max_event_bytes()
    }

    /// Number of appends that failed since the last one that succeeded.
    #[must_use]
    pub fn failed_appends(&self) -> u32 {
        self.failures.lock().count
    }

    fn count_failure(&self, error: Option<&AppendError>) {
        let mut failures = self.failures.lock();
        match error {
            None => *failures = AppendFailures::default(),
            // A limit that one event exceeds says nothing of the next one.
            Some(error) if error.class() == ErrorClass::Overloaded => {}
            Some(_) => {
                failures.count = failures.count.saturating_add(1);
                failures.last = Some(Instant::now());
            }
        }
    }

    /// The identity of the log.
    ///
    /// # Errors
    /// The log does not answer.
    pub async fn epoch(&self) -> Result<Epoch, AppendError> {
        if let Some((epoch, read_at)) = *self.epoch.lock()
            && read_at.elapsed() < EPOCH_LIFETIME
        {
            return Ok(epoch);
        }
        let head = timeout(self.append_timeout, self.log.head()).await;
        let epoch = self.checked(head)?.epoch;
        *self.epoch.lock() = Some((epoch, Instant::now()));
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
            failure = error_chain(&error),
            class = error.class().as_str(),
            "the event log did not take events"
        );
        Err(error)
    }
}

#[cfg(test)]
mod tests;
