//! Memory and descriptors of the edges, and the check that they stay flat.

use std::{fs, time::Instant};

use anyhow::{Context, Result};
use reqwest::Url;
use serde::Serialize;

use super::faults::Fault;

/// Below this age an edge is still filling its caches: its ring of events, the allocator's pools.
const WARM_SECONDS: u64 = 60;
/// Ages are compared minute by minute, up to this one; all older ones are treated as equal.
const OLDEST_MINUTE: u64 = 4;
/// With fewer samples of an age there is no comparison.
const FEWEST: usize = 3;
/// Allowed change of memory, in addition to a tenth.
const SLACK_KIB: u64 = 8 * 1024;
/// Memory allowed per additional stream when edges with different numbers of streams are compared.
const STREAM_KIB: u64 = 16;
/// Allowed change of descriptors under load, in addition to a tenth: clients that connect and
/// disconnect, and the balancer's own connections.
const SLACK_DESCRIPTORS: u64 = 64;
/// Allowed change of descriptors when idle: connections that the balancer keeps for the next
/// request.
const SLACK_IDLE_DESCRIPTORS: u64 = 24;

/// A measurement of one edge.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    /// Seconds since the run began.
    pub(crate) at_seconds: u64,
    /// Number of the edge, from 0.
    pub(crate) edge: usize,
    /// Seconds since its process was started.
    pub(crate) age_seconds: u64,
    /// Resident memory.
    pub(crate) rss_kib: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
    /// Open streams, as reported by the edge.
    pub(crate) streams: u64,
}

/// An edge's process.
#[derive(Debug, Clone)]
pub(crate) struct SoakEdge {
    /// Number of the edge, from 0.
    pub(crate) number: usize,
    /// Its process id.
    pub(crate) pid: u32,
    /// URL of its admin listener.
    pub(crate) admin: Url,
    /// Time when it was started.
    pub(crate) since: Instant,
}

impl SoakEdge {
    /// Measures it.
    ///
    /// # Errors
    /// The process does not exist, or does not answer.
    pub(crate) async fn sample(&self, http: &reqwest::Client, began: Instant) -> Result<Sample> {
        let url = self.admin.join("/metrics")?;
        let text = http.get(url).send().await?.text().await?;
        let gauges = text
            .lines()
            .filter(|line| line.starts_with("forgewire_edge_open_streams{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        Ok(Sample {
            at_seconds: began.elapsed().as_secs(),
            edge: self.number,
            age_seconds: self.since.elapsed().as_secs(),
            rss_kib: rss_kib(self.pid)?,
            descriptors: descriptors(self.pid)?,
            streams: gauges.sum(),
        })
    }
}

/// Open descriptors of a process.
pub(crate) fn descriptors(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&path).with_context(|| format!("reading {path}"))?;
    Ok(entries.count() as u64)
}

/// Resident memory of a process in KiB.
pub(crate) fn rss_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next());
    Ok(kib.context("VmRSS is missing")?.parse()?)
}

/// A comparison of the first third of the run with the last, for edges of the same age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Comparison {
    /// The compared measure.
    pub(crate) what: String,
    /// Median of the first third.
    pub(crate) first: u64,
    /// Median of the last third.
    pub(crate) last: u64,
    /// Maximum for the last third.
    pub(crate) most: u64,
    /// The fault that is reported when the maximum is exceeded.
    pub(crate) fault: Fault,
}

impl Comparison {
    /// Whether the measure stayed flat.
    pub(crate) fn is_flat(&self) -> bool {
        self.last <= self.most
    }
}

/// Compares the first third of a run with the last. Comparisons for which the run was too short are
/// left out.
pub(crate) fn compare(samples: &[Sample], seconds: u64) -> Vec<Comparison> {
    let third = |at: &Sample| at.at_seconds * 3 / seconds.max(1);
    let warm = |at: &&Sample| at.age_seconds >= WARM_SECONDS;
    let first: Vec<_> = samples
        .iter()
        .filter(warm)
        .filter(|s| third(s) == 0)
        .collect();
    let last: Vec<_> = samples
        .iter()
        .filter(warm)
        .filter(|s| third(s) >= 2)
        .collect();
    let mut found = Vec::new();
    for minute in 1..=OLDEST_MINUTE {
        let of_age = |all: &[&Sample]| -> Vec<Sample> {
            let age = |s: &&&Sample| (s.age_seconds / 60).min(OLDEST_MINUTE) == minute;
            all.iter().filter(age).map(|s| (*s).clone()).collect()
        };
        let (first, last) = (of_age(&first), of_age(&last));
        if first.len() < FEWEST || last.len() < FEWEST {
            continue;
        }
        let streams = [&first, &last].map(|samples| median(samples, |s| s.streams));
        let more_streams = streams[1].saturating_sub(streams[0]);
        let [before, after] = [&first, &last].map(|samples| median(samples, |s| s.rss_kib));
        let or_older = if minute == OLDEST_MINUTE {
            " or older"
        } else {
            ""
        };
        found.push(Comparison {
            what: format!("KiB of an edge, {minute} min old{or_older}"),
            first: before,
            last: after,
            most: before + before / 10 + SLACK_KIB + more_streams * STREAM_KIB,
            fault: Fault::Memory,
        });
    }
    if first.len() >= FEWEST && last.len() >= FEWEST {
        let beside = |samples: &[&Sample]| {
            let samples: Vec<_> = samples.iter().map(|s| (*s).clone()).collect();
            median(&samples, |s| s.descriptors.saturating_sub(s.streams))
        };
        let (before, after) = (beside(&first), beside(&last));
        found.push(Comparison {
            what: "descriptors of an edge beside its streams".to_owned(),
            first: before,
            last: after,
            most: before + before / 10 + SLACK_DESCRIPTORS,
            fault: Fault::Descriptors,
        });
    }
    found
}

/// Compares descriptors when idle, before and after all the clients.
pub(crate) fn compare_idle(name: &str, before: u64, after: u64) -> Comparison {
    Comparison {
        what: format!("descriptors of {name} when idle, before and after"),
        first: before,
        last: after,
        most: before + SLACK_IDLE_DESCRIPTORS,
        fault: Fault::Descriptors,
    }
}

fn median(samples: &[Sample], value: impl Fn(&Sample) -> u64) -> u64 {
    let mut values: Vec<_> = samples.iter().map(value).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An edge that is never killed, measured every ten seconds in a run of 900 seconds.
    fn run(rss_kib: impl Fn(u64) -> u64, descriptors: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |at_seconds| Sample {
            at_seconds,
            edge: 0,
            age_seconds: at_seconds + 5,
            rss_kib: rss_kib(at_seconds),
            descriptors: descriptors(at_seconds),
            streams: 1000,
        };
        (0..90).map(|n| sample(n * 10)).collect()
    }

    fn faults(samples: &[Sample]) -> Vec<Fault> {
        let all = compare(samples, 900);
        assert!(!all.is_empty());
        let bad = all.into_iter().filter(|one| !one.is_flat());
        bad.map(|one| one.fault).collect()
    }

    #[test]
    fn what_fills_up_and_stays_is_flat_and_what_grows_is_not() {
        let fills = |at: u64| 40_000 + at.min(60) * 300;
        assert_eq!(faults(&run(fills, |_| 1040)), []);
        assert_eq!(
            faults(&run(|at| 58_000 + at * 40, |_| 1040)),
            [Fault::Memory]
        );
        let leaks = faults(&run(fills, |at| 1040 + at / 4));
        assert_eq!(leaks, [Fault::Descriptors]);
    }

    #[test]
    fn edges_are_compared_at_the_same_age_and_for_their_streams() {
        let mut samples = run(|_| 100_000, |_| 1040);
        // Started late: young, small, and not usable as evidence.
        let mut young = samples.clone();
        for sample in &mut young {
            sample.age_seconds = 10;
            sample.rss_kib = 500_000;
        }
        samples.extend(young);
        assert_eq!(faults(&samples), []);
        let mut samples = run(|_| 50_000, |_| 2040);
        for sample in samples.iter_mut().filter(|s| s.at_seconds > 600) {
            sample.streams = 2000;
            sample.rss_kib = 70_000;
        }
        assert_eq!(faults(&samples), [], "it has twice the streams");
        assert_eq!(compare(&samples[..2], 20), []);
    }

    #[test]
    fn it_reads_its_own_figures() {
        let pid = std::process::id();
        assert!(rss_kib(pid).unwrap() > 100);
        let before = descriptors(pid).unwrap();
        let file = fs::File::open("/proc/self/stat").unwrap();
        assert!(descriptors(pid).unwrap() > 3 && before > 3);
        drop(file);
    }
}
