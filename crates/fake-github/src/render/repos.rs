//! Repositories.

use serde_json::{Value, json};

use testkit::fake_github::written::{REPOSITORY_URLS, extend, moment, urls};

use super::Render;
use crate::world::{FakeAccountKind, FakeTicket, RepoKey};

impl Render<'_> {
    /// A repository as in lists, in payloads and in other objects.
    pub(crate) fn repo(self, key: RepoKey) -> Value {
        let repo = &self.0.repos[&key];
        let (full_name, api, web) = (
            self.0.full_name(key),
            self.api_repo(key),
            self.web_repo(key),
        );
        let is_open_pull = |it: &FakeTicket| it.pull.is_some() && it.closed_at.is_none();
        let open = match repo.has_issues {
            true => repo.open_tickets as usize,
            false => {
                let tickets = self.0.tickets_of(key);
                tickets.filter(|(_, it)| is_open_pull(it)).count()
            }
        };
        let visibility = if repo.private { "private" } else { "public" };
        let host = self.0.web.trim_start_matches("https://");
        let mut value = json!({
            "id": repo.id, "node_id": repo.node_id, "name": repo.name, "full_name": full_name,
            "owner": self.account(repo.owner), "private": repo.private, "html_url": web, "url": api,
            "description": null, "fork": false, "created_at": moment(repo.created_at),
            "updated_at": moment(repo.updated_at), "pushed_at": moment(repo.pushed_at),
        });
        let more = json!({
            "git_url": format!("git://{host}/{full_name}.git"),
            "ssh_url": format!("git@{host}:{full_name}.git"),
            "clone_url": format!("{web}.git"), "svn_url": web, "homepage": null, "size": 512,
            "stargazers_count": 1, "watchers_count": 1, "language": "Rust", "has_issues": repo.has_issues,
            "has_projects": true, "has_downloads": true, "has_wiki": false, "has_pages": false,
            "has_discussions": false, "forks_count": 0, "mirror_url": null, "archived": false,
            "disabled": false, "open_issues_count": open, "license": null, "allow_forking": true,
            "is_template": false, "web_commit_signoff_required": false, "topics": [],
            "visibility": visibility, "forks": 0, "open_issues": open, "watchers": 1,
            "default_branch": "main",
        });
        extend(&mut value, more);
        extend(&mut value, urls(&api, REPOSITORY_URLS));
        value
    }

    /// A repository by itself.
    pub(crate) fn whole_repo(self, key: RepoKey) -> Value {
        let mut value = self.repo(key);
        let more = json!({
            "network_count": 0, "subscribers_count": 1, "use_squash_pr_title_as_default": false,
            "temp_clone_token": null,
        });
        extend(&mut value, more);
        let owner = self.0.repos[&key].owner;
        if self.0.accounts[&owner].kind == FakeAccountKind::Organization {
            value["organization"] = self.account(owner);
        }
        value
    }

    /// A repository in a `push`, where some times are numbers.
    pub(crate) fn pushed_repo(self, key: RepoKey) -> Value {
        let mut value = self.repo(key);
        let repo = &self.0.repos[&key];
        let owner = &self.0.accounts[&repo.owner];
        value["created_at"] = (repo.created_at.unix_millis() / 1000).into();
        value["pushed_at"] = (repo.pushed_at.unix_millis() / 1000).into();
        value["stargazers"] = 1.into();
        value["master_branch"] = "main".into();
        value["owner"]["name"] = owner.login.clone().into();
        value["owner"]["email"] = Value::Null;
        value
    }

    /// A commit of a `push`.
    pub(crate) fn push_commit(self, repo: RepoKey, sha: &str) -> Value {
        let login = &self.0.accounts[&self.0.actor()].login;
        let who =
            json!({ "name": login, "email": format!("{login}@example.com"), "username": login });
        json!({
            "id": sha, "tree_id": sha, "distinct": true, "message": "Change what was said",
            "timestamp": moment(self.0.now()), "url": format!("{}/commit/{sha}", self.web_repo(repo)),
            "author": who, "committer": who, "added": [], "removed": [], "modified": ["README.md"],
        })
    }
}
