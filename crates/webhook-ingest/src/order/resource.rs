//! The deliveries about one resource: which are waited for, and which may be stored now.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use event_flow::delivery_order::comes_before;
use ports::{DeliveryNotice, DeliveryTicket, StateOrder};
use tokio::{sync::Notify, time::Instant};

use super::announcement::{AnnouncementStanding, DeliveryAnnouncement};
use super::table::{HoldTimes, OrderStep, ReadyDelivery};
use crate::limits::{MAX_FOREIGN_NOTICES, MAX_ORDERED_BATCH, ORDER_ACTIVE_PERIOD, ORDER_PATIENCE};

/// A delivery that waits.
#[derive(Debug)]
struct Waiting<H> {
    notice: DeliveryNotice,
    /// Which of two with the same place came first.
    arrival: u64,
    who: Holder<H>,
}

#[derive(Debug)]
enum Holder<H> {
    Own(OwnDelivery<H>),
    /// Another ingest. One that does not say in time that it has finished is not waited for any longer.
    Other {
        patience_ends: Instant,
        /// It was told that this ingest waits for it.
        knows: bool,
    },
}

/// A delivery of this ingest.
#[derive(Debug)]
struct OwnDelivery<H> {
    held: H,
    /// It waits until then at least.
    until: Instant,
    /// What the other ingests were told of it; `None` if they are not asked.
    announced: Option<DeliveryAnnouncement>,
    /// The ingests that have heard of it: what they have that comes after it waits for it.
    heard_by: Vec<u64>,
}

/// A delivery that is over, and its place if it is stored.
pub(super) type EndedDelivery = (DeliveryTicket, Option<StateOrder>);

/// The deliveries about one resource.
#[derive(Debug)]
pub(super) struct ResourceOrder<H> {
    waiting: Vec<Waiting<H>>,
    /// The place of the latest state that was stored, as far as this ingest knows.
    newest: Option<StateOrder>,
    /// The place of the latest own state whose append is under way.
    storing: Option<StateOrder>,
    /// When a delivery was last seen.
    seen_at: Instant,
    /// A delivery that has not ended yet was announced again: somebody may wait who is not known to.
    has_repeated: bool,
    /// Own deliveries that are over: another ingest may hear of them too late to hear of their end.
    finished: VecDeque<EndedDelivery>,
    /// Whether a task stores this resource's deliveries.
    pub(super) is_served: bool,
    pub(super) changed: Arc<Notify>,
}

/// A delivery that is announced again.
#[derive(Debug)]
pub(super) struct RepeatedNotice {
    pub(super) notice: DeliveryNotice,
    /// The ticket of its notice before.
    pub(super) former: DeliveryTicket,
}

/// The ticket of a delivery that is announced again: another one, by a step of SplitMix64.
const fn next_ticket(ticket: DeliveryTicket) -> DeliveryTicket {
    DeliveryTicket(ticket.0.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

/// What another ingest is told when it has a delivery.
#[derive(Debug, Default)]
pub(super) struct ToldElsewhere {
    /// Own deliveries that are over, of which it may not know.
    pub(super) finished: Vec<EndedDelivery>,
    /// This ingest has heard of it, and what comes after it waits.
    pub(super) heard: Option<DeliveryTicket>,
}

impl<H> ResourceOrder<H> {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            waiting: Vec::new(),
            newest: None,
            storing: None,
            has_repeated: false,
            seen_at: now,
            finished: VecDeque::new(),
            is_served: false,
            changed: Arc::default(),
        }
    }

    /// The place of the latest state that is stored, or is being stored.
    pub(super) fn newest(&self) -> Option<StateOrder> {
        self.newest.max(self.storing)
    }

    /// A delivery has arrived here. Returns those of other ingests that have to hear that it waits for them.
    pub(super) fn arrived(
        &mut self,
        notice: DeliveryNotice,
        arrival: u64,
        held: H,
        times: HoldTimes,
        now: Instant,
    ) -> Vec<DeliveryTicket> {
        self.forget_expired(now);
        let is_active = self.seen_at + ORDER_ACTIVE_PERIOD > now && self.was_seen();
        let hold = match (self.may_be_preceded(notice.order), is_active) {
            (false, _) => Duration::ZERO,
            (true, true) => times.active,
            (true, false) => times.quiet,
        };
        let has_place = notice.order != StateOrder::default();
        let echo = times
            .echo
            .filter(|_| has_place && !self.is_late(notice.order));
        let announced = echo.map(|patience| DeliveryAnnouncement::new(now, patience));
        let mut told = Vec::new();
        for waiting in &mut self.waiting {
            let is_before = waiting.notice.order < notice.order;
            if let Holder::Other { knows, .. } = &mut waiting.who
                && is_before
                && !std::mem::replace(knows, true)
            {
                told.push(waiting.notice.ticket);
            }
        }
        self.waiting.push(Waiting {
            notice,
            arrival,
            who: Holder::Own(OwnDelivery {
                held,
                until: now + hold,
                announced,
                heard_by: Vec::new(),
            }),
        });
        self.seen_at = now;
        self.changed.notify_waiters();
        told
    }

    /// The bus does not take the notice of an own delivery: the others are not asked.
    pub(super) fn untold(&mut self, ticket: DeliveryTicket) {
        self.own(ticket).for_each(|own| own.announced = None);
        self.changed.notify_waiters();
    }

    /// The bus has brought back a notice of an own delivery. Returns it if it is over: the others may have heard of its
    /// end before its notice.
    pub(super) fn echoed(&mut self, ticket: DeliveryTicket) -> Option<EndedDelivery> {
        for announced in self.own(ticket).filter_map(|own| own.announced.as_mut()) {
            announced.is_heard();
        }
        self.changed.notify_waiters();
        let mut finished = self.finished.iter();
        finished.find(|(ended, _)| *ended == ticket).copied()
    }

    /// Another ingest has heard of an own delivery.
    pub(super) fn heard_elsewhere(
        &mut self,
        ingest: u64,
        ticket: DeliveryTicket,
        newest: Option<StateOrder>,
    ) {
        self.newest = self.newest.max(newest);
        for own in self.own(ticket) {
            if own.heard_by.len() < MAX_FOREIGN_NOTICES && !own.heard_by.contains(&ingest) {
                own.heard_by.push(ingest);
            }
        }
        self.changed.notify_waiters();
    }

    /// A delivery has arrived at another ingest.
    pub(super) fn arrived_elsewhere(
        &mut self,
        notice: DeliveryNotice,
        arrival: u64,
        now: Instant,
    ) -> ToldElsewhere {
        self.forget_expired(now);
        let mut own = self.waiting.iter().filter(|waiting| waiting.is_own());
        let is_awaited = own.any(|own| own.notice.order > notice.order);
        let is_late = self.newest() > Some(notice.order);
        let knows = is_awaited || is_late;
        if self.others().count() < MAX_FOREIGN_NOTICES {
            self.waiting.push(Waiting {
                notice,
                arrival,
                who: Holder::Other {
                    patience_ends: now + ORDER_PATIENCE,
                    knows,
                },
            });
        }
        let is_recent = self.seen_at + ORDER_PATIENCE > now;
        self.seen_at = now;
        self.changed.notify_waiters();
        let finished = self.finished.iter().filter(|_| is_recent);
        ToldElsewhere {
            finished: finished.copied().collect(),
            heard: knows.then_some(notice.ticket),
        }
    }

    /// Another ingest has finished a delivery.
    pub(super) fn finished_elsewhere(
        &mut self,
        ticket: DeliveryTicket,
        stored: Option<StateOrder>,
    ) {
        self.waiting
            .retain(|waiting| waiting.is_own() || waiting.notice.ticket != ticket);
        self.newest = self.newest.max(stored);
        self.changed.notify_waiters();
    }

    /// Own deliveries are stored, or were given up. Returns whether another ingest may wait for them.
    pub(super) fn finished(&mut self, notices: &[DeliveryNotice], are_stored: bool) -> bool {
        self.storing = None;
        for notice in notices {
            let stored = are_stored.then_some(notice.order);
            self.newest = self.newest.max(stored);
            self.finished.push_back((notice.ticket, stored));
        }
        self.bound_finished();
        let still_repeated = self.has_repeated && self.waiting.iter().any(Waiting::is_own);
        let was_repeated = std::mem::replace(&mut self.has_repeated, still_repeated);
        was_repeated || self.others().next().is_some()
    }

    /// What the task of the resource does next, and whether the bus failed to bring a notice back in time.
    pub(super) fn step(&mut self, now: Instant) -> (OrderStep<H>, bool) {
        self.forget_expired(now);
        self.waiting
            .sort_by_key(|waiting| (waiting.notice.order, waiting.arrival));
        if !self.waiting.iter().any(Waiting::is_own) {
            self.is_served = false;
            return (OrderStep::Done, false);
        }
        let again = self.announce_again(now);
        if !again.is_empty() {
            self.changed.notify_waiters();
            return (OrderStep::Announce(again), false);
        }
        let ready = self.waiting.iter().take(MAX_ORDERED_BATCH);
        let ready = ready.take_while(|waiting| waiting.is_own() && self.ready_at(waiting) <= now);
        match ready.count() {
            0 => (OrderStep::WaitUntil(self.ready_at(&self.waiting[0])), false),
            count => {
                let mut ready = self.waiting[..count].iter();
                let without_echo = ready.any(|ready| self.is_unanswered(ready, now));
                (OrderStep::Store(self.take_ready(count, now)), without_echo)
            }
        }
    }

    /// The own deliveries whose time has come, and for which the others may have stopped to wait: they are announced once
    /// more. What is late already has nothing to lose. A new ticket tells the answers to it from older ones that are
    /// still under way.
    fn announce_again(&mut self, now: Instant) -> Vec<RepeatedNotice> {
        let newest = self.newest;
        let mut again = Vec::new();
        for waiting in &mut self.waiting {
            let Holder::Own(own) = &mut waiting.who else {
                continue;
            };
            let Some(announced) = &mut own.announced else {
                continue;
            };
            let is_overdue =
                own.until <= now && announced.standing(now) == AnnouncementStanding::Overdue;
            if !is_overdue || newest > Some(waiting.notice.order) {
                continue;
            }
            *announced = announced.again(now);
            own.heard_by.clear();
            let former = waiting.notice.ticket;
            waiting.notice.ticket = next_ticket(former);
            self.finished.push_back((former, None));
            self.has_repeated = true;
            again.push(RepeatedNotice {
                notice: waiting.notice,
                former,
            });
        }
        self.bound_finished();
        again
    }

    fn bound_finished(&mut self) {
        let surplus = self.finished.len().saturating_sub(MAX_ORDERED_BATCH);
        self.finished.drain(..surplus);
    }

    /// Whether the bus is silent, as far as this delivery tells: one that is late does not wait for it.
    fn is_unanswered(&self, waiting: &Waiting<H>, now: Instant) -> bool {
        let Holder::Own(own) = &waiting.who else {
            return false;
        };
        let is_silent = own
            .announced
            .is_some_and(|announced| announced.is_silent(now));
        is_silent && !self.is_late(waiting.notice.order)
    }

    /// When a delivery may be stored, or another ingest's is not waited for any longer, if no news comes until then.
    fn ready_at(&self, waiting: &Waiting<H>) -> Instant {
        let own = match &waiting.who {
            Holder::Other { patience_ends, .. } => return *patience_ends,
            Holder::Own(own) => own,
        };
        let order = waiting.notice.order;
        if order == StateOrder::default() || self.is_late(order) {
            return own.until;
        }
        // An ingest that has a later one, and has not heard of this one, may be storing it now.
        let unaware = self
            .others()
            .filter(|(other, _)| other.order > order && !own.heard_by.contains(&other.ingest));
        let patience = unaware.map(|(_, patience_ends)| patience_ends);
        let echo_until = own.announced.and_then(DeliveryAnnouncement::awaits_echo);
        patience.chain(echo_until).fold(own.until, Instant::max)
    }

    pub(super) fn others(&self) -> impl Iterator<Item = (&DeliveryNotice, Instant)> {
        self.waiting.iter().filter_map(|waiting| match waiting.who {
            Holder::Other { patience_ends, .. } => Some((&waiting.notice, patience_ends)),
            Holder::Own(_) => None,
        })
    }

    fn own(&mut self, ticket: DeliveryTicket) -> impl Iterator<Item = &mut OwnDelivery<H>> {
        let waiting = self.waiting.iter_mut();
        let with_ticket = waiting.filter(move |waiting| waiting.notice.ticket == ticket);
        with_ticket.filter_map(|waiting| match &mut waiting.who {
            Holder::Own(own) => Some(own),
            Holder::Other { .. } => None,
        })
    }

    /// Whether a delivery was seen before.
    fn was_seen(&self) -> bool {
        !self.waiting.is_empty() || self.newest.is_some() || !self.finished.is_empty()
    }

    /// Forgets the deliveries at other ingests that have been waited for long enough. They count as stored: who is not
    /// waited for says nothing when it has stored.
    fn forget_expired(&mut self, now: Instant) {
        let mut newest = self.newest;
        self.waiting.retain(|waiting| match waiting.who {
            Holder::Other { patience_ends, .. } if patience_ends <= now => {
                newest = newest.max(Some(waiting.notice.order));
                false
            }
            _ => true,
        });
        self.newest = newest;
    }

    fn is_late(&self, order: StateOrder) -> bool {
        comes_before(order, self.newest)
    }

    /// Whether a delivery with this place can come before one that arrives later. One without a place, or with that of
    /// the latest known one, has only its arrival. One that is late already loses nothing by waiting no longer, and must
    /// not hold up what is on time.
    fn may_be_preceded(&self, order: StateOrder) -> bool {
        let waiting = self.waiting.iter().map(|waiting| waiting.notice.order);
        let latest = waiting.chain(self.newest).max();
        !self.is_late(order) && order != StateOrder::default() && latest != Some(order)
    }

    fn take_ready(&mut self, count: usize, now: Instant) -> Vec<ReadyDelivery<H>> {
        let mut newest = self.newest;
        let mut ready = Vec::with_capacity(count);
        for waiting in self.waiting.drain(..count) {
            let Holder::Own(own) = waiting.who else {
                continue;
            };
            let order = waiting.notice.order;
            let standing = own.announced.map(|announced| announced.standing(now));
            ready.push(ReadyDelivery {
                held: own.held,
                notice: waiting.notice,
                is_late: comes_before(order, newest)
                    || standing == Some(AnnouncementStanding::Lost),
            });
            newest = newest.max(Some(order));
            self.storing = self.storing.max(Some(order));
        }
        ready
    }
}

impl<H> Waiting<H> {
    const fn is_own(&self) -> bool {
        matches!(self.who, Holder::Own(_))
    }
}
