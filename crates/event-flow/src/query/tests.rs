//! An answer says so when an entry that does not decode lies in the range that it covers.

use std::collections::BTreeSet;

use async_trait::async_trait;
use ports::{AppendResult, EventPage, EventsBefore, LogHead, PageEntries};

use super::*;

/// A log of the events `first` to `last`, of which some entries do not decode.
#[derive(Debug)]
struct HoledLog {
    last: u64,
    undecodable: BTreeSet<u64>,
}

impl HoledLog {
    fn entry(&self, number: u64) -> Option<StoredEvent> {
        (!self.undecodable.contains(&number)).then(|| contract::event(number))
    }
}

#[async_trait]
impl EventLog for HoledLog {
    async fn append(&self, _: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        unreachable!("a query reads")
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
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
            resumes_after: read.undecodable_through,
            undecodable: read.undecodable,
            events: read.events,
        })
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        let mut read = EventsBefore::default();
        for number in (1..before.0).rev().take(limit) {
            let sequence = Sequence(number);
            match self.entry(number) {
                Some(item) => read.events.push(Sequenced { sequence, item }),
                None => read.undecodable.push(sequence),
            }
        }
        Ok(read)
    }

    async fn seek(&self, _: Timestamp) -> Result<Sequence, EventLogError> {
        Ok(Sequence::START)
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

async fn answer(log: &HoledLog, order: Order, after: u64, limit: usize) -> (Vec<u64>, bool) {
    let query = EventQuery {
        filters: FilterSet::all(),
        after: Sequence(after),
        from: None,
        to: None,
        order,
        limit,
    };
    let page = query_visible(log, &query, &|_| true).await.unwrap();
    let events = page.events.iter().map(|event| event.sequence.0).collect();
    (events, page.truncated)
}

#[tokio::test]
async fn a_gap_in_the_range_of_the_answer_is_said_and_another_is_not() {
    let undecodable = BTreeSet::from([4, 5]);
    let log = HoledLog {
        last: 8,
        undecodable,
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
    };
    let newest = answer(&log, Order::NewestFirst, 0, 10).await;
    assert_eq!(newest, (vec![1], true));
    let oldest = answer(&log, Order::OldestFirst, 0, 10).await;
    assert_eq!(oldest, (vec![1], true));
}
