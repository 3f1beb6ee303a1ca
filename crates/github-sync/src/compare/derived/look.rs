//! Which conditions hold, from the mirror's states. No I/O.

use std::collections::BTreeSet;

use model::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DerivedCondition, DerivedRules};
use crate::{derived_kind::DerivedKind, limits::MAX_CONDITION_CHECKS, mirror::LivingState};

const DAY_MILLIS: i64 = 24 * 3600 * 1000;

/// What holds in a place.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ConditionLook {
    pub(crate) holding: Vec<DerivedCondition>,
    /// Keys of what may hold or not: GitHub is still finding out.
    pub(crate) unclear: BTreeSet<String>,
    /// The pull requests that are open.
    pub(crate) open: BTreeSet<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenPull {
    mergeable: Option<String>,
    base_ref_name: Option<String>,
    head_ref_oid: Option<String>,
    review_requests: Option<Nodes<WrittenRequest>>,
    timeline_items: Option<Nodes<WrittenRequest>>,
    status_check_rollup: Option<WrittenRollup>,
}

#[derive(Deserialize)]
struct Nodes<T> {
    nodes: Vec<Option<T>>,
}

/// A request for a review; `createdAt` is in those of the timeline alone.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenRequest {
    created_at: Option<Timestamp>,
    requested_reviewer: Option<WrittenReviewer>,
}

#[derive(Deserialize)]
struct WrittenReviewer {
    login: Option<String>,
    slug: Option<String>,
}

#[derive(Deserialize)]
struct WrittenRollup {
    state: Option<String>,
    contexts: Option<Nodes<WrittenCheck>>,
}

/// A check run, or the status of a commit.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenCheck {
    name: Option<String>,
    status: Option<String>,
    started_at: Option<Timestamp>,
    context: Option<String>,
    state: Option<String>,
    created_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct WrittenMilestone {
    due_on: Option<Timestamp>,
}

impl WrittenRequest {
    /// A user, or `team:` and its slug.
    fn reviewer(&self) -> Option<String> {
        let reviewer = self.requested_reviewer.as_ref()?;
        let team = || Some(format!("team:{}", reviewer.slug.as_deref()?));
        reviewer.login.clone().or_else(team)
    }
}

impl<T> Nodes<T> {
    fn all(nodes: Option<&Self>) -> impl Iterator<Item = &T> {
        let nodes = nodes.map_or(&[][..], |nodes| nodes.nodes.as_slice());
        nodes.iter().flatten()
    }
}

impl ConditionLook {
    /// Looks at an open pull request, whose state may not be known.
    pub(crate) fn pull(
        &mut self,
        number: u64,
        state: Option<&LivingState>,
        rules: &DerivedRules,
        now: Timestamp,
    ) {
        self.open.insert(number);
        let known = state.and_then(|state| {
            let pull: WrittenPull = serde_json::from_slice(&state.json).ok()?;
            Some((pull, state.updated_at))
        });
        let conflict = |since| DerivedCondition {
            kind: DerivedKind::MergeConflicts,
            number,
            subject: String::new(),
            action: "merge_conflict_began",
            since,
            detail: Value::Null,
        };
        let Some((pull, read_at)) = known else {
            self.unclear.insert(conflict(now).key());
            return;
        };
        match pull.mergeable.as_deref() {
            Some("MERGEABLE") => {}
            Some("CONFLICTING") => self.holding.push(DerivedCondition {
                detail: json!({ "base": pull.base_ref_name, "head": pull.head_ref_oid }),
                ..conflict(now)
            }),
            _ => drop(self.unclear.insert(conflict(now).key())),
        }
        let pending = pending_checks(&pull, number, read_at);
        let waiting = waiting_reviews(&pull, number);
        let began = pending.into_iter().map(|it| (it, rules.pending_checks));
        let began = began.chain(waiting.map(|it| (it, rules.waiting_review)));
        for (condition, bound) in began {
            let since = condition.since.plus(bound);
            if since <= now {
                self.holding.push(DerivedCondition { since, ..condition });
            }
        }
    }

    /// Looks at an open milestone. It is due by the end of the day of its `due_on`, in UTC.
    pub(crate) fn milestone(
        &mut self,
        milestone: &LivingState,
        rules: &DerivedRules,
        now: Timestamp,
    ) {
        let written: Option<WrittenMilestone> = serde_json::from_slice(&milestone.json).ok();
        let Some(due_on) = written.and_then(|written| written.due_on) else {
            return;
        };
        let days = due_on.unix_millis().div_euclid(DAY_MILLIS) + 1;
        let end = Timestamp::from_unix_millis(days.saturating_mul(DAY_MILLIS));
        let begins = end.minus(rules.due_milestone);
        let (action, since) = match (now >= end, now >= begins) {
            (true, _) => ("overdue", end),
            (false, true) => ("due_soon", begins),
            (false, false) => return,
        };
        self.holding.push(DerivedCondition {
            kind: DerivedKind::DueMilestones,
            number: milestone.number,
            subject: format!("{action}-{days}"),
            action,
            since,
            detail: json!({ "dueOn": due_on }),
        });
    }
}

/// The checks that have not ended, since the first of them began.
fn pending_checks(pull: &WrittenPull, number: u64, read_at: Timestamp) -> Option<DerivedCondition> {
    let rollup = pull.status_check_rollup.as_ref()?;
    let is_pending = |state: Option<&str>| matches!(state, Some("PENDING" | "EXPECTED"));
    let checks = Nodes::all(rollup.contexts.as_ref());
    let pending = checks.filter(|check| match &check.context {
        Some(_) => is_pending(check.state.as_deref()),
        None => check.status.as_deref().is_some_and(|it| it != "COMPLETED"),
    });
    let pending: Vec<_> = pending.collect();
    let began = pending.iter();
    // A check that waits for a machine has not begun, and one of which nothing is known yet is in no list.
    let began = began.map(|check| check.started_at.or(check.created_at).unwrap_or(read_at));
    let unnamed = is_pending(rollup.state.as_deref()).then_some(read_at);
    let since = began.min().or(unnamed)?;
    let names = pending.iter();
    let names = names.filter_map(|check| check.name.as_deref().or(check.context.as_deref()));
    let names: Vec<_> = names.take(MAX_CONDITION_CHECKS).collect();
    Some(DerivedCondition {
        kind: DerivedKind::PendingChecks,
        number,
        subject: pull.head_ref_oid.clone().unwrap_or_default(),
        action: "checks_pending",
        since,
        detail: json!({ "checks": names, "pendingSince": since, "head": pull.head_ref_oid }),
    })
}

/// The reviews that were asked for, each since then. One of which the timeline does not say when is left out.
fn waiting_reviews(pull: &WrittenPull, number: u64) -> impl Iterator<Item = DerivedCondition> {
    let requests = Nodes::all(pull.review_requests.as_ref());
    requests.filter_map(move |request| {
        let reviewer = request.reviewer()?;
        let asked = Nodes::all(pull.timeline_items.as_ref());
        let asked = asked.filter(|it| it.reviewer().as_ref() == Some(&reviewer));
        let since = asked.filter_map(|it| it.created_at).max()?;
        Some(DerivedCondition {
            kind: DerivedKind::WaitingReviews,
            number,
            subject: format!("{reviewer}-{}", since.unix_millis()),
            action: "review_waiting",
            since,
            detail: json!({ "reviewer": reviewer, "requestedAt": since }),
        })
    })
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
