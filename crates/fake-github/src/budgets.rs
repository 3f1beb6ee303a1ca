//! GitHub's limits: the primary one by the hour, the secondary ones by the minute and at once.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use model::Timestamp;

use crate::auth::FakeCaller;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// The bounds, as documented for a user's token; a test makes them small.
#[derive(Debug, Clone, Copy)]
pub struct FakeLimits {
    /// Requests of REST in an hour.
    pub core: u64,
    /// Points of GraphQL in an hour.
    pub graphql: u64,
    /// Requests in an hour without a token.
    pub anonymous: u64,
    /// Points of REST in a minute: 1 for a read, 5 for a write.
    pub core_per_minute: u64,
    /// Points of GraphQL in a minute.
    pub graphql_per_minute: u64,
    /// Requests at once, of both.
    pub concurrent: usize,
}

impl Default for FakeLimits {
    fn default() -> Self {
        Self {
            core: 5_000,
            graphql: 5_000,
            anonymous: 60,
            core_per_minute: 900,
            graphql_per_minute: 2_000,
            concurrent: 100,
        }
    }
}

/// A budget by the hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FakeBudget {
    /// REST.
    Core,
    /// GraphQL.
    Graphql,
}

impl FakeBudget {
    /// The value of `X-RateLimit-Resource`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Graphql => "graphql",
        }
    }
}

/// How much of a budget is left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BudgetState {
    pub(crate) budget: FakeBudget,
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) reset_at: Timestamp,
}

impl BudgetState {
    pub(crate) fn remaining(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// What everybody has used.
#[derive(Debug, Default)]
pub(crate) struct LimitBook {
    pub(crate) limits: FakeLimits,
    hours: BTreeMap<(FakeCaller, FakeBudget), (u64, Timestamp)>,
    minutes: BTreeMap<(FakeCaller, FakeBudget), VecDeque<(Timestamp, u64)>>,
}

impl LimitBook {
    pub(crate) fn state(
        &self,
        caller: FakeCaller,
        budget: FakeBudget,
        now: Timestamp,
    ) -> BudgetState {
        let limit = match (caller, budget) {
            (FakeCaller::Anonymous, _) => self.limits.anonymous,
            (_, FakeBudget::Core) => self.limits.core,
            (_, FakeBudget::Graphql) => self.limits.graphql,
        };
        let kept = self.hours.get(&(caller, budget)).copied();
        let (used, reset_at) = kept
            .filter(|(_, reset)| *reset > now)
            .unwrap_or((0, now.plus(HOUR)));
        BudgetState {
            budget,
            limit,
            used,
            reset_at,
        }
    }

    /// Takes points from the budget of the hour.
    pub(crate) fn take(
        &mut self,
        caller: FakeCaller,
        budget: FakeBudget,
        points: u64,
        now: Timestamp,
    ) -> BudgetState {
        let mut state = self.state(caller, budget, now);
        state.used += points;
        self.hours
            .insert((caller, budget), (state.used, state.reset_at));
        state
    }

    /// Takes points from the minute; the error is for how many seconds to wait.
    pub(crate) fn take_of_minute(
        &mut self,
        caller: FakeCaller,
        budget: FakeBudget,
        points: u64,
        now: Timestamp,
    ) -> Result<(), u64> {
        let allowed = match budget {
            FakeBudget::Core => self.limits.core_per_minute,
            FakeBudget::Graphql => self.limits.graphql_per_minute,
        };
        let taken = self.minutes.entry((caller, budget)).or_default();
        while taken
            .front()
            .is_some_and(|(at, _)| now.since(*at) >= MINUTE)
        {
            taken.pop_front();
        }
        let used: u64 = taken.iter().map(|(_, points)| points).sum();
        if used + points > allowed {
            let oldest = taken.front().map_or(now, |(at, _)| *at);
            return Err((MINUTE.saturating_sub(now.since(oldest))).as_secs().max(1));
        }
        taken.push_back((now, points));
        Ok(())
    }
}
