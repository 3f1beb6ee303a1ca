//! A request until it has an answer: budget, breaker, attempts and pauses. Credentials are given.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::{StatusCode, header};
use http_client::BearerToken;
use instruments::{SpanName, TraceSpan};
use model::{BudgetAccount, Clock};
use ports::BudgetOutcome;
use tokio::time::{Instant, sleep};

use crate::{
    breaker::CircuitBreaker,
    error::GithubError,
    limits::{LONGEST_ASKED_PAUSE, SHORTEST_ASKED_PAUSE},
    metrics::{GithubApi, GithubLimit, GithubMetrics, GithubOutcome, GithubResource},
    pace::GithubPace,
    quota::{CORE, GRAPHQL, RequestQuota, reported},
    throttle::{SendPermit, Throttle},
    transport::{GithubTransport, SendFailure, WireRequest},
    verdict::{ApiVerdict, WholeResponse, judge},
};

/// Credentials, and the account whose quota they use.
#[derive(Debug, Clone)]
pub(crate) struct Authorization {
    /// `None` for requests without credentials.
    pub(crate) token: Option<BearerToken>,
    pub(crate) account: BudgetAccount,
}

/// A request with all that decides how it is repeated.
#[derive(Debug)]
pub(crate) struct RequestPlan {
    pub(crate) request: WireRequest,
    pub(crate) api: GithubApi,
    pub(crate) resource: GithubResource,
    pub(crate) quota: RequestQuota,
    /// Attempts after failures that do not say whether the request was carried out; 1 for one that changes something.
    pub(crate) attempts: u32,
    /// Until when the caller waits.
    pub(crate) deadline: Instant,
    /// Finds a limit in an answer that is a success.
    pub(crate) hidden_limit: fn(&WholeResponse) -> Option<HiddenLimit>,
}

/// A rate limit in an answer with the status 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HiddenLimit {
    Primary,
    Secondary,
}

/// Exchanges requests for answers.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) transport: GithubTransport,
    pub(crate) throttle: Throttle,
    pub(crate) rest_breaker: CircuitBreaker,
    pub(crate) graphql_breaker: CircuitBreaker,
    pub(crate) metrics: GithubMetrics,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pace: GithubPace,
    /// Secondary limits in a row.
    pub(crate) limits_in_a_row: AtomicU32,
}

/// What comes after an attempt.
enum NextStep {
    Answer(WholeResponse),
    /// A rate limit. For a secondary one the budget says when to go on.
    Limited(Duration),
    Pause(GithubError, Option<Duration>),
    Give(GithubError),
}

impl Exchange {
    /// Sends until there is an answer that is a success or 304, or an error that lasts, or the caller's time is over.
    pub(crate) async fn run(
        &self,
        plan: &RequestPlan,
        authorization: &Authorization,
    ) -> Result<WholeResponse, GithubError> {
        let mut pauses = self.pace.backoff();
        let mut attempts = 1;
        loop {
            self.admit(plan.api)?;
            let taken = self
                .throttle
                .take(&authorization.account, plan.quota, plan.deadline);
            let permit = match taken.await {
                Ok(permit) => permit,
                Err(error) => {
                    if matches!(error, GithubError::RateLimited { .. }) {
                        self.metrics.request(plan.resource, GithubOutcome::limited);
                    }
                    return Err(error);
                }
            };
            let sent = self.send(plan, authorization).await;
            match self.conclude(plan, authorization, permit, sent).await? {
                NextStep::Answer(answer) => return Ok(answer),
                NextStep::Give(error) => return Err(error),
                NextStep::Limited(pause) => sleep(pause).await,
                NextStep::Pause(error, asked) => {
                    let pause = asked.unwrap_or_else(|| pauses.pause());
                    if attempts >= plan.attempts || Instant::now() + pause > plan.deadline {
                        return Err(error);
                    }
                    attempts += 1;
                    sleep(pause).await;
                }
            }
        }
    }

    fn breaker(&self, api: GithubApi) -> &CircuitBreaker {
        match api {
            GithubApi::rest => &self.rest_breaker,
            GithubApi::graphql => &self.graphql_breaker,
        }
    }

    fn admit(&self, api: GithubApi) -> Result<(), GithubError> {
        let breaker = self.breaker(api);
        let admitted = breaker.admit();
        self.metrics.breaker(api, breaker.state());
        admitted.map_err(|refusal| GithubError::BreakerOpen {
            failures: refusal.failures,
            wait: refusal.wait,
        })
    }

    async fn send(
        &self,
        plan: &RequestPlan,
        authorization: &Authorization,
    ) -> Result<WholeResponse, SendFailure> {
        let mut request = plan.request.clone();
        if let Some(token) = &authorization.token {
            let headers = &mut request.headers;
            headers.insert(header::AUTHORIZATION, token.header().clone());
        }
        let span = TraceSpan::of_current(SpanName::GithubCall);
        span.set("http.request.method", request.method.as_str().to_owned());
        let began = Instant::now();
        let sent = span.enclose(self.transport.send(&request)).await;
        self.metrics
            .latency(plan.api)
            .observe(began.elapsed(), &span);
        match &sent {
            Ok(answer) => span.set(
                "http.response.status_code",
                i64::from(answer.status.as_u16()),
            ),
            Err(SendFailure::Passing(error) | SendFailure::Lasting(error)) => span.fail(error),
        }
        sent
    }

    /// Tells the budget, the breaker and the metrics how an attempt ended, and decides what comes next.
    async fn conclude(
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
                self.failed(plan);
                return Ok(match failure {
                    SendFailure::Passing(error) => NextStep::Pause(error, None),
                    SendFailure::Lasting(error) => NextStep::Give(error),
                });
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

    fn failed(&self, plan: &RequestPlan) {
        self.breaker(plan.api).failed();
        self.metrics
            .breaker(plan.api, self.breaker(plan.api).state());
        self.metrics.request(plan.resource, GithubOutcome::failed);
    }

    /// What an answer means for the budget: one that says 304 is not counted for the primary limit.
    fn outcome(&self, plan: &RequestPlan, answer: &WholeResponse) -> BudgetOutcome {
        let report = reported(
            &answer.headers,
            plan.quota,
            (self.clock.now(), self.pace.window),
        );
        if let Some(report) = report {
            let limit = match report.bucket {
                CORE => Some(GithubLimit::core),
                GRAPHQL => Some(GithubLimit::graphql),
                _ => None,
            };
            limit.map(|limit| self.metrics.remaining(limit, report.remaining));
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
        let reset = crate::quota::pause_until_reset(&answer.headers, self.clock.now());
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
