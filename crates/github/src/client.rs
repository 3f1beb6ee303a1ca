//! The client: one for a GitHub and an identity; clones share everything.

use std::{
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use http::StatusCode;
use http_client::{ConnectSettings, http_client_through};
use model::Clock;
use ports::Budget;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::{
    breaker::{BreakerState, CircuitBreaker},
    call::{RestAnswer, RestCall, Validators},
    config::{GithubConfig, GithubConfigError, OpenIdentity},
    credentials::{Credentials, GithubAccess},
    error::GithubError,
    exchange::{Exchange, RequestPlan},
    limits::{CONNECT_TIMEOUT, IDLE_TIMEOUT},
    metrics::GithubMetrics,
    plans::RequestPlans,
    quota_left::QuotaLeft,
    throttle::Throttle,
    transport::GithubTransport,
    verdict::WholeResponse,
};

/// What a client is built from.
#[derive(Debug, Clone)]
pub struct GithubDeps {
    /// The budget that all replicas share.
    pub budget: Arc<dyn Budget>,
    /// The time, for tokens.
    pub clock: Arc<dyn Clock>,
    /// The metrics of the process.
    pub metrics: GithubMetrics,
}

/// A client of GitHub's APIs. It has no tasks: whoever drops a call ends it.
#[derive(Debug, Clone)]
pub struct GithubClient {
    credentials: Arc<Credentials>,
}

impl GithubClient {
    /// A client. Reads the secret and, if they are needed, the certificates of the system: blocks.
    ///
    /// # Errors
    /// The secret or the certificates cannot be read; the text names the key of the configuration.
    pub fn new(config: &GithubConfig, deps: GithubDeps) -> Result<Self, GithubConfigError> {
        let settings = ConnectSettings {
            connect_timeout: CONNECT_TIMEOUT,
            keepalive: None,
            idle_timeout: IDLE_TIMEOUT,
        };
        let urls = &config.urls;
        let http = http_client_through([&urls.rest, &urls.graphql], settings, &config.proxies)
            .map_err(GithubConfigError::Certificates)?;
        let pace = config.pace;
        // A slot outlives the request that holds it.
        let slot_ttl = pace.request_timeout + Duration::from_secs(10);
        let waiting = deps.metrics.waiting.clone();
        let exchange = Exchange {
            transport: GithubTransport::new(http, pace.request_timeout),
            throttle: Throttle::new(deps.budget, slot_ttl, waiting),
            rest_breaker: CircuitBreaker::new(pace.breaker_pause),
            graphql_breaker: CircuitBreaker::new(pace.breaker_pause),
            metrics: deps.metrics,
            clock: deps.clock,
            pace,
            limits_in_a_row: AtomicU32::new(0),
            core_left: QuotaLeft::default(),
            points_left: QuotaLeft::default(),
        };
        let plans = RequestPlans {
            urls: urls.clone(),
            version: config.version,
            window: pace.window,
        };
        let identity = OpenIdentity::open(&config.identity)?;
        let place = (urls.host().to_owned(), pace.secret_check);
        let credentials = Credentials::new(identity, Arc::new(exchange), plans, place);
        Ok(Self {
            credentials: Arc::new(credentials),
        })
    }

    /// Reads the secret of a configuration, as a client would at its start.
    ///
    /// # Errors
    /// It cannot be read; the text names the key of the configuration.
    pub fn check_secret(config: &GithubConfig) -> Result<(), GithubConfigError> {
        OpenIdentity::open(&config.identity).map(drop)
    }

    /// What a call asks for; `NotModified` only for one that knows something.
    ///
    /// # Errors
    /// See [`GithubError`].
    pub async fn get_if_modified<T: DeserializeOwned>(
        &self,
        call: &RestCall,
    ) -> Result<RestAnswer<T>, GithubError> {
        let (plan, answer) = self.rest(call).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(RestAnswer::NotModified);
        }
        Ok(RestAnswer::Modified {
            value: plan.read(&answer)?,
            tags: Validators::of(&answer.headers),
        })
    }

    /// What a call asks for, whatever the caller knows of it.
    ///
    /// # Errors
    /// See [`GithubError`].
    pub async fn get<T: DeserializeOwned>(&self, call: &RestCall) -> Result<T, GithubError> {
        let call = call.clone().unless(Validators::default());
        let (plan, answer) = self.rest(&call).await?;
        plan.read(&answer)
    }

    /// Makes a call whose answer says only that GitHub accepts it, for instance to deliver a webhook again. It is
    /// sent once; only after a rate limit, when GitHub has not carried it out, it is sent again.
    ///
    /// # Errors
    /// See [`GithubError`].
    pub async fn send(&self, call: &RestCall) -> Result<(), GithubError> {
        self.rest(call).await.map(drop)
    }

    /// The states of the circuit breakers of REST and GraphQL.
    #[must_use]
    pub fn breakers(&self) -> (BreakerState, BreakerState) {
        let exchange = &self.credentials.exchange;
        (
            exchange.rest_breaker.state(),
            exchange.graphql_breaker.state(),
        )
    }

    /// What GitHub said last is left of the primary limit of REST, until the limit begins anew; `None` where it says
    /// nothing. Of several accounts (installations of an App) it is the one that was used last.
    #[must_use]
    pub fn budget_left(&self) -> Option<u32> {
        self.credentials.exchange.core_left.get()
    }

    /// As [`Self::budget_left`], of the points of GraphQL.
    #[must_use]
    pub fn points_left(&self) -> Option<u32> {
        self.credentials.exchange.points_left.get()
    }

    /// Whether requests carry credentials: without them GitHub shows only what is public.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self.credentials.identity, OpenIdentity::Anonymous)
    }

    pub(crate) async fn rest(
        &self,
        call: &RestCall,
    ) -> Result<(RequestPlan, WholeResponse), GithubError> {
        let deadline = Instant::now() + call.patience;
        let plans = &self.credentials.plans;
        let mut plan = plans.rest_with(call.route, &call.path_and_query, deadline)?;
        call.known.ask(&mut plan.request.headers);
        let answer = self.run(&plan, &call.access).await?;
        Ok((plan, answer))
    }

    /// How requests are made.
    pub(crate) fn plans(&self) -> &RequestPlans {
        &self.credentials.plans
    }

    pub(crate) fn metrics(&self) -> &GithubMetrics {
        &self.credentials.exchange.metrics
    }

    /// Runs a plan. Credentials that GitHub refuses are renewed once: they may have been rotated.
    pub(crate) async fn run(
        &self,
        plan: &RequestPlan,
        access: &GithubAccess,
    ) -> Result<WholeResponse, GithubError> {
        let (authorization, source) = self.credentials.authorize(access, plan.deadline).await?;
        let answer = self.credentials.exchange.run(plan, &authorization).await;
        match answer {
            Err(GithubError::Unauthorized { .. })
                if self.credentials.renew(&authorization, &source) => {}
            answer => return answer,
        }
        let (authorization, _) = self.credentials.authorize(access, plan.deadline).await?;
        self.credentials.exchange.run(plan, &authorization).await
    }
}
