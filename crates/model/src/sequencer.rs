//! Hints, pages and gaps in; one ordered, gap-free sequence out. No I/O, no clock.
//!
//! The log is the truth and the bus is a hint (design §2.1). A hint that directly follows the last
//! delivered entry is passed on at once. An early hint is held back until the missing part arrives: the
//! driver waits a moment (two publishers overtake each other all the time), then reads the log. A lost,
//! late, duplicated or reordered hint therefore costs latency, never an event.

use std::collections::BTreeMap;

use crate::{Sequence, Sequenced};

/// The actions that a driver has to take after an input.
#[derive(Debug, PartialEq, Eq)]
pub struct SequencerStep<T> {
    /// Entries to pass on, in this order.
    pub deliver: Vec<Sequenced<T>>,
    /// Set if the log no longer has the entries after the position: report the loss to the readers,
    /// then continue.
    pub lost: Option<LostRange>,
    /// Whether to read entries that are known to exist but have not arrived.
    pub read: ReadNeed,
}

/// Entries that the log trimmed before they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostRange {
    /// Everything up to and including this position was delivered.
    pub after: Sequence,
    /// Delivery continues after this position.
    pub resumes_after: Sequence,
}

/// Whether, and when, the driver has to read the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadNeed {
    /// Nothing is known to be missing, or a read is in progress.
    NotNeeded,
    /// A hint arrived early: read the log after a short grace period, unless the missing hint arrives first.
    Soon,
    /// Read the log now.
    Now,
}

/// The state machine. Holds a position and a bounded number of early hints.
#[derive(Debug)]
pub struct Sequencer<T> {
    position: Sequence,
    early: BTreeMap<Sequence, T>,
    max_early: usize,
    /// Highest sequence that a hint or a head claimed to exist.
    known: Sequence,
    /// The value of `known` when the current read began: an entry up to it that the log does not have
    /// when the read ends never existed.
    known_at_read: Sequence,
    /// The bus may have dropped a message; only a read can tell.
    suspicious: bool,
    reading: bool,
}

impl<T> Sequencer<T> {
    /// Everything up to `position` counts as delivered. Up to `max_early` early hints are kept; entries
    /// beyond that are read from the log.
    #[must_use]
    pub fn new(position: Sequence, max_early: usize) -> Self {
        Self {
            position,
            early: BTreeMap::new(),
            max_early,
            known: position,
            known_at_read: position,
            suspicious: false,
            reading: false,
        }
    }

    /// Everything up to and including this position was delivered.
    #[must_use]
    pub fn position(&self) -> Sequence {
        self.position
    }

    /// Takes a hint with its payload.
    pub fn hint(&mut self, sequence: Sequence, item: T) -> SequencerStep<T> {
        self.known = self.known.max(sequence);
        let mut deliver = Vec::new();
        if sequence == self.position.next() {
            self.position = sequence;
            deliver.push(Sequenced { sequence, item });
            self.drain_early(&mut deliver);
        } else if sequence > self.position && self.early.len() < self.max_early {
            self.early.insert(sequence, item);
        }
        self.step(deliver, None, ReadNeed::Soon)
    }

    /// Takes the position of the log's head, without payload.
    pub fn head(&mut self, sequence: Sequence) -> SequencerStep<T> {
        self.known = self.known.max(sequence);
        self.step(Vec::new(), None, ReadNeed::Now)
    }

    /// The bus lost messages, or may have; only the log can tell.
    pub fn gap(&mut self) -> SequencerStep<T> {
        self.suspicious = true;
        self.step(Vec::new(), None, ReadNeed::Now)
    }

    /// The grace period for early hints is over.
    pub fn grace_over(&mut self) -> SequencerStep<T> {
        self.step(Vec::new(), None, ReadNeed::Now)
    }

    /// The driver starts to read; returns the position to read after. Until [`Self::page`] or
    /// [`Self::read_failed`] no further read is requested.
    pub fn start_reading(&mut self) -> Sequence {
        self.reading = true;
        self.suspicious = false;
        self.known_at_read = self.known;
        self.position
    }

    /// A page of the log: `items` ascending, complete up to and including `through`. `at_head` says that
    /// the log had nothing beyond; `resumes_after` is the position that the log still reaches back to,
    /// if that is later than the requested position.
    pub fn page(
        &mut self,
        items: Vec<Sequenced<T>>,
        through: Sequence,
        at_head: bool,
        resumes_after: Option<Sequence>,
    ) -> SequencerStep<T> {
        self.reading = false;
        let lost = resumes_after
            .filter(|resumes_after| *resumes_after > self.position)
            .map(|resumes_after| LostRange {
                after: self.position,
                resumes_after,
            });
        if let Some(lost) = lost {
            self.position = lost.resumes_after;
        }
        let mut deliver = Vec::with_capacity(items.len());
        for entry in items {
            if entry.sequence > self.position {
                self.position = entry.sequence;
                deliver.push(entry);
            }
        }
        self.position = self.position.max(through);
        self.early = self.early.split_off(&self.position.next());
        self.drain_early(&mut deliver);
        if at_head && self.known == self.known_at_read {
            // A claim beyond the head that is older than the read was false: the log is right.
            self.known = self.position;
            self.early.clear();
        }
        self.step(deliver, lost, ReadNeed::Now)
    }

    /// A read failed; the driver retries after its own back-off.
    pub fn read_failed(&mut self) -> SequencerStep<T> {
        self.reading = false;
        self.suspicious = true;
        self.step(Vec::new(), None, ReadNeed::Now)
    }

    fn drain_early(&mut self, deliver: &mut Vec<Sequenced<T>>) {
        while let Some(item) = self.early.remove(&self.position.next()) {
            self.position = self.position.next();
            deliver.push(Sequenced {
                sequence: self.position,
                item,
            });
        }
        // Duplicates of entries that have been delivered meanwhile would stay here for ever.
        while let Some(first) = self
            .early
            .first_entry()
            .filter(|e| *e.key() <= self.position)
        {
            first.remove();
        }
    }

    fn step(
        &self,
        deliver: Vec<Sequenced<T>>,
        lost: Option<LostRange>,
        if_behind: ReadNeed,
    ) -> SequencerStep<T> {
        let read = match () {
            () if self.reading => ReadNeed::NotNeeded,
            () if self.suspicious => ReadNeed::Now,
            () if self.known > self.position => if_behind,
            () => ReadNeed::NotNeeded,
        };
        SequencerStep {
            deliver,
            lost,
            read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Inputs of the machine, which may occur in any order.
    #[derive(Debug, Clone)]
    enum Move {
        /// The log grows by one entry, after skipping `skipped` numbers; its hint is published on the bus.
        Append { skipped: u64 },
        /// The bus delivers the hint at this place among those in flight.
        Deliver(usize),
        /// The bus delivers it and keeps a copy.
        Duplicate(usize),
        /// The bus loses it.
        Drop(usize),
        /// The bus reports that it may have lost a message.
        Gap,
        /// The grace period for early hints ends.
        Grace,
        /// The current read returns a page of up to this many entries.
        Page(usize),
        /// The current read fails.
        Fail,
        /// A head claims an entry that does not exist.
        Forge(u64),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            4 => (0..3_u64).prop_map(|skipped| Move::Append { skipped }),
            4 => any::<usize>().prop_map(Move::Deliver),
            1 => any::<usize>().prop_map(Move::Duplicate),
            1 => any::<usize>().prop_map(Move::Drop),
            1 => Just(Move::Gap),
            1 => Just(Move::Grace),
            3 => (1..4_usize).prop_map(Move::Page),
            1 => Just(Move::Fail),
            1 => (1..9_u64).prop_map(Move::Forge),
        ];
        prop::collection::vec(one, 0..200)
    }

    #[derive(Debug, Default)]
    struct World {
        log: Vec<Sequence>,
        in_flight: Vec<Sequence>,
        /// The position of the current read.
        read_after: Option<Sequence>,
        delivered: Vec<Sequence>,
    }

    impl World {
        fn take(&mut self, machine: &mut Sequencer<u64>, step: SequencerStep<u64>) {
            for entry in step.deliver {
                assert_eq!(
                    entry.sequence.0, entry.item,
                    "payload belongs to its sequence"
                );
                self.delivered.push(entry.sequence);
            }
            assert_eq!(step.lost, None);
            if step.read == ReadNeed::Now {
                assert_eq!(self.read_after, None, "one read at a time");
                self.read_after = Some(machine.start_reading());
            }
        }

        fn page(&mut self, machine: &mut Sequencer<u64>, limit: usize) {
            let Some(after) = self.read_after.take() else {
                return;
            };
            let rest: Vec<_> = self.log.iter().copied().filter(|s| *s > after).collect();
            let items: Vec<_> = rest
                .iter()
                .take(limit)
                .map(|s| Sequenced {
                    sequence: *s,
                    item: s.0,
                })
                .collect();
            let at_head = rest.len() <= limit;
            let through = items.last().map_or(after, |e| e.sequence);
            let step = machine.page(items, through, at_head, None);
            self.take(machine, step);
        }

        fn apply(&mut self, machine: &mut Sequencer<u64>, a_move: &Move) {
            let pick = |n: usize, len: usize| (len > 0).then(|| n % len);
            match *a_move {
                Move::Append { skipped } => {
                    let last = self.log.last().copied().unwrap_or_default();
                    let sequence = Sequence(last.0 + 1 + skipped);
                    self.log.push(sequence);
                    self.in_flight.push(sequence);
                }
                Move::Deliver(n) => {
                    if let Some(n) = pick(n, self.in_flight.len()) {
                        let sequence = self.in_flight.remove(n);
                        let step = machine.hint(sequence, sequence.0);
                        self.take(machine, step);
                    }
                }
                Move::Duplicate(n) => {
                    if let Some(n) = pick(n, self.in_flight.len()) {
                        let sequence = self.in_flight[n];
                        let step = machine.hint(sequence, sequence.0);
                        self.take(machine, step);
                    }
                }
                Move::Drop(n) => {
                    if let Some(n) = pick(n, self.in_flight.len()) {
                        self.in_flight.remove(n);
                    }
                }
                Move::Gap => {
                    let step = machine.gap();
                    self.take(machine, step);
                }
                Move::Grace => {
                    let step = machine.grace_over();
                    self.take(machine, step);
                }
                Move::Page(limit) => self.page(machine, limit),
                Move::Fail => {
                    if self.read_after.take().is_some() {
                        let step = machine.read_failed();
                        self.take(machine, step);
                    }
                }
                Move::Forge(beyond) => {
                    let head = self.log.last().copied().unwrap_or_default();
                    let step = machine.head(Sequence(head.0 + beyond));
                    self.take(machine, step);
                }
            }
        }
    }

    proptest! {
        /// Whatever the bus does, the output is the log: in order, each entry once, none left out.
        #[test]
        fn what_comes_out_is_the_log(moves in moves(), max_early in 0..6_usize) {
            let mut machine = Sequencer::new(Sequence::START, max_early);
            let mut world = World::default();
            for a_move in moves {
                world.apply(&mut machine, &a_move);
                prop_assert!(world.log.starts_with(&world.delivered), "{world:?}");
            }
            // The slow poll of the head, which every driver does, completes the delivery in bounded steps.
            let head = world.log.last().copied().unwrap_or_default();
            let step = machine.head(head);
            world.take(&mut machine, step);
            for _ in 0..world.log.len() + 2 {
                world.page(&mut machine, 1);
            }
            prop_assert_eq!(&world.delivered, &world.log);
            prop_assert_eq!(world.read_after, None, "a false claim does not make it read for ever");
        }
    }

    #[test]
    fn what_was_trimmed_is_reported_not_skipped_silently() {
        let mut machine = Sequencer::new(Sequence(3), 8);
        assert_eq!(machine.head(Sequence(12)).read, ReadNeed::Now);
        assert_eq!(machine.start_reading(), Sequence(3));
        let items = vec![Sequenced {
            sequence: Sequence(11),
            item: (),
        }];
        let step = machine.page(items, Sequence(11), false, Some(Sequence(10)));
        assert_eq!(
            step.lost,
            Some(LostRange {
                after: Sequence(3),
                resumes_after: Sequence(10)
            })
        );
        assert_eq!(step.deliver.len(), 1);
        assert_eq!(step.read, ReadNeed::Now);
    }
}
