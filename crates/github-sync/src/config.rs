//! The section `[sync]`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use model::{GithubReference, ResourceType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    SyncBuildError,
    limits::{
        DEFAULT_DEADLINE_SECONDS, DEFAULT_MAX_RESOURCES, DEFAULT_SWEEP_SECONDS,
        MAX_DEADLINE_SECONDS, MAX_SWEEP_SECONDS,
    },
    webhook_place::{SweptPlace, WebhookTarget},
};

/// The sync role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Config")]
pub struct SyncConfig {
    /// Address of the gRPC server; port 0 picks a free one, and the ready line on stdout names it.
    pub listen: SocketAddr,
    /// URL at which the other roles reach the sync role, for instance `http://sync:3002`. Without
    /// it they use the sync role in their own process.
    pub endpoint: Option<String>,
    /// Repositories, as `owner/name` or the URL on github.com, whose webhook sends to this installation: what it did not
    /// get is fetched from GitHub's list of deliveries, with the credentials of `[github]`.
    pub repositories: Vec<String>,
    /// Organizations, by login, whose webhook sends to this installation: as `repositories`.
    pub organizations: Vec<String>,
    /// Whether the webhook of the GitHub App of `github.app_id` sends to this installation: as `repositories`.
    pub app_webhook: bool,
    /// The URL that webhooks send to, as GitHub has it. Without it, those of `repositories` and `organizations` count whose
    /// path ends with `/webhooks/github`.
    pub webhook_url: Option<String>,
    /// Seconds between two looks at GitHub's lists of deliveries (up to 3,600); 0 switches them off.
    pub sweep_seconds: u64,
    /// Kinds of resources to mirror: `issues`, `pulls`, `milestones`, `projects`, `draft_issues`, or
    /// their singular; none means all. No effect yet: for when sync calls GitHub's API.
    pub resources: Vec<String>,
    /// Seconds between two comparisons with GitHub. No effect yet: for when sync calls GitHub's API.
    pub interval_seconds: u64,
    /// Time limit in seconds for the first comparison. No effect yet: for when sync calls GitHub's
    /// API.
    pub initial_timeout_seconds: u64,
    /// Maximum number of resources whose state is kept (from 1). At the bound the least recently
    /// used are evicted, and are "not found" until an event mentions them again.
    pub max_resources: usize,
    /// Time limit in seconds for one call of the sync role, including the connect (1 to 60).
    pub deadline_seconds: u64,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3002)),
            endpoint: None,
            repositories: Vec::new(),
            organizations: Vec::new(),
            app_webhook: false,
            webhook_url: None,
            sweep_seconds: DEFAULT_SWEEP_SECONDS,
            resources: Vec::new(),
            interval_seconds: 300,
            initial_timeout_seconds: 60,
            max_resources: DEFAULT_MAX_RESOURCES,
            deadline_seconds: DEFAULT_DEADLINE_SECONDS,
        }
    }
}

impl SyncConfig {
    /// The time limit of one call.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_seconds)
    }

    /// Whether gaps are looked for, if `[github]` has credentials: a place whose webhook sends here is named.
    #[must_use]
    pub fn names_webhooks(&self) -> bool {
        self.app_webhook || !self.repositories.is_empty() || !self.organizations.is_empty()
    }

    /// The places whose webhooks are looked at, each once; empty if that is switched off.
    pub(crate) fn swept_places(&self) -> Vec<SweptPlace> {
        if self.sweep_seconds == 0 {
            return Vec::new();
        }
        let repositories = self.repositories.iter();
        let repositories = repositories.filter_map(|name| {
            let (owner, repo) = GithubReference::read_repository(name).ok()?;
            Some(SweptPlace::Repository { owner, repo })
        });
        let organizations = self.organizations.iter();
        let organizations = organizations.filter_map(|name| {
            let login = GithubReference::read_owner(name).ok()?;
            Some(SweptPlace::Organization(login))
        });
        let app = self.app_webhook.then_some(SweptPlace::App);
        let mut places: Vec<_> = repositories.chain(organizations).chain(app).collect();
        places.sort();
        places.dedup();
        places
    }

    /// Where webhooks have to send to.
    pub(crate) fn webhook_target(&self) -> WebhookTarget {
        let named = self.webhook_url.as_deref().and_then(WebhookTarget::at);
        named.unwrap_or_default()
    }

    /// Refuses values out of range.
    ///
    /// # Errors
    /// A value is out of range; the text names the key.
    pub fn check(&self) -> Result<(), SyncBuildError> {
        within(
            "max_resources",
            self.max_resources as u64,
            1,
            u64::from(u32::MAX),
        )?;
        within(
            "deadline_seconds",
            self.deadline_seconds,
            1,
            MAX_DEADLINE_SECONDS,
        )?;
        within("sweep_seconds", self.sweep_seconds, 0, MAX_SWEEP_SECONDS)?;
        if let Some(given) = &self.webhook_url
            && WebhookTarget::at(given).is_none()
        {
            return Err(SyncBuildError::WebhookUrl {
                given: given.clone(),
            });
        }
        if let Some(given) = self
            .repositories
            .iter()
            .find(|name| GithubReference::read_repository(name).is_err())
        {
            return Err(SyncBuildError::Repository {
                given: given.clone(),
            });
        }
        if let Some(given) = self
            .organizations
            .iter()
            .find(|name| GithubReference::read_owner(name).is_err())
        {
            return Err(SyncBuildError::Organization {
                given: given.clone(),
            });
        }
        match self.resources.iter().find(|kind| !is_kind(kind)) {
            Some(given) => Err(SyncBuildError::Resource {
                given: given.clone(),
            }),
            None => Ok(()),
        }
    }
}

fn within(key: &'static str, given: u64, least: u64, most: u64) -> Result<(), SyncBuildError> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(SyncBuildError::OutOfRange {
        key,
        given,
        least,
        most,
    })
}

/// The kinds of which there is a state to mirror.
const MIRRORED: [ResourceType; 5] = [
    ResourceType::ISSUE,
    ResourceType::PULL_REQUEST,
    ResourceType::MILESTONE,
    ResourceType::PROJECT,
    ResourceType::DRAFT_ISSUE,
];

/// Whether a name is that of a kind to mirror, in the singular or the plural.
fn is_kind(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let singular = name.strip_suffix('s').unwrap_or(&name);
    singular == "pull" || MIRRORED.iter().any(|kind| kind.as_str() == singular)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_in_the_singular_or_the_plural() {
        for kind in [
            "issue",
            "Issues",
            "pulls",
            "pull_requests",
            "milestones",
            "projects",
            "draft_issues",
        ] {
            assert!(is_kind(kind), "{kind}");
        }
        for other in ["wiki", "releases", "", "s", "issuess", "issues,pulls"] {
            assert!(!is_kind(other), "{other}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_key() {
        let cases: [(SyncConfig, &str); 8] = [
            (
                SyncConfig {
                    sweep_seconds: 3601,
                    ..SyncConfig::default()
                },
                "sync.sweep_seconds",
            ),
            (
                SyncConfig {
                    webhook_url: Some("hooks.example.com".into()),
                    ..SyncConfig::default()
                },
                "sync.webhook_url",
            ),
            (
                SyncConfig {
                    max_resources: 0,
                    ..SyncConfig::default()
                },
                "sync.max_resources",
            ),
            (
                SyncConfig {
                    deadline_seconds: 0,
                    ..SyncConfig::default()
                },
                "sync.deadline_seconds",
            ),
            (
                SyncConfig {
                    deadline_seconds: 61,
                    ..SyncConfig::default()
                },
                "sync.deadline_seconds",
            ),
            (
                SyncConfig {
                    repositories: vec!["o".into()],
                    ..SyncConfig::default()
                },
                "sync.repositories",
            ),
            (
                SyncConfig {
                    organizations: vec!["o/r".into()],
                    ..SyncConfig::default()
                },
                "sync.organizations",
            ),
            (
                SyncConfig {
                    resources: vec!["wiki".into()],
                    ..SyncConfig::default()
                },
                "sync.resources",
            ),
        ];
        for (config, key) in cases {
            assert!(config.check().unwrap_err().to_string().contains(key));
        }
        assert!(SyncConfig::default().check().is_ok());
        let understood = SyncConfig {
            repositories: vec!["o/r".into(), "https://github.com/o/r".into()],
            organizations: vec!["@o".into()],
            ..SyncConfig::default()
        };
        assert!(understood.check().is_ok());
        let places = understood.swept_places();
        assert_eq!(places.len(), 2, "a repository that is named twice is one");
        let off = SyncConfig {
            sweep_seconds: 0,
            ..understood
        };
        assert!(off.check().is_ok() && off.names_webhooks());
        assert!(off.swept_places().is_empty());
    }
}
