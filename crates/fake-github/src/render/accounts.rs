//! Accounts, the app and its installations.

use serde_json::{Value, json};

use testkit::fake_github::written::{ACCOUNT_URLS, avatar, extend, maybe, moment, urls};

use super::Render;
use crate::{
    auth::FakeApp,
    world::{AccountKey, FakeAccountKind, FakeInstallation},
};

impl Render<'_> {
    /// An account as part of other objects.
    pub(crate) fn account(self, key: AccountKey) -> Value {
        let account = &self.0.accounts[&key];
        let base = format!("{}/users/{}", self.0.api, account.login);
        let mut value = json!({
            "login": account.login, "id": account.id, "node_id": account.node_id,
            "avatar_url": avatar(account.id), "gravatar_id": "", "url": base,
            "html_url": format!("{}/{}", self.0.web, account.login),
            "type": account.kind.name(), "site_admin": false,
            "user_view_type": "public",
        });
        extend(&mut value, urls(&base, ACCOUNT_URLS));
        value
    }

    /// An account by itself.
    pub(crate) fn whole_account(self, key: AccountKey) -> Value {
        let account = &self.0.accounts[&key];
        let created = moment(account.created_at);
        let mut value = self.account(key);
        extend(
            &mut value,
            json!({
                "name": account.login, "company": null, "blog": "", "location": null, "email": null,
                "hireable": null, "bio": null, "twitter_username": null,
                "public_repos": self.0.repos_of(key).count(), "public_gists": 0, "followers": 0,
                "following": 0, "created_at": created, "updated_at": created,
            }),
        );
        value
    }

    /// The organization in the payload of a webhook.
    pub(crate) fn organization_mark(self, key: AccountKey) -> Value {
        let account = &self.0.accounts[&key];
        let base = format!("{}/orgs/{}", self.0.api, account.login);
        let mut value = json!({
            "login": account.login, "id": account.id, "node_id": account.node_id, "url": base,
            "avatar_url": avatar(account.id), "description": null,
        });
        let members = [
            ("repos", "/repos"),
            ("events", "/events"),
            ("hooks", "/hooks"),
            ("issues", "/issues"),
            ("members", "/members{/member}"),
            ("public_members", "/public_members{/member}"),
        ];
        extend(&mut value, urls(&base, &members));
        value
    }

    /// The installation in the payload of a webhook.
    pub(crate) fn installation_mark(self, id: u64) -> Value {
        json!({ "id": id, "node_id": format!("MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9u{id}") })
    }

    /// The app.
    pub(crate) fn app(self, app: &FakeApp) -> Value {
        let created = moment(app.created_at);
        json!({
            "id": app.id, "slug": app.slug, "node_id": crate::keys::node_id("A", app.id),
            "client_id": app.client_id, "owner": self.account(app.owner), "name": app.slug,
            "description": null, "external_url": "https://forgewire.example",
            "html_url": format!("{}/apps/{}", self.0.web, app.slug),
            "created_at": created, "updated_at": created, "permissions": permissions(),
            "events": ["issues", "pull_request"],
            "installations_count": self.0.installations.len(),
        })
    }

    /// An installation.
    pub(crate) fn installation(self, it: &FakeInstallation, app: &FakeApp) -> Value {
        let (account, created) = (&self.0.accounts[&it.account], moment(it.created_at));
        let id = it.id;
        let page = match account.kind {
            FakeAccountKind::Organization => format!("organizations/{}/settings", account.login),
            _ => "settings".to_owned(),
        };
        json!({
            "id": id, "client_id": app.client_id, "account": self.account(it.account),
            "repository_selection": if it.selected.is_some() { "selected" } else { "all" },
            "access_tokens_url": format!("{}/app/installations/{id}/access_tokens", self.0.api),
            "repositories_url": format!("{}/installation/repositories", self.0.api),
            "html_url": format!("{}/{page}/installations/{id}", self.0.web),
            "app_id": app.id, "app_slug": app.slug, "target_id": account.id,
            "target_type": account.kind.name(), "permissions": permissions(),
            "events": ["issues", "pull_request"], "created_at": created, "updated_at": created,
            "single_file_name": null, "has_multiple_single_files": false, "single_file_paths": [],
            "suspended_by": it.suspended_at.map(|_| self.account(app.owner)),
            "suspended_at": maybe(it.suspended_at),
        })
    }
}

/// What the app may do.
pub(crate) fn permissions() -> Value {
    json!({
        "metadata": "read", "issues": "write", "pull_requests": "write", "checks": "read",
        "statuses": "read", "actions": "read", "contents": "read", "organization_projects": "read",
        "repository_hooks": "read",
    })
}
