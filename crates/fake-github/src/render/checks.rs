//! Check runs, statuses and runs of workflows.

use serde_json::{Value, json};

use super::{Render, extend, moment};
use crate::world::{FakeCheckRun, FakeCommitStatus, RepoKey};

impl Render<'_> {
    /// A check run.
    pub(crate) fn check_run(self, id: u64) -> Value {
        let run = &self.0.check_runs[&id];
        let page = format!("{}/runs/{id}", self.web_repo(run.repo));
        let url = format!("{}/check-runs/{id}", self.api_repo(run.repo));
        json!({
            "id": id, "node_id": run.node_id, "head_sha": run.sha, "external_id": "", "url": url,
            "html_url": page, "details_url": page, "name": run.name,
            "status": if run.completed.is_some() { "completed" } else { "in_progress" },
            "conclusion": run.completed.map(|(_, how)| how),
            "started_at": moment(run.started_at),
            "completed_at": run.completed.map(|(at, _)| moment(at)),
            "output": {"title": null, "summary": null, "text": null, "annotations_count": 0,
                "annotations_url": format!("{url}/annotations")},
            "check_suite": {"id": id}, "app": null, "pull_requests": [],
        })
    }

    /// A status in the combined one of a commit.
    fn status(self, status: &FakeCommitStatus) -> Value {
        let at = moment(status.created_at);
        json!({
            "url": format!("{}/statuses/{}", self.api_repo(status.repo), status.sha),
            "avatar_url": "https://avatars.githubusercontent.com/oa/1?v=4", "id": status.id,
            "node_id": crate::keys::node_id("SC", status.id), "state": status.state,
            "description": null, "target_url": null, "context": status.context,
            "created_at": at, "updated_at": at,
        })
    }

    /// The newest statuses of a commit, one for each context.
    pub(crate) fn combined_status(self, repo: RepoKey, sha: &str) -> Value {
        let newest = self.0.newest_statuses(repo, sha);
        let state = |wanted: &[&str]| newest.iter().any(|it| wanted.contains(&it.state));
        let combined = if state(&["error", "failure"]) {
            "failure"
        } else if newest.is_empty() || state(&["pending"]) {
            "pending"
        } else {
            "success"
        };
        let commit = format!("{}/commits/{sha}", self.api_repo(repo));
        let statuses: Vec<_> = newest.iter().map(|it| self.status(it)).collect();
        json!({
            "state": combined, "sha": sha, "total_count": newest.len(), "statuses": statuses,
            "repository": self.repo(repo), "commit_url": commit, "url": format!("{commit}/status"),
        })
    }

    /// The members of the payload about a status.
    pub(crate) fn status_members(self, id: u64) -> Vec<(&'static str, Value)> {
        let status = &self.0.statuses[&id];
        let at = moment(status.created_at);
        let api = self.api_repo(status.repo);
        let creator = self.account(status.creator);
        let commit = json!({
            "sha": status.sha, "node_id": crate::keys::node_id("C", id), "author": creator,
            "committer": creator, "parents": [],
            "url": format!("{api}/commits/{}", status.sha),
            "html_url": format!("{}/commit/{}", self.web_repo(status.repo), status.sha),
            "comments_url": format!("{api}/commits/{}/comments", status.sha),
            "commit": {
                "author": {"name": "Octo", "email": "o@example.com", "date": at},
                "committer": {"name": "Octo", "email": "o@example.com", "date": at},
                "message": "Change what was said", "comment_count": 0,
                "tree": {"sha": status.sha, "url": format!("{api}/git/trees/{}", status.sha)},
                "url": format!("{api}/git/commits/{}", status.sha),
                "verification": {"verified": false, "reason": "unsigned", "signature": null,
                    "payload": null, "verified_at": null},
            },
        });
        vec![
            ("id", id.into()),
            ("sha", status.sha.clone().into()),
            ("name", self.0.full_name(status.repo).into()),
            ("avatar_url", Value::Null),
            ("target_url", Value::Null),
            ("context", status.context.clone().into()),
            ("description", Value::Null),
            ("state", status.state.into()),
            ("commit", commit),
            ("branches", json!([])),
            ("created_at", at.clone().into()),
            ("updated_at", at.into()),
        ]
    }

    /// A run of a workflow.
    pub(crate) fn workflow_run(self, id: u64) -> Value {
        let run = &self.0.runs[&id];
        let api = format!("{}/actions/runs/{id}", self.api_repo(run.repo));
        let who = json!({ "name": "Octo", "email": "o@example.com" });
        let commit = json!({
            "id": run.sha, "tree_id": run.sha, "message": "Change what was said",
            "timestamp": moment(run.created_at), "author": who, "committer": who,
        });
        let actor = self.account(run.actor);
        let (workflow, suite) = (self.workflow(run.repo, &run.name), run.id + 1);
        let mut value = json!({
            "id": id, "node_id": run.node_id, "name": run.name, "head_branch": run.branch,
            "head_sha": run.sha, "path": workflow["path"], "display_title": run.name,
            "run_number": run.number, "run_attempt": 1, "event": "push",
            "status": if run.conclusion.is_some() { "completed" } else { "queued" },
            "conclusion": run.conclusion, "workflow_id": workflow["id"],
            "workflow_url": workflow["url"], "check_suite_id": suite,
            "check_suite_node_id": crate::keys::node_id("CS", suite), "url": api,
            "html_url": format!("{}/actions/runs/{id}", self.web_repo(run.repo)),
        });
        let more = json!({
            "pull_requests": [], "created_at": moment(run.created_at),
            "updated_at": moment(run.updated_at), "run_started_at": moment(run.created_at),
            "actor": actor, "triggering_actor": actor, "jobs_url": format!("{api}/jobs"),
            "logs_url": format!("{api}/logs"), "artifacts_url": format!("{api}/artifacts"),
            "check_suite_url": format!("{}/check-suites/{suite}", self.api_repo(run.repo)),
            "cancel_url": format!("{api}/cancel"), "rerun_url": format!("{api}/rerun"),
            "previous_attempt_url": null, "referenced_workflows": [], "head_commit": commit,
            "repository": self.repo(run.repo), "head_repository": self.repo(run.repo),
        });
        extend(&mut value, more);
        value
    }

    /// A workflow.
    pub(crate) fn workflow(self, repo: RepoKey, name: &str) -> Value {
        let of = &self.0.repos[&repo];
        let id = of.id + 1;
        let file = format!(".github/workflows/{}.yml", name.to_lowercase());
        json!({
            "id": id, "node_id": crate::keys::node_id("W", id), "name": name, "path": file,
            "state": "active", "created_at": moment(of.created_at),
            "updated_at": moment(of.created_at),
            "url": format!("{}/actions/workflows/{id}", self.api_repo(repo)),
            "html_url": format!("{}/blob/main/{file}", self.web_repo(repo)),
            "badge_url": format!("{}/workflows/{name}/badge.svg", self.web_repo(repo)),
        })
    }
}

impl crate::world::FakeWorld {
    /// The newest status of each context of a commit.
    pub(crate) fn newest_statuses(&self, repo: RepoKey, sha: &str) -> Vec<&FakeCommitStatus> {
        let all = self
            .statuses
            .values()
            .filter(|it| it.repo == repo && it.sha == sha);
        let mut newest = std::collections::BTreeMap::new();
        for status in all {
            newest.insert(&status.context, status);
        }
        newest.into_values().collect()
    }

    /// The check runs of a commit.
    pub(crate) fn checks_of(&self, repo: RepoKey, sha: &str) -> Vec<&FakeCheckRun> {
        let all = self.check_runs.values();
        all.filter(|it| it.repo == repo && it.sha == sha).collect()
    }
}
