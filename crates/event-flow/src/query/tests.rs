//! An answer says so when an entry that does not decode lies in the range that it covers.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use ports::{AppendResult, EventPage, EventsBefore, LogHead, SeekResult, UndecodableEntry};
use store_layers::PageEntries;

use super::*;
use crate::limits::SEARCH_TIME;

const EVENT_BYTES: usize = 100;

/// A log of the events `first` to `last`, of which some entries do not decode.
#[derive(Debug)]
struct HoledLog {
    last: u64,
    undecodable: BTreeSet<u64>,
    /// Time that a read takes.
    delay: Duration,
}

impl HoledLog {
    fn entry(&self, number: u64) -> Result<StoredEvent, EntryTag> {
        let json = "x".repeat(EVENT_BYTES).into();
        let event = StoredEvent {
            json,
            ..contract::event(number)
        };
        match self.undecodable.contains(&number) {
            true => Err(EntryTag::UNDECODABLE),
            false => Ok(event),
        }
    }
}

#[async_trait]
impl EventLog for HoledLog {
    async fn append(&self, _: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        unreachable!("a query reads")
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        tokio::time::sleep(self.delay).await;
        let mut read = PageEntries::default();
        for number in (after.0 + 1..=self.last).take(limit) {
            if !read.push(Sequence(number), self.entry(number)) {
                break;
            }
        }
        let through = read.last().unwrap_or(after);
        Ok(EventPage {
            through,
            at_head: through.0 == self.last,
            resumes_after: read.undecodable_through(),
            undecodable: read.undecodable,
            events: read.events,
        })
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        tokio::time::sleep(self.delay).await;
        let mut read = EventsBefore::default();
        for number in (1..before.0).rev().take(limit) {
            let sequence = Sequence(number);
            match self.entry(number) {
                Ok(item) => read.events.push(Sequenced { sequence, item }),
                Err(tag) => read.undecodable.push(UndecodableEntry { sequence, tag }),
            }
        }
        Ok(read)
    }

    async fn seek(&self, _: Timestamp) -> Result<SeekResult, EventLogError> {
        Ok(SeekResult {
            position: Sequence::START,
            truncated: false,
            read_bytes: 0,
        })
    }

    async fn position_of(&self, _: &EventId) -> Result<Option<Sequence>, EventLogError> {
        unreachable!("a query reads by position")
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        Ok(LogHead {
            epoch: model::Epoch(1),
            trimmed_through: Sequence::START,
            last: Sequence(self.last),
        })
    }

    async fn trim(&self, _: Timestamp) -> Result<u64, EventLogError> {
        unreachable!("a query reads")
    }
}

fn question(order: Order, after: u64, limit: usize) -> EventQuery {
    EventQuery {
        after: Sequence(after),
        ..EventQuery::new(FilterSet::all(), order, limit, MAX_ANSWER_BYTES)
    }
}

async fn answer(log: &HoledLog, order: Order, after: u64, limit: usize) -> (Vec<u64>, bool) {
    let query = question(order, after, limit);
    let page = query_visible(log, &query, &|_: &EventFacts| true)
        .await
        .unwrap();
    let events = page.events.iter().map(|event| event.sequence.0).collect();
    (events, page.truncated)
}

#[tokio::test]
async fn a_gap_in_the_range_of_the_answer_is_said_and_another_is_not() {
    let undecodable = BTreeSet::from([4, 5]);
    let log = HoledLog {
        last: 8,
        undecodable,
        delay: Duration::ZERO,
    };
    let newest = |after, limit| answer(&log, Order::NewestFirst, after, limit);
    assert_eq!(newest(0, 100).await, (vec![8, 7, 6, 3, 2, 1], true));
    assert_eq!(newest(0, 4).await, (vec![8, 7, 6, 3], true));
    assert_eq!(newest(0, 3).await, (vec![8, 7, 6], false));
    assert_eq!(newest(4, 100).await, (vec![8, 7, 6], true));
    assert_eq!(newest(5, 100).await, (vec![8, 7, 6], false));
    let oldest = |after, limit| answer(&log, Order::OldestFirst, after, limit);
    assert_eq!(oldest(0, 100).await, (vec![1, 2, 3, 6, 7, 8], true));
    assert_eq!(oldest(0, 3).await, (vec![1, 2, 3], false));
    assert_eq!(oldest(5, 100).await, (vec![6, 7, 8], false));
}

#[tokio::test]
async fn a_page_without_any_event_does_not_end_the_search() {
    let log = HoledLog {
        last: 1500,
        undecodable: (2..=1500).collect(),
        delay: Duration::ZERO,
    };
    let newest = answer(&log, Order::NewestFirst, 0, 10).await;
    assert_eq!(newest, (vec![1], true));
    let oldest = answer(&log, Order::OldestFirst, 0, 10).await;
    assert_eq!(oldest, (vec![1], true));
}

/// The pages of a query, continued until there are no more; each page's numbers.
async fn pages(log: &HoledLog, mut query: EventQuery, visible: Visible<'_>) -> Vec<Vec<u64>> {
    let mut pages = Vec::new();
    loop {
        let page = query_visible(log, &query, visible).await.unwrap();
        let events = page.events.iter().map(|event| event.sequence.0);
        pages.push(events.collect());
        match query.order {
            Order::OldestFirst if page.has_more => query.after = page.through,
            Order::NewestFirst if page.older.is_some() => query.before = page.older,
            _ => return pages,
        }
    }
}

/// A log of the events 1 to `last`, of which each read takes this long.
fn whole(last: u64, delay: Duration) -> HoledLog {
    HoledLog {
        last,
        undecodable: BTreeSet::new(),
        delay,
    }
}

#[tokio::test]
async fn an_answer_has_as_many_events_as_its_bytes_allow_and_the_next_one_goes_on() {
    let log = whole(7, Duration::ZERO);
    for (max_bytes, sizes) in [
        (3 * EVENT_BYTES, vec![3, 3, 1]),
        (2 * EVENT_BYTES, vec![2, 2, 2, 1]),
        // An event that is larger than the whole answer is given alone.
        (1, vec![1; 7]),
    ] {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let query = EventQuery {
                max_bytes,
                ..question(order, 0, 100)
            };
            let pages = pages(&log, query, &|_: &EventFacts| true).await;
            let events = pages.iter().filter(|page| !page.is_empty());
            let found: Vec<_> = events.clone().map(Vec::len).collect();
            assert_eq!(found, sizes, "{order:?}, {max_bytes} bytes");
            let mut all: Vec<_> = events.flatten().copied().collect();
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3, 4, 5, 6, 7]);
        }
    }
}

#[tokio::test]
async fn an_answer_that_its_bytes_or_its_limit_cut_says_that_there_is_more() {
    let log = whole(7, Duration::ZERO);
    let newest = async |limit, max_bytes| {
        let query = EventQuery {
            max_bytes,
            ..question(Order::NewestFirst, 0, limit)
        };
        let page = query_visible(&log, &query, &|_: &EventFacts| true)
            .await
            .unwrap();
        (page.events.len(), page.has_more, page.older)
    };
    let two = 2 * EVENT_BYTES;
    assert_eq!(newest(100, two).await, (2, true, Some(Sequence(6))));
    assert_eq!(newest(2, two).await, (2, true, Some(Sequence(6))));
    assert_eq!(newest(100, MAX_ANSWER_BYTES).await, (7, false, None));
}

/// Each read takes a second, and nothing matches but the first event: a search gives what it has found when
/// its time is over, and the search that continues it advances.
#[tokio::test(start_paused = true)]
async fn a_search_that_lasts_too_long_answers_with_its_position() {
    let log = whole(5000, Duration::from_secs(1));
    let first = |event: &EventFacts| event.id == contract::event(1).facts.id;
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let pages = pages(&log, question(order, 0, 10), &first).await;
        assert!((3..=6).contains(&pages.len()), "{order:?}: {pages:?}");
        assert_eq!(pages.concat(), [1]);
    }
}

/// A single read that takes longer than a search may last is an answer all the same.
#[tokio::test(start_paused = true)]
async fn a_search_advances_however_slow_the_log_is() {
    let log = whole(1200, SEARCH_TIME * 2);
    let none = |_: &EventFacts| false;
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let pages = pages(&log, question(order, 0, 10), &none).await;
        assert!(pages.len() <= 4, "{order:?}: {pages:?}");
    }
}

#[tokio::test]
async fn an_offset_passes_over_matches_in_either_order_and_pages_go_on_after_them() {
    let log = whole(9, Duration::ZERO);
    let ids = [2, 4, 6, 8].map(|number| contract::event(number).facts.id.clone());
    let even = |event: &EventFacts| ids.contains(&event.id);
    for (order, all) in [
        (Order::OldestFirst, [2, 4, 6, 8]),
        (Order::NewestFirst, [8, 6, 4, 2]),
    ] {
        let page = async |offset, limit| {
            let query = EventQuery {
                offset,
                ..question(order, 0, limit)
            };
            query_visible(&log, &query, &even).await.unwrap()
        };
        for offset in 0..=5 {
            let page = page(offset, 100).await;
            let found: Vec<_> = page.events.iter().map(|event| event.sequence.0).collect();
            let expected = all.get(offset..).unwrap_or_default();
            assert_eq!(found, expected, "{order:?} from {offset}");
            assert!(!page.has_more, "{order:?} from {offset}");
        }
        let first = page(1, 1).await;
        assert_eq!(first.events[0].sequence.0, all[1]);
        let mut next = question(order, first.through.0, 100);
        if order == Order::NewestFirst {
            next = EventQuery {
                before: first.older,
                ..question(order, 0, 100)
            };
        }
        let rest = query_visible(&log, &next, &even).await.unwrap();
        let rest: Vec<_> = rest.events.iter().map(|event| event.sequence.0).collect();
        assert_eq!(rest, all[2..], "{order:?}");
    }
}
