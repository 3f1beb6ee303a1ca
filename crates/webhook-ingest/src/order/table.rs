//! Which deliveries may be stored now, as a state machine without I/O.
//!
//! A delivery of this ingest is held for a window, so that one that GitHub made before it can arrive, here or at
//! another ingest; then it is stored after all that come before it. Deliveries about other resources do not wait
//! for it.
//!
//! Two ingests agree on the order of two deliveries, or mark the second one as late, through three rules. An ingest
//! stores only after the bus has brought back its own notice: what another ingest had announced before has then
//! arrived as well. Who hears of a delivery that precedes one of its own waits for it, and says so, or says that it is
//! too late. And who knows of a later one elsewhere waits for that answer. All this holds for as long as the others
//! wait. An ingest that was stopped for longer does not know whether they still do: it announces its delivery again,
//! and the rules begin anew; if that happens once more, the delivery is marked.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use ports::{DeliveryNotice, IngestNews, OrderedResource};
use tokio::{sync::Notify, time::Instant};

use super::resource::{EndedDelivery, RepeatedNotice, ResourceOrder};
use crate::limits::{ECHO_PATIENCE, REMEMBERED_RESOURCES};

/// What the task that stores a resource's deliveries does next.
#[derive(Debug)]
pub(super) enum OrderStep<H> {
    /// Store these, in this order.
    Store(Vec<ReadyDelivery<H>>),
    /// Tell the other ingests of these once more: they may have stopped to wait for them.
    Announce(Vec<RepeatedNotice>),
    /// Wait until then, or until something changes.
    WaitUntil(Instant),
    /// Nothing waits: the task ends.
    Done,
}

/// A delivery whose turn it is.
#[derive(Debug)]
pub(super) struct ReadyDelivery<H> {
    pub(super) held: H,
    pub(super) notice: DeliveryNotice,
    /// Whether a later state was stored before, as far as can be known.
    pub(super) is_late: bool,
}

/// What follows from the arrival of a delivery.
#[derive(Debug)]
pub(super) struct DeliveryArrival {
    /// Its resource needs a task that stores its deliveries.
    pub(super) needs_task: bool,
    /// What the other ingests have to hear, after the notice of the delivery.
    pub(super) news: Vec<IngestNews>,
}

/// The deliveries that wait, by resource.
#[derive(Debug)]
pub(super) struct OrderTable<H> {
    /// The number by which other ingests know this one.
    ingest: u64,
    resources: HashMap<OrderedResource, ResourceOrder<H>>,
    /// Resources in the order in which they were first seen; may name some that are gone.
    by_age: VecDeque<OrderedResource>,
    arrivals: u64,
    /// Whether the bus brings messages, as far as is known.
    hears: bool,
}

/// How long a delivery is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct HoldTimes {
    /// If nothing about its resource has come lately.
    pub(super) quiet: Duration,
    /// If something has.
    pub(super) active: Duration,
    /// How long the bus may take to bring its notice back before it is announced again; `None` if it does not bring
    /// messages.
    pub(super) echo: Option<Duration>,
}

impl HoldTimes {
    pub(super) const fn new(quiet: Duration, active: Duration) -> Self {
        Self {
            quiet,
            active,
            echo: Some(ECHO_PATIENCE),
        }
    }

    /// For a delivery that no other one precedes.
    pub(super) const fn of_first(self) -> Self {
        Self {
            quiet: Duration::ZERO,
            active: Duration::ZERO,
            echo: self.echo,
        }
    }
}

impl<H> OrderTable<H> {
    pub(super) fn new(ingest: u64) -> Self {
        Self {
            ingest,
            resources: HashMap::new(),
            by_age: VecDeque::new(),
            arrivals: 0,
            hears: false,
        }
    }

    /// The bus brings messages from now on, or brings none.
    pub(super) const fn hears(&mut self, hears: bool) {
        self.hears = hears;
    }

    /// A delivery has arrived here.
    pub(super) fn arrived(
        &mut self,
        notice: DeliveryNotice,
        held: H,
        times: HoldTimes,
        now: Instant,
    ) -> DeliveryArrival {
        let arrival = self.next_arrival();
        let times = HoldTimes {
            echo: times.echo.filter(|_| self.hears),
            ..times
        };
        let resource = self.resource(notice.resource, now);
        let heard = resource.arrived(notice, arrival, held, times, now);
        let needs_task = !std::mem::replace(&mut resource.is_served, true);
        let newest = resource.newest();
        let news = heard.into_iter().map(|ticket| IngestNews::Heard {
            ingest: self.ingest,
            resource: notice.resource,
            ticket,
            newest,
        });
        DeliveryArrival {
            needs_task,
            news: news.collect(),
        }
    }

    /// The notice of an own delivery does not reach the bus: nothing is waited for, until the bus brings something.
    pub(super) fn is_untold(&mut self, notice: DeliveryNotice) {
        self.hears = false;
        if let Some(resource) = self.resources.get_mut(&notice.resource) {
            resource.untold(notice.ticket);
        }
    }

    /// The bus has brought news. Returns what the others have to hear.
    pub(super) fn heard(&mut self, news: IngestNews, now: Instant) -> Vec<IngestNews> {
        self.hears = true;
        match news {
            IngestNews::Arrived(notice) if notice.ingest == self.ingest => {
                return self.echoed(notice).into_iter().collect();
            }
            IngestNews::Arrived(notice) => return self.arrived_elsewhere(notice, now),
            IngestNews::Heard {
                ingest,
                resource,
                ticket,
                newest,
            } if ingest != self.ingest => {
                if let Some(resource) = self.resources.get_mut(&resource) {
                    resource.heard_elsewhere(ingest, ticket, newest);
                }
            }
            IngestNews::Finished {
                ingest,
                resource,
                ticket,
                stored,
            } if ingest != self.ingest => {
                if let Some(resource) = self.resources.get_mut(&resource) {
                    resource.finished_elsewhere(ticket, stored);
                }
            }
            IngestNews::Heard { .. } | IngestNews::Finished { .. } => {}
        }
        Vec::new()
    }

    fn echoed(&mut self, notice: DeliveryNotice) -> Option<IngestNews> {
        let resource = self.resources.get_mut(&notice.resource)?;
        let ended = resource.echoed(notice.ticket)?;
        Some(self.ended(notice.resource, ended))
    }

    const fn ended(&self, resource: OrderedResource, ended: EndedDelivery) -> IngestNews {
        IngestNews::Finished {
            ingest: self.ingest,
            resource,
            ticket: ended.0,
            stored: ended.1,
        }
    }

    fn arrived_elsewhere(&mut self, notice: DeliveryNotice, now: Instant) -> Vec<IngestNews> {
        let (ingest, arrival) = (self.ingest, self.next_arrival());
        let resource = self.resource(notice.resource, now);
        let told = resource.arrived_elsewhere(notice, arrival, now);
        let newest = resource.newest();
        let finished = told.finished.into_iter();
        let finished = finished.map(|ended| self.ended(notice.resource, ended));
        let heard = told.heard.map(|ticket| IngestNews::Heard {
            ingest,
            resource: notice.resource,
            ticket,
            newest,
        });
        finished.chain(heard).collect()
    }

    /// Own deliveries about one resource are stored, or were given up. Returns what the others have to hear.
    pub(super) fn finished(
        &mut self,
        notices: &[DeliveryNotice],
        are_stored: bool,
    ) -> Vec<IngestNews> {
        let resource = notices
            .first()
            .and_then(|first| self.resources.get_mut(&first.resource));
        let others_wait = resource.is_some_and(|resource| resource.finished(notices, are_stored));
        let ended = notices.iter().filter(|_| others_wait);
        let news = ended.map(|notice| {
            let stored = are_stored.then_some(notice.order);
            self.ended(notice.resource, (notice.ticket, stored))
        });
        news.collect()
    }

    /// What the task of a resource does next.
    pub(super) fn step(&mut self, resource: OrderedResource, now: Instant) -> OrderStep<H> {
        let Some(resource) = self.resources.get_mut(&resource) else {
            return OrderStep::Done;
        };
        let (step, without_echo) = resource.step(now);
        if without_echo {
            self.hears = false;
        }
        step
    }

    /// What the others have to hear of a delivery that is announced again, in this order: they must not believe in between
    /// that it is over.
    pub(super) const fn repeated(&self, again: &RepeatedNotice) -> [IngestNews; 2] {
        let ended = (again.former, None);
        [
            IngestNews::Arrived(again.notice),
            self.ended(again.notice.resource, ended),
        ]
    }

    /// What is woken when something about a resource changes.
    pub(super) fn changed(&self, resource: OrderedResource) -> Option<Arc<Notify>> {
        let resource = self.resources.get(&resource)?;
        Some(Arc::clone(&resource.changed))
    }

    /// Number of resources that are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.resources.len()
    }

    fn next_arrival(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    fn resource(&mut self, key: OrderedResource, now: Instant) -> &mut ResourceOrder<H> {
        if !self.resources.contains_key(&key) {
            self.make_room();
            self.by_age.push_back(key);
        }
        let resource = self.resources.entry(key);
        resource.or_insert_with(|| ResourceOrder::new(now))
    }

    /// Forgets the oldest resource about which nothing waits here.
    fn make_room(&mut self) {
        for _ in 0..self.by_age.len() {
            if self.resources.len() < REMEMBERED_RESOURCES {
                return;
            }
            let Some(oldest) = self.by_age.pop_front() else {
                return;
            };
            if self.resources.get(&oldest).is_some_and(|it| it.is_served) {
                self.by_age.push_back(oldest);
            } else {
                self.resources.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
