//! The credentials of each request: whose token it carries, and whose quota it uses.

use std::{sync::Arc, time::Duration};

use http_client::BearerToken;
use model::BudgetAccount;
use moka::sync::Cache;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    config::OpenIdentity,
    error::GithubError,
    exchange::{Authorization, Exchange, RequestPlan},
    installation::{InstallationToken, IssuedToken, WrittenToken},
    limits::{INSTALLATION_KEPT, MAX_INSTALLATIONS},
    plans::RequestPlans,
    route::RestRoute,
    verdict::WholeResponse,
};

/// For whom a request is made. Only an App makes a difference between them: a token is the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GithubAccess {
    /// The App itself: its webhook, and its installations.
    App,
    /// The installation of the App with this id.
    Installation(u64),
    /// The installation of the App for this user or organization.
    Owner(String),
}

#[derive(Deserialize)]
struct WrittenInstallation {
    id: u64,
}

/// Makes the credentials.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) identity: OpenIdentity,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) plans: RequestPlans,
    host: String,
    secret_check: Duration,
    tokens: Cache<u64, Arc<InstallationToken>>,
    /// The installation of each owner, in lower case.
    owners: Cache<String, Arc<tokio::sync::OnceCell<u64>>>,
}

/// Where an authorization comes from, so that it can be renewed.
#[derive(Debug)]
pub(crate) enum AuthorizationSource {
    Fixed,
    File,
    App,
    Installation(u64),
}

impl Credentials {
    pub(crate) fn new(
        identity: OpenIdentity,
        exchange: Arc<Exchange>,
        plans: RequestPlans,
        (host, secret_check): (String, Duration),
    ) -> Self {
        Self {
            identity,
            exchange,
            plans,
            host,
            secret_check,
            tokens: Cache::new(MAX_INSTALLATIONS),
            owners: Cache::builder()
                .max_capacity(MAX_INSTALLATIONS)
                .time_to_live(INSTALLATION_KEPT)
                .build(),
        }
    }

    fn account(&self, whose: &str) -> BudgetAccount {
        let name = format!("github:{}:{whose}", self.host);
        BudgetAccount::new(&name)
            .unwrap_or_else(|_| BudgetAccount::new("github").expect("a constant of visible ASCII"))
    }

    fn authorization(&self, token: Option<BearerToken>, whose: &str) -> Authorization {
        let account = self.account(whose);
        Authorization { token, account }
    }

    /// A token with an account of its own: another one may be another user's. Its name has a part of the token's digest,
    /// of which nobody can make the token.
    fn of_token(&self, token: &BearerToken) -> Authorization {
        let digest = digest(&SHA256, token.header().as_bytes());
        let short = digest.as_ref()[..4]
            .iter()
            .fold(String::from("token:"), |name, byte| {
                format!("{name}{byte:02x}")
            });
        self.authorization(Some(token.clone()), &short)
    }

    /// The credentials for a request, with what may be asked of GitHub for them until `deadline`.
    pub(crate) async fn authorize(
        &self,
        access: &GithubAccess,
        deadline: Instant,
    ) -> Result<(Authorization, AuthorizationSource), GithubError> {
        Ok(match &self.identity {
            OpenIdentity::Anonymous => (
                self.authorization(None, "anonymous"),
                AuthorizationSource::Fixed,
            ),
            OpenIdentity::Token(token) => (self.of_token(token), AuthorizationSource::Fixed),
            OpenIdentity::TokenFile(file) => {
                let token = file.current(self.secret_check);
                (self.of_token(&token), AuthorizationSource::File)
            }
            OpenIdentity::App { .. } => {
                let id = match access {
                    GithubAccess::App => return Ok((self.as_app(), AuthorizationSource::App)),
                    GithubAccess::Installation(id) => *id,
                    GithubAccess::Owner(owner) => self.installation_of(owner, deadline).await?,
                };
                let token = self.installation_token(id, deadline).await;
                if let (Err(GithubError::NotFound { .. }), GithubAccess::Owner(owner)) =
                    (&token, access)
                {
                    // It is no longer there; another one may be.
                    self.owners.invalidate(&owner.to_ascii_lowercase());
                }
                let token = token?;
                let whose = format!("installation:{id}");
                (
                    self.authorization(Some(token), &whose),
                    AuthorizationSource::Installation(id),
                )
            }
        })
    }

    /// Forgets credentials that GitHub has refused; whether others may be had.
    pub(crate) fn renew(&self, refused: &Authorization, source: &AuthorizationSource) -> bool {
        let Some(token) = &refused.token else {
            return false;
        };
        match (source, &self.identity) {
            (AuthorizationSource::File, OpenIdentity::TokenFile(file)) => {
                file.current(Duration::ZERO).header() != token.header()
            }
            (AuthorizationSource::Installation(id), _) => {
                if let Some(cell) = self.tokens.get(id) {
                    cell.forget(token);
                }
                true
            }
            // It may have waited for longer than its token lives, or the key was rotated.
            (AuthorizationSource::App, _) => true,
            _ => false,
        }
    }

    /// The App itself, with a new token: the key may have been rotated.
    fn as_app(&self) -> Authorization {
        let token = match &self.identity {
            OpenIdentity::App { id, key } => {
                let key = key.current(self.secret_check);
                Some(key.token(*id, self.exchange.clock.now()))
            }
            _ => None,
        };
        self.authorization(token, "app")
    }

    /// Asks as the App.
    async fn ask(&self, plan: &RequestPlan) -> Result<WholeResponse, GithubError> {
        self.exchange.run(plan, &self.as_app()).await
    }

    async fn installation_of(&self, owner: &str, deadline: Instant) -> Result<u64, GithubError> {
        let name = owner.to_ascii_lowercase();
        let cell = self.owners.get_with(name, Arc::default);
        let asked = cell.get_or_try_init(|| async {
            let plan = self
                .plans
                .rest(RestRoute::OWNER_INSTALLATION, &[owner], deadline)?;
            match self.ask(&plan).await {
                Ok(answer) => {
                    let written: WrittenInstallation = plan.read(&answer)?;
                    Ok(written.id)
                }
                Err(GithubError::NotFound { .. }) => Err(GithubError::NotInstalled {
                    owner: http_client::quoted(owner),
                }),
                Err(error) => Err(error),
            }
        });
        asked.await.copied()
    }

    async fn installation_token(
        &self,
        id: u64,
        deadline: Instant,
    ) -> Result<BearerToken, GithubError> {
        let cell = self.tokens.get_with(id, Arc::default);
        let now = self.exchange.clock.now();
        cell.get(now, || self.mint(id, deadline)).await
    }

    async fn mint(&self, id: u64, deadline: Instant) -> Result<IssuedToken, GithubError> {
        let id = id.to_string();
        let plan = self
            .plans
            .rest(RestRoute::INSTALLATION_TOKEN, &[&id], deadline)?;
        let answer = self.ask(&plan).await?;
        let written: WrittenToken = plan.read(&answer)?;
        written
            .issued()
            .ok_or_else(|| plan.malformed("it holds no token with an end"))
    }
}
