//! GitHub's objects as JSON, for its REST API (version 2022-11-28) and for the payloads of webhooks.

mod accounts;
mod checks;
mod hooks;
mod issues;
mod marks;
mod projects;
mod pulls;
mod repos;

pub(crate) use accounts::permissions;
use serde_json::Value;
pub(crate) use testkit::fake_github::written::moment;
use testkit::fake_github::written::{extend, maybe, urls};

use crate::world::{AccountKey, FakeWorld, RepoKey, TicketKey};

/// Renders the objects of a world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Render<'w>(pub(crate) &'w FakeWorld);

impl FakeWorld {
    pub(crate) fn render(&self) -> Render<'_> {
        Render(self)
    }
}

impl Render<'_> {
    fn api_repo(self, repo: RepoKey) -> String {
        format!("{}/repos/{}", self.0.api, self.0.full_name(repo))
    }

    fn web_repo(self, repo: RepoKey) -> String {
        format!("{}/{}", self.0.web, self.0.full_name(repo))
    }

    fn api_issue(self, key: TicketKey) -> String {
        format!("{}/issues/{}", self.api_repo(key.repo), key.number)
    }

    fn maybe_account(self, key: Option<AccountKey>) -> Value {
        key.map_or(Value::Null, |key| self.account(key))
    }
}
