//! Users, bots, organizations, and the installations of the app.

use std::collections::BTreeSet;

use model::Timestamp;

use super::FakeWorld;
use crate::auth::FakeCaller;
use crate::keys::{AccountKey, NodeKey, RepoKey};

/// What an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeAccountKind {
    /// A person.
    User,
    /// The account of an app.
    Bot,
    /// An organization.
    Organization,
}

impl FakeAccountKind {
    /// GitHub's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Bot => "Bot",
            Self::Organization => "Organization",
        }
    }
}

/// An account.
#[derive(Debug, Clone)]
pub struct FakeAccount {
    /// Its name in URLs.
    pub login: String,
    /// What it is.
    pub kind: FakeAccountKind,
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// When it came to be.
    pub created_at: Timestamp,
}

/// The app, installed on an account.
#[derive(Debug, Clone)]
pub struct FakeInstallation {
    /// Its id.
    pub id: u64,
    /// Where it is installed.
    pub account: AccountKey,
    /// The repositories; `None` for all of the account.
    pub selected: Option<BTreeSet<RepoKey>>,
    /// When it was suspended.
    pub suspended_at: Option<Timestamp>,
    /// When it was installed.
    pub created_at: Timestamp,
}

impl FakeWorld {
    /// Adds a user.
    pub fn add_user(&mut self, login: &str) -> AccountKey {
        self.add_account(login, FakeAccountKind::User, "U")
    }

    /// Adds an organization.
    pub fn add_organization(&mut self, login: &str) -> AccountKey {
        self.add_account(login, FakeAccountKind::Organization, "O")
    }

    /// Adds the account of an app, as `name[bot]`.
    pub fn add_bot(&mut self, name: &str) -> AccountKey {
        self.add_account(&format!("{name}[bot]"), FakeAccountKind::Bot, "BOT")
    }

    fn add_account(&mut self, login: &str, kind: FakeAccountKind, prefix: &str) -> AccountKey {
        let id = self.fresh_id();
        let key = AccountKey(id);
        let account = FakeAccount {
            login: login.to_owned(),
            kind,
            id,
            node_id: self.named(prefix, id, NodeKey::Account(key)),
            created_at: self.now(),
        };
        self.accounts.insert(key, account);
        key
    }

    /// Installs the app on an account: on all of its repositories, or on some.
    pub fn install_app(&mut self, account: AccountKey, selected: Option<&[RepoKey]>) -> u64 {
        let id = self.fresh_id();
        let installation = FakeInstallation {
            id,
            account,
            selected: selected.map(|repos| repos.iter().copied().collect()),
            suspended_at: None,
            created_at: self.now(),
        };
        self.installations.insert(id, installation);
        id
    }

    /// Suspends an installation, or ends its suspension. Its tokens are refused meanwhile.
    pub fn suspend_installation(&mut self, id: u64, is_suspended: bool) {
        let now = self.now();
        if let Some(installation) = self.installations.get_mut(&id) {
            installation.suspended_at = is_suspended.then_some(now);
        }
    }

    /// The account with a login, in any case.
    pub(crate) fn account(&self, login: &str) -> Option<AccountKey> {
        let mut all = self.accounts.iter();
        let found = all.find(|(_, account)| account.login.eq_ignore_ascii_case(login));
        found.map(|(key, _)| *key)
    }

    /// Whether an installation sees a repository.
    pub(crate) fn installation_sees(&self, id: u64, repo: RepoKey) -> bool {
        let (Some(installation), Some(owned)) =
            (self.installations.get(&id), self.repos.get(&repo))
        else {
            return false;
        };
        let is_selected = installation
            .selected
            .as_ref()
            .is_none_or(|selected| selected.contains(&repo));
        installation.account == owned.owner && is_selected
    }

    /// Whether somebody sees a repository.
    pub(crate) fn sees(&self, caller: FakeCaller, repo: RepoKey) -> bool {
        let is_private = self.repos.get(&repo).is_some_and(|it| it.private);
        match caller {
            FakeCaller::User(_) => true,
            FakeCaller::Installation(id) => !is_private || self.installation_sees(id, repo),
            FakeCaller::Anonymous | FakeCaller::App => !is_private,
        }
    }
}
