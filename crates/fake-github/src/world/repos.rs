//! Repositories: their names, and what a rename or a transfer leaves behind.

use std::collections::BTreeMap;

use model::Timestamp;
use serde_json::json;

use super::{FakeWorld, emit::Happening};
use crate::keys::{AccountKey, NodeKey, RepoKey};

/// A repository.
#[derive(Debug, Clone)]
pub struct FakeRepo {
    /// Its owner.
    pub owner: AccountKey,
    /// Its name.
    pub name: String,
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// Whether only those with access see it.
    pub private: bool,
    /// Whether it has issues: else 410 is the answer to whoever asks for them.
    pub has_issues: bool,
    /// Whether no list shows its issues.
    pub(crate) hides_issues: bool,
    /// Its open issues and pull requests.
    pub(crate) open_tickets: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
    /// When commits last came.
    pub pushed_at: Timestamp,
    /// Branches and their newest commits; `main` is the default one.
    pub branches: BTreeMap<String, String>,
    pub(crate) next_number: u64,
    pub(crate) next_milestone: u64,
    pub(crate) next_run: u64,
}

impl FakeWorld {
    /// Creates a repository with a branch `main` and GitHub's default labels `bug` and `enhancement`.
    pub fn create_repo(&mut self, owner: AccountKey, name: &str) -> RepoKey {
        let (id, now, sha) = (self.fresh_id(), self.now(), self.fresh_sha());
        let key = RepoKey(id);
        let repo = FakeRepo {
            owner,
            name: name.to_owned(),
            id,
            node_id: self.named("R", id, NodeKey::Repo(key)),
            private: false,
            has_issues: true,
            hides_issues: false,
            open_tickets: 0,
            created_at: now,
            updated_at: now,
            pushed_at: now,
            branches: BTreeMap::from([("main".to_owned(), sha)]),
            next_number: 1,
            next_milestone: 1,
            next_run: 1,
        };
        self.repos.insert(key, repo);
        self.repo_names
            .insert(self.full_name(key).to_lowercase(), key);
        self.add_label(key, "bug", "d73a4a");
        self.add_label(key, "enhancement", "a2eeef");
        self.emit(Happening::new("repository", "created", key));
        key
    }

    /// Makes a repository private or public.
    ///
    /// # Panics
    /// There is no such repository.
    pub fn set_private(&mut self, repo: RepoKey, is_private: bool) {
        self.repo_mut(repo).private = is_private;
        let action = if is_private {
            "privatized"
        } else {
            "publicized"
        };
        self.emit(Happening::new("repository", action, repo));
    }

    /// Turns a repository's issues off or on.
    ///
    /// # Panics
    /// There is no such repository.
    pub fn set_issues(&mut self, repo: RepoKey, has_issues: bool) {
        let now = self.now();
        let of = self.repo_mut(repo);
        (of.has_issues, of.updated_at) = (has_issues, now);
        let changes = json!({});
        self.emit(Happening::new("repository", "edited", repo).with("changes", changes));
    }

    /// Lists of a repository's issues are empty, and each of them is not found, as for whoever lost the permission to
    /// read them. Where they are turned off as well, each of them is gone.
    ///
    /// # Panics
    /// There is no such repository.
    pub fn hide_issues(&mut self, repo: RepoKey, are_hidden: bool) {
        self.repo_mut(repo).hides_issues = are_hidden;
    }

    /// Renames a repository. Its former name redirects, until another takes it.
    ///
    /// # Panics
    /// There is no such repository.
    pub fn rename_repo(&mut self, repo: RepoKey, name: &str) {
        let now = self.now();
        let from = std::mem::replace(&mut self.repo_mut(repo).name, name.to_owned());
        self.repo_mut(repo).updated_at = now;
        let full_name = self.full_name(repo).to_lowercase();
        self.repo_names.insert(full_name, repo);
        let changes = json!({ "repository": { "name": { "from": from } } });
        let renamed = Happening::new("repository", "renamed", repo);
        self.emit(renamed.with("changes", changes));
    }

    /// Moves a repository to another owner. Its former name redirects.
    ///
    /// # Panics
    /// There is no such repository, or no such owner.
    pub fn transfer_repo(&mut self, repo: RepoKey, owner: AccountKey) {
        let now = self.now();
        let from = std::mem::replace(&mut self.repo_mut(repo).owner, owner);
        self.repo_mut(repo).updated_at = now;
        let full_name = self.full_name(repo).to_lowercase();
        self.repo_names.insert(full_name, repo);
        let word = match self.accounts[&from].kind {
            super::FakeAccountKind::Organization => "organization",
            _ => "user",
        };
        let from = self.render().account(from);
        let changes = json!({ "owner": { "from": { word: from } } });
        let moved = Happening::new("repository", "transferred", repo);
        self.emit(moved.with("changes", changes));
    }

    /// Adds a branch at the newest commit of `main`.
    ///
    /// # Panics
    /// There is no such repository.
    pub fn add_branch(&mut self, repo: RepoKey, branch: &str) -> String {
        let sha = self.fresh_sha();
        let repo = self.repo_mut(repo);
        repo.branches.insert(branch.to_owned(), sha.clone());
        sha
    }

    /// `owner/name`.
    ///
    /// # Panics
    /// There is no such repository.
    #[must_use]
    pub fn full_name(&self, repo: RepoKey) -> String {
        let repo = &self.repos[&repo];
        format!("{}/{}", self.accounts[&repo.owner].login, repo.name)
    }

    /// A repository.
    #[must_use]
    pub fn repo(&self, repo: RepoKey) -> Option<&FakeRepo> {
        self.repos.get(&repo)
    }

    pub(crate) fn repo_mut(&mut self, repo: RepoKey) -> &mut FakeRepo {
        self.repos.get_mut(&repo).expect("a key of this world")
    }

    /// The repository with a name, and whether that is its present one.
    pub(crate) fn repo_named(&self, owner: &str, name: &str) -> Option<(RepoKey, bool)> {
        let asked = format!("{owner}/{name}").to_lowercase();
        let key = *self.repo_names.get(&asked)?;
        Some((key, self.full_name(key).to_lowercase() == asked))
    }
}
