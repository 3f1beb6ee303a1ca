//! What no webhook says, and the mirror shows.

/// A kind of such events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum DerivedKind {
    /// A pull request begins to conflict with its base, or no longer does.
    MergeConflicts,
    /// Checks of a pull request do not end.
    PendingChecks,
    /// A review was asked for, and there is none.
    WaitingReviews,
    /// A milestone is due, or overdue.
    DueMilestones,
}

impl DerivedKind {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [
        Self::MergeConflicts,
        Self::PendingChecks,
        Self::WaitingReviews,
        Self::DueMilestones,
    ];

    /// Its name in `sync.derived`, and in stored keys.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::MergeConflicts => "merge_conflicts",
            Self::PendingChecks => "pending_checks",
            Self::WaitingReviews => "waiting_reviews",
            Self::DueMilestones => "due_milestones",
        }
    }

    /// The kind of a name; `None` if there is none.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
