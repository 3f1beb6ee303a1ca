//! Milestones, and how far they are.

use github_events::JsonSelection;
use model::Timestamp;
use ports::MirroredState;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::builder::ItemBuilder;
use crate::limits::{DESCRIPTION_BYTES, NAME_BYTES, TITLE_BYTES};

const SCALAR: JsonSelection = JsonSelection::Scalar;
const MILLIS_OF_DAY: i64 = 24 * 3600 * 1000;

/// What an item is made of.
pub(crate) const MILESTONE: JsonSelection = JsonSelection::Members(&[
    ("title", SCALAR),
    ("description", SCALAR),
    ("state", SCALAR),
    ("open_issues", SCALAR),
    ("closed_issues", SCALAR),
    ("due_on", SCALAR),
    ("updated_at", SCALAR),
    ("closed_at", SCALAR),
    ("html_url", SCALAR),
]);

/// How far a milestone is, by the counts in GitHub's object.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MilestoneMetrics {
    /// Issues and pull requests that are open.
    pub(crate) open: u64,
    /// Those that are closed.
    pub(crate) closed: u64,
    /// Share of the closed ones, in whole percent, rounded down: 100 means all.
    pub(crate) percent_complete: u64,
    /// Days since the day on which it was due, if it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overdue_days: Option<u64>,
    /// Days until the day on which it is due, if it is open: 0 is today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) days_left: Option<u64>,
}

/// Which milestones are in a list, by the day on which they are due (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DueFilter {
    /// Open, and due before today.
    Overdue,
    /// Open, and due today or within this many days.
    Within(u64),
    /// Without a day.
    Never,
}

impl DueFilter {
    pub(crate) fn has(self, picked: &Value, metrics: MilestoneMetrics) -> bool {
        match self {
            Self::Overdue => metrics.overdue_days.is_some(),
            Self::Within(days) => metrics.days_left.is_some_and(|left| left <= days),
            Self::Never => !picked["due_on"].is_string(),
        }
    }
}

impl MilestoneMetrics {
    /// Of a milestone at this time.
    pub(crate) fn of(picked: &Value, now: Timestamp) -> Self {
        let count = |key: &str| picked[key].as_u64().unwrap_or_default();
        let (open, closed) = (count("open_issues"), count("closed_issues"));
        let due = picked["due_on"].as_str().and_then(Timestamp::parse);
        let due = due.filter(|_| picked["state"] == "open");
        let day = |time: Timestamp| time.unix_millis().div_euclid(MILLIS_OF_DAY);
        let left = due.map(|due| day(due) - day(now));
        let total = open.saturating_add(closed);
        Self {
            open,
            closed,
            percent_complete: (closed.saturating_mul(100)).checked_div(total).unwrap_or(0),
            overdue_days: left.filter(|left| *left < 0).map(i64::unsigned_abs),
            days_left: left.and_then(|left| u64::try_from(left).ok()),
        }
    }
}

/// A milestone.
pub(crate) fn milestone(
    state: &MirroredState,
    picked: &Value,
    (metrics, has_repository): (MilestoneMetrics, bool),
) -> String {
    let mut item = ItemBuilder::new();
    item.put("number", &state.address.number.into());
    if has_repository {
        item.put_repository(&state.address);
    }
    item.put_short("title", &picked["title"], TITLE_BYTES)
        .put_short("state", &picked["state"], NAME_BYTES)
        .put_short("dueOn", &picked["due_on"], NAME_BYTES);
    let metrics = serde_json::to_value(metrics).unwrap_or_default();
    for (key, value) in metrics.as_object().into_iter().flatten() {
        item.put(key, value);
    }
    item.put_link("url", &picked["html_url"])
        .put_short("updatedAt", &picked["updated_at"], NAME_BYTES)
        .put_short("closedAt", &picked["closed_at"], NAME_BYTES)
        .put_short("description", &picked["description"], DESCRIPTION_BYTES)
        .finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metrics(due_on: Option<&str>, state: &str) -> MilestoneMetrics {
        let picked =
            json!({"open_issues": 2, "closed_issues": 1, "due_on": due_on, "state": state});
        MilestoneMetrics::of(&picked, Timestamp::parse("2026-12-01T15:00:00Z").unwrap())
    }

    #[test]
    fn a_milestone_is_overdue_after_its_day() {
        for (due_on, overdue, left) in [
            ("2026-11-30T08:00:00Z", Some(1), None),
            ("2026-11-01T23:59:59Z", Some(30), None),
            ("2026-12-01T08:00:00Z", None, Some(0)),
            ("2026-12-31T08:00:00Z", None, Some(30)),
        ] {
            let found = metrics(Some(due_on), "open");
            assert_eq!(
                (found.overdue_days, found.days_left),
                (overdue, left),
                "{due_on}"
            );
            let closed = metrics(Some(due_on), "closed");
            assert_eq!((closed.overdue_days, closed.days_left), (None, None));
        }
        assert_eq!(metrics(None, "open").days_left, None);
        assert_eq!(metrics(Some("soon"), "open").days_left, None);
    }

    #[test]
    fn the_share_is_rounded_down_and_that_of_nothing_is_none() {
        assert_eq!(metrics(None, "open").percent_complete, 33);
        let none = MilestoneMetrics::of(&json!({}), Timestamp::default());
        assert_eq!(none, MilestoneMetrics::default());
    }
}
