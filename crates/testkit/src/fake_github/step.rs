//! The steps that can happen in a story.

use model::{EventType, ResourceType};

/// One thing that happens on the fake GitHub; each makes one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoryStep {
    /// `issues.opened`
    IssueOpened,
    /// `issues.edited`, with the old title in `changes`
    IssueEdited,
    /// `issues.labeled`
    IssueLabeled,
    /// `issues.unlabeled`
    IssueUnlabeled,
    /// `issues.assigned`
    IssueAssigned,
    /// `issues.milestoned`
    IssueMilestoned,
    /// `issues.closed`
    IssueClosed,
    /// `issues.reopened`
    IssueReopened,
    /// `issues.deleted`
    IssueDeleted,
    /// `pull_request.opened`
    PullOpened,
    /// `pull_request.synchronize`: new commits
    PullSynchronized,
    /// `pull_request.labeled`
    PullLabeled,
    /// `pull_request.review_requested`
    PullReviewRequested,
    /// `pull_request.closed` with `merged: true`
    PullMerged,
    /// `pull_request.closed` without a merge
    PullClosed,
    /// `pull_request.reopened`
    PullReopened,
    /// `milestone.created`
    MilestoneCreated,
    /// `milestone.edited`, with the old due date in `changes`
    MilestoneEdited,
    /// `milestone.closed`
    MilestoneClosed,
    /// `milestone.opened`: GitHub's action for reopening a closed one
    MilestoneOpened,
    /// `milestone.deleted`
    MilestoneDeleted,
    /// `projects_v2.created`
    ProjectCreated,
    /// `projects_v2.edited`, with the old short description in `changes`
    ProjectEdited,
    /// `projects_v2.closed`
    ProjectClosed,
    /// `projects_v2.reopened`
    ProjectReopened,
    /// `projects_v2.deleted`
    ProjectDeleted,
    /// `projects_v2_item.created`: an issue is added to a project
    ItemAdded,
    /// `projects_v2_item.created`: a draft is written into a project
    DraftAdded,
    /// `projects_v2_item.edited`: the status field changes
    ItemEdited,
    /// `projects_v2_item.reordered`
    ItemReordered,
    /// `projects_v2_item.archived`
    ItemArchived,
    /// `projects_v2_item.restored`
    ItemRestored,
    /// `projects_v2_item.deleted`: the item leaves the project
    ItemDeleted,
}

/// The family of resources that a step acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Issue,
    Pull,
    Milestone,
    Project,
    Item,
}

impl StoryStep {
    /// All steps.
    pub const ALL: [Self; 33] = [
        Self::IssueOpened,
        Self::IssueEdited,
        Self::IssueLabeled,
        Self::IssueUnlabeled,
        Self::IssueAssigned,
        Self::IssueMilestoned,
        Self::IssueClosed,
        Self::IssueReopened,
        Self::IssueDeleted,
        Self::PullOpened,
        Self::PullSynchronized,
        Self::PullLabeled,
        Self::PullReviewRequested,
        Self::PullMerged,
        Self::PullClosed,
        Self::PullReopened,
        Self::MilestoneCreated,
        Self::MilestoneEdited,
        Self::MilestoneClosed,
        Self::MilestoneOpened,
        Self::MilestoneDeleted,
        Self::ProjectCreated,
        Self::ProjectEdited,
        Self::ProjectClosed,
        Self::ProjectReopened,
        Self::ProjectDeleted,
        Self::ItemAdded,
        Self::DraftAdded,
        Self::ItemEdited,
        Self::ItemReordered,
        Self::ItemArchived,
        Self::ItemRestored,
        Self::ItemDeleted,
    ];

    /// The steps of [`FakeGithub::story`](super::FakeGithub::story): planning, work on an issue, a
    /// pull request that is merged, everything closed. Covers all five webhook events.
    pub const STORY: [Self; 24] = [
        Self::ProjectCreated,
        Self::MilestoneCreated,
        Self::IssueOpened,
        Self::IssueLabeled,
        Self::ItemAdded,
        Self::IssueMilestoned,
        Self::IssueAssigned,
        Self::DraftAdded,
        Self::ItemEdited,
        Self::ItemReordered,
        Self::IssueEdited,
        Self::PullOpened,
        Self::PullLabeled,
        Self::PullReviewRequested,
        Self::PullSynchronized,
        Self::PullMerged,
        Self::IssueClosed,
        Self::IssueReopened,
        Self::IssueClosed,
        Self::MilestoneEdited,
        Self::ItemArchived,
        Self::MilestoneClosed,
        Self::ProjectEdited,
        Self::ProjectClosed,
    ];

    /// `X-GitHub-Event`.
    #[must_use]
    pub fn event(self) -> &'static str {
        match self.family() {
            Family::Issue => "issues",
            Family::Pull => "pull_request",
            Family::Milestone => "milestone",
            Family::Project => "projects_v2",
            Family::Item => "projects_v2_item",
        }
    }

    /// GitHub's `action`.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::IssueOpened | Self::PullOpened | Self::MilestoneOpened => "opened",
            Self::IssueEdited | Self::MilestoneEdited | Self::ProjectEdited | Self::ItemEdited => {
                "edited"
            }
            Self::IssueLabeled | Self::PullLabeled => "labeled",
            Self::IssueUnlabeled => "unlabeled",
            Self::IssueAssigned => "assigned",
            Self::IssueMilestoned => "milestoned",
            Self::IssueClosed
            | Self::PullMerged
            | Self::PullClosed
            | Self::MilestoneClosed
            | Self::ProjectClosed => "closed",
            Self::IssueReopened | Self::PullReopened | Self::ProjectReopened => "reopened",
            Self::IssueDeleted
            | Self::MilestoneDeleted
            | Self::ProjectDeleted
            | Self::ItemDeleted => "deleted",
            Self::PullSynchronized => "synchronize",
            Self::PullReviewRequested => "review_requested",
            Self::MilestoneCreated | Self::ProjectCreated | Self::ItemAdded | Self::DraftAdded => {
                "created"
            }
            Self::ItemReordered => "reordered",
            Self::ItemArchived => "archived",
            Self::ItemRestored => "restored",
        }
    }

    pub(super) fn family(self) -> Family {
        match self {
            Self::IssueOpened
            | Self::IssueEdited
            | Self::IssueLabeled
            | Self::IssueUnlabeled
            | Self::IssueAssigned
            | Self::IssueMilestoned
            | Self::IssueClosed
            | Self::IssueReopened
            | Self::IssueDeleted => Family::Issue,
            Self::PullOpened
            | Self::PullSynchronized
            | Self::PullLabeled
            | Self::PullReviewRequested
            | Self::PullMerged
            | Self::PullClosed
            | Self::PullReopened => Family::Pull,
            Self::MilestoneCreated
            | Self::MilestoneEdited
            | Self::MilestoneClosed
            | Self::MilestoneOpened
            | Self::MilestoneDeleted => Family::Milestone,
            Self::ProjectCreated
            | Self::ProjectEdited
            | Self::ProjectClosed
            | Self::ProjectReopened
            | Self::ProjectDeleted => Family::Project,
            Self::ItemAdded
            | Self::DraftAdded
            | Self::ItemEdited
            | Self::ItemReordered
            | Self::ItemArchived
            | Self::ItemRestored
            | Self::ItemDeleted => Family::Item,
        }
    }

    /// The type that the event must have; `None` where both readings are defensible.
    pub(super) fn event_type(self, resource: &ResourceType) -> Option<EventType> {
        // Entering or leaving a project changes an issue; only a draft is created and deleted with
        // its item.
        if self.family() == Family::Item && *resource != ResourceType::DRAFT_ISSUE {
            return Some(EventType::UPDATED);
        }
        match self.action() {
            "opened" if self.family() == Family::Milestone => Some(EventType::REOPENED),
            "opened" | "created" => Some(EventType::CREATED),
            "closed" => Some(EventType::CLOSED),
            "reopened" => Some(EventType::REOPENED),
            "deleted" => Some(EventType::DELETED),
            _ => Some(EventType::UPDATED),
        }
    }
}
