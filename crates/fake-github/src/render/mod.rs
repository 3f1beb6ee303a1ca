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
use model::Timestamp;
use serde_json::{Map, Value};

pub(crate) use crate::moments::moment;
use crate::world::{AccountKey, FakeWorld, RepoKey, TicketKey};

/// Renders the objects of a world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Render<'w>(pub(crate) &'w FakeWorld);

impl FakeWorld {
    pub(crate) fn render(&self) -> Render<'_> {
        Render(self)
    }
}

fn maybe(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::from(moment(at)))
}

fn extend(target: &mut Value, more: Value) {
    if let (Value::Object(target), Value::Object(more)) = (target, more) {
        target.extend(more);
    }
}

/// `{name}_url` members below one base.
fn urls(base: &str, members: &[(&str, &str)]) -> Value {
    let members = members
        .iter()
        .map(|(name, path)| (format!("{name}_url"), Value::from(format!("{base}{path}"))));
    Value::Object(members.collect::<Map<_, _>>())
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
