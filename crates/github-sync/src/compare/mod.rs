//! The comparison with GitHub: the mirror has what GitHub has, also what no webhook told.
//!
//! | module | idea |
//! | --- | --- |
//! | `place_records`, `state_records` | what is stored: how far lists were read, and states |
//! | `content` | which difference between two objects an event would have told |
//! | `found_event` | such a difference made an event |
//! | `derived` | what no webhook says: which conditions hold, and their events |
//! | `pass`, with `finding`, `judging`, `details`, `projects`, `pulls`, `links`, `deriving`, `tally` | one comparison of one place |
//! | `comparer` | what comparisons are made of |
//! | `held` | changes that wait for their webhooks |
//! | `asked`, `turns` | when, and by which replica |
//! | `stored_news` | what edges and other replicas are told of what was stored |
//! | `status`, `metrics`, `error` | what is told of it |
//!
//! The lists themselves are read by `crate::lists`, and what they do not show by `crate::details`. See ADR 003 and 004.

mod asked;
mod comparer;
mod content;
mod derived;
mod error;
mod found_event;
mod held;
mod metrics;
mod pass;
mod place_records;
mod state_records;
mod status;
mod stored_news;
mod tally;
mod turns;

use std::{sync::Arc, time::Duration};

use event_flow::record::Recorder;
use instruments::depth::register_depth;
use model::{Clock, GithubReference};
use parking_lot::Mutex;
use ports::{MirroredKind, Records};
use serde_json::{Value, json};
use service_kit::{
    dependency::{self, ProbeFailure},
    lifecycle::{Lifecycle, OnExit},
    metrics::MetricsRegistry,
};
use tracing::info;

use self::{
    asked::AskedHere,
    comparer::Comparer,
    derived::DerivedRules,
    held::HeldChanges,
    metrics::CompareMetrics,
    place_records::{PlaceLabel, PlaceRecords},
    state_records::StateRecords,
    status::CompareStatus,
    stored_news::{StoredElsewhere, StoredNews},
    turns::CompareTurns,
};
use crate::{
    SyncConfig, SyncDeps, SyncGithub, details::GithubDetails, limits::REPAIR_APPEND_TIMEOUT,
    lists::GithubLists, mirror::Mirror, reader::CompareRequests, sweep_marks::SweepMarkRecord,
    webhook_place::SweptPlace,
};

/// The comparison, built and not started.
#[derive(Debug)]
pub(crate) struct MirrorComparison {
    stored_elsewhere: Arc<StoredElsewhere>,
    metrics: CompareMetrics,
    status: Arc<CompareStatus>,
    labels: Vec<PlaceLabel>,
    kinds: Vec<MirroredKind>,
    derived: DerivedRules,
    swept: Vec<SweptPlace>,
    interval: Duration,
    time_limit: Duration,
}

impl MirrorComparison {
    /// Registers the metrics.
    pub(crate) fn new(
        config: &SyncConfig,
        deps: &SyncDeps,
        registry: &mut MetricsRegistry,
    ) -> Self {
        let status = Arc::<CompareStatus>::default();
        let asked = Arc::clone(&status);
        register_depth(
            registry,
            "forgewire_sync_mirror_failing_places",
            "Repositories and organizations that this replica cannot compare with GitHub now",
            move || asked.failing_places(),
        );
        let aged = Arc::clone(&status);
        let clock = deps.github.as_ref().map(|github| Arc::clone(&github.clock));
        register_depth(
            registry,
            "forgewire_sync_mirror_age_seconds",
            "Seconds since the list of GitHub was read whole that was so least recently; 0 if none was",
            move || {
                clock
                    .as_ref()
                    .map_or(0, |clock| aged.oldest_list_age(clock.now()))
            },
        );
        Self {
            stored_elsewhere: Arc::new(StoredElsewhere::new(deps.ids.random_u64())),
            metrics: CompareMetrics::register(registry),
            status,
            labels: labels(config),
            kinds: config.mirrored_kinds(),
            derived: DerivedRules::of(config),
            swept: config.swept_places(),
            interval: Duration::from_secs(config.interval_seconds),
            time_limit: Duration::from_secs(config.initial_timeout_seconds),
        }
    }

    /// Where the news of other replicas go.
    pub(crate) fn stored_elsewhere(&self) -> Arc<StoredElsewhere> {
        Arc::clone(&self.stored_elsewhere)
    }

    /// Starts to compare, or says once why not. Readiness (`sync: stored mirror`) is granted once the stored mirror was read,
    /// or was not in time.
    pub(crate) fn spawn(
        self,
        deps: &SyncDeps,
        mirror: &Arc<Mirror>,
        lifecycle: &Lifecycle,
    ) -> RunningComparison {
        let Some((github, records)) = self.ready(deps) else {
            return RunningComparison::default();
        };
        let (status, kinds) = (Arc::clone(&self.status), self.kinds.clone());
        let turns = self.turns(deps, (github, records), mirror);
        for label in &*turns.comparer.labels.lock() {
            status.expect(label, &turns.comparer.kinds_of(label));
        }
        info!(
            places = turns.comparer.labels.lock().len(),
            kinds = kinds.len(),
            "the mirror is compared with GitHub"
        );
        let probed = Arc::clone(&status);
        dependency::observe(lifecycle, "sync: mirror of GitHub", move || {
            let failure = probed.failure();
            async move {
                failure.map_or(Ok(()), |(class, reason)| {
                    Err(ProbeFailure::new(class, reason))
                })
            }
        });
        let requests: Arc<dyn CompareRequests> = Arc::new(AskedHere {
            asked: Arc::clone(&turns.asked),
            comparer: Arc::clone(&turns.comparer),
        });
        let latch = lifecycle.latch("sync: stored mirror");
        latch.not_ready("reading the stored mirror");
        let running = turns.run(lifecycle.draining(), move || latch.ready());
        lifecycle.spawn("sync-compare", OnExit::EndsProcess, running);
        RunningComparison {
            running: Some((status, requests)),
            mirror: Some(Arc::clone(mirror)),
        }
    }

    fn turns(
        &self,
        deps: &SyncDeps,
        (github, records): (&SyncGithub, &Arc<dyn Records>),
        mirror: &Arc<Mirror>,
    ) -> CompareTurns {
        let clock: Arc<dyn Clock> = Arc::clone(&github.clock);
        let comparer = Comparer {
            client: github.client.clone(),
            lists: GithubLists::new(github.client.clone(), Arc::clone(&clock)),
            details: GithubDetails::new(github.client.clone(), Arc::clone(&clock)),
            derived: self.derived.clone(),
            mirror: Arc::clone(mirror),
            log: Arc::clone(&deps.log),
            recorder: Arc::new(Recorder::new(
                Arc::clone(&deps.log),
                Arc::clone(&deps.bus),
                Arc::new(self.metrics.clone()),
                REPAIR_APPEND_TIMEOUT,
            )),
            places: PlaceRecords::new(Arc::clone(records)),
            states: StateRecords::new(Arc::clone(records)),
            news: StoredNews {
                bus: Arc::clone(&deps.bus),
                replica: self.stored_elsewhere.replica(),
            },
            swept: self.swept.clone(),
            marks: SweepMarkRecord::new(Arc::clone(records)),
            clock,
            ids: Arc::clone(&deps.ids),
            metrics: self.metrics.clone(),
            status: Arc::clone(&self.status),
            kinds: self.kinds.clone(),
            labels: Mutex::new(self.labels.clone()),
            configured: self.labels.clone(),
            read_again: Mutex::default(),
            held: HeldChanges::default(),
            walks: Mutex::default(),
        };
        CompareTurns {
            comparer: Arc::new(comparer),
            interval: self.interval,
            time_limit: self.time_limit,
            leases: github.leases.clone(),
            asked: Arc::default(),
            stored_elsewhere: Arc::clone(&self.stored_elsewhere),
            mirror: Arc::clone(mirror),
            known: Mutex::default(),
        }
    }

    /// What is needed to compare, if all of it is there.
    fn ready<'d>(&self, deps: &'d SyncDeps) -> Option<(&'d SyncGithub, &'d Arc<dyn Records>)> {
        if self.time_limit.is_zero() {
            info!(
                "the mirror is not compared with GitHub: sync.initial_timeout_seconds is 0 (--skip-sync)"
            );
            return None;
        }
        if self.labels.is_empty() {
            info!(
                "the mirror is not compared with GitHub: set sync.repositories or sync.organizations"
            );
            return None;
        }
        let github = deps.github.as_ref();
        let Some(github) = github.filter(|github| !github.client.is_anonymous()) else {
            info!(
                "the mirror is not compared with GitHub: set github.token_file, or github.app_id and github.private_key_file"
            );
            return None;
        };
        Some((github, deps.records.as_ref()?))
    }
}

/// The places of the configuration, each once.
fn labels(config: &SyncConfig) -> Vec<PlaceLabel> {
    let repositories = config.repositories.iter();
    let repositories = repositories.filter_map(|name| {
        let (owner, repo) = GithubReference::read_repository(name).ok()?;
        Some(PlaceLabel::repository(&owner, &repo))
    });
    let organizations = config.organizations.iter();
    let organizations = organizations
        .filter_map(|name| Some(PlaceLabel::owner(&GithubReference::read_owner(name).ok()?)));
    let mut labels: Vec<_> = organizations.chain(repositories).collect();
    labels.sort();
    labels.dedup();
    labels
}

/// The running comparison; nothing, where there is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunningComparison {
    running: Option<(Arc<CompareStatus>, Arc<dyn CompareRequests>)>,
    mirror: Option<Arc<Mirror>>,
}

impl RunningComparison {
    /// The part of `/health`.
    pub(crate) fn view(&self) -> Value {
        match &self.running {
            None => json!({ "compared": false }),
            Some((status, _)) => {
                let lack = |place: &str, kind| self.mirror.as_ref()?.lack(place, kind);
                let mut view = status.view(lack);
                view["compared"] = true.into();
                view
            }
        }
    }

    /// Whoever asks for a comparison comes here.
    pub(crate) fn requests(&self) -> Option<Arc<dyn CompareRequests>> {
        self.running
            .as_ref()
            .map(|(_, requests)| Arc::clone(requests))
    }
}
