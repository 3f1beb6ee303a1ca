//! A request until it has an answer: budget, breaker, attempts and pauses. Credentials are given.

mod conclusion;

use std::sync::{Arc, atomic::AtomicU32};

use http::header;
use http_client::BearerToken;
use instruments::{SpanName, TraceSpan};
use model::{BudgetAccount, Clock};
use tokio::time::{Instant, sleep};

use crate::{
    breaker::CircuitBreaker,
    error::GithubError,
    metrics::{GithubApi, GithubMetrics, GithubOutcome, GithubResource},
    pace::GithubPace,
    quota::RequestQuota,
    quota_left::QuotaLeft,
    throttle::Throttle,
    transport::{GithubTransport, SendFailure, WireRequest},
    verdict::WholeResponse,
};

use conclusion::NextStep;

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
    /// What is left of the primary limit of REST.
    pub(crate) core_left: QuotaLeft,
    /// As above, of GraphQL.
    pub(crate) points_left: QuotaLeft,
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
}
