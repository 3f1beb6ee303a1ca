//! The events received on many streams: counts, sets, orders and latencies.

use std::collections::HashMap;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::{
    frames::{StreamItem, spread},
    opening::Opening,
};

/// Upper end of the histogram in microseconds; higher latencies count as this value.
const MAX_LATENCY_MICROS: u64 = 60_000_000;
/// Number of events whose last client is tracked; later ones count in all other figures.
const LAST_CLIENTS: usize = 65_536;

/// The totals since the last `reset`, over all streams.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct TallyReport {
    /// Number of events.
    pub(crate) frames: u64,
    /// Number of bytes read from the sockets.
    pub(crate) bytes: u64,
    /// Number of comments.
    pub(crate) heartbeats: u64,
    /// Number of events on the stream that received the fewest.
    pub(crate) fewest: u64,
    /// Number of events on the stream that received the most.
    pub(crate) most: u64,
    /// Number of streams that have not yet received all expected events.
    pub(crate) waiting: usize,
    /// Number of streams whose events are not exactly the expected ones.
    pub(crate) wrong: usize,
    /// Maximum number of different orders in which streams of one repository received their events.
    /// Deliveries overtake each other on their way to the log; the order in the log must be the
    /// same for all streams.
    pub(crate) orders: usize,
    /// Number of streams that ended.
    pub(crate) ended: usize,
    /// From the intended send time to the read.
    pub(crate) latency: Latency,
    /// The same for the last client of each event.
    pub(crate) last_client: Latency,
    /// When the last event was read, nanoseconds of [`crate::clock::now_nanos`].
    pub(crate) last_nanos: u64,
    /// One event as received.
    pub(crate) sample: Option<String>,
}

/// Latencies, in microseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Half of all latencies are below this.
    pub(crate) p50: u64,
    /// 99 of 100 are below this.
    pub(crate) p99: u64,
    /// The highest.
    pub(crate) max: u64,
}

/// The events received on one stream.
#[derive(Debug, Default)]
pub(crate) struct StreamTally {
    /// Number of events.
    count: u64,
    /// Sum of their numbers, each spread over 64 bits.
    set: u64,
    /// A hash that differs for every order.
    order: u64,
}

/// The counts of all streams together.
#[derive(Debug)]
pub(crate) struct ReceiverTally {
    pub(crate) bytes: u64,
    pub(crate) opened: usize,
    pub(crate) ended: usize,
    pub(crate) answers: usize,
    pub(crate) refusals: usize,
    heartbeats: u64,
    last_nanos: u64,
    latency: Histogram<u64>,
    /// The time when the last client received an event, indexed by the event's number from 1.
    last_clients: Vec<u64>,
}

impl ReceiverTally {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            bytes: 0,
            opened: 0,
            ended: 0,
            answers: 0,
            refusals: 0,
            heartbeats: 0,
            last_nanos: 0,
            latency: Histogram::new_with_max(MAX_LATENCY_MICROS, 3)?,
            last_clients: Vec::new(),
        })
    }

    /// Counts a unit received at `now`, on the stream whose earlier events are `got`.
    pub(crate) fn count(&mut self, arrived: StreamItem, now: u64, got: &mut StreamTally) {
        match arrived {
            StreamItem::Opened => self.opened += 1,
            StreamItem::Answer(true) => self.answers += 1,
            StreamItem::Answer(false) => self.refusals += 1,
            StreamItem::Heartbeat => self.heartbeats += 1,
            StreamItem::Update => {
                got.count += 1;
                self.last_nanos = now;
            }
            StreamItem::Event(stamp) => {
                got.count += 1;
                got.set = got.set.wrapping_add(spread(stamp.number));
                got.order = spread(got.order.wrapping_add(stamp.number));
                self.last_nanos = now;
                let micros = now.saturating_sub(stamp.intended_nanos) / 1000;
                self.latency.saturating_record(micros);
                let index = usize::try_from(stamp.number.saturating_sub(1)).unwrap_or(usize::MAX);
                if index < LAST_CLIENTS {
                    if index >= self.last_clients.len() {
                        self.last_clients.resize(index + 1, 0);
                    }
                    let last = &mut self.last_clients[index];
                    *last = micros.max(*last);
                }
            }
        }
    }

    /// Resets the counts of events.
    pub(crate) fn reset(&mut self) {
        (self.bytes, self.heartbeats, self.last_nanos) = (0, 0, 0);
        self.latency.reset();
        self.last_clients.clear();
    }

    /// The current report, with events 1 to `events` expected.
    pub(crate) fn report<'g>(
        &self,
        opening: &Opening,
        events: u64,
        streams: impl Iterator<Item = &'g StreamTally>,
    ) -> TallyReport {
        let mut report = TallyReport {
            bytes: self.bytes,
            heartbeats: self.heartbeats,
            ended: self.ended,
            latency: quantiles(&self.latency),
            last_client: self.last_client(),
            last_nanos: self.last_nanos,
            fewest: u64::MAX,
            ..TallyReport::default()
        };
        let mut wanted: HashMap<u64, StreamTally> = HashMap::new();
        let mut orders: HashMap<u64, Vec<u64>> = HashMap::new();
        for (index, got) in streams.enumerate() {
            let repository = opening.repository(index);
            let want = wanted
                .entry(repository)
                .or_insert_with(|| expected(opening, repository, events));
            report.frames += got.count;
            report.fewest = report.fewest.min(got.count);
            report.most = report.most.max(got.count);
            report.waiting += usize::from(got.count < want.count);
            report.wrong += usize::from(got.count != want.count || got.set != want.set);
            let orders = orders.entry(repository).or_default();
            if !orders.contains(&got.order) {
                orders.push(got.order);
            }
        }
        report.fewest = report.fewest.min(report.most);
        report.orders = orders.values().map(Vec::len).max().unwrap_or(0);
        report
    }

    fn last_client(&self) -> Latency {
        let mut all: Vec<u64> = self.last_clients.clone();
        all.sort_unstable();
        let at = |of_hundred: usize| all.get((all.len() * of_hundred).div_ceil(100).max(1) - 1);
        let at = |of_hundred| at(of_hundred).copied().unwrap_or(0);
        Latency {
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

/// The events expected on a stream of a repository. Their order is left out: the log decides it.
fn expected(opening: &Opening, repository: u64, events: u64) -> StreamTally {
    let mut want = StreamTally::default();
    for number in opening.repositories().events_of(repository, events) {
        want.count += 1;
        if opening.kind.has_stamps() {
            want.set = want.set.wrapping_add(spread(number));
        }
    }
    want
}

fn quantiles(histogram: &Histogram<u64>) -> Latency {
    Latency {
        p50: histogram.value_at_quantile(0.5),
        p99: histogram.value_at_quantile(0.99),
        max: histogram.max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frames::Stamp, repositories::Repositories};

    fn tell(tally: &mut ReceiverTally, got: &mut StreamTally, numbers: &[u64]) {
        for number in numbers {
            let stamp = Stamp {
                number: *number,
                intended_nanos: 1_000_000,
            };
            tally.count(StreamItem::Event(stamp), 1_000_000 + number * 5_000, got);
        }
    }

    /// Two streams, each on one of two repositories; events 1 to 4.
    fn report(first: &[u64], second: &[u64]) -> TallyReport {
        let server = [([127, 0, 0, 1], 1).into()];
        let opening = Opening::events(2, &server).with_filter(&Repositories::of("x", 2));
        let (mut tally, mut got) = (
            ReceiverTally::new().unwrap(),
            [StreamTally::default(), StreamTally::default()],
        );
        tell(&mut tally, &mut got[0], first);
        tell(&mut tally, &mut got[1], second);
        tally.report(&opening, 4, got.iter())
    }

    #[test]
    fn a_stream_has_to_get_what_concerns_its_repository_and_nothing_else() {
        let exact = report(&[1, 3], &[4, 2]);
        assert_eq!((exact.waiting, exact.wrong, exact.orders), (0, 0, 1));
        let short = report(&[1], &[2, 4]);
        assert_eq!((short.waiting, short.wrong), (1, 1));
        let twice = report(&[1, 3, 3], &[2, 4]);
        assert_eq!((twice.waiting, twice.wrong), (0, 1));
        let foreign = report(&[1, 2], &[2, 4]);
        assert_eq!((foreign.waiting, foreign.wrong), (0, 1));
    }

    #[test]
    fn streams_of_one_repository_have_one_order() {
        let server = [([127, 0, 0, 1], 1).into()];
        let opening = Opening::events(2, &server);
        let (mut tally, mut got) = (
            ReceiverTally::new().unwrap(),
            [StreamTally::default(), StreamTally::default()],
        );
        tell(&mut tally, &mut got[0], &[1, 2]);
        tell(&mut tally, &mut got[1], &[2, 1]);
        let report = tally.report(&opening, 2, got.iter());
        assert_eq!((report.wrong, report.orders), (0, 2));
    }

    #[test]
    fn the_last_client_of_each_event_counts() {
        let (mut tally, mut got) = (ReceiverTally::new().unwrap(), StreamTally::default());
        tell(&mut tally, &mut got, &[1, 2, 100]);
        let stamp = Stamp {
            number: 1,
            intended_nanos: 0,
        };
        tally.count(StreamItem::Event(stamp), 7_000_000, &mut got);
        let late = tally.last_client();
        assert_eq!((late.p50, late.max), (0, 7_000));
        assert_eq!(tally.last_clients.len(), 100);
    }
}
