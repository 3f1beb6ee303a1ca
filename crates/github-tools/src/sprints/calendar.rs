//! Days, and where a sprint is in time. GitHub has the first day of an iteration and how many days it lasts; all are of UTC.

use std::fmt;

use github_events::shortened;
use model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::{CUT, WORD_BYTES};

const MILLIS_OF_DAY: i64 = 24 * 3600 * 1000;
/// Bytes of a day in a time: `2026-11-30`.
const DAY_BYTES: usize = 10;

/// A day of UTC, counted from 1970-01-01.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UtcDay(i64);

impl UtcDay {
    pub(crate) fn of(time: Timestamp) -> Self {
        Self(time.unix_millis().div_euclid(MILLIS_OF_DAY))
    }

    /// Of a day or a time in GitHub's notations.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Timestamp::from_input(text).map(Self::of)
    }

    fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Days from this one to a later one; `None` if that is earlier.
    fn until(self, later: Self) -> Option<u64> {
        u64::try_from(later.0.saturating_sub(self.0)).ok()
    }
}

impl fmt::Display for UtcDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_unix_millis(self.0.saturating_mul(MILLIS_OF_DAY)).to_string();
        f.write_str(time.get(..DAY_BYTES).unwrap_or(&time))
    }
}

/// An iteration of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProjectSprint {
    /// GitHub's id of the iteration.
    pub(crate) id: String,
    pub(crate) title: String,
    /// Its first day.
    pub(crate) first: UtcDay,
    /// Its last day.
    pub(crate) last: UtcDay,
}

/// As GitHub has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IterationObject {
    id: String,
    title: String,
    start_date: String,
    duration: u32,
}

impl IterationObject {
    /// `None` if its first day is none.
    pub(super) fn sprint(self) -> Option<ProjectSprint> {
        let first = UtcDay::parse(&self.start_date)?;
        let days = i64::from(self.duration.max(1));
        Some(ProjectSprint {
            id: self.id,
            title: self.title,
            first,
            last: first.plus(days - 1),
        })
    }
}

impl ProjectSprint {
    pub(crate) fn has(&self, day: UtcDay) -> bool {
        (self.first..=self.last).contains(&day)
    }

    /// As it is shown on a day.
    pub(crate) fn times(&self, today: UtcDay) -> SprintTimes {
        let state = match () {
            () if today < self.first => "upcoming",
            () if today > self.last => "completed",
            () => "current",
        };
        SprintTimes {
            id: self.id.clone(),
            title: shortened(&self.title, WORD_BYTES, CUT),
            state,
            start_date: self.first.to_string(),
            end_date: self.last.to_string(),
            days_left: self.has(today).then(|| today.until(self.last)).flatten(),
            starts_in_days: today.until(self.first).filter(|days| *days > 0),
            ended_days_ago: self.last.until(today).filter(|days| *days > 0),
        }
    }
}

/// A sprint, and where it is in time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SprintTimes {
    /// GitHub's id of the iteration.
    id: String,
    title: String,
    /// current, upcoming or completed, by today (UTC).
    state: &'static str,
    /// Its first day.
    start_date: String,
    /// Its last day.
    end_date: String,
    /// Days from today to its last day, if it is the current one: 0 is today.
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<u64>,
    /// Days until its first day, if it has not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_in_days: Option<u64>,
    /// Days since its last day, if it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_days_ago: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sprint_ends_with_its_last_day() {
        let object = IterationObject {
            id: "s".to_owned(),
            title: "S".to_owned(),
            start_date: "2026-11-30".to_owned(),
            duration: 14,
        };
        let sprint = object.sprint().unwrap();
        assert_eq!(sprint.last.to_string(), "2026-12-13");
        for (today, state, left, starts, ended) in [
            ("2026-11-29T23:59:59Z", "upcoming", None, Some(1), None),
            ("2026-11-30T00:00:00Z", "current", Some(13), None, None),
            ("2026-12-13T23:59:59Z", "current", Some(0), None, None),
            ("2026-12-14", "completed", None, None, Some(1)),
        ] {
            let times = sprint.times(UtcDay::parse(today).unwrap());
            let found = (
                times.state,
                times.days_left,
                times.starts_in_days,
                times.ended_days_ago,
            );
            assert_eq!(found, (state, left, starts, ended), "{today}");
        }
    }
}
