//! The buckets of an account: arithmetic over times in microseconds.

use std::{collections::VecDeque, time::Duration};

use ports::{BudgetDemand, QuotaReport};

/// Reports whose reset differs by less than a quarter of a period are of one window: GitHub's have whole seconds, and
/// answers arrive in any order.
const SAME_WINDOW: i64 = 4;

/// A duration in microseconds, up to the longest of a budget.
pub(crate) fn micros(duration: Duration) -> i64 {
    let duration = duration.min(BudgetDemand::LONGEST);
    i64::try_from(duration.as_micros()).expect("two hours have few microseconds")
}

/// What was granted in the last period, part by part: of any span of a period no more than the capacity was granted.
#[derive(Debug, Clone, Default)]
pub(crate) struct PacedBucket {
    /// The number of each part and what was granted in it, the oldest first.
    parts: VecDeque<(i64, u32)>,
}

impl PacedBucket {
    fn part(now: i64, period: i64) -> i64 {
        now / (period / i64::from(BudgetDemand::PARTS))
    }

    fn forget(&mut self, current: i64) {
        // A clock that was set back must not keep a part for longer than a period.
        for (part, _) in &mut self.parts {
            *part = (*part).min(current);
        }
        let oldest = current - i64::from(BudgetDemand::PARTS);
        self.parts.retain(|(part, _)| *part >= oldest);
    }

    /// The time to wait for these permits, of a capacity that is not below them; 0 if they are there.
    pub(crate) fn wait(&mut self, now: i64, period: i64, (capacity, permits): (u32, u32)) -> i64 {
        self.forget(Self::part(now, period));
        let room = u64::from(capacity - permits);
        let mut used: u64 = self.parts.iter().map(|(_, count)| u64::from(*count)).sum();
        let mut ready = now;
        for (part, count) in &self.parts {
            if used <= room {
                break;
            }
            used -= u64::from(*count);
            let parts = i64::from(BudgetDemand::PARTS);
            ready = (part + parts + 1) * (period / parts);
        }
        ready - now
    }

    pub(crate) fn take(&mut self, now: i64, period: i64, permits: u32) {
        let current = Self::part(now, period);
        match self.parts.back_mut() {
            Some((part, count)) if *part == current => *count += permits,
            _ => self.parts.push_back((current, permits)),
        }
    }
}

/// A quota that its owner counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReportedBucket {
    limit: u32,
    remaining: u32,
    /// The end of the window that was reported last.
    resets_at: i64,
    /// The beginning of the window after it, of which there is no report yet.
    rolled_at: Option<i64>,
}

impl ReportedBucket {
    fn refresh(&mut self, now: i64, period: i64) {
        let ends = self.ends(period);
        if now >= ends {
            self.remaining = self.limit;
            self.rolled_at = Some(now);
        }
    }

    fn ends(&self, period: i64) -> i64 {
        self.rolled_at
            .map_or(self.resets_at, |began| began + period)
    }

    /// The time to wait for these permits; 0 if they are there.
    pub(crate) fn wait(&mut self, now: i64, period: i64, permits: u32) -> i64 {
        self.refresh(now, period);
        match self.remaining >= permits.min(self.limit) {
            true => 0,
            false => self.ends(period) - now,
        }
    }

    pub(crate) fn take(&mut self, permits: u32) {
        self.remaining = self.remaining.saturating_sub(permits.min(self.limit));
    }

    pub(crate) fn give_back(&mut self, permits: u32) {
        self.remaining = self.remaining.saturating_add(permits).min(self.limit);
    }

    /// What a report makes of what was known, while this number of slots is held: what they are for may not be in the
    /// report yet.
    pub(crate) fn reported(
        known: Option<Self>,
        (now, held): (i64, usize),
        report: &QuotaReport,
    ) -> Self {
        let resets_at = now + micros(report.resets_in);
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let fresh = Self {
            limit: report.limit,
            remaining: report.remaining.saturating_sub(held),
            resets_at,
            rolled_at: None,
        };
        let Some(known) = known else {
            return fresh;
        };
        // The own count knows what is under way.
        let remaining = match report.remaining >= known.remaining {
            true => known.remaining,
            false => fresh.remaining,
        };
        let is_later = resets_at > known.resets_at + micros(report.period) / SAME_WINDOW;
        match (is_later, known.rolled_at) {
            (true, None) => fresh,
            (true, Some(_)) => Self { remaining, ..fresh },
            (false, None) => Self {
                remaining,
                resets_at: known.resets_at.max(resets_at),
                ..fresh
            },
            (false, Some(_)) => known,
        }
    }
}
