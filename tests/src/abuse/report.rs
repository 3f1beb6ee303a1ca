//! The results of a run.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    counters::CounterSums,
    latency::LatencyFigures,
    surfaces::{AbuseSurface, AttackerSide},
    worker::AttackTally,
};
use crate::soak::faults::Faults;

/// The aim: events take up to this many times as long as in the calm time.
const AIM: f64 = 2.0;

/// What honest clients saw for some time.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct HonestFigures {
    /// From before a delivery was sent to the arrival of its event on a stream.
    pub(crate) events: LatencyFigures,
    /// The answers to accepted deliveries.
    pub(crate) deliveries: LatencyFigures,
    /// Deliveries that were refused, or not answered within ten seconds; they were sent again.
    pub(crate) turned_away: u64,
    /// Updates on listen streams.
    pub(crate) updates: u64,
    /// Seconds until every stream had everything, once the attack was over.
    pub(crate) settled_seconds: f64,
    /// The most resident memory of each process, in KiB.
    pub(crate) rss_kib: BTreeMap<String, u64>,
}

/// The attack of one side on a surface.
#[derive(Debug, Serialize)]
pub(crate) struct AttackResult {
    pub(crate) surface: AbuseSurface,
    pub(crate) side: AttackerSide,
    pub(crate) seconds: u64,
    pub(crate) attackers: BTreeMap<String, AttackTally>,
    pub(crate) honest: HonestFigures,
    /// The factor by which events took longer than in the calm time (99th percentile).
    pub(crate) ratio: f64,
    /// What honest clients saw while the same attackers attacked a server that does nothing.
    pub(crate) floor: Option<HonestFigures>,
    /// The factor by which events took longer than then, or than in the calm time if that was slower.
    pub(crate) floor_ratio: Option<f64>,
    /// What the product counted as refused or given up.
    pub(crate) counters: CounterSums,
}

/// The results on one topology.
#[derive(Debug, Serialize)]
pub(crate) struct TopologyResult {
    pub(crate) topology: String,
    pub(crate) calm: HonestFigures,
    pub(crate) attacks: Vec<AttackResult>,
    /// Honest deliveries sent and acknowledged.
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) faults: Faults,
}

/// The results of a run.
#[derive(Debug, Serialize)]
pub struct AbuseReport {
    /// Seconds of each attack.
    pub(crate) seconds: u64,
    pub(crate) streams: usize,
    pub(crate) topologies: Vec<TopologyResult>,
}

impl AbuseReport {
    /// Whether every promise held.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let mut topologies = self.topologies.iter();
        topologies.all(|topology| topology.faults.total() == 0)
    }
}

impl fmt::Display for AbuseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, streams) = (self.seconds, self.streams);
        writeln!(
            f,
            "{seconds} s for each attack, beside {streams} honest streams"
        )?;
        for topology in &self.topologies {
            write!(f, "\n{topology}")?;
        }
        let verdict = match self.is_good() {
            true => "every promise held",
            false => "promises were broken",
        };
        writeln!(f, "{verdict}")
    }
}

impl fmt::Display for TopologyResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, acknowledged) = (self.sent, self.acknowledged);
        writeln!(
            f,
            "{}: {sent} deliveries sent, {acknowledged} acknowledged",
            self.topology
        )?;
        let title = "surface, side";
        writeln!(
            f,
            "{title:22} {:>8} {:>9} {:>9} {:>6} {:>12} {:>6}  memory (MiB)",
            "events", "p50 (ms)", "p99 (ms)", "ratio", "webhook p99", "away"
        )?;
        self.calm.row(f, "calm", 1.0)?;
        for attack in &self.attacks {
            let name = format!("{}, {}", attack.surface, attack.side);
            attack.honest.row(f, &name, attack.ratio)?;
            if let (Some(floor), Some(ratio)) = (&attack.floor, attack.floor_ratio) {
                let p99 = floor.events.p99_millis;
                writeln!(
                    f,
                    "    at the floor: p99 {p99:.1} ms; {ratio:.1} times that"
                )?;
            }
            for (name, tally) in &attack.attackers {
                writeln!(f, "    {name}: {}", tally.words(attack.seconds))?;
            }
            for (name, count) in &attack.counters {
                writeln!(f, "    counted: {name}: {count}")?;
            }
        }
        for (fault, count) in &self.faults.counts {
            writeln!(f, "FAULT: {fault}: {count}")?;
        }
        for example in &self.faults.examples {
            writeln!(f, "  {}", shortened(example))?;
        }
        Ok(())
    }
}

/// The first part of a text.
fn shortened(text: &str) -> String {
    const MOST: usize = 600;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{} …", &text[..end]),
    }
}

impl HonestFigures {
    fn row(&self, f: &mut fmt::Formatter<'_>, name: &str, ratio: f64) -> fmt::Result {
        let events = &self.events;
        let mark = if ratio > AIM { "!" } else { " " };
        let memory = self.rss_kib.iter();
        let memory = memory.map(|(name, kib)| format!("{name} {}", kib / 1024));
        writeln!(
            f,
            "{name:22} {:8} {:9.1} {:9.1} {ratio:5.1}{mark} {:12.1} {:6}  {}",
            events.count,
            events.p50_millis,
            events.p99_millis,
            self.deliveries.p99_millis,
            self.turned_away,
            memory.collect::<Vec<_>>().join(", ")
        )
    }
}
