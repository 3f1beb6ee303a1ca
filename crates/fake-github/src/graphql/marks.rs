//! Labels, milestones, releases, checks and statuses.

use apollo_compiler::resolvers::{ObjectValue, ResolveInfo};
use serde_json::Value;

use super::thing::{Resolved, Thing, What, leaf, time};
use crate::world::RepoKey;

impl<'w> Thing<'w> {
    pub(super) fn label<'a>(&self, id: u64, name: &str) -> Resolved<'a> {
        let world = self.world();
        let it = &world.labels[&id];
        match name {
            "id" => leaf(it.node_id.clone()),
            "name" => leaf(it.name.clone()),
            "color" => leaf(it.color.clone()),
            "description" => leaf(format!("It is about {}", it.name)),
            "isDefault" => leaf(world.render().label(id)["default"].clone()),
            _ => leaf(format!(
                "{}/{}/labels/{}",
                world.web,
                world.full_name(it.repo),
                it.name
            )),
        }
    }

    pub(super) fn milestone<'a>(&self, id: u64, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let it = &world.milestones[&id];
        match name {
            "id" => leaf(it.node_id.clone()),
            "number" => leaf(it.number),
            "title" => leaf(it.title.clone()),
            "description" => leaf(Value::Null),
            "state" => leaf(if it.closed_at.is_some() {
                "CLOSED"
            } else {
                "OPEN"
            }),
            "closed" => leaf(it.closed_at.is_some()),
            "dueOn" => time(it.due_on),
            "createdAt" => time(it.created_at),
            "updatedAt" => time(it.updated_at),
            "closedAt" => time(it.closed_at),
            "creator" => self.object(What::Account(it.creator)),
            "progressPercentage" => {
                let shown = world.render().milestone(id);
                let count = |name: &str| shown[name].as_f64().unwrap_or(0.0);
                let (open, closed) = (count("open_issues"), count("closed_issues"));
                leaf(if open + closed > 0.0 {
                    closed * 100.0 / (open + closed)
                } else {
                    0.0
                })
            }
            _ => leaf(world.render().milestone(id)["html_url"].clone()),
        }
    }

    pub(super) fn release<'a>(&self, id: u64, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let it = &world.releases[&id];
        match name {
            "id" => leaf(it.node_id.clone()),
            "databaseId" => leaf(Value::Null),
            "name" | "tagName" => leaf(it.tag.clone()),
            "description" => leaf("What is new."),
            "isDraft" | "isPrerelease" => leaf(false),
            "isLatest" => {
                let of_repo = world
                    .releases
                    .values()
                    .filter(|other| other.repo == it.repo);
                leaf(of_repo.map(|other| other.id).max() == Some(id))
            }
            "createdAt" | "publishedAt" => time(it.published_at),
            "updatedAt" => time(it.updated_at),
            "author" => self.object(What::Account(it.author)),
            _ => leaf(world.render().release(id)["html_url"].clone()),
        }
    }

    /// The rollup of a commit, if it has any check or status.
    pub(super) fn rollup_of<'a>(&self, repo: RepoKey, sha: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let any =
            !world.checks_of(repo, sha).is_empty() || !world.newest_statuses(repo, sha).is_empty();
        self.object(any.then(|| What::Rollup(repo, sha.to_owned())))
    }

    pub(super) fn rollup<'a>(
        &'a self,
        repo: RepoKey,
        sha: &str,
        info: &'a ResolveInfo<'a>,
    ) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let (checks, statuses) = (world.checks_of(repo, sha), world.newest_statuses(repo, sha));
        match info.field_name() {
            "id" => leaf(format!("SCR_{sha}")),
            "commit" => self.object(What::Commit(repo, sha.to_owned())),
            "state" => {
                let ends = checks.iter().map(|it| match it.completed {
                    None => "pending",
                    Some((_, "success" | "neutral" | "skipped")) => "success",
                    Some(_) => "failure",
                });
                let all: Vec<_> = ends.chain(statuses.iter().map(|it| it.state)).collect();
                leaf(if all.contains(&"failure") {
                    "FAILURE"
                } else if all.contains(&"error") {
                    "ERROR"
                } else if all.contains(&"pending") {
                    "PENDING"
                } else {
                    "SUCCESS"
                })
            }
            "contexts" => {
                let checks = checks.iter().map(|it| ((0, it.id), What::Check(it.id)));
                let statuses = statuses.iter().map(|it| ((1, it.id), What::Status(it.id)));
                let names = [
                    "StatusCheckRollupContextConnection",
                    "StatusCheckRollupContextEdge",
                ];
                self.page(info, names, checks.chain(statuses).collect())
            }
            _ => Err(self.unknown_field_error(info)),
        }
    }

    pub(super) fn commit<'a>(&self, repo: RepoKey, sha: &str, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        match name {
            "id" => leaf(format!("C_{sha}")),
            "oid" => leaf(sha),
            "commit" => self.object(What::Commit(repo, sha.to_owned())),
            "statusCheckRollup" => self.rollup_of(repo, sha),
            _ => leaf(format!(
                "{}/{}/commit/{sha}",
                world.web,
                world.full_name(repo)
            )),
        }
    }

    pub(super) fn check<'a>(&self, id: u64, name: &str) -> Resolved<'a> {
        let world = self.world();
        let it = &world.check_runs[&id];
        match name {
            "id" => leaf(it.node_id.clone()),
            "databaseId" => leaf(Value::Null),
            "name" => leaf(it.name.clone()),
            "status" => leaf(if it.completed.is_some() {
                "COMPLETED"
            } else {
                "IN_PROGRESS"
            }),
            "conclusion" => leaf(it.completed.map(|(_, how)| how.to_uppercase())),
            "startedAt" => time(it.started_at),
            "completedAt" => time(it.completed.map(|(at, _)| at)),
            _ => leaf(world.render().check_run(id)["html_url"].clone()),
        }
    }

    pub(super) fn status<'a>(&self, id: u64, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let it = &self.world().statuses[&id];
        match name {
            "id" => leaf(crate::keys::node_id("SC", id)),
            "context" => leaf(it.context.clone()),
            "state" => leaf(it.state.to_uppercase()),
            "createdAt" => time(it.created_at),
            "creator" => self.object(What::Account(it.creator)),
            _ => leaf(Value::Null),
        }
    }
}
