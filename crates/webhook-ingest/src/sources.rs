//! Senders whose deliveries fail their checks: beyond a rate, their requests are refused before a body is read.
//! See ADR 003.
//!
//! Only failures count, and only where an address stands for one sender. These are never refused: GitHub's own
//! addresses, addresses from which a delivery with a good signature came in the last day, and addresses that are not
//! public, which are those of a proxy or balancer of ours with GitHub behind it.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use parking_lot::Mutex;
use service_kit::{bodies::BodySender, ip_network::IpNetwork};
use tokio::time::Instant;

use crate::limits::{GOOD_SOURCE_PERIOD, GOOD_SOURCES, SOURCES};

/// The period over which the rate counts.
const MINUTE: Duration = Duration::from_secs(60);

/// What a request has shown about its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceConduct {
    /// Its signature was good.
    Signed,
    /// It was refused for a reason that only its sender can be blamed for.
    Failed,
    /// Neither.
    Unknown,
}

/// A source that has failed too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyFailures {
    /// Time until the next request is let through.
    pub(crate) wait: Duration,
}

/// The sources of an ingest, by address (of IPv6 by network).
#[derive(Debug)]
pub(crate) struct Sources {
    /// Failures that one source may have in a minute; 0 for no limit.
    limit: u32,
    exempt: Vec<IpNetwork>,
    table: Mutex<SourceTable>,
}

#[derive(Debug, Default)]
struct SourceTable {
    failing: HashMap<IpAddr, FailureAllowance>,
    /// The keys of `failing`, the oldest first. It is as long as the map.
    order: VecDeque<IpAddr>,
    /// When a good signature last came from an address.
    good: HashMap<IpAddr, Instant>,
}

/// Failures that a source may still have; they come back over a minute.
#[derive(Debug, Clone, Copy)]
struct FailureAllowance {
    left: f64,
    at: Instant,
}

impl FailureAllowance {
    /// The allowance now.
    fn now(self, limit: u32, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        let gained = elapsed * f64::from(limit) / MINUTE.as_secs_f64();
        (self.left + gained).min(f64::from(limit))
    }
}

impl Sources {
    pub(crate) fn new(limit: u32, exempt: Vec<IpNetwork>) -> Self {
        Self {
            limit,
            exempt,
            table: Mutex::default(),
        }
    }

    /// The address whose failures count; `None` if it may not be held against anybody.
    fn counted(&self, sender: &BodySender) -> Option<IpAddr> {
        let BodySender::Address(address) = *sender else {
            return None;
        };
        let is_counted = self.limit > 0
            && is_public(address)
            && !self.exempt.iter().any(|range| range.contains(address));
        is_counted.then_some(address)
    }

    /// Whether a request may be read.
    pub(crate) fn check(&self, sender: &BodySender) -> Result<(), TooManyFailures> {
        let Some(address) = self.counted(sender) else {
            return Ok(());
        };
        let now = Instant::now();
        let table = self.table.lock();
        let Some(allowance) = table.failing.get(&address) else {
            return Ok(());
        };
        if allowance.now(self.limit, now) >= 1.0 || table.is_good(address, now) {
            return Ok(());
        }
        let missing = 1.0 - allowance.now(self.limit, now);
        let wait = missing * MINUTE.as_secs_f64() / f64::from(self.limit);
        Err(TooManyFailures {
            wait: Duration::from_secs_f64(wait),
        })
    }

    /// Notes what a request has shown.
    pub(crate) fn note(&self, sender: &BodySender, conduct: SourceConduct) {
        let Some(address) = self.counted(sender) else {
            return;
        };
        let now = Instant::now();
        match conduct {
            SourceConduct::Signed => self.table.lock().signed(address, now),
            SourceConduct::Failed => self.table.lock().failed(address, self.limit, now),
            SourceConduct::Unknown => {}
        }
    }
}

impl SourceTable {
    fn is_good(&self, address: IpAddr, now: Instant) -> bool {
        let last = self.good.get(&address);
        last.is_some_and(|last| now.saturating_duration_since(*last) < GOOD_SOURCE_PERIOD)
    }

    /// Only who has the secret adds to these, so strangers cannot displace one.
    fn signed(&mut self, address: IpAddr, now: Instant) {
        if self.good.len() >= GOOD_SOURCES && !self.good.contains_key(&address) {
            let oldest = self.good.iter().min_by_key(|(_, last)| **last);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.good.remove(&oldest);
            }
        }
        self.good.insert(address, now);
    }

    fn failed(&mut self, address: IpAddr, limit: u32, now: Instant) {
        let full = FailureAllowance {
            left: f64::from(limit),
            at: now,
        };
        if !self.failing.contains_key(&address) {
            if self.failing.len() >= SOURCES
                && let Some(oldest) = self.order.pop_front()
            {
                self.failing.remove(&oldest);
            }
            self.order.push_back(address);
        }
        let allowance = self.failing.entry(address).or_insert(full);
        *allowance = FailureAllowance {
            left: (allowance.now(limit, now) - 1.0).max(0.0),
            at: now,
        };
    }
}

/// Whether an address is one of the internet. Any other is of this machine or network: what comes from it was passed
/// on, and from whom is not known.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            // 100.64.0.0/10: addresses behind a provider's or a cloud's own translation.
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || is_shared)
        }
        IpAddr::V6(address) => {
            !(address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LIMIT: u32 = 60;

    fn of(address: &str) -> BodySender {
        BodySender::Address(address.parse().unwrap())
    }

    fn numbered(n: u32) -> BodySender {
        BodySender::Address(IpAddr::V4(Ipv4Addr::from(0xc633_0000 + n)))
    }

    fn sources() -> Sources {
        Sources::new(LIMIT, vec!["192.30.252.0/22".parse().unwrap()])
    }

    fn fail(sources: &Sources, sender: &BodySender, count: u32) {
        for _ in 0..count {
            sources.note(sender, SourceConduct::Failed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_too_often_waits_and_everybody_else_does_not() {
        let sources = sources();
        let (bad, other) = (of("203.0.113.7"), of("203.0.113.8"));
        fail(&sources, &bad, LIMIT - 1);
        assert_eq!(sources.check(&bad), Ok(()));
        fail(&sources, &bad, 1);
        let refused = sources.check(&bad).unwrap_err();
        assert_eq!(refused.wait, Duration::from_secs(1));
        assert_eq!(sources.check(&other), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(sources.check(&bad), Ok(()), "one request a second");
        fail(&sources, &bad, 1000);
        assert!(sources.check(&bad).is_err());
        tokio::time::advance(MINUTE).await;
        fail(&sources, &bad, LIMIT - 1);
        assert_eq!(sources.check(&bad), Ok(()), "a minute gives all of it back");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_stands_for_many_is_never_refused() {
        let sources = sources();
        for shared in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.7.7",
            "172.16.0.1",
            "100.64.0.9",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "192.30.253.5",
            "::ffff:10.0.0.1",
        ] {
            let sender = of(shared);
            fail(&sources, &sender, 10 * LIMIT);
            assert_eq!(sources.check(&sender), Ok(()), "{shared}");
        }
        fail(&sources, &BodySender::Unknown, 10 * LIMIT);
        assert_eq!(sources.check(&BodySender::Unknown), Ok(()));
        let off = Sources::new(0, Vec::new());
        fail(&off, &of("203.0.113.7"), 10 * LIMIT);
        assert_eq!(off.check(&of("203.0.113.7")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_good_signature_makes_its_address_good_for_a_day() {
        let sources = sources();
        let proxy = of("203.0.113.7");
        sources.note(&proxy, SourceConduct::Signed);
        fail(&sources, &proxy, 10 * LIMIT);
        assert_eq!(sources.check(&proxy), Ok(()));
        tokio::time::advance(GOOD_SOURCE_PERIOD).await;
        fail(&sources, &proxy, 10 * LIMIT);
        assert!(sources.check(&proxy).is_err());
        sources.note(&proxy, SourceConduct::Signed);
        assert_eq!(sources.check(&proxy), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_tables_are_bounded_and_strangers_displace_no_good_source() {
        let sources = sources();
        let good = of("203.0.113.7");
        sources.note(&good, SourceConduct::Signed);
        let all = u32::try_from(SOURCES).unwrap() + 1000;
        for n in 0..all {
            fail(&sources, &numbered(n), LIMIT);
        }
        let counts = |sources: &Sources| {
            let table = sources.table.lock();
            (table.failing.len(), table.order.len(), table.good.len())
        };
        assert_eq!(counts(&sources), (SOURCES, SOURCES, 1));
        assert_eq!(
            sources.check(&numbered(0)),
            Ok(()),
            "the oldest is forgotten"
        );
        assert!(sources.check(&numbered(all - 1)).is_err());
        fail(&sources, &good, 10 * LIMIT);
        assert_eq!(sources.check(&good), Ok(()));
        for n in 0..u32::try_from(GOOD_SOURCES).unwrap() {
            tokio::time::advance(Duration::from_millis(1)).await;
            sources.note(&numbered(n), SourceConduct::Signed);
        }
        assert_eq!(counts(&sources).2, GOOD_SOURCES);
        fail(&sources, &good, LIMIT);
        assert!(
            sources.check(&good).is_err(),
            "the oldest good one is forgotten"
        );
    }
}
