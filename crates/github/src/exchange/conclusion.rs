//! How an attempt ended, and what comes next.

use std::{sync::atomic::Ordering, time::Duration};

use http::StatusCode;
use ports::BudgetOutcome;
use tokio::time::Instant;

use super::{Authorization, Exchange, HiddenLimit, RequestPlan};
use crate::{
    error::GithubError,
    limits::{LONGEST_ASKED_PAUSE, SHORTEST_ASKED_PAUSE},
    metrics::{GithubLimit, GithubOutcome},
    quota::{GRAPHQL, pause_until_reset, reported},
    throttle::SendPermit,
    transport::SendFailure,
    verdict::{ApiVerdict, WholeResponse, judge},
};

/// What comes after an attempt.
pub(super) enum NextStep {
    Answer(WholeResponse),
    /// A rate limit. For a secondary one the budget says when to go on.
    Limited(Duration),
    Pause(GithubError, Option<Duration>),
    Give(GithubError),
}

impl Exchange {
    /// Tells the budget, the breaker and the metrics how an attempt ended, and decides what comes next.
    pub(super) async fn conclude(
        &self,
        plan: &RequestPlan,
        authorization: &Authorization,
        permit: SendPermit,
        sent: Result<WholeResponse, SendFailure>,
    ) -> Result<NextStep, GithubError> {
        let answer = match sent {
            Ok(answer) => answer,
            Err(failure) => {
                self.throttle.settle(permit, BudgetOutcome::default()).await;
                return Ok(self.failed(plan, failure));
            }
        };
        self.throttle
            .settle(permit, self.outcome(plan, &answer))
            .await;
        match answer.status.is_server_error() {
            true => self.breaker(plan.api).failed(),
            false => self.breaker(plan.api).succeeded(),
        }
        self.metrics
            .breaker(plan.api, self.breaker(plan.api).state());
        if answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED {
            if let Some(limit) = (plan.hidden_limit)(&answer) {
                return self.limited(plan, authorization, &answer, limit).await;
            }
            self.limits_in_a_row.store(0, Ordering::Relaxed);
            let outcome = match answer.status {
                StatusCode::NOT_MODIFIED => GithubOutcome::not_modified,
                _ => GithubOutcome::ok,
            };
            self.metrics.request(plan.resource, outcome);
            return Ok(NextStep::Answer(answer));
        }
        self.refused(plan, authorization, &answer).await
    }

    /// There is no answer to judge.
    fn failed(&self, plan: &RequestPlan, failure: SendFailure) -> NextStep {
        let breaker = self.breaker(plan.api);
        let (outcome, next) = match failure {
            SendFailure::Passing(error) => {
                breaker.failed();
                (GithubOutcome::failed, NextStep::Pause(error, None))
            }
            // GitHub has answered, and not as we want.
            SendFailure::Lasting(error) => {
                breaker.succeeded();
                (GithubOutcome::refused, NextStep::Give(error))
            }
        };
        self.metrics.breaker(plan.api, breaker.state());
        self.metrics.request(plan.resource, outcome);
        next
    }

    /// What an answer means for the budget: one that says 304 is not counted for the primary limit.
    fn outcome(&self, plan: &RequestPlan, answer: &WholeResponse) -> BudgetOutcome {
        let report = reported(
            &answer.headers,
            plan.quota,
            (self.clock.now(), self.pace.window),
        );
        if let Some(report) = report {
            let (limit, left) = match report.bucket {
                GRAPHQL => (GithubLimit::graphql, &self.points_left),
                _ => (GithubLimit::core, &self.core_left),
            };
            left.note(report.remaining, report.resets_in);
            self.metrics.remaining(limit, report.remaining);
        }
        let is_free = answer.status == StatusCode::NOT_MODIFIED;
        let given_back = is_free.then_some((plan.quota.primary.0, plan.quota.cost));
        BudgetOutcome {
            freed: Vec::new(),
            given_back: given_back.into_iter().collect(),
            reports: report.into_iter().collect(),
        }
    }

    async fn refused(
        &self,
        plan: &RequestPlan,
        authorization: &Authorization,
        answer: &WholeResponse,
    ) -> Result<NextStep, GithubError> {
        match judge(answer, &plan.request.what, self.clock.now()) {
            ApiVerdict::UsedUp(pause) => self.pause_all(plan, authorization, pause).await,
            ApiVerdict::Stop(pause) => self.stop_all(plan, authorization, pause).await,
            ApiVerdict::Again(error, pause) => {
                self.metrics.request(plan.resource, GithubOutcome::failed);
                Ok(NextStep::Pause(error, pause))
            }
            ApiVerdict::Final(error) => {
                self.metrics.request(plan.resource, GithubOutcome::refused);
                Ok(NextStep::Give(error))
            }
        }
    }

    /// A limit in an answer that is a success.
    async fn limited(
        &self,
        plan: &RequestPlan,
        authorization: &Authorization,
        answer: &WholeResponse,
        limit: HiddenLimit,
    ) -> Result<NextStep, GithubError> {
        let asked = http_client::retry_after(&answer.headers, LONGEST_ASKED_PAUSE);
        let reset = pause_until_reset(&answer.headers, self.clock.now());
        match (limit, asked, reset) {
            (HiddenLimit::Primary, None, Some(_)) => {
                self.pause_all(plan, authorization, reset).await
            }
            (_, asked, _) => self.stop_all(plan, authorization, asked).await,
        }
    }

    /// A primary limit is used up: only its own bucket waits, which the report has emptied for all replicas. Without a
    /// report nobody would know, so everything waits.
    async fn pause_all(
        &self,
        plan: &RequestPlan,
        authorization: &Authorization,
        pause: Option<Duration>,
    ) -> Result<NextStep, GithubError> {
        let Some(pause) = pause else {
            return self.stop_all(plan, authorization, None).await;
        };
        self.metrics.request(plan.resource, GithubOutcome::limited);
        Ok(Self::within_patience(plan, pause))
    }

    /// A secondary limit: it stops all replicas for as long as GitHub says, or else for longer each time.
    async fn stop_all(
        &self,
        plan: &RequestPlan,
        authorization: &Authorization,
        asked: Option<Duration>,
    ) -> Result<NextStep, GithubError> {
        self.metrics.request(plan.resource, GithubOutcome::limited);
        let in_a_row = self
            .limits_in_a_row
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        let asked = asked.map(|pause| pause.max(SHORTEST_ASKED_PAUSE));
        let pause = asked.unwrap_or_else(|| self.pace.limit_pause(in_a_row));
        self.throttle.stop(&authorization.account, pause).await?;
        tracing::warn!(
            seconds = pause.as_secs(),
            account = %authorization.account,
            "GitHub has a secondary rate limit for this account; all replicas wait"
        );
        Ok(Self::within_patience(plan, pause))
    }

    fn within_patience(plan: &RequestPlan, pause: Duration) -> NextStep {
        match Instant::now() + pause > plan.deadline {
            true => NextStep::Give(GithubError::RateLimited { wait: pause }),
            false => NextStep::Limited(pause),
        }
    }
}
