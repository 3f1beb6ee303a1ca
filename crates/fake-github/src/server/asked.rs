//! A request, read; and the answers that handlers give.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    auth::FakeCaller,
    world::{AccountKey, FakeWorld, RepoKey, TicketKey},
};

/// The prefix of REST on GitHub Enterprise Server.
pub(super) const SERVER_PREFIX: &str = "/api/v3";

/// The most of a page.
const MAX_PER_PAGE: usize = 100;
const DEFAULT_PER_PAGE: usize = 30;

/// A request to the REST API.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Path without prefix.
    pub(crate) path: String,
    /// What stands for the names in braces of the route.
    pub(crate) params: BTreeMap<&'static str, String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) caller: FakeCaller,
    /// Where the API is, prefix included.
    pub(crate) base: String,
}

/// A good answer.
#[derive(Debug)]
pub(crate) struct RouteAnswer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) links: Vec<(&'static str, String)>,
}

impl RouteAnswer {
    pub(crate) fn of(body: Value) -> Self {
        Self {
            status: 200,
            body,
            links: Vec::new(),
        }
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// Another answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    Missing,
    /// The repository has another name now.
    Moved(String),
    Unauthorized(String),
    Forbidden(String),
    Gone(String),
    Invalid(String),
}

impl Refusal {
    pub(crate) fn answer(self) -> (u16, Value, Option<String>) {
        let (status, message) = match self {
            Self::Missing => (404, "Not Found".to_owned()),
            Self::Unauthorized(message) => (401, message),
            Self::Forbidden(message) => (403, message),
            Self::Gone(message) => (410, message),
            Self::Invalid(message) => (422, message),
            Self::Moved(url) => {
                let mut body = refusal_body(301, "Moved Permanently");
                body["url"] = url.clone().into();
                return (301, body, Some(url));
            }
        };
        (status, refusal_body(status, &message), None)
    }
}

/// GitHub's body of an error.
pub(crate) fn refusal_body(status: u16, message: &str) -> Value {
    json!({
        "message": message, "documentation_url": "https://docs.github.com/rest",
        "status": status.to_string(),
    })
}

impl Asked {
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Result<u64, Refusal> {
        self.param(name).parse().map_err(|_| Refusal::Missing)
    }

    /// The repository of the path, if the caller sees it.
    pub(crate) fn repo(&self, world: &FakeWorld) -> Result<RepoKey, Refusal> {
        if let Some(id) = self.params.get("repository_id") {
            let key = id.parse().map(RepoKey).map_err(|_| Refusal::Missing)?;
            let known = world.repos.contains_key(&key) && world.sees(self.caller, key);
            return if known {
                Ok(key)
            } else {
                Err(Refusal::Missing)
            };
        }
        let (owner, name) = (self.param("owner"), self.param("repo"));
        let (key, is_present) = world.repo_named(owner, name).ok_or(Refusal::Missing)?;
        if !world.sees(self.caller, key) {
            return Err(Refusal::Missing);
        }
        if is_present {
            return Ok(key);
        }
        Err(Refusal::Moved(self.linking_by_id(key).link(&[])))
    }

    /// The path with the repository's id instead of its name: what GitHub's links use.
    fn by_id(&self, key: RepoKey) -> String {
        let (owner, name) = (self.param("owner"), self.param("repo"));
        let rest = self.path.get(format!("/repos/{owner}/{name}").len()..);
        format!("/repositories/{}{}", key.0, rest.unwrap_or_default())
    }

    pub(crate) fn ticket(&self, world: &FakeWorld) -> Result<TicketKey, Refusal> {
        let repo = self.repo(world)?;
        let names = ["issue_number", "pull_number"];
        let named = names.into_iter().find(|it| self.params.contains_key(it));
        let number = self.number(named.unwrap_or_default())?;
        let key = TicketKey { repo, number };
        match world.departed.get(&key) {
            _ if world.tickets.contains_key(&key) => Ok(key),
            None => Err(Refusal::Missing),
            Some(Some(there)) if world.sees(self.caller, there.repo) => {
                let (base, repo, number) = (&self.base, there.repo.0, there.number);
                let url = format!("{base}/repositories/{repo}/issues/{number}");
                Err(Refusal::Moved(url))
            }
            Some(Some(_)) => Err(Refusal::Missing),
            Some(None) => Err(Refusal::Gone("This issue was deleted".to_owned())),
        }
    }

    pub(crate) fn owner(&self, world: &FakeWorld) -> Result<AccountKey, Refusal> {
        world.account(self.param("org")).ok_or(Refusal::Missing)
    }

    /// Whether GitHub Enterprise Server is asked: its lists of issues count pages by number still.
    pub(crate) fn is_of_enterprise(&self) -> bool {
        self.base.ends_with(SERVER_PREFIX)
    }

    /// `per_page`: GitHub takes the most where more is asked for.
    pub(crate) fn per_page(&self) -> usize {
        let asked = self.query.get("per_page").and_then(|it| it.parse().ok());
        asked.unwrap_or(DEFAULT_PER_PAGE).clamp(1, MAX_PER_PAGE)
    }

    /// A page by number.
    pub(crate) fn page<T>(
        &self,
        all: impl IntoIterator<Item = T>,
        render: impl Fn(T) -> Value,
    ) -> RouteAnswer {
        let all: Vec<T> = all.into_iter().collect();
        let (count, per_page) = (all.len(), self.per_page());
        let page = self
            .query
            .get("page")
            .and_then(|it| it.parse::<usize>().ok());
        let page = page.unwrap_or(1).max(1);
        let last = count.div_ceil(per_page).max(1);
        let skipped = (page - 1).saturating_mul(per_page);
        let shown = all.into_iter().skip(skipped).take(per_page).map(render);
        let mut answer = RouteAnswer::of(shown.collect::<Vec<_>>().into());
        let mut link = |rel, page: usize| {
            answer
                .links
                .push((rel, self.link(&[("page", &page.to_string())])));
        };
        if page > 1 {
            link("prev", page - 1);
        }
        if page < last {
            link("next", page + 1);
            link("last", last);
        }
        if page > 1 {
            link("first", 1);
        }
        answer
    }

    /// The same, with the count and under a name.
    pub(crate) fn counted_page<T>(
        &self,
        name: &str,
        all: Vec<T>,
        render: impl Fn(T) -> Value,
    ) -> RouteAnswer {
        let count = all.len();
        let mut answer = self.page(all, render);
        answer.body = json!({ "total_count": count, name: answer.body });
        answer
    }

    /// This request with other parameters.
    pub(crate) fn link(&self, other: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let kept = self.query.iter();
        let kept = kept.filter(|(name, _)| !other.iter().any(|(it, _)| it == name));
        query.extend_pairs(kept).extend_pairs(other);
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{query}", self.base, self.path)
    }

    /// The paths of links name the repository by its id.
    pub(crate) fn linking_by_id(&self, key: RepoKey) -> Self {
        let path = if self.params.contains_key("repository_id") {
            self.path.clone()
        } else {
            self.by_id(key)
        };
        Self {
            path,
            params: self.params.clone(),
            query: self.query.clone(),
            caller: self.caller,
            base: self.base.clone(),
        }
    }
}
