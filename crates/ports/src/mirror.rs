//! The mirror of GitHub's state as its callers see it: lists and many reads at once.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use model::{GithubIds, LogPosition, PlaceId, ResourceId, Timestamp, TraceContext};

use crate::ResourceError;

/// A kind of resource that is mirrored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MirroredKind {
    /// Repositories. The number is the id.
    Repository,
    /// Issues, without pull requests.
    Issue,
    /// Pull requests.
    PullRequest,
    /// Milestones.
    Milestone,
    /// Labels of a repository. The number is the id.
    Label,
    /// Releases. The number is the id.
    Release,
    /// Runs of workflows. The number is the id.
    WorkflowRun,
    /// Projects of an owner.
    Project,
    /// Draft issues of projects, as events show them. The number is the id.
    DraftIssue,
    /// Fields of projects, the iterations (sprints) among them. The number is made of the node id, since GitHub has no other
    /// that fits. Member `forgewire.project` is the number of the project.
    ProjectField,
    /// Views of projects. The number is the id. Member `forgewire.project` as of fields.
    ProjectView,
    /// Items of projects with the values of their fields. The number is the id. Member `forgewire.project` as of fields.
    ProjectItem,
    /// Of pull requests what lists do not show: whether they can be merged, reviews, checks. The number is that of the pull
    /// request, and the time is when this state was read first.
    PullState,
    /// Sub-issues of issues that have some. The number is that of the issue, and the time is when they were read first.
    IssueLinks,
}

impl MirroredKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Repository,
        Self::Issue,
        Self::PullRequest,
        Self::Milestone,
        Self::Label,
        Self::Release,
        Self::WorkflowRun,
        Self::Project,
        Self::DraftIssue,
        Self::ProjectField,
        Self::ProjectView,
        Self::ProjectItem,
        Self::PullState,
        Self::IssueLinks,
    ];

    /// Its name, in the plural, as in URIs, in `sync.resources` and in metrics. It becomes part of stored keys and is
    /// never changed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Repository => "repositories",
            Self::Issue => "issues",
            Self::PullRequest => "pulls",
            Self::Milestone => "milestones",
            Self::Label => "labels",
            Self::Release => "releases",
            Self::WorkflowRun => "workflow_runs",
            Self::Project => "projects",
            Self::DraftIssue => "draft_issues",
            Self::ProjectField => "project_fields",
            Self::ProjectView => "project_views",
            Self::ProjectItem => "project_items",
            Self::PullState => "pull_states",
            Self::IssueLinks => "issue_links",
        }
    }

    /// The kind of a name in the singular or the plural, in any case; `None` if there is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let plural = match name.as_str() {
            "repository" => "repositories".to_owned(),
            "pull_request" | "pull_requests" => "pulls".to_owned(),
            name if name.ends_with('s') => name.to_owned(),
            name => format!("{name}s"),
        };
        Self::ALL.into_iter().find(|kind| kind.as_str() == plural)
    }
}

impl fmt::Display for MirroredKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A resource by its address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MirrorAddress {
    /// Its kind.
    pub kind: MirroredKind,
    /// Login of the owner, in any case.
    pub owner: String,
    /// The repository, in any case; `None` for a project and what is in it.
    pub repo: Option<String>,
    /// Its number, or its id where it has no number. To read a repository its name is enough, with any number.
    pub number: u64,
}

/// The last known state of a resource.
#[derive(Clone, PartialEq, Debug)]
pub struct MirroredState {
    /// Where it is now.
    pub address: MirrorAddress,
    /// GitHub's node id.
    pub node_id: ResourceId,
    /// The present holder of the address: what may be seen is decided by its ids.
    pub ids: GithubIds,
    /// GitHub's object as JSON.
    pub json: Bytes,
    /// The time of the last change, according to GitHub.
    pub updated_at: Timestamp,
    /// Whether it was deleted on GitHub.
    pub deleted: bool,
}

/// What a list is ordered by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum MirrorOrder {
    /// The number: the order of creation.
    #[default]
    Number,
    /// The last change.
    Updated,
}

/// What is in a list. An absent member restricts nothing; all that are given hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct MirrorFilter {
    /// `open` or `closed`, as GitHub's object has it in `state`. Of a pull request `merged` as well.
    pub state: Option<String>,
    /// Names of labels, in any case; it has all of them.
    pub labels: Vec<String>,
    /// Login of one of the assignees, in any case; `*` for any, `none` for none.
    pub assignee: Option<String>,
    /// Login of the author, in any case.
    pub creator: Option<String>,
    /// Number of the milestone.
    pub milestone: Option<u64>,
    /// Changed at this time or later.
    pub updated_since: Option<Timestamp>,
    /// Words; each of them is somewhere in the title or the body, in any case. A search reads a bounded part of a list for
    /// a page, which may be short, or empty, though the list goes on.
    pub words: Vec<String>,
    /// A pull request's base branch, or a workflow run's branch.
    pub branch: Option<String>,
    /// Resources that were deleted on GitHub are in the list, too.
    pub with_deleted: bool,
}

/// A page of a list that is asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MirrorListing {
    /// The kind.
    pub kind: MirroredKind,
    /// Login of the owner, in any case.
    pub owner: String,
    /// The repository; without it, all that are known of this owner.
    pub repo: Option<String>,
    /// What is in the list.
    pub filter: MirrorFilter,
    /// What it is ordered by.
    pub order: MirrorOrder,
    /// The greatest first.
    pub descending: bool,
    /// Maximum number of resources in the page, up to [`MirrorListing::MAX_LIMIT`].
    pub limit: usize,
    /// [`MirrorPage::next`] of the page before; `None` for the first page.
    pub after: Option<String>,
}

impl MirrorListing {
    /// Maximum number of resources in a page. A page ends before its bytes exceed [`crate::MAX_PAGE_BYTES`], too; its first
    /// resource always fits.
    pub const MAX_LIMIT: usize = 100;
}

/// A page of a list.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MirrorPage {
    /// The states, in the order of the list.
    pub states: Vec<MirroredState>,
    /// Continue the list here; `None` at its end.
    pub next: Option<String>,
    /// Since when the list is known to be whole: everything that GitHub had at this time is in it, or newer. `None` if it
    /// has not been read whole yet, or is not mirrored: then the list has what events have shown.
    pub as_of: Option<Timestamp>,
}

/// What is mirrored of a repository or an owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MirrorProgress {
    /// `owner/repo`, or the login of an owner.
    pub place: String,
    /// The kind.
    pub kind: MirroredKind,
    /// When GitHub's list was last read to its end, or found unchanged; `None` if it has not been.
    pub as_of: Option<Timestamp>,
    /// Why it cannot be read now.
    pub failure: Option<String>,
}

/// Reads lists of the mirror.
///
/// # Contract
/// - **ML-01** `list` returns every resource of a place that is known and fits the filter once, over all pages, in the asked
///   order; one that changes while pages are read may be in two pages of a list by `Updated`, and is in at least one.
/// - **ML-02** `get_many` returns what is known of each address, in their order.
/// - **ML-03** with `seen`, the answer is at least as new as every event that was in the log when the call began, as RR-02.
/// - **ML-04** a cursor of another list, or one that cannot be read, is `Refused`.
/// - **ML-05** a list of which only events have told has no `as_of`; what is not mirrored is in no `progress`, and
///   `compare_now` is false for it.
/// - **ML-06** `holders` returns, in their order, which id has each name now, as events and GitHub's lists have shown it. A
///   name that its holder left, or that is not known, has none. With `seen`, as ML-03.
#[async_trait]
pub trait MirrorReads: fmt::Debug + Send + Sync + 'static {
    /// A page of a list; see ML-01, ML-03, ML-04.
    ///
    /// # Errors
    /// The cursor is refused, the sync role does not answer within its deadline, or it is behind.
    async fn list(
        &self,
        listing: &MirrorListing,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<MirrorPage, ResourceError>;

    /// The states at up to [`MirrorListing::MAX_LIMIT`] addresses; see ML-02, ML-03.
    ///
    /// # Errors
    /// There are too many, the sync role does not answer within its deadline, or it is behind.
    async fn get_many(
        &self,
        addresses: &[MirrorAddress],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<MirroredState>>, ResourceError>;

    /// Which owners and repositories have up to [`MirrorListing::MAX_LIMIT`] names now (`owner/repo`, or a login, in any
    /// case); see ML-06.
    ///
    /// # Errors
    /// There are too many, the sync role does not answer within its deadline, or it is behind.
    async fn holders(
        &self,
        names: &[String],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<PlaceId>>, ResourceError>;

    /// What is mirrored, and since when.
    ///
    /// # Errors
    /// The sync role does not answer within its deadline.
    async fn progress(
        &self,
        trace: Option<TraceContext>,
    ) -> Result<Vec<MirrorProgress>, ResourceError>;

    /// Compares a repository (`owner/repo`), an owner, or everything (`None`) with GitHub at once instead of at its turn;
    /// whether it is mirrored. The answer does not wait for the comparison.
    ///
    /// # Errors
    /// The sync role does not answer within its deadline.
    async fn compare_now(
        &self,
        place: Option<&str>,
        trace: Option<TraceContext>,
    ) -> Result<bool, ResourceError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_in_the_singular_or_the_plural() {
        for kind in MirroredKind::ALL {
            assert_eq!(MirroredKind::parse(kind.as_str()), Some(kind));
        }
        for (name, kind) in [
            ("Issue", MirroredKind::Issue),
            ("pull", MirroredKind::PullRequest),
            ("pull_requests", MirroredKind::PullRequest),
            ("workflow_run", MirroredKind::WorkflowRun),
            ("repository", MirroredKind::Repository),
        ] {
            assert_eq!(MirroredKind::parse(name), Some(kind), "{name}");
        }
        for other in ["wiki", "", "s", "issuess", "issues,pulls"] {
            assert_eq!(MirroredKind::parse(other), None, "{other}");
        }
    }
}
