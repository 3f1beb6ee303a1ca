//! How far a sprint is.

use github_events::shortened;
use schemars::JsonSchema;
use serde::Serialize;

use super::{board::ProjectBoard, work::SprintItem};
use crate::limits::{CUT, MAX_STATUSES, WORD_BYTES};

/// How far a sprint is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SprintMetrics {
    /// Items of the sprint, those that were archived and those that are hidden from the caller among them.
    total: usize,
    /// Issues and pull requests that are closed or merged, and draft issues whose status says so (Done).
    done: usize,
    /// Share of the done ones, in whole percent, rounded down: 100 means all.
    percent_done: u64,
    /// Items that came to the project after the first day of the sprint. When an older item was moved into the sprint is
    /// not known.
    added_after_start: usize,
    /// Issues, pull requests and draft issues of which the caller may see nothing but this number.
    #[serde(skip_serializing_if = "is_zero")]
    hidden: usize,
    /// Sums of the estimates, if the project has a number field for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SprintPoints")]
    points: Option<SprintPoints>,
    /// Items by status, in the order of the project; `…` stands for what has no room.
    by_status: Vec<StatusCount>,
}

/// Sums of estimates.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SprintPoints {
    /// The field that has them.
    field: String,
    total: f64,
    done: f64,
    /// Items without an estimate.
    without: usize,
}

/// Items of a status.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StatusCount {
    status: String,
    items: usize,
    /// Sum of their estimates.
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl SprintMetrics {
    /// The status of items without one, as GitHub's boards show it.
    pub(crate) const NO_STATUS: &str = "No Status";

    pub(crate) fn of(board: &ProjectBoard, items: &[SprintItem]) -> Self {
        let count = |is: &dyn Fn(&SprintItem) -> bool| items.iter().filter(|item| is(item)).count();
        let done = count(&|item| item.is_done);
        let percent = (done * 100).checked_div(items.len()).unwrap_or(0);
        let sum = |is: &dyn Fn(&SprintItem) -> bool| {
            let which = items.iter().filter(|item| is(item));
            which.filter_map(|item| item.points).sum::<f64>() + 0.0
        };
        Self {
            total: items.len(),
            done,
            percent_done: u64::try_from(percent).unwrap_or_default(),
            added_after_start: count(&|item| item.came_later),
            hidden: count(&|item| item.content.is_none()),
            points: board.points.as_ref().map(|field| SprintPoints {
                field: field.name.clone(),
                total: sum(&|_| true),
                done: sum(&|item| item.is_done),
                without: count(&|item| item.points.is_none()),
            }),
            by_status: by_status(board, items),
        }
    }
}

/// Items by status: those of the project in their order, those that items have beside them, and none, if there are items
/// without; as many as an answer has room for, and one for the others.
fn by_status(board: &ProjectBoard, items: &[SprintItem]) -> Vec<StatusCount> {
    let mut known: Vec<_> = board.statuses.iter().map(|word| Some(&**word)).collect();
    for item in items {
        let status = item.status.as_deref();
        // Of items without bound: looked up among the few that are shown.
        if known.len() < MAX_STATUSES && !known.contains(&status) {
            known.push(status);
        }
    }
    known.truncate(MAX_STATUSES);
    let count = |status: &str, is: &dyn Fn(&SprintItem) -> bool| {
        let which = || items.iter().filter(|item| is(item));
        let points = || which().filter_map(|item| item.points).sum::<f64>() + 0.0;
        StatusCount {
            status: shortened(status, WORD_BYTES, CUT),
            items: which().count(),
            points: board.points.as_ref().map(|_| points()),
        }
    };
    let shown = known.iter().map(|status| {
        let name = status.unwrap_or(SprintMetrics::NO_STATUS);
        count(name, &|item| item.status.as_deref() == *status)
    });
    let others = count(CUT, &|item| !known.contains(&item.status.as_deref()));
    shown
        .chain(Some(others).filter(|of| of.items > 0))
        .collect()
}
