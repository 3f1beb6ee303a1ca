//! Stores deliveries about one resource in GitHub's order, though they arrive swapped, and at different ingests.
//!
//! GitHub sends each delivery on its own connection, and the balancer chooses an ingest for each, so two that GitHub
//! made a millisecond apart may arrive in either order. A delivery is therefore held for a moment
//! (`ingest.order_window_milliseconds`), and the ingests tell each other which ones they hold
//! (`mcp.deliveries`). One that comes later than that is marked (`metadata.late`), if a later state was stored in the
//! meantime. ADR 002 has the reasons and what lies outside.

mod announcement;
mod key;
mod resource;
mod table;

use std::{fmt::Display, sync::Arc, time::Duration};

use event_flow::{
    delivery_order::delivery_notice,
    record::{AppendedEvents, HintCheckError, Recorder},
};
use futures_util::StreamExt;
use instruments::{TraceSpan, recording::line_span};
use model::{DeliveryId, EventId, IdSource, ResourceEvent, StoredEvent, TraceContext};
use parking_lot::Mutex;
use ports::{Bus, BusEvent, BusMessage, DeliveryNotice, IngestNews, OrderedResource, Topic};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, debug};

use self::table::{HoldTimes, OrderStep, OrderTable, ReadyDelivery};
use crate::{
    api::DeliveryAnswer,
    error::DeliveryRefusal,
    limits::{QUIET_PART, SUBSCRIBE_PAUSE},
    metrics::IngestMetrics,
    uninterrupted::begin,
};

/// The place of a delivery among those about its resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeliveryPlace {
    notice: DeliveryNotice,
    /// GitHub made none about this resource before it.
    is_first: bool,
}

/// A delivery that waits for its turn.
#[derive(Debug)]
struct HeldDelivery {
    events: Vec<StoredEvent>,
    trace: TraceContext,
    span: TraceSpan,
    answer: oneshot::Sender<DeliveryAnswer>,
}

/// Stores deliveries in their order.
#[derive(Debug)]
pub(crate) struct DeliveryOrder {
    table: Mutex<OrderTable<HeldDelivery>>,
    times: HoldTimes,
    /// The number by which other ingests know this one.
    ingest: u64,
    recorder: Arc<Recorder>,
    /// Reaches the other ingests; `None` if there are none.
    bus: Option<Arc<dyn Bus>>,
    metrics: IngestMetrics,
    in_progress: TaskTracker,
}

impl DeliveryOrder {
    /// Holds deliveries for up to `window`; zero stores each as it arrives. `bus` reaches the other ingests, if there
    /// are any.
    pub(crate) fn new(
        window: Duration,
        ids: &dyn IdSource,
        recorder: Arc<Recorder>,
        bus: Option<Arc<dyn Bus>>,
        metrics: IngestMetrics,
        in_progress: TaskTracker,
    ) -> Self {
        let ingest = ids.random_u64();
        Self {
            table: Mutex::new(OrderTable::new(ingest)),
            times: HoldTimes::new(window / QUIET_PART, window),
            ingest,
            recorder,
            bus,
            metrics,
            in_progress,
        }
    }

    /// The place of a delivery, by its first event; `None` if deliveries are stored as they arrive.
    pub(crate) fn place(
        &self,
        delivery: &DeliveryId,
        name: &str,
        event: &ResourceEvent,
    ) -> Option<DeliveryPlace> {
        (!self.times.active.is_zero()).then(|| DeliveryPlace {
            notice: delivery_notice(delivery, name, event, self.ingest),
            is_first: key::is_first(event),
        })
    }

    /// Stores the events of a delivery when its turn has come; answers once they are durable.
    pub(crate) async fn store(
        self: &Arc<Self>,
        place: DeliveryPlace,
        events: Vec<StoredEvent>,
        trace: TraceContext,
    ) -> Option<DeliveryAnswer> {
        let (answer, mut answered) = oneshot::channel();
        let held = HeldDelivery {
            events,
            trace,
            span: TraceSpan::current(),
            answer,
        };
        let times = match place.is_first {
            true => self.times.of_first(),
            false => self.times,
        };
        let notice = place.notice;
        let now = Instant::now();
        let arrival = self.table.lock().arrived(notice, held, times, now);
        let serving = arrival
            .needs_task
            .then(|| Arc::clone(self).serve(notice.resource));
        if self.bus.is_none() {
            return self.served(serving, answered).await;
        }
        if let Some(serving) = serving {
            self.in_progress.spawn(serving.instrument(line_span()));
        }
        let announced = async {
            if !self.tell(IngestNews::Arrived(notice)).await {
                self.table.lock().is_untold(notice);
            }
            self.tell_all(arrival.news).await;
        };
        tokio::select! {
            biased;
            answer = &mut answered => return answer.ok(),
            () = announced => {}
        }
        answered.await.ok()
    }

    /// Waits for the answer to a delivery, and stores the deliveries about its resource meanwhile if nobody else does:
    /// where no other ingest is asked, most are stored without a task of their own.
    async fn served(
        &self,
        serving: Option<impl Future<Output = ()> + Send + 'static>,
        mut answered: oneshot::Receiver<DeliveryAnswer>,
    ) -> Option<DeliveryAnswer> {
        let Some(serving) = serving else {
            return answered.await.ok();
        };
        let mut serving = Box::pin(serving);
        tokio::select! {
            biased;
            answer = &mut answered => {
                self.in_progress.spawn(serving.instrument(line_span()));
                answer.ok()
            }
            () = &mut serving => answered.try_recv().ok(),
        }
    }

    /// Stores the deliveries about one resource, until none waits.
    async fn serve(self: Arc<Self>, resource: OrderedResource) {
        loop {
            let Some(changed) = self.table.lock().changed(resource) else {
                return;
            };
            let changed = changed.notified();
            tokio::pin!(changed);
            // Before the look at the table, so that no change after it is missed.
            changed.as_mut().enable();
            let step = self.table.lock().step(resource, Instant::now());
            match step {
                OrderStep::Done => return,
                OrderStep::Store(ready) => self.store_ready(ready).await,
                OrderStep::Announce(again) => {
                    for again in again {
                        let [arrived, ended] = self.table.lock().repeated(&again);
                        if !self.tell(arrived).await {
                            self.table.lock().is_untold(again.notice);
                        }
                        self.tell(ended).await;
                    }
                }
                OrderStep::WaitUntil(until) => {
                    tokio::select! {
                        () = sleep_until(until) => {}
                        () = changed => {}
                    }
                }
            }
        }
    }

    /// Stores deliveries with one append, and answers each.
    async fn store_ready(self: &Arc<Self>, ready: Vec<ReadyDelivery<HeldDelivery>>) {
        let notices: Vec<_> = ready.iter().map(|ready| ready.notice).collect();
        let (mut events, mut waiting) = (Vec::new(), Vec::with_capacity(ready.len()));
        for ReadyDelivery { held, is_late, .. } in ready {
            let count = held.events.len();
            if is_late {
                self.metrics.late_delivery();
                events.extend(held.events.into_iter().map(StoredEvent::marked_late));
            } else {
                events.extend(held.events);
            }
            waiting.push((count, held.span, held.trace, held.answer));
        }
        let Some((_, span, trace, _)) = waiting.first() else {
            return;
        };
        let trace = *trace;
        let appended = span.enclose(self.recorder.append(events)).await;
        let news = self.table.lock().finished(&notices, appended.is_ok());
        let hint = match appended {
            Ok(appended) => {
                let mut answers = DeliveryAnswers::of(&appended);
                for (count, _, _, answer) in waiting {
                    // An error means that the sender has disconnected.
                    let _ = answer.send(answers.next(count));
                }
                appended.hint
            }
            Err(error) => {
                for (_, _, _, answer) in waiting {
                    let _ = answer.send(DeliveryAnswer::Refused(DeliveryRefusal::from(&error)));
                }
                None
            }
        };
        if let Some(hint) = hint {
            // The next deliveries do not wait for a slow bus.
            let recorder = Arc::clone(&self.recorder);
            let hinting = async move { recorder.hint(hint, trace).await };
            begin(&self.in_progress, hinting).await;
        }
        self.tell_all(news).await;
    }

    async fn tell_all(&self, news: Vec<IngestNews>) {
        for news in news {
            self.tell(news).await;
        }
    }

    /// Tells the other ingests; returns whether the bus took it. What does not reach them costs order, and no event.
    async fn tell(&self, news: IngestNews) -> bool {
        let Some(bus) = &self.bus else {
            return false;
        };
        let told = bus.publish(&Topic::Deliveries, news.into(), None);
        let told = timeout(self.times.active, told).await;
        let error: &dyn Display = match &told {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error,
            Err(elapsed) => elapsed,
        };
        debug!(%error, "the other ingests do not hear of a delivery");
        false
    }

    /// Checks whether the other ingests can be told (as [`Bus::check_publish`]).
    ///
    /// # Errors
    /// The log or the bus does not answer, or the bus refuses messages.
    pub(crate) async fn check(&self) -> Result<(), HintCheckError> {
        let Some(bus) = self.bus.as_ref().filter(|_| !self.times.active.is_zero()) else {
            return Ok(());
        };
        let epoch = self.recorder.epoch().await?;
        Ok(bus.check_publish(&[Topic::Deliveries], epoch).await?)
    }

    /// Hears what the other ingests hold. Runs until `stop`.
    pub(crate) async fn listen(self: Arc<Self>, stop: CancellationToken) {
        let Some(bus) = &self.bus else {
            stop.cancelled().await;
            return;
        };
        let endless = async {
            loop {
                match bus.subscribe(&Topic::Deliveries).await {
                    Ok(mut messages) => {
                        self.table.lock().hears(true);
                        while let Some(event) = messages.0.next().await {
                            if let BusEvent::Message(BusMessage::Ingest(news), _) = event {
                                let told = self.table.lock().heard(news, Instant::now());
                                self.tell_all(told).await;
                            }
                        }
                        self.table.lock().hears(false);
                    }
                    Err(error) => debug!(%error, "the bus takes no subscription now"),
                }
                sleep(SUBSCRIBE_PAUSE).await;
            }
        };
        stop.run_until_cancelled(endless).await;
        self.table.lock().hears(false);
    }
}

/// Shares the result of one append out to the deliveries whose events it had.
struct DeliveryAnswers<'a> {
    ids: std::slice::Iter<'a, EventId>,
    new: Vec<&'a EventId>,
}

impl<'a> DeliveryAnswers<'a> {
    fn of(appended: &'a AppendedEvents) -> Self {
        let new = appended.hint.iter().flat_map(|hint| &hint.events);
        Self {
            ids: appended.ids.iter(),
            new: new.map(|event| &event.item.facts.id).collect(),
        }
    }

    /// The answer to the next delivery, which has `count` events.
    fn next(&mut self, count: usize) -> DeliveryAnswer {
        let ids: Vec<EventId> = self.ids.by_ref().take(count).cloned().collect();
        let before = self.new.len();
        // One delivery that came several times is new once.
        self.new.retain(|new| !ids.contains(new));
        match self.new.len() < before {
            true => DeliveryAnswer::Accepted(ids),
            false => DeliveryAnswer::Deduplicated(ids),
        }
    }
}
