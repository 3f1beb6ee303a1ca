//! Where a list is.

use std::fmt;

use github::{GithubAccess, RestCall, RestRoute};
use ports::MirroredKind;

use crate::{
    limits::LIST_PATIENCE,
    listed::{ListedPlace, is_detail},
};

/// A list of GitHub's REST API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListAddress {
    pub(super) kind: MirroredKind,
    owner: String,
    /// The repository; `None` for a list of an organization.
    repository: Option<String>,
}

/// How a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WalkKind {
    Since,
    Newest {
        /// Pages that are read of it, if not all.
        max_pages: Option<u32>,
    },
    Whole {
        /// Whether its pages have numbers; else they have links.
        is_numbered: bool,
    },
    One,
}

impl ListAddress {
    /// The list of a kind; `None` if GitHub has no such list of the place.
    pub(super) fn of(place: &ListedPlace, kind: MirroredKind) -> Option<Self> {
        let repository = place.repository.as_ref().map(|it| it.name.clone());
        let has_list = match kind {
            MirroredKind::DraftIssue => false,
            kind if is_detail(kind) => false,
            MirroredKind::Project => repository.is_none(),
            _ => repository.is_some(),
        };
        has_list.then(|| Self {
            kind,
            owner: place.owner.clone(),
            repository,
        })
    }

    /// A repository by its name.
    pub(super) fn of_repository(owner: &str, repo: &str) -> Self {
        Self {
            kind: MirroredKind::Repository,
            owner: owner.to_owned(),
            repository: Some(repo.to_owned()),
        }
    }

    /// The repositories of an organization.
    pub(super) fn of_organization(login: &str) -> Self {
        Self {
            kind: MirroredKind::Repository,
            owner: login.to_owned(),
            repository: None,
        }
    }

    /// Whether it is a list of an organization.
    pub(super) const fn is_of_owner(&self) -> bool {
        self.repository.is_none()
    }

    pub(super) fn walk(&self) -> WalkKind {
        match self.kind {
            MirroredKind::Issue => WalkKind::Since,
            MirroredKind::PullRequest => WalkKind::Newest { max_pages: None },
            MirroredKind::WorkflowRun => WalkKind::Newest {
                max_pages: Some(crate::limits::RUN_PAGES),
            },
            MirroredKind::Repository if !self.is_of_owner() => WalkKind::One,
            kind => WalkKind::Whole {
                is_numbered: kind != MirroredKind::Project,
            },
        }
    }

    /// A call for the first page, or for the one object.
    pub(super) fn call(&self, page_items: usize) -> RestCall {
        let (route, parameters) = self.route();
        let access = GithubAccess::Owner(self.owner.clone());
        let call = match &self.repository {
            Some(repo) => RestCall::new(route, access, &[&self.owner, repo]),
            None => RestCall::new(route, access, &[&self.owner]),
        };
        let call = call.patience(LIST_PATIENCE);
        if self.walk() == WalkKind::One {
            return call;
        }
        let parameters = parameters.iter();
        parameters
            .fold(call, |call, (name, value)| call.with(name, value))
            .with("per_page", &page_items.to_string())
    }

    fn route(&self) -> (RestRoute, &'static [(&'static str, &'static str)]) {
        const ALL: (&str, &str) = ("state", "all");
        const BY_CHANGE: (&str, &str) = ("sort", "updated");
        match self.kind {
            MirroredKind::Issue => (RestRoute::ISSUES, &[ALL, BY_CHANGE, ("direction", "asc")]),
            MirroredKind::PullRequest => {
                (RestRoute::PULLS, &[ALL, BY_CHANGE, ("direction", "desc")])
            }
            MirroredKind::Milestone => (RestRoute::MILESTONES, &[ALL]),
            MirroredKind::Label => (RestRoute::LABELS, &[]),
            MirroredKind::Release => (RestRoute::RELEASES, &[]),
            MirroredKind::WorkflowRun => (RestRoute::WORKFLOW_RUNS, &[]),
            MirroredKind::Repository if self.is_of_owner() => (
                RestRoute::ORG_REPOS,
                // New ones come last, so that the pages before stay as they are.
                &[("sort", "created"), ("direction", "asc")],
            ),
            MirroredKind::Repository => (RestRoute::REPOSITORY, &[]),
            MirroredKind::Project => (RestRoute::ORG_PROJECTS, &[]),
            MirroredKind::DraftIssue
            | MirroredKind::ProjectField
            | MirroredKind::ProjectView
            | MirroredKind::ProjectItem
            | MirroredKind::PullState
            | MirroredKind::IssueLinks => unreachable!("`of` makes no address for it"),
        }
    }
}

impl fmt::Display for ListAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.repository {
            Some(repo) => write!(f, "{} of {}/{repo}", self.kind, self.owner),
            None => write!(f, "{} of {}", self.kind, self.owner),
        }
    }
}
