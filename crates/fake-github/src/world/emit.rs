//! From something that happened to the ledger and to a payload for every webhook that listens.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::FakeWorld;
use crate::keys::{AccountKey, ProjectKey, RepoKey, TicketKey};
use crate::{
    hooks::{FakeAttempt, FakeDelivery, FakeHook, FakeHookKey, FakeHookOwner, NewDelivery},
    ledger::LedgerEntry,
};

/// Something that happened, before it is written down.
#[derive(Debug)]
pub(crate) struct Happening {
    event: &'static str,
    action: &'static str,
    place: Place,
    node_id: String,
    number: Option<u64>,
    members: Map<String, Value>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Repo(RepoKey),
    Owner(AccountKey),
}

impl Happening {
    pub(crate) fn new(event: &'static str, action: &'static str, repo: RepoKey) -> Self {
        Self {
            event,
            action,
            place: Place::Repo(repo),
            node_id: String::new(),
            number: None,
            members: Map::new(),
        }
    }

    /// Of an organization or a user: projects are in no repository.
    pub(crate) fn of_owner(event: &'static str, action: &'static str, owner: AccountKey) -> Self {
        Self {
            place: Place::Owner(owner),
            ..Self::new(event, action, RepoKey(0))
        }
    }

    /// What it happened to.
    pub(crate) fn about(mut self, node_id: &str, number: impl Into<Option<u64>>) -> Self {
        node_id.clone_into(&mut self.node_id);
        self.number = number.into();
        self
    }

    /// A member of the payload.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }
}

impl FakeWorld {
    /// Writes it down, and makes a delivery for every webhook that listens.
    pub(crate) fn emit(&mut self, happening: Happening) {
        let guid = self.fresh_guid();
        let (repo, owner) = match happening.place {
            Place::Repo(repo) => (Some(repo), self.repos[&repo].owner),
            Place::Owner(owner) => (None, owner),
        };
        let now = self.exact_now();
        let hooks = self.hooks.listening(happening.event, |hook| match hook {
            FakeHookOwner::Repo(of) => repo == Some(of),
            FakeHookOwner::Organization(of) => owner == of,
            FakeHookOwner::App => self.installation_for(owner, repo).is_some(),
        });
        let installation = self.installation_for(owner, repo);
        // It is made only if it is sent: much happens that no webhook listens to.
        let payload = match hooks.is_empty() {
            true => Value::Null,
            false => self.payload(&happening, repo, owner),
        };
        for hook in &hooks {
            let id = self.fresh_id();
            let mut payload = payload.clone();
            let via_app = self.hooks.is_of_app(*hook);
            if let (true, Some(installation)) = (via_app, installation) {
                payload["installation"] = self.render().installation_mark(installation);
            }
            self.hooks.queue(NewDelivery {
                id,
                hook: *hook,
                guid: guid.clone(),
                event: happening.event,
                action: (!happening.action.is_empty()).then_some(happening.action),
                repository: repo.map(|repo| repo.0),
                installation: installation.filter(|_| via_app),
                payload: Arc::from(payload.to_string()),
                queued_at: now,
            });
        }
        let repo_node = |repo: RepoKey| self.repos[&repo].node_id.clone();
        let node_id = match (happening.node_id.is_empty(), repo) {
            (true, Some(repo)) => repo_node(repo),
            _ => happening.node_id,
        };
        let entry = LedgerEntry {
            at: self.now(),
            event: happening.event,
            action: happening.action,
            node_id,
            repository: repo.map(|repo| self.full_name(repo)),
            number: happening.number,
            guid,
            hooks: hooks.len(),
        };
        self.write(entry);
    }

    /// The installation through which the app hears of something.
    fn installation_for(&self, owner: AccountKey, repo: Option<RepoKey>) -> Option<u64> {
        let mut all = self.installations.values();
        let found = all.find(|it| {
            it.account == owner
                && it.suspended_at.is_none()
                && repo.is_none_or(|repo| self.installation_sees(it.id, repo))
        });
        found.map(|it| it.id)
    }

    fn payload(&self, happening: &Happening, repo: Option<RepoKey>, owner: AccountKey) -> Value {
        let render = self.render();
        let mut payload = json!({ "sender": render.account(self.actor()) });
        if !happening.action.is_empty() {
            payload["action"] = happening.action.into();
        }
        if let Some(repo) = repo {
            payload["repository"] = render.repo(repo);
        }
        if self.accounts[&owner].kind == super::FakeAccountKind::Organization {
            payload["organization"] = render.organization_mark(owner);
        }
        for (name, value) in &happening.members {
            payload[name] = value.clone();
        }
        payload
    }

    /// Something that happened to an issue or a pull request.
    pub(crate) fn ticket_happening(&self, action: &'static str, key: TicketKey) -> Happening {
        let ticket = &self.tickets[&key];
        let render = self.render();
        let (event, name, value) = if ticket.pull.is_some() {
            ("pull_request", "pull_request", render.pull(key))
        } else {
            ("issues", "issue", render.issue(key))
        };
        let happening = Happening::new(event, action, key.repo)
            .about(&ticket.node_id, key.number)
            .with(name, value);
        if ticket.pull.is_some() {
            return happening.with("number", key.number.into());
        }
        happening
    }

    /// Something that happened to a project.
    pub(crate) fn project_happening(&self, action: &'static str, key: ProjectKey) -> Happening {
        let project = &self.projects[&key];
        Happening::of_owner("projects_v2", action, project.owner)
            .about(&project.node_id, project.number)
            .with("projects_v2", self.render().project(key))
    }
}

impl FakeWorld {
    /// Configures a webhook for some events, or `*` for all. GitHub's `ping` is sent to it first.
    pub fn add_hook(
        &mut self,
        owner: FakeHookOwner,
        url: &str,
        secret: &str,
        events: &[&str],
    ) -> FakeHookKey {
        let (id, created_at) = (self.fresh_id(), self.now());
        let key = self.hooks.insert(FakeHook {
            id,
            owner,
            url: url.to_owned(),
            secret: secret.to_owned(),
            events: events.iter().map(|it| (*it).to_owned()).collect(),
            created_at,
            never_sends: false,
        });
        let mut payload = json!({
            "zen": "Keep it logically awesome.", "hook_id": id, "hook": self.render().hook(key),
            "sender": self.render().account(self.actor()),
        });
        if let FakeHookOwner::Repo(repo) = owner {
            payload["repository"] = self.render().repo(repo);
        }
        let guid = self.fresh_guid();
        let id = self.fresh_id();
        self.hooks.queue(NewDelivery {
            id,
            hook: key,
            guid,
            event: "ping",
            action: None,
            repository: None,
            installation: None,
            payload: Arc::from(payload.to_string()),
            queued_at: self.exact_now(),
        });
        key
    }

    /// Makes an attempt to deliver anew, as "Redeliver" does; `None` if it is forgotten.
    pub fn redeliver(&mut self, delivery: u64) -> Option<u64> {
        let (id, now) = (self.fresh_id(), self.exact_now());
        self.hooks.redeliver(delivery, id, now).then_some(id)
    }

    /// The next delivery that is to be sent, with the webhook that gets it.
    pub fn next_to_send(&mut self) -> Option<(FakeDelivery, FakeHook)> {
        let delivery = self.hooks.next_to_send()?;
        let hook = self.hooks.get(delivery.hook)?.clone();
        Some((delivery, hook))
    }

    /// Writes down how an attempt to deliver ended.
    pub fn attempted(&mut self, delivery: u64, attempt: FakeAttempt) {
        let now = self.exact_now();
        self.hooks.attempted(delivery, now, attempt);
    }
}
