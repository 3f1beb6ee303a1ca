//! Repositories and accounts.

use apollo_compiler::resolvers::{FieldError, ObjectValue, ResolveInfo};
use model::Timestamp;
use serde_json::Value;
use testkit::fake_github::written::avatar;

use super::{
    arguments::{member, number, word, words},
    connection::{ConnectionPlace, is_ordered_by},
    thing::{Resolved, Thing, What, leaf, time},
};
use crate::world::{AccountKey, FakeTicket, RepoKey, TicketKey};

/// The id of something that a place is made of.
fn by_id(id: u64, what: What<'_>) -> (ConnectionPlace, What<'_>) {
    ((0, id), what)
}

impl<'w> Thing<'w> {
    pub(super) fn repo<'a>(&'a self, key: RepoKey, info: &'a ResolveInfo<'a>) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let repo = &world.repos[&key];
        let number = || number(info, "number").unwrap_or(0);
        let word = |name: &str| word(info, name).unwrap_or_default();
        match info.field_name() {
            "id" => leaf(repo.node_id.clone()),
            "databaseId" => leaf(repo.id),
            "name" => leaf(repo.name.clone()),
            "nameWithOwner" => leaf(world.full_name(key)),
            "owner" => self.object(What::Account(repo.owner)),
            "url" => leaf(format!("{}/{}", world.web, world.full_name(key))),
            "description" => leaf(Value::Null),
            "isPrivate" => leaf(repo.private),
            "isArchived" => leaf(false),
            "hasIssuesEnabled" => leaf(repo.has_issues),
            "visibility" => leaf(if repo.private { "PRIVATE" } else { "PUBLIC" }),
            "createdAt" => time(repo.created_at),
            "updatedAt" => time(repo.updated_at),
            "pushedAt" => time(repo.pushed_at),
            "issue" | "pullRequest" => {
                self.numbered(key, number(), info.field_name() == "pullRequest")
            }
            "issues" | "pullRequests" => self.tickets(key, info),
            "label" => {
                let mut all = world.labels.values().filter(|it| it.repo == key);
                let found = all.find(|it| it.name.eq_ignore_ascii_case(word("name")));
                self.object(found.map(|it| What::Label(it.id)))
            }
            "labels" => {
                let all = world.labels.values().filter(|it| it.repo == key);
                let all = all.map(|it| by_id(it.id, What::Label(it.id)));
                self.page(info, ["LabelConnection", "LabelEdge"], all.collect())
            }
            "milestone" => {
                let mut all = world.milestones.values();
                let found = all.find(|it| it.repo == key && it.number == number());
                self.object(found.map(|it| What::Milestone(it.id)))
            }
            "milestones" => {
                let states = words(info, "states");
                let wanted = |closed: bool| {
                    let state = if closed { "CLOSED" } else { "OPEN" };
                    states.as_ref().is_none_or(|all| all.contains(&state))
                };
                let all = world.milestones.values();
                let all = all.filter(|it| it.repo == key && wanted(it.closed_at.is_some()));
                let by_update = is_ordered_by(info, "UPDATED_AT");
                let place = |at: Timestamp| if by_update { at.unix_millis() } else { 0 };
                let all = all.map(|it| ((place(it.updated_at), it.number), What::Milestone(it.id)));
                self.page(
                    info,
                    ["MilestoneConnection", "MilestoneEdge"],
                    all.collect(),
                )
            }
            "release" => {
                let mut all = world.releases.values();
                let found = all.find(|it| it.repo == key && it.tag == word("tagName"));
                self.object(found.map(|it| What::Release(it.id)))
            }
            "releases" => {
                let all = world.releases.values().filter(|it| it.repo == key);
                let all = all.map(|it| by_id(it.id, What::Release(it.id)));
                self.page(info, ["ReleaseConnection", "ReleaseEdge"], all.collect())
            }
            "projectsV2" => {
                let all = world.projects.iter().filter(|(project, it)| {
                    let mut items = world.items_of(**project);
                    let here = |item: &crate::world::FakeItemContent| match item {
                        crate::world::FakeItemContent::Ticket(on) => on.repo == key,
                        crate::world::FakeItemContent::Draft { .. } => false,
                    };
                    it.owner == repo.owner && items.any(|(_, item)| here(&item.content))
                });
                let all = all.map(|(project, it)| by_id(it.number, What::Project(*project)));
                self.page(
                    info,
                    ["ProjectV2Connection", "ProjectV2Edge"],
                    all.collect(),
                )
            }
            _ => Err(self.unknown_field_error(info)),
        }
    }

    fn numbered<'a>(&self, repo: RepoKey, number: u64, is_pull: bool) -> Resolved<'a>
    where
        'w: 'a,
    {
        let key = TicketKey { repo, number };
        let found = self.world().tickets.get(&key);
        if found.is_some_and(|it| it.pull.is_some() == is_pull) {
            return self.object(What::Ticket(key));
        }
        let kind = if is_pull { "a PullRequest" } else { "an Issue" };
        let message = format!("NOT_FOUND|Could not resolve to {kind} with the number of {number}.");
        Err(FieldError { message })
    }

    fn tickets<'a>(&self, key: RepoKey, info: &'a ResolveInfo<'a>) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let is_pull = info.field_name() == "pullRequests";
        let (states, labels) = (words(info, "states"), words(info, "labels"));
        let since = member(info, "filterBy", "since").and_then(Timestamp::parse);
        let state = |it: &FakeTicket| match (&it.pull, it.closed_at) {
            (_, None) => "OPEN",
            (Some(pull), _) if pull.merged_at.is_some() => "MERGED",
            _ => "CLOSED",
        };
        let has_label = |it: &FakeTicket, names: &[&str]| {
            let mut own = it.labels.iter().map(|id| &world.labels[id].name);
            own.any(|name| names.contains(&name.as_str()))
        };
        let by_update = is_ordered_by(info, "UPDATED_AT");
        let of = &world.repos[&key];
        let is_shown = is_pull || (of.has_issues && !of.hides_issues);
        let all = world.tickets_of(key).filter(|(_, it)| {
            is_shown
                && it.pull.is_some() == is_pull
                && since.is_none_or(|since| it.updated_at >= since)
                && states.as_ref().is_none_or(|all| all.contains(&state(it)))
                && labels.as_ref().is_none_or(|names| has_label(it, names))
        });
        let all = all.map(|(key, it)| {
            let at = if by_update {
                it.updated_at
            } else {
                it.created_at
            };
            ((at.unix_millis(), key.number), What::Ticket(key))
        });
        let names = if is_pull {
            ["PullRequestConnection", "PullRequestEdge"]
        } else {
            ["IssueConnection", "IssueEdge"]
        };
        self.page(info, names, all.collect())
    }

    pub(super) fn account_field<'a>(
        &'a self,
        key: AccountKey,
        info: &'a ResolveInfo<'a>,
    ) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let account = &world.accounts[&key];
        let word = |name: &str| word(info, name).unwrap_or_default();
        match info.field_name() {
            "id" => leaf(account.node_id.clone()),
            "databaseId" => leaf(account.id),
            "login" => leaf(account.login.clone()),
            "name" => leaf(account.login.clone()),
            "url" => leaf(format!("{}/{}", world.web, account.login)),
            "resourcePath" => leaf(format!("/{}", account.login)),
            "avatarUrl" => leaf(avatar(account.id)),
            "repository" => {
                let found = world
                    .repo_named(&account.login, word("name"))
                    .map(|(key, _)| key);
                let found = found.filter(|key| world.sees(self.context.caller, *key));
                self.object(found.map(What::Repo))
            }
            "repositories" => {
                let all = world.repos_of(key).map(|(key, _)| key);
                let all = all.filter(|key| world.sees(self.context.caller, *key));
                let all = all.map(|key| by_id(key.0, What::Repo(key)));
                self.page(
                    info,
                    ["RepositoryConnection", "RepositoryEdge"],
                    all.collect(),
                )
            }
            "projectV2" => {
                let number = number(info, "number");
                let mut all = world.projects.iter();
                let found = all.find(|(_, it)| it.owner == key && Some(it.number) == number);
                match found {
                    Some((project, _)) => self.object(What::Project(*project)),
                    None => Err(FieldError {
                        message: format!(
                            "NOT_FOUND|Could not resolve to a ProjectV2 with the number {}.",
                            number.unwrap_or(0)
                        ),
                    }),
                }
            }
            "projectsV2" => {
                let all = world.projects.iter().filter(|(_, it)| it.owner == key);
                let by_update = is_ordered_by(info, "UPDATED_AT");
                let place = |at: Timestamp| if by_update { at.unix_millis() } else { 0 };
                let all = all.map(|(project, it)| {
                    ((place(it.updated_at), it.number), What::Project(*project))
                });
                self.page(
                    info,
                    ["ProjectV2Connection", "ProjectV2Edge"],
                    all.collect(),
                )
            }
            _ => Err(self.unknown_field_error(info)),
        }
    }
}
