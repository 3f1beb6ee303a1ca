//! The account of a stream whose frames carry no position: lines, and HTTP+SSE. It wants one repository, or one
//! issue, so its events have an order of their own: their numbers.

use crate::soak::{
    books::Books,
    faults::{Fault, Faults},
    world::{Mark, SoakFilter},
};

/// The kind of an honest stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HonestKind {
    /// `GET /events/stream`.
    Events,
    /// The GET stream of a session.
    Session,
    /// `subscriptions/listen`.
    Listen,
    /// A session on a connection of lines.
    Lines,
    /// A session over HTTP+SSE.
    HttpSse,
}

/// An account without positions; it begins anew with each connection.
#[derive(Debug)]
pub(crate) struct UnplacedAccount {
    filter: SoakFilter,
    /// For messages.
    name: usize,
    /// The highest number that was sent when its subscription was confirmed.
    confirmed_at: Option<u32>,
    /// The last number received; 0 for none.
    last: u32,
}

impl UnplacedAccount {
    /// The account of a subscription that is not confirmed yet.
    pub(crate) fn new(name: usize, filter: SoakFilter) -> Self {
        Self {
            filter,
            name,
            confirmed_at: None,
            last: 0,
        }
    }

    fn repository(&self) -> usize {
        self.filter.repositories().start
    }

    /// Records that the subscription is in force: all that is sent from now on is owed.
    pub(crate) fn confirm(&mut self, books: &Books) {
        self.confirmed_at = Some(books.newest_sent(self.repository()));
    }

    /// Whether its subscription is confirmed.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed_at.is_some()
    }

    /// Records an event.
    pub(crate) fn record(&mut self, mark: Mark, books: &Books, faults: &mut Faults) {
        let (name, filter, last) = (self.name, self.filter, self.last);
        if !filter.matches(mark) {
            let what = || format!("stream {name} wants {filter:?} and got {mark}");
            return faults.add(Fault::Foreign, what);
        }
        if mark.number == 0 || mark.number > books.newest_sent(mark.repository) {
            return faults.add(Fault::Invented, || format!("stream {name} got {mark}"));
        }
        if mark.number <= last {
            let what = || format!("stream {name} got {mark} after number {last}");
            return faults.add(Fault::Duplicate, what);
        }
        let previous = mark.number.saturating_sub(filter.step());
        let was_owed = match last {
            // What was sent while the subscription began may be there or not.
            0 => self.confirmed_at.is_some_and(|sent| previous > sent),
            last => previous != last,
        };
        if was_owed {
            let what = || format!("stream {name} got {mark} after number {last}");
            faults.add(Fault::Lost, what);
        }
        self.last = mark.number;
    }

    /// Whether everything up to a number was received.
    pub(crate) fn has_all(&self, newest: u32) -> bool {
        let newest = self.filter.newest(newest);
        let confirmed = self.confirmed_at;
        newest <= self.last || confirmed.is_some_and(|sent| self.last == 0 && newest <= sent)
    }

    /// Whether everything up to the highest number of its repository is there.
    pub(crate) fn is_settled(&self, newest: &[u32]) -> bool {
        self.is_confirmed() && self.has_all(newest[self.repository()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(numbers: &[u32], filter: SoakFilter) -> (Vec<(Fault, u64)>, bool) {
        let (books, mut faults) = (Books::new(), Faults::default());
        let mut account = UnplacedAccount::new(1, filter);
        for _ in 0..10 {
            books.record_sending(3);
        }
        account.confirm(&books);
        for _ in 0..20 {
            books.record_sending(3);
        }
        for number in numbers {
            let mark = Mark {
                repository: 3,
                number: *number,
                sent_millis: 0,
            };
            account.record(mark, &books, &mut faults);
        }
        let mut newest = vec![0; 4];
        newest[3] = 30;
        (
            faults.counts.into_iter().collect(),
            account.is_settled(&newest),
        )
    }

    #[test]
    fn everything_after_the_confirmation_is_owed_once_and_in_order() {
        let all: Vec<_> = (11..=30).collect();
        let repository = SoakFilter::repository(3);
        assert_eq!(got(&all, repository), (vec![], true));
        let early: Vec<_> = (9..=30).collect();
        assert_eq!(got(&early, repository), (vec![], true));
        assert_eq!(got(&all[1..], repository), (vec![(Fault::Lost, 1)], true));
        assert_eq!(got(&all[..19], repository), (vec![], false));
        assert_eq!(got(&[], repository), (vec![], false));
        let disorder = got(&[11, 13, 12], repository).0;
        assert_eq!(disorder, [(Fault::Lost, 1), (Fault::Duplicate, 1)]);
        assert_eq!(got(&[31], repository).0, [(Fault::Invented, 1)]);
        let issue = SoakFilter::issue(3, 5);
        assert_eq!(got(&[15, 25], issue), (vec![], true));
        assert_eq!(got(&[25], issue), (vec![(Fault::Lost, 1)], true));
        assert_eq!(got(&[14], issue).0, [(Fault::Foreign, 1)]);
    }
}
