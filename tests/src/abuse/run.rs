//! The whole run, from the start of the system to the report.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use testkit::cluster::{System, SystemKind, SystemNode};

use super::{
    AbuseOptions, AbuseReport,
    attack::{AttackOrder, attack},
    bounds::{bound_kib, bound_words},
    counters::{CounterSums, RefusalCounters, added},
    honest::HonestStreams,
    latency::LatencyFigures,
    memory::MemoryWatch,
    report::{AttackResult, HonestFigures, TopologyResult},
    stand_in::StandIn,
    surfaces::{AbuseSurface, AttackPlan, AttackerSide, send_large_events},
    target::AbuseTarget,
};
use crate::soak::{
    books::Books,
    faults::{Fault, Faults},
    sender::{Senders, SoakAnswers},
    world::MarkedWebhook,
};

/// Time before the calm time begins: caches fill, connections open.
const WARM_UP: Duration = Duration::from_secs(2);
/// Time allowed, once an attack is over, until every stream has received everything.
const SETTLE: Duration = Duration::from_secs(60);
/// Pause after an attack: the product notices that its clients are gone.
const REST: Duration = Duration::from_secs(1);
/// Delays up to this many milliseconds are never a fault: a busy machine has them.
const TOLERATED_MILLIS: f64 = 500.0;

/// Attacks every surface; progress goes to standard error.
///
/// # Errors
/// The run could not be done. Broken promises are in the report.
pub async fn run(options: &AbuseOptions) -> Result<AbuseReport> {
    options.check()?;
    let mut topologies = Vec::new();
    for kind in options.kinds() {
        topologies.push(attack_all(kind, options).await?);
    }
    Ok(AbuseReport {
        seconds: options.seconds,
        streams: options.streams,
        topologies,
    })
}

async fn attack_all(kind: SystemKind, options: &AbuseOptions) -> Result<TopologyResult> {
    let (mut system, target, _tokens) = AbuseTarget::start(kind).await?;
    match Abuse::over(options, &mut system, target).await {
        Ok(result) => {
            system.stop().await?;
            Ok(result)
        }
        Err(error) => {
            let lines = system.cluster().last_lines();
            Err(error.context(format!("on the {kind} topology; last lines:\n{lines}")))
        }
    }
}

struct Abuse<'a> {
    options: &'a AbuseOptions,
    target: AbuseTarget,
    honest: HonestStreams,
    senders: Senders,
    memory: MemoryWatch,
    counters: RefusalCounters,
    /// The memory at rest, in KiB, by the name of the process.
    at_rest_kib: BTreeMap<String, u64>,
    calm: HonestFigures,
    faults: Faults,
}

impl<'a> Abuse<'a> {
    async fn over(
        options: &'a AbuseOptions,
        system: &mut System,
        target: AbuseTarget,
    ) -> Result<TopologyResult> {
        let (books, kind) = (Arc::new(Books::new()), target.kind);
        send_large_events(&target, options.large_events).await?;
        let honest =
            HonestStreams::open(&target.edges, options.streams, options.seed, &books).await?;
        let hook = MarkedWebhook::new(options.seed, system.secret());
        let senders = {
            let _on_their_thread = honest.runtime().enter();
            let ingest = system.ingest_balancer();
            Senders::start(ingest, &hook, &books, options.events_per_second)
        };
        let mut abuse = Self {
            options,
            honest,
            senders,
            memory: MemoryWatch::start(system, &target)?,
            counters: RefusalCounters::of(system, &target)?,
            target,
            at_rest_kib: BTreeMap::new(),
            calm: HonestFigures::default(),
            faults: Faults::default(),
        };
        eprintln!("{kind}: {} honest streams are open", options.streams);
        abuse.stay_calm().await;
        let mut attacks = Vec::new();
        for (surface, side, plans) in plans(options, kind) {
            attacks.push(abuse.attack(surface, side, &plans).await?);
        }
        ensure!(!attacks.is_empty(), "the options leave no attack to run");
        let mut faults = abuse.faults;
        faults.append(abuse.senders.stop().await);
        abuse.honest.settle(SETTLE).await;
        faults.append(abuse.honest.close());
        let (sent, acknowledged) = books.totals();
        Ok(TopologyResult {
            topology: kind.to_string(),
            calm: abuse.calm,
            attacks,
            sent,
            acknowledged,
            faults,
        })
    }

    async fn stay_calm(&mut self) {
        tokio::time::sleep(WARM_UP).await;
        self.begin();
        tokio::time::sleep(self.options.lasting()).await;
        self.calm = self.finish("calm").await;
        self.at_rest_kib = self.calm.rss_kib.clone();
        self.progress("calm", 1.0, &self.calm);
    }

    async fn attack(
        &mut self,
        surface: AbuseSurface,
        side: AttackerSide,
        plans: &[AttackPlan],
    ) -> Result<AttackResult> {
        let name = format!("{surface}, {side}");
        let floor = self.floor((surface, side), plans).await?;
        let before = self.read_counters(&name).await;
        self.begin();
        let attackers = attack(&self.order(&self.target, (surface, side), plans)).await?;
        let honest = self.finish(&name).await;
        tokio::time::sleep(REST).await;
        let counters = added(&before, &self.read_counters(&name).await);
        let ratio = honest.events.ratio(&self.calm.events);
        let floor_ratio = floor.as_ref().map(|floor| {
            let slower = floor.events.slower(&self.calm.events);
            honest.events.ratio(&slower)
        });
        self.judge_speed(&name, ratio, &honest);
        for (attacker, tally) in attackers.iter().filter(|(_, tally)| tally.believed > 0) {
            let what = || format!("{name}: {attacker} got {} answers", tally.believed);
            self.faults.add(Fault::Foreign, what);
        }
        self.progress(&name, ratio, &honest);
        Ok(AttackResult {
            surface,
            side,
            seconds: self.options.seconds,
            attackers,
            honest,
            ratio,
            floor,
            floor_ratio,
            counters,
        })
    }

    /// What honest clients see while the same attackers attack a server that does nothing; `None` if that was not
    /// asked for, or the attackers do not speak HTTP.
    async fn floor(
        &mut self,
        what: (AbuseSurface, AttackerSide),
        plans: &[AttackPlan],
    ) -> Result<Option<HonestFigures>> {
        if !self.options.floor || what.0.needs_cluster() {
            return Ok(None);
        }
        let name = format!("{}, {}, at the floor", what.0, what.1);
        let stand_in = StandIn::start().await?;
        self.begin();
        let target = stand_in.instead_of(&self.target);
        attack(&self.order(&target, what, plans)).await?;
        let honest = self.finish(&name).await;
        drop(stand_in);
        tokio::time::sleep(REST).await;
        let ratio = honest.events.ratio(&self.calm.events);
        self.progress(&name, ratio, &honest);
        Ok(Some(honest))
    }

    fn order(
        &self,
        target: &AbuseTarget,
        (surface, side): (AbuseSurface, AttackerSide),
        plans: &[AttackPlan],
    ) -> AttackOrder {
        AttackOrder {
            target: target.clone(),
            surface,
            side,
            attackers: plans.iter().map(|plan| plan.name.to_owned()).collect(),
            force_percent: self.options.force_percent,
            seed: self.options.seed,
            seconds: self.options.seconds,
        }
    }

    /// Forgets what was measured before.
    fn begin(&self) {
        self.honest.take_arrivals();
        self.senders.take_answers();
        self.memory.take();
    }

    /// What honest clients saw since [`Self::begin`], once every stream has everything.
    async fn finish(&mut self, name: &str) -> HonestFigures {
        // What is on its way arrives late because of the attack, so it counts too.
        let settled_seconds = self.honest.settle(SETTLE).await;
        let (micros, updates) = self.honest.take_arrivals();
        let answers = self.senders.take_answers();
        self.judge_answers(name, &answers);
        let mut rss_kib = BTreeMap::new();
        for process in self.memory.take() {
            if !process.is_alive {
                let what = || format!("{name}: {} has ended", process.name);
                self.faults.add(Fault::Died, what);
            }
            self.judge_memory(name, process.node, &process.name, process.most_kib);
            rss_kib.insert(process.name, process.most_kib);
        }
        HonestFigures {
            events: LatencyFigures::of(micros),
            deliveries: LatencyFigures::of(answers.micros),
            turned_away: answers.refused + answers.unanswered,
            updates,
            settled_seconds,
            rss_kib,
        }
    }

    /// A delivery must not be refused; how fast it is answered counts where speed is judged.
    fn judge_answers(&mut self, name: &str, answers: &SoakAnswers) {
        let (refused, unanswered) = (answers.refused, answers.unanswered);
        if refused > 0 || (unanswered > 0 && self.options.max_ratio > 0) {
            let example = answers.example.clone().unwrap_or_default();
            let what = || {
                format!(
                    "{name}: {refused} deliveries refused, {unanswered} not answered: {example}"
                )
            };
            self.faults.add(Fault::TurnedAway, what);
        }
    }

    fn judge_memory(&mut self, name: &str, node: SystemNode, process: &str, most_kib: u64) {
        let Some(at_rest_kib) = self.at_rest_kib.get(process) else {
            return;
        };
        let bound = bound_kib(self.target.kind, node, *at_rest_kib);
        if most_kib > bound {
            let (most, bound) = (most_kib / 1024, bound / 1024);
            let parts = bound_words(self.target.kind, node);
            let what = || {
                format!("{name}: {process} took {most} MiB, at most {bound}: at rest and {parts}")
            };
            self.faults.add(Fault::Memory, what);
        }
    }

    fn judge_speed(&mut self, name: &str, ratio: f64, honest: &HonestFigures) {
        let (bound, p99) = (self.options.max_ratio as f64, honest.events.p99_millis);
        if bound > 0.0 && ratio > bound && p99 > TOLERATED_MILLIS {
            let what =
                || format!("{name}: p99 {p99:.0} ms is {ratio:.1} times that of the calm time");
            self.faults.add(Fault::Slow, what);
        }
    }

    async fn read_counters(&mut self, name: &str) -> CounterSums {
        match self.counters.read().await {
            Ok(sums) => sums,
            Err(error) => {
                let what = || format!("{name}: an admin listener: {error:#}");
                self.faults.add(Fault::Silent, what);
                CounterSums::new()
            }
        }
    }

    fn progress(&self, name: &str, ratio: f64, honest: &HonestFigures) {
        let faults = self.faults.total() + self.honest.faults().total();
        eprintln!(
            "{}: {name}: {} events, p99 {:.1} ms ({ratio:.1} × calm), deliveries p99 {:.1} ms, {} turned \
             away; most memory {} MiB; settled after {:.1} s; {} streams open; {faults} faults",
            self.target.kind,
            honest.events.count,
            honest.events.p99_millis,
            honest.deliveries.p99_millis,
            honest.turned_away,
            honest.rss_kib.values().max().unwrap_or(&0) / 1024,
            honest.settled_seconds,
            self.honest.open_count(),
        );
    }
}

/// The attacks that the options ask for.
fn plans(
    options: &AbuseOptions,
    kind: SystemKind,
) -> Vec<(AbuseSurface, AttackerSide, Vec<AttackPlan>)> {
    let mut attacks = Vec::new();
    for surface in AbuseSurface::value_variants() {
        if surface.needs_cluster() && kind == SystemKind::Embedded {
            continue;
        }
        for side in AttackerSide::value_variants() {
            if !options.includes(*surface, *side) {
                continue;
            }
            let plans = surface.plans().iter().copied();
            let plans: Vec<_> = plans
                .filter(|plan| plan.side == *side && options.includes_attacker(plan.name))
                .collect();
            if !plans.is_empty() {
                attacks.push((*surface, *side, plans));
            }
        }
    }
    attacks
}
