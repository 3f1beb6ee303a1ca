//! Several ingests on one bus and one log, with every delay that a schedule can choose.

use std::collections::VecDeque;

use model::Timestamp;
use ports::{DeliveryTicket, StateOrder};
use proptest::prelude::*;

use super::*;
use crate::limits::{LATE_WAKE, MAX_ANNOUNCEMENTS, ORDER_PATIENCE};

const TIMES: HoldTimes = HoldTimes::new(Duration::from_millis(2), Duration::from_millis(8));
const RESOURCE: OrderedResource = OrderedResource(1);
const INGESTS: usize = 3;
const DELIVERIES: usize = 10;

/// An ingest, and what is under way between it and the bus and the log.
#[derive(Debug)]
struct SimulatedIngest {
    table: OrderTable<()>,
    /// What its tasks have yet to tell; each task tells its own in order.
    telling: Vec<VecDeque<IngestNews>>,
    /// How much of the bus has reached it.
    heard: usize,
    appending: Option<Vec<(DeliveryNotice, bool)>>,
    is_stored: bool,
    /// It was stopped between the decision to store and the log: nobody can see that.
    was_caught: bool,
}

/// A place in the log.
#[derive(Debug)]
struct LogEntry {
    order: StateOrder,
    is_late: bool,
    /// Its ingest was stopped while the append was under way.
    was_caught: bool,
}

#[derive(Debug)]
struct Simulation {
    ingests: Vec<SimulatedIngest>,
    /// All messages, in the one order in which the bus brings them to everybody.
    bus: Vec<IngestNews>,
    log: Vec<LogEntry>,
    arrivals: VecDeque<(usize, DeliveryNotice)>,
    now: Instant,
    stops: u32,
}

impl Simulation {
    fn new(places: &[u64], at: &[usize]) -> Self {
        let ingest = |number: usize| {
            let mut table = OrderTable::new(number as u64);
            table.hears(true);
            SimulatedIngest {
                table,
                telling: Vec::new(),
                heard: 0,
                appending: None,
                is_stored: false,
                was_caught: false,
            }
        };
        let arrival = |(place, at): (&u64, &usize)| {
            let notice = DeliveryNotice {
                ingest: *at as u64,
                resource: RESOURCE,
                ticket: DeliveryTicket(*place),
                order: StateOrder {
                    updated_at: Timestamp::from_unix_millis(1000),
                    made_at: 1 + place,
                },
            };
            (*at, notice)
        };
        Self {
            ingests: (0..INGESTS).map(ingest).collect(),
            bus: Vec::new(),
            log: Vec::new(),
            arrivals: places.iter().zip(at).map(arrival).collect(),
            now: Instant::now(),
            stops: 0,
        }
    }

    fn arrive(&mut self) {
        let Some((at, notice)) = self.arrivals.pop_front() else {
            return;
        };
        let ingest = &mut self.ingests[at];
        let arrival = ingest.table.arrived(notice, (), TIMES, self.now);
        let first = IngestNews::Arrived(notice);
        ingest
            .telling
            .push([first].into_iter().chain(arrival.news).collect());
    }

    fn tell(&mut self, at: usize, which: usize) {
        let telling = &mut self.ingests[at].telling;
        if telling.is_empty() {
            return;
        }
        let which = which % telling.len();
        self.bus.extend(telling[which].pop_front());
        telling.retain(|telling| !telling.is_empty());
    }

    fn hear(&mut self, at: usize) {
        let ingest = &mut self.ingests[at];
        let Some(news) = self.bus.get(ingest.heard) else {
            return;
        };
        ingest.heard += 1;
        let told = ingest.table.heard(*news, self.now);
        ingest.telling.push(told.into());
    }

    /// Begins an append, lets the log take it, or tells the table that it is done.
    fn store(&mut self, at: usize) {
        let ingest = &mut self.ingests[at];
        match &ingest.appending {
            None => match ingest.table.step(RESOURCE, self.now) {
                OrderStep::Store(ready) => {
                    let ready = ready.iter().map(|ready| (ready.notice, ready.is_late));
                    ingest.appending = Some(ready.collect());
                    (ingest.is_stored, ingest.was_caught) = (false, false);
                }
                OrderStep::Announce(again) => {
                    let table = &ingest.table;
                    let again = again.iter().flat_map(|again| table.repeated(again));
                    ingest.telling.push(again.collect());
                }
                OrderStep::WaitUntil(_) | OrderStep::Done => {}
            },
            Some(ready) if !ingest.is_stored => {
                let was_caught = ingest.was_caught;
                let entries = ready.iter().map(|(notice, is_late)| LogEntry {
                    order: notice.order,
                    is_late: *is_late,
                    was_caught,
                });
                self.log.extend(entries);
                ingest.is_stored = true;
            }
            Some(ready) => {
                let notices: Vec<_> = ready.iter().map(|(notice, _)| *notice).collect();
                let told = ingest.table.finished(&notices, true);
                ingest.telling.push(told.into());
                ingest.appending = None;
            }
        }
    }

    /// Everything that is under way comes, without delay.
    fn settle(&mut self) {
        for _ in 0..10 * DELIVERIES {
            for at in 0..INGESTS {
                while !self.ingests[at].telling.is_empty() {
                    self.tell(at, 0);
                    self.ingests[at]
                        .telling
                        .retain(|telling| !telling.is_empty());
                }
                while self.ingests[at].heard < self.bus.len() {
                    self.hear(at);
                }
                self.store(at);
            }
        }
    }

    /// An ingest is stopped for longer than the others wait, but not so often that it gives up. These go on meanwhile, or
    /// stand still as well.
    fn stop(&mut self, at: usize, others_go_on: bool) {
        self.stops += 1;
        if self.stops >= MAX_ANNOUNCEMENTS {
            return;
        }
        for stopped in 0..INGESTS {
            if stopped == at || !others_go_on {
                self.ingests[stopped].was_caught = true;
            }
        }
        let steps = 12;
        for _ in 0..steps {
            self.now += (ORDER_PATIENCE + LATE_WAKE) / steps;
            for other in (0..INGESTS).filter(|other| others_go_on && *other != at) {
                while !self.ingests[other].telling.is_empty() {
                    self.tell(other, 0);
                }
                while self.ingests[other].heard < self.bus.len() {
                    self.hear(other);
                }
                self.store(other);
            }
        }
    }

    fn step(&mut self, choice: u32) {
        let at = (choice / 8) as usize % INGESTS;
        if choice.is_multiple_of(61) {
            return self.stop(at, (choice / 64).is_multiple_of(2));
        }
        match choice % 8 {
            0 => self.arrive(),
            1 | 2 => self.tell(at, (choice / 64) as usize),
            3 | 4 => self.hear(at),
            5 | 6 => self.store(at),
            _ => self.now += Duration::from_micros(u64::from(choice / 64 % 2000)),
        }
    }

    /// The first entry that is not marked after a later one that is not either, though its ingest was awake. A mark may
    /// come early, for a later state whose end was not heard of and which is stored afterwards.
    fn misplaced(&self) -> Option<&LogEntry> {
        let mut newest = None;
        let mut on_time = self.log.iter().filter(|entry| !entry.is_late);
        on_time.find(|entry| {
            let is_misplaced = newest > Some(entry.order);
            newest = newest.max(Some(entry.order));
            is_misplaced && !entry.was_caught
        })
    }

    /// The state that the mirror keeps, and so does a reader that compares as it does: the marks do not matter where
    /// the deliveries say when they were made.
    fn kept(&self) -> Option<StateOrder> {
        self.log.iter().map(|entry| entry.order).max()
    }
}

fn in_a_runtime<T>(test: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async { test() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is slow, and whoever is stopped for longer than the others wait: each delivery is stored once, and what
    /// comes after a later state is marked, unless its ingest was stopped after it had decided.
    #[test]
    fn nothing_is_misplaced_in_silence(
        places in Just((0..DELIVERIES as u64).collect::<Vec<_>>()).prop_shuffle(),
        at in prop::collection::vec(0..INGESTS, DELIVERIES),
        schedule in prop::collection::vec(any::<u32>(), 400),
    ) {
        in_a_runtime(|| {
            let mut simulation = Simulation::new(&places, &at);
            for choice in schedule {
                simulation.step(choice);
            }
            while !simulation.arrivals.is_empty() {
                simulation.arrive();
            }
            simulation.settle();
            // Those that nobody told of the end of another one wait until their patience ends.
            for _ in 0..100 {
                simulation.now += ORDER_PATIENCE / 10;
                simulation.settle();
                if simulation.log.len() == DELIVERIES {
                    break;
                }
            }
            prop_assert_eq!(simulation.log.len(), DELIVERIES, "{:?}", simulation);
            let misplaced = simulation.misplaced();
            prop_assert!(misplaced.is_none(), "{:?} in {:?}", misplaced, simulation.log);
            let last = simulation.kept().map(|kept| kept.made_at);
            prop_assert_eq!(last, Some(DELIVERIES as u64));
            Ok(())
        })?;
    }

    /// Swapped within the window, at any ingest, and with a bus that works: all come in order, and none is marked.
    #[test]
    fn within_the_window_the_order_is_githubs(
        places in Just((0..DELIVERIES as u64).collect::<Vec<_>>()).prop_shuffle(),
        at in prop::collection::vec(0..INGESTS, DELIVERIES),
        gaps in prop::collection::vec(0..190_u64, DELIVERIES),
    ) {
        in_a_runtime(|| {
            let mut simulation = Simulation::new(&places, &at);
            for gap in gaps {
                simulation.arrive();
                simulation.settle();
                simulation.now += Duration::from_micros(gap);
            }
            simulation.now += TIMES.active;
            simulation.settle();
            let places: Vec<u64> = simulation.log.iter().map(|entry| entry.order.made_at).collect();
            prop_assert_eq!(places, (1..=DELIVERIES as u64).collect::<Vec<_>>());
            prop_assert!(simulation.log.iter().all(|entry| !entry.is_late));
            Ok(())
        })?;
    }
}
