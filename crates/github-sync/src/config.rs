//! The section `[sync]`.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use model::GithubReference;
use ports::MirroredKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    SyncBuildError,
    derived_kind::DerivedKind,
    limits::{
        DEFAULT_DEADLINE_SECONDS, DEFAULT_MAX_RESOURCES, DEFAULT_SWEEP_SECONDS,
        MAX_COMPARE_SECONDS, MAX_DEADLINE_SECONDS, MAX_DUE_MILESTONE_HOURS, MAX_INTERVAL_SECONDS,
        MAX_PENDING_CHECKS_MINUTES, MAX_SWEEP_SECONDS, MAX_WAITING_REVIEW_HOURS,
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
    /// Repositories, as `owner/name` or the URL on github.com, that are mirrored with the credentials of `[github]`: their
    /// state is compared with GitHub, and what their webhook did not bring here is fetched from GitHub's list of deliveries.
    pub repositories: Vec<String>,
    /// Organizations, by login, whose projects and repositories are mirrored: as `repositories`.
    pub organizations: Vec<String>,
    /// Whether the webhook of the GitHub App of `github.app_id` sends to this installation: what it did not bring here is
    /// fetched from GitHub's list of its deliveries.
    pub app_webhook: bool,
    /// The URL that webhooks send to, as GitHub has it. Without it, those of `repositories` and `organizations` count whose
    /// path ends with `/webhooks/github`.
    pub webhook_url: Option<String>,
    /// Seconds between two looks at GitHub's lists of deliveries (up to 3,600); 0 switches them off.
    pub sweep_seconds: u64,
    /// Kinds of resources to compare with GitHub: `repositories`, `issues`, `pulls`, `milestones`, `labels`, `releases`,
    /// `workflow_runs`, `projects`, `draft_issues` (which only events show), `project_fields`, `project_views`,
    /// `project_items`, `pull_states`, `issue_links`, or their singular; none means all. The last five are read with GraphQL,
    /// and bring `projects`, `pulls` and `repositories`, or `issues` with them.
    pub resources: Vec<String>,
    /// What no webhook says and becomes an event with `source: "sync"`: `merge_conflicts`, `pending_checks` and
    /// `waiting_reviews` of pull requests (from `pull_states`), `due_milestones` (from `milestones`). An empty list: nothing.
    pub derived: Vec<String>,
    /// Minutes after which checks of a pull request that have not ended are told of (1 to 10,080).
    pub pending_checks_minutes: u64,
    /// Hours after which a review that was asked for and not given is told of (1 to 2,160).
    pub waiting_review_hours: u64,
    /// Hours before the end of its day, in UTC, at which an open milestone is told of as due (1 to 720). One whose day is over
    /// is told of as overdue.
    pub due_milestone_hours: u64,
    /// Seconds between two comparisons of a repository or an organization with GitHub (up to 86,400). 0: once, and then when
    /// somebody asks for it.
    pub interval_seconds: u64,
    /// Time limit in seconds for one comparison of a repository or an organization (up to 3,600). What it has found until
    /// then is kept, and it goes on there after the others had their turn. 0: GitHub's state is not compared at all.
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
            derived: DerivedKind::ALL
                .map(|kind| kind.as_str().to_owned())
                .to_vec(),
            pending_checks_minutes: 60,
            waiting_review_hours: 48,
            due_milestone_hours: 24,
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

    /// Whether the mirror is compared with GitHub, if `[github]` has credentials: a place is named, and it is not switched off.
    #[must_use]
    pub fn compares(&self) -> bool {
        let has_place = !self.repositories.is_empty() || !self.organizations.is_empty();
        has_place && self.initial_timeout_seconds > 0
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

    /// The kinds that are compared with GitHub: those that are named, and what they are details of.
    pub(crate) fn mirrored_kinds(&self) -> Vec<MirroredKind> {
        let named = self.resources.iter();
        let named = named.filter_map(|name| MirroredKind::parse(name));
        let named: BTreeSet<_> = named
            .flat_map(|kind| std::iter::once(kind).chain(sources(kind).iter().copied()))
            .collect();
        let is_meant = |kind: &MirroredKind| named.is_empty() || named.contains(kind);
        MirroredKind::ALL.into_iter().filter(is_meant).collect()
    }

    /// What is told that no webhook says.
    pub(crate) fn derived_kinds(&self) -> Vec<DerivedKind> {
        let is_named = |kind: &DerivedKind| self.derived.iter().any(|name| name == kind.as_str());
        DerivedKind::ALL.into_iter().filter(is_named).collect()
    }

    /// Where webhooks have to send to.
    pub(crate) fn webhook_target(&self) -> WebhookTarget {
        let named = self.webhook_url.as_deref().and_then(WebhookTarget::at);
        named.unwrap_or_default()
    }

    fn check_derived(&self) -> Result<(), SyncBuildError> {
        for (key, given, most) in [
            (
                "pending_checks_minutes",
                self.pending_checks_minutes,
                MAX_PENDING_CHECKS_MINUTES,
            ),
            (
                "waiting_review_hours",
                self.waiting_review_hours,
                MAX_WAITING_REVIEW_HOURS,
            ),
            (
                "due_milestone_hours",
                self.due_milestone_hours,
                MAX_DUE_MILESTONE_HOURS,
            ),
        ] {
            within(key, given, 1, most)?;
        }
        let mut derived = self.derived.iter();
        match derived.find(|name| DerivedKind::parse(name).is_none()) {
            Some(given) => Err(SyncBuildError::Derived {
                given: given.clone(),
            }),
            None => Ok(()),
        }
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
        let most = MAX_INTERVAL_SECONDS;
        within("interval_seconds", self.interval_seconds, 0, most)?;
        let given = self.initial_timeout_seconds;
        within("initial_timeout_seconds", given, 0, MAX_COMPARE_SECONDS)?;
        self.check_derived()?;
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
        match self
            .resources
            .iter()
            .find(|kind| MirroredKind::parse(kind).is_none())
        {
            Some(given) => Err(SyncBuildError::Resource {
                given: given.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// The kinds whose states say of which resources the details are read, and when.
const fn sources(kind: MirroredKind) -> &'static [MirroredKind] {
    match kind {
        MirroredKind::ProjectField | MirroredKind::ProjectView | MirroredKind::ProjectItem => {
            &[MirroredKind::Project]
        }
        MirroredKind::PullState => &[MirroredKind::PullRequest, MirroredKind::Repository],
        MirroredKind::IssueLinks => &[MirroredKind::Issue],
        _ => &[],
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_names_all_kinds_are_mirrored() {
        let all = SyncConfig::default().mirrored_kinds();
        assert_eq!(all, MirroredKind::ALL);
        let some = SyncConfig {
            resources: vec!["Pull".into(), "pull_requests".into(), "release".into()],
            ..SyncConfig::default()
        };
        let kinds = [MirroredKind::PullRequest, MirroredKind::Release];
        assert_eq!(some.mirrored_kinds(), kinds);
        let details = SyncConfig {
            resources: vec!["pull_state".into(), "project_items".into()],
            ..SyncConfig::default()
        };
        let kinds = [
            MirroredKind::Repository,
            MirroredKind::PullRequest,
            MirroredKind::Project,
            MirroredKind::ProjectItem,
            MirroredKind::PullState,
        ];
        assert_eq!(details.mirrored_kinds(), kinds);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_key() {
        let cases: [(SyncConfig, &str); 10] = [
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
                    derived: vec!["merge_conflicts".into(), "weather".into()],
                    ..SyncConfig::default()
                },
                "sync.derived",
            ),
            (
                SyncConfig {
                    waiting_review_hours: 0,
                    ..SyncConfig::default()
                },
                "sync.waiting_review_hours",
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
