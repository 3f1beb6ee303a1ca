//! What no webhook says: conditions that the mirror's states show, each told once when it begins.
//!
//! | module | idea |
//! | --- | --- |
//! | `look` | which conditions hold now: pure, from the states of a place |
//! | `known` | which are known to hold: stored with the place, so that a restart or another replica tells none again |
//! | `condition_event` | the event of one |
//!
//! They cost no request: whoever keeps the states fresh pays.

mod condition_event;
mod known;
mod look;

use std::time::Duration;

use crate::{SyncConfig, derived_kind::DerivedKind};

pub(super) use condition_event::ConditionEvent;
pub(super) use known::KnownConditions;
pub(super) use look::ConditionLook;

/// What is told, and from when on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DerivedRules {
    pub(super) kinds: Vec<DerivedKind>,
    /// So long a check may take.
    pub(super) pending_checks: Duration,
    /// So long a review may take.
    pub(super) waiting_review: Duration,
    /// So long before its end a milestone is due.
    pub(super) due_milestone: Duration,
}

impl DerivedRules {
    pub(super) fn of(config: &SyncConfig) -> Self {
        Self {
            kinds: config.derived_kinds(),
            pending_checks: Duration::from_secs(config.pending_checks_minutes * 60),
            waiting_review: Duration::from_secs(config.waiting_review_hours * 3600),
            due_milestone: Duration::from_secs(config.due_milestone_hours * 3600),
        }
    }
}

/// Something that holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DerivedCondition {
    pub(super) kind: DerivedKind,
    /// Of the pull request or milestone.
    pub(super) number: u64,
    /// Tells apart what one resource may have several of: reviewers, commits, dates.
    pub(super) subject: String,
    /// Our word for it.
    pub(super) action: &'static str,
    /// Since when it holds.
    pub(super) since: model::Timestamp,
    /// What there is to say about it.
    pub(super) detail: serde_json::Value,
}

impl DerivedCondition {
    /// By what it is known: `<kind>/<number>/<subject>`.
    pub(super) fn key(&self) -> String {
        format!("{}/{}/{}", self.kind.as_str(), self.number, self.subject)
    }
}

/// The number in a key.
fn number_in(key: &str) -> Option<u64> {
    key.split('/').nth(1)?.parse().ok()
}
