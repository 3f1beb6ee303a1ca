//! Gaps: deliveries of GitHub that no ingest stored. GitHub sends each once, forgets it after three days, and keeps a list
//! until then; this looks through the lists, fetches what the log does not have, and stores it as an ingest would have done.
//!
//! Where webhooks are configured, and which of them are ours, is in `webhook_place`.
//!
//! | module | idea |
//! | --- | --- |
//! | `delivery` | a delivery as GitHub lists it and gives it |
//! | `look` | a look through a list, the newest first, down to what is settled |
//! | `held` | whether the log has the event of a delivery |
//! | `pending` | missing deliveries, in GitHub's order over all webhooks |
//! | `later_states` | which of them come after a later state of their resource |
//! | `repair` | a delivery made an event |
//! | `sweep`, with `settling` | all of it, once, within bounds |
//! | `turns` | when, and by which replica |
//! | `status`, `metrics`, `error` | what is told of it |
//!
//! What is known is in memory alone: a replica that begins to sweep looks through three days of each list, which costs a
//! request for 100 deliveries and a look-up in the log for each. See ADR 002.

mod delivery;
mod error;
mod held;
mod later_states;
mod look;
mod metrics;
mod pending;
mod repair;
mod status;
mod sweep;
#[cfg(test)]
mod tests;
mod turns;

use std::{sync::Arc, time::Duration};

use event_flow::record::Recorder;
use github::{BreakerState, GithubClient};
use instruments::depth::register_depth;
use serde_json::{Value, json};
use service_kit::{
    dependency::{self, ProbeFailure},
    lifecycle::{Lifecycle, OnExit},
    metrics::MetricsRegistry,
};
use tracing::info;

use self::{
    metrics::GapMetrics,
    status::GapStatus,
    sweep::{GapSweeper, SweepParts},
    turns::SweepTurns,
};
use crate::{
    SyncConfig, SyncDeps, SyncGithub,
    limits::REPAIR_APPEND_TIMEOUT,
    mirror::Mirror,
    sweep_marks::SweepMarkRecord,
    webhook_place::{SweptPlace, WebhookTarget},
};

/// Gap repair, built and not started.
#[derive(Debug)]
pub(crate) struct Gaps {
    metrics: GapMetrics,
    status: Arc<GapStatus>,
    places: Vec<SweptPlace>,
    target: WebhookTarget,
    interval: Duration,
}

impl Gaps {
    /// Registers the metrics.
    pub(crate) fn new(config: &SyncConfig, registry: &mut MetricsRegistry) -> Self {
        let metrics = GapMetrics::register(registry);
        let status = Arc::<GapStatus>::default();
        let aged = Arc::clone(&status);
        register_depth(
            registry,
            "forgewire_sync_whole_sweep_age_seconds",
            "Seconds since the last whole sweep of GitHub's lists of deliveries, or since this replica began to sweep; 0 while another one does",
            move || aged.whole_sweep_age(),
        );
        let asked = Arc::clone(&status);
        register_depth(
            registry,
            "forgewire_sync_sweep_failing_places",
            "Repositories, organizations and Apps whose deliveries this replica cannot look at now",
            move || asked.failing_places(),
        );
        Self {
            metrics,
            status,
            places: config.swept_places(),
            target: config.webhook_target(),
            interval: Duration::from_secs(config.sweep_seconds),
        }
    }

    /// Starts to sweep, or says once why not. What it shows in `/health`.
    pub(crate) fn spawn(
        self,
        deps: &SyncDeps,
        mirror: &Arc<Mirror>,
        lifecycle: &Lifecycle,
    ) -> GapsHealth {
        let Some(gaps) = self.ready(deps.github.as_ref()) else {
            return GapsHealth { running: None };
        };
        let status = Arc::clone(&self.status);
        let parts = SweepParts {
            client: gaps.client.clone(),
            places: self.places,
            target: self.target,
            log: Arc::clone(&deps.log),
            recorder: Arc::new(Recorder::new(
                Arc::clone(&deps.log),
                Arc::clone(&deps.bus),
                Arc::new(self.metrics.clone()),
                REPAIR_APPEND_TIMEOUT,
            )),
            mirror: Arc::clone(mirror),
            clock: Arc::clone(&gaps.clock),
            ids: Arc::clone(&deps.ids),
            metrics: self.metrics,
            status: Arc::clone(&status),
        };
        let turns = SweepTurns {
            sweeper: GapSweeper::new(parts),
            interval: self.interval,
            leases: gaps.leases.clone(),
            mirror: Arc::clone(mirror),
            status: Arc::clone(&status),
            marks: deps.records.clone().map(SweepMarkRecord::new),
        };
        let probed = Arc::clone(&status);
        dependency::observe(lifecycle, "sync: deliveries at GitHub", move || {
            let failure = probed.failure();
            async move {
                failure.map_or(Ok(()), |(class, reason)| {
                    Err(ProbeFailure::new(class, reason))
                })
            }
        });
        lifecycle.spawn(
            "sync-gaps",
            OnExit::EndsProcess,
            turns.run(lifecycle.draining()),
        );
        GapsHealth {
            running: Some((status, gaps.client.clone())),
        }
    }

    /// What is needed to sweep, if all of it is there.
    fn ready<'d>(&self, deps: Option<&'d SyncGithub>) -> Option<&'d SyncGithub> {
        let Some(deps) = deps.filter(|deps| !deps.client.is_anonymous()) else {
            info!(
                "lost webhooks are not looked for: GitHub's lists of deliveries need credentials; set github.token_file, or \
                 github.app_id and github.private_key_file, and name the webhooks in sync.repositories or sync.organizations"
            );
            return None;
        };
        if self.interval.is_zero() {
            info!("lost webhooks are not looked for: sync.sweep_seconds is 0");
            return None;
        }
        if self.places.is_empty() {
            info!(
                "lost webhooks are not looked for: set sync.repositories, sync.organizations or sync.app_webhook to where the \
                 webhooks are configured that send here"
            );
            return None;
        }
        let (places, seconds) = (self.places.len(), self.interval.as_secs());
        info!(
            places,
            seconds, "lost webhooks are looked for in GitHub's lists of deliveries"
        );
        Some(deps)
    }
}

/// What `/health` shows of gap repair.
#[derive(Debug, Clone)]
pub(crate) struct GapsHealth {
    running: Option<(Arc<GapStatus>, GithubClient)>,
}

impl GapsHealth {
    pub(crate) fn view(&self) -> Value {
        let Some((status, client)) = &self.running else {
            return json!({ "lookedFor": false });
        };
        let mut view = status.view();
        view["lookedFor"] = true.into();
        let (rest, graphql) = client.breakers();
        view["github"] = json!({
            "restBreaker": breaker_name(rest),
            "graphqlBreaker": breaker_name(graphql),
            "restBudgetLeft": client.budget_left(),
        });
        view
    }
}

const fn breaker_name(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::HalfOpen => "half-open",
        BreakerState::Open => "open",
    }
}
