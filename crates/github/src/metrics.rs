//! Metrics of the calls to GitHub.

use instruments::{latency::LatencyHistogram, registry::MetricsRegistry};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

use crate::breaker::BreakerState;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
#[allow(missing_docs, reason = "the names say it")]
pub enum GithubResource {
    app,
    check,
    delivery,
    issue,
    label,
    milestone,
    project,
    pull,
    query,
    rate_limit,
    release,
    repository,
    user,
    workflow_run,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum GithubOutcome {
    ok,
    not_modified,
    limited,
    refused,
    failed,
}

impl GithubResource {
    const ALL: [Self; 14] = [
        Self::app,
        Self::check,
        Self::delivery,
        Self::issue,
        Self::label,
        Self::milestone,
        Self::project,
        Self::pull,
        Self::query,
        Self::rate_limit,
        Self::release,
        Self::repository,
        Self::user,
        Self::workflow_run,
    ];
}

impl GithubOutcome {
    const ALL: [Self; 5] = [
        Self::ok,
        Self::not_modified,
        Self::limited,
        Self::refused,
        Self::failed,
    ];
}

/// One of the two APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum GithubApi {
    rest,
    graphql,
}

/// The limit that a gauge is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label values")]
pub(crate) enum GithubLimit {
    core,
    graphql,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GithubRequestLabels {
    resource: GithubResource,
    outcome: GithubOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GithubApiLabel {
    api: GithubApi,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GithubLimitLabel {
    limit: GithubLimit,
}

/// The metrics of all clients of a process. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct GithubMetrics {
    requests: Family<GithubRequestLabels, Counter>,
    latency: Family<GithubApiLabel, LatencyHistogram>,
    remaining: Family<GithubLimitLabel, Gauge>,
    breakers: Family<GithubApiLabel, Gauge>,
    pub(crate) waiting: Gauge,
    pub(crate) points: Counter,
}

impl GithubMetrics {
    /// Registers the instruments.
    pub fn new(registry: &mut MetricsRegistry) -> Self {
        let metrics = Self::default();
        for resource in GithubResource::ALL {
            for outcome in GithubOutcome::ALL {
                drop(
                    metrics
                        .requests
                        .get_or_create(&GithubRequestLabels { resource, outcome }),
                );
            }
        }
        for api in [GithubApi::rest, GithubApi::graphql] {
            drop(metrics.breakers.get_or_create(&GithubApiLabel { api }));
        }
        registry.register(
            "forgewire_github_requests",
            "Requests to GitHub, by what they are about and how they ended; `limited` by a rate limit",
            metrics.requests.clone(),
        );
        registry.register(
            "forgewire_github_request_seconds",
            "Duration of requests to GitHub, from the first byte to the end of the answer, without waiting for the budget",
            metrics.latency.clone(),
        );
        registry.register(
            "forgewire_github_budget_remaining",
            "What GitHub said last is left of a primary rate limit",
            metrics.remaining.clone(),
        );
        registry.register(
            "forgewire_github_breaker_state",
            "Circuit breaker of an API: 0 closed, 1 half-open, 2 open",
            metrics.breakers.clone(),
        );
        registry.register(
            "forgewire_github_waiting",
            "Calls that wait for the shared budget",
            metrics.waiting.clone(),
        );
        registry.register(
            "forgewire_github_query_points",
            "Points that queries have cost, as GitHub counts them",
            metrics.points.clone(),
        );
        metrics
    }

    pub(crate) fn request(&self, resource: GithubResource, outcome: GithubOutcome) {
        let labels = GithubRequestLabels { resource, outcome };
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn latency(&self, api: GithubApi) -> LatencyHistogram {
        self.latency.get_or_create(&GithubApiLabel { api }).clone()
    }

    pub(crate) fn remaining(&self, limit: GithubLimit, permits: u32) {
        let gauge = self.remaining.get_or_create(&GithubLimitLabel { limit });
        gauge.set(i64::from(permits));
    }

    pub(crate) fn breaker(&self, api: GithubApi, state: BreakerState) {
        let gauge = self.breakers.get_or_create(&GithubApiLabel { api });
        gauge.set(state.as_number());
    }
}
