//! Compares the events that each stream received with the books.
//!
//! Every event carries its repository and its number there, and the frame's cursor gives its
//! position in the log. A stream's account is its current position and the last number of each
//! repository that it wants: the next event must have the next wanted number, at a later position.
//! That is enough to detect every loss, duplicate, disorder and foreign event, in a few bytes per
//! stream.

use std::sync::Arc;

use super::{
    books::Books,
    faults::{Fault, Faults},
    world::{Mark, REPOSITORIES, SoakFilter},
};

/// The state of the log as observed on the streams.
#[derive(Debug)]
pub(crate) struct StreamLedger {
    /// The events sent and acknowledged.
    pub(crate) books: Arc<Books>,
    /// The faults found so far.
    pub(crate) faults: Faults,
    /// Per repository, the position in the log of each number; 0 for not seen yet.
    places: Vec<Vec<u64>>,
    /// Beginnings that cannot be judged yet: the stream began after this position, and the event
    /// before its first one must not be later.
    beginnings: Vec<(Mark, u64)>,
}

impl StreamLedger {
    /// An empty ledger over the books.
    pub(crate) fn new(books: Arc<Books>) -> Self {
        Self {
            books,
            faults: Faults::default(),
            places: vec![Vec::new(); REPOSITORIES],
            beginnings: Vec::new(),
        }
    }

    /// The position of an event; `None` if no stream has received it yet.
    fn place(&self, repository: usize, number: u32) -> Option<u64> {
        let index = number.checked_sub(1)? as usize;
        let place = self.places[repository].get(index).copied();
        place.filter(|place| *place != 0)
    }

    /// Records the position of an event: all streams must see it at the same one, and a
    /// repository's events must be there in the order of their numbers.
    fn book_place(&mut self, mark: Mark, place: u64) {
        let index = (mark.number - 1) as usize;
        let places = &mut self.places[mark.repository];
        if places.len() <= index {
            places.resize(index + 1, 0);
        }
        if places[index] == place {
            return;
        }
        let before = places[..index].iter().rev().find(|place| **place != 0);
        let after = places[index + 1..].iter().find(|place| **place != 0);
        let is_between =
            before.is_none_or(|before| *before < place) && after.is_none_or(|after| *after > place);
        if places[index] == 0 && is_between {
            places[index] = place;
        } else {
            let known = places[index];
            self.faults.add(Fault::Moved, || {
                format!("{mark} at place {place}, known at {known}")
            });
        }
    }

    /// Judges the beginnings that were left open: by now every event was received on some stream.
    pub(crate) fn close(&mut self) {
        for (before, began) in std::mem::take(&mut self.beginnings) {
            if self
                .place(before.repository, before.number)
                .is_none_or(|place| place > began)
            {
                self.faults.add(Fault::Lost, || {
                    format!("{before}: a stream that began at place {began} started behind it")
                });
            }
        }
    }
}

/// The account of one stream, across all its connections.
#[derive(Debug)]
pub(crate) struct StreamAccount {
    /// The events that it wants.
    pub(crate) filter: SoakFilter,
    /// For messages.
    name: u64,
    /// The position at which it began; `None` before its first connection.
    began: Option<u64>,
    /// The position of the last frame received.
    at: u64,
    /// The last number of each wanted repository; 0 for none yet.
    last: Box<[u32]>,
}

impl StreamAccount {
    /// A stream that is not open yet; `name` is for messages.
    pub(crate) fn new(name: u64, filter: SoakFilter) -> Self {
        Self {
            filter,
            name,
            began: None,
            at: 0,
            last: vec![0; filter.repositories().len()].into(),
        }
    }

    /// Records that the stream is open and continues after `place`.
    pub(crate) fn record_connected(&mut self, ledger: &mut StreamLedger, place: u64) {
        if self.began.is_none() {
            (self.began, self.at) = (Some(place), place);
        } else if place != self.at {
            let (name, at) = (self.name, self.at);
            ledger.faults.add(Fault::ResumedElsewhere, || {
                format!("stream {name} was at place {at} and goes on from {place}")
            });
        }
    }

    /// Records an event at a position in the log.
    pub(crate) fn record_event(&mut self, ledger: &mut StreamLedger, place: u64, mark: Mark) {
        let (name, repository) = (self.name, mark.repository);
        if mark.number == 0 || mark.number > ledger.books.newest_sent(repository) {
            let what = || format!("stream {name} got {mark}");
            return ledger.faults.add(Fault::Invented, what);
        }
        if !self.filter.matches(mark) {
            let filter = self.filter;
            let what = || format!("stream {name} wants {filter:?} and got {mark}");
            return ledger.faults.add(Fault::Foreign, what);
        }
        ledger.book_place(mark, place);
        let last = self.last[repository - self.filter.repositories().start];
        let (at, step) = (self.at, self.filter.step());
        if place <= at || mark.number <= last {
            let fault = if mark.number <= last && place <= at {
                Fault::Duplicate
            } else {
                Fault::Disorder
            };
            ledger.faults.add(fault, || {
                format!("stream {name} got {mark} at place {place}; it was at {at}, number {last}")
            });
            // An event that arrived late did arrive: it does not count as missing too.
            let index = repository - self.filter.repositories().start;
            self.last[index] = last.max(mark.number);
            return;
        }
        let previous = mark.number.saturating_sub(step);
        if last == 0 {
            self.begin_repository(ledger, mark, previous);
        } else if previous != last {
            let missing = (previous - last) / step;
            ledger.faults.add(Fault::Lost, || {
                format!("stream {name} misses {missing} between number {last} and {mark}")
            });
        }
        self.last[repository - self.filter.repositories().start] = mark.number;
        self.at = place;
    }

    /// Records the first event of a repository: the event before it must be from before the stream
    /// began.
    fn begin_repository(&mut self, ledger: &mut StreamLedger, mark: Mark, previous: u32) {
        let (Some(began), 1..) = (self.began, previous) else {
            return;
        };
        match ledger.place(mark.repository, previous) {
            Some(place) if place <= began => {}
            Some(place) => {
                let name = self.name;
                ledger.faults.add(Fault::Lost, || {
                    format!(
                        "stream {name} began at place {began} and got {mark} first, not number \
                         {previous} at place {place}"
                    )
                });
            }
            None => {
                let before = Mark {
                    number: previous,
                    ..mark
                };
                ledger.beginnings.push((before, began));
            }
        }
    }

    /// An event of a repository, up to `newest`, that is owed to the stream and was not received.
    /// An event that no stream has received yet counts as owed: another stream may be owed it, and
    /// will receive it.
    fn owed(&self, ledger: &StreamLedger, repository: usize, newest: u32) -> Option<u32> {
        let newest = self.filter.newest(newest);
        let last = self.last[repository - self.filter.repositories().start];
        if newest <= last {
            return None;
        }
        if last > 0 {
            return Some(last + self.filter.step());
        }
        let is_later = ledger
            .place(repository, newest)
            .is_none_or(|place| self.began.is_none_or(|began| place > began));
        is_later.then_some(newest)
    }

    /// Whether the stream has received everything owed to it of each repository, up to a number.
    pub(crate) fn has_all(&self, ledger: &StreamLedger, newest: impl Fn(usize) -> u32) -> bool {
        let mut repositories = self.filter.repositories();
        self.began.is_some() && repositories.all(|at| self.owed(ledger, at, newest(at)).is_none())
    }

    /// An event, by repository and number, that has been owed since before `millis` (of the run)
    /// and was not received.
    pub(crate) fn overdue(&self, ledger: &StreamLedger, millis: u32) -> Option<(usize, u32)> {
        self.began?;
        self.filter.repositories().find_map(|repository| {
            let newest = ledger.books.acknowledged_before(repository, millis);
            let number = self.owed(ledger, repository, newest)?;
            Some((repository, number))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl StreamAccount {
        fn is_settled(&self, ledger: &StreamLedger) -> bool {
            self.has_all(ledger, |at| ledger.books.newest_acknowledged(at))
        }
    }

    /// A world in which repositories 0 and 1 take turns: number n of repository r is at place 2n + r.
    struct Fixture {
        ledger: StreamLedger,
    }

    fn mark(repository: usize, number: u32) -> Mark {
        Mark {
            repository,
            number,
            sent_millis: 0,
        }
    }

    fn place(mark: Mark) -> u64 {
        u64::from(mark.number) * 2 + mark.repository as u64
    }

    impl Fixture {
        fn new(events: u32) -> Self {
            let books = Arc::new(Books::new());
            for repository in 0..2 {
                for _ in 0..events {
                    let number = books.record_sending(repository);
                    books.record_acknowledged(repository, number);
                }
            }
            Self {
                ledger: StreamLedger::new(books),
            }
        }

        fn stream(&mut self, filter: SoakFilter, began: u64) -> StreamAccount {
            let mut account = StreamAccount::new(1, filter);
            account.record_connected(&mut self.ledger, began);
            account
        }

        fn got(&mut self, account: &mut StreamAccount, mark: Mark) {
            account.record_event(&mut self.ledger, place(mark), mark);
        }

        fn all(&mut self, account: &mut StreamAccount, numbers: impl IntoIterator<Item = u32>) {
            for number in numbers {
                for repository in 0..2 {
                    if account.filter.matches(mark(repository, number)) {
                        self.got(account, mark(repository, number));
                    }
                }
            }
        }

        fn found(&mut self) -> Vec<(Fault, u64)> {
            self.ledger.close();
            self.ledger.faults.counts.clone().into_iter().collect()
        }
    }

    fn two() -> SoakFilter {
        SoakFilter::EVERYTHING
    }

    #[test]
    fn books_balance_when_every_stream_has_what_it_wants_from_where_it_began() {
        let mut world = Fixture::new(30);
        let mut everything = world.stream(two(), 0);
        assert!(!everything.is_settled(&world.ledger));
        world.all(&mut everything, 1..=30);
        let mut late = world.stream(two(), 21);
        world.all(&mut late, 11..=30);
        let mut issue = world.stream(SoakFilter::issue(1, 3), 0);
        world.all(&mut issue, 1..=30);
        // Began after the last event that it wants, so nothing is owed to it.
        let idle = world.stream(SoakFilter::issue(0, 3), 46);
        for account in [&everything, &late, &issue, &idle] {
            assert!(account.is_settled(&world.ledger), "{account:?}");
            assert_eq!(account.overdue(&world.ledger, u32::MAX), None);
        }
        assert_eq!(world.found(), []);
    }

    #[test]
    fn a_loss_in_the_middle_is_found_by_what_comes_after_it() {
        let mut world = Fixture::new(30);
        let mut stream = world.stream(SoakFilter::repository(0), 0);
        world.all(&mut stream, (1..=10).chain(14..=30));
        let mut issue = world.stream(SoakFilter::issue(1, 3), 0);
        world.all(&mut issue, [3, 23]);
        assert_eq!(world.found(), [(Fault::Lost, 2)]);
        assert!(world.ledger.faults.examples[0].contains("misses 3 between number 10"));
        assert!(world.ledger.faults.examples[1].contains("misses 1 between number 3"));
    }

    #[test]
    fn a_loss_at_the_beginning_is_found_at_once_or_when_the_event_is_known() {
        let mut world = Fixture::new(10);
        let mut early = world.stream(SoakFilter::repository(0), 2);
        world.all(&mut early, 5..=10);
        assert_eq!(world.ledger.faults.total(), 0, "number 4 is not known yet");
        let mut witness = world.stream(two(), 0);
        world.all(&mut witness, 1..=10);
        let mut late = world.stream(SoakFilter::repository(0), 2);
        world.all(&mut late, 3..=10);
        assert_eq!(world.ledger.faults.total(), 1, "number 2 is at place 4");
        assert_eq!(world.found(), [(Fault::Lost, 2)]);
    }

    #[test]
    fn a_loss_at_the_end_is_still_owed_and_becomes_overdue() {
        let mut world = Fixture::new(10);
        let mut stream = world.stream(two(), 0);
        world.all(&mut stream, 1..=9);
        world.got(&mut stream, mark(0, 10));
        assert!(!stream.is_settled(&world.ledger));
        assert_eq!(stream.overdue(&world.ledger, u32::MAX), Some((1, 10)));
        assert_eq!(stream.overdue(&world.ledger, 0), None);
        world.got(&mut stream, mark(1, 10));
        assert!(stream.is_settled(&world.ledger));
        // A stream that never received an event is owed one too.
        let silent = world.stream(SoakFilter::repository(1), 20);
        assert!(!silent.is_settled(&world.ledger));
        assert!(
            !StreamAccount::new(2, two()).is_settled(&world.ledger),
            "never open"
        );
    }

    #[test]
    fn duplicates_are_found_also_after_a_resume() {
        let mut world = Fixture::new(10);
        let mut stream = world.stream(two(), 0);
        world.all(&mut stream, 1..=5);
        world.got(&mut stream, mark(1, 5));
        stream.record_connected(&mut world.ledger, place(mark(1, 5)));
        world.got(&mut stream, mark(0, 4));
        world.all(&mut stream, 6..=10);
        assert!(stream.is_settled(&world.ledger));
        assert_eq!(world.found(), [(Fault::Duplicate, 2)]);
    }

    #[test]
    fn disorder_over_repositories_is_found_by_the_place_in_the_log() {
        let mut world = Fixture::new(10);
        let mut stream = world.stream(two(), 0);
        world.all(&mut stream, 1..=4);
        world.got(&mut stream, mark(1, 5));
        world.got(&mut stream, mark(0, 5));
        assert_eq!(world.found(), [(Fault::Disorder, 1)]);
    }

    #[test]
    fn strangers_and_inventions_are_found() {
        let mut world = Fixture::new(10);
        let mut stream = world.stream(SoakFilter::repository(0), 0);
        world.got(&mut stream, mark(1, 1));
        world.got(&mut stream, mark(0, 11));
        let mut issue = world.stream(SoakFilter::issue(0, 3), 0);
        world.got(&mut issue, mark(0, 4));
        let expected = [(Fault::Foreign, 2), (Fault::Invented, 1)];
        assert_eq!(world.found(), expected);
    }

    #[test]
    fn an_event_at_two_places_and_a_resume_elsewhere_are_found() {
        let mut world = Fixture::new(10);
        let mut one = world.stream(two(), 0);
        world.all(&mut one, 1..=2);
        let mut other = world.stream(SoakFilter::repository(0), 0);
        other.record_event(&mut world.ledger, 3, mark(0, 1));
        one.record_connected(&mut world.ledger, 4);
        let expected = [(Fault::Moved, 1), (Fault::ResumedElsewhere, 1)];
        assert_eq!(world.found(), expected);
    }
}
