//! The product's own counts of what it refused or gave up, over all processes.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use reqwest::Url;
use testkit::cluster::System;

use super::target::AbuseTarget;

/// Words in the names of these metrics.
const WORDS: [&str; 5] = ["refused", "given_up", "rejected", "ended_streams", "gaps"];
/// Time allowed for an answer of an admin listener, which must answer under any load.
const ANSWER: Duration = Duration::from_secs(5);

/// The admin listeners of a system.
#[derive(Debug)]
pub(crate) struct RefusalCounters {
    http: reqwest::Client,
    admins: Vec<Url>,
}

/// Sums by metric and labels.
pub(crate) type CounterSums = BTreeMap<String, u64>;

impl RefusalCounters {
    /// The counters of all processes.
    ///
    /// # Errors
    /// A process has no admin listener.
    pub(crate) fn of(system: &System, target: &AbuseTarget) -> Result<Self> {
        let admins = target.nodes().into_iter().map(|node| system.admin(node));
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER);
        Ok(Self {
            // Each question has a connection of its own, as that of a probe.
            http: http.pool_max_idle_per_host(0).build()?,
            admins: admins.collect::<Result<_>>()?,
        })
    }

    /// The present sums.
    ///
    /// # Errors
    /// An admin listener does not answer within five seconds.
    pub(crate) async fn read(&self) -> Result<CounterSums> {
        let mut sums = CounterSums::new();
        for admin in &self.admins {
            let text = self.http.get(admin.join("/metrics")?).send().await?;
            add(&mut sums, &text.text().await?);
        }
        Ok(sums)
    }
}

fn add(sums: &mut CounterSums, text: &str) {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let family = name.split('{').next().unwrap_or(name);
        if !WORDS.iter().any(|word| family.contains(word)) {
            continue;
        }
        if let Ok(value) = value.parse::<u64>() {
            let name = name.trim_start_matches("forgewire_").to_owned();
            *sums.entry(name).or_default() += value;
        }
    }
}

/// What was added since `before`.
pub(crate) fn added(before: &CounterSums, after: &CounterSums) -> CounterSums {
    let more = after.iter().map(|(name, value)| {
        let before = before.get(name).copied().unwrap_or(0);
        (name.clone(), value.saturating_sub(before))
    });
    more.filter(|(_, more)| *more > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_over_processes_and_compared() {
        let text = "# TYPE x counter\nforgewire_edge_refused_streams_total{reason=\"full\"} 3\n\
                    forgewire_edge_open_streams{kind=\"events\"} 9\n";
        let mut before = CounterSums::new();
        add(&mut before, text);
        let mut after = before.clone();
        add(&mut after, text);
        let more = added(&before, &after);
        let expected = ("edge_refused_streams_total{reason=\"full\"}".to_owned(), 3);
        assert_eq!(more.into_iter().collect::<Vec<_>>(), [expected]);
        assert!(added(&after, &after).is_empty());
    }
}
