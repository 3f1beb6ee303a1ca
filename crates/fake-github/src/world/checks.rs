//! Check runs, commit statuses and runs of workflows.

use model::Timestamp;

use super::{FakeWorld, emit::Happening};
use crate::keys::{AccountKey, NodeKey, RepoKey};

/// A check run of a commit.
#[derive(Debug, Clone)]
pub struct FakeCheckRun {
    /// Its repository.
    pub repo: RepoKey,
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// The commit.
    pub sha: String,
    /// Name.
    pub name: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When and how it ended: `success`, `failure`.
    pub completed: Option<(Timestamp, &'static str)>,
}

/// A status of a commit.
#[derive(Debug, Clone)]
pub struct FakeCommitStatus {
    /// Its repository.
    pub repo: RepoKey,
    /// Database id.
    pub id: u64,
    /// The commit.
    pub sha: String,
    /// What it is about.
    pub context: String,
    /// `error`, `failure`, `pending` or `success`.
    pub state: &'static str,
    /// Who set it.
    pub creator: AccountKey,
    /// When it was set.
    pub created_at: Timestamp,
}

/// A run of a workflow.
#[derive(Debug, Clone)]
pub struct FakeWorkflowRun {
    /// Its repository.
    pub repo: RepoKey,
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// Name of the workflow.
    pub name: String,
    /// Its number in the repository.
    pub number: u64,
    /// The branch and its commit.
    pub branch: String,
    /// The commit.
    pub sha: String,
    /// Who caused it.
    pub actor: AccountKey,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How it ended.
    pub conclusion: Option<&'static str>,
}

impl FakeWorld {
    /// Starts a check run.
    pub fn start_check(&mut self, repo: RepoKey, sha: &str, name: &str) -> u64 {
        let (id, now) = (self.fresh_id(), self.now());
        let run = FakeCheckRun {
            repo,
            id,
            node_id: self.named("CR", id, NodeKey::CheckRun(id)),
            sha: sha.to_owned(),
            name: name.to_owned(),
            started_at: now,
            completed: None,
        };
        self.check_runs.insert(id, run);
        self.tell_check("created", id);
        id
    }

    /// Ends a check run: `success`, `failure`, `cancelled`.
    pub fn complete_check(&mut self, id: u64, conclusion: &'static str) {
        let now = self.now();
        if let Some(run) = self.check_runs.get_mut(&id) {
            run.completed = Some((now, conclusion));
            self.tell_check("completed", id);
        }
    }

    fn tell_check(&mut self, action: &'static str, id: u64) {
        let run = &self.check_runs[&id];
        let happening = Happening::new("check_run", action, run.repo)
            .about(&run.node_id, None::<u64>)
            .with("check_run", self.render().check_run(id));
        self.emit(happening);
    }

    /// Sets a status of a commit: `error`, `failure`, `pending` or `success`.
    pub fn set_status(&mut self, repo: RepoKey, sha: &str, context: &str, state: &'static str) {
        let (id, created_at, creator) = (self.fresh_id(), self.now(), self.actor());
        let status = FakeCommitStatus {
            repo,
            id,
            sha: sha.to_owned(),
            context: context.to_owned(),
            state,
            creator,
            created_at,
        };
        self.statuses.insert(id, status);
        let happening = self.render().status_members(id).into_iter().fold(
            Happening::new("status", "", repo),
            |happening, (name, value)| happening.with(name, value),
        );
        self.emit(happening);
    }

    /// Starts a run of a workflow on a branch.
    ///
    /// # Panics
    /// The repository has no such branch.
    pub fn start_run(&mut self, repo: RepoKey, name: &str, branch: &str) -> u64 {
        let (id, now, actor) = (self.fresh_id(), self.now(), self.actor());
        let sha = self.repos[&repo].branches[branch].clone();
        let number = self.repo_mut(repo).next_run;
        self.repo_mut(repo).next_run += 1;
        let run = FakeWorkflowRun {
            repo,
            id,
            node_id: crate::keys::node_id("WFR", id),
            name: name.to_owned(),
            number,
            branch: branch.to_owned(),
            sha,
            actor,
            created_at: now,
            updated_at: now,
            conclusion: None,
        };
        self.runs.insert(id, run);
        self.tell_run("requested", id);
        id
    }

    /// Ends a run: `success`, `failure`, `cancelled`.
    pub fn complete_run(&mut self, id: u64, conclusion: &'static str) {
        let now = self.now();
        if let Some(run) = self.runs.get_mut(&id) {
            run.conclusion = Some(conclusion);
            run.updated_at = now;
            self.tell_run("completed", id);
        }
    }

    fn tell_run(&mut self, action: &'static str, id: u64) {
        let run = &self.runs[&id];
        let render = self.render();
        let happening = Happening::new("workflow_run", action, run.repo)
            .about(&run.node_id, None::<u64>)
            .with("workflow_run", render.workflow_run(id))
            .with("workflow", render.workflow(run.repo, &run.name));
        self.emit(happening);
    }
}
