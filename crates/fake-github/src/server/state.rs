//! What is behind the server.

use std::collections::BTreeMap;

use super::faults::FaultPlan;
use crate::{auth::TokenBook, budgets::LimitBook, world::FakeWorld};

/// What was asked and what it cost.
#[derive(Debug, Clone, Default)]
pub struct FakeCounts {
    /// Requests by route: `GET /repos/{owner}/{repo}/issues`, `POST /graphql`.
    pub requests: BTreeMap<String, u64>,
    /// Points taken from budgets of the hour.
    pub points: u64,
    /// Answers that say that nothing changed.
    pub not_modified: u64,
    /// Answers by their status.
    pub statuses: BTreeMap<u16, u64>,
    /// How often each delivery was read by itself, by GUID.
    pub delivery_reads: BTreeMap<String, u64>,
}

/// The state behind the server.
#[derive(Debug)]
pub struct Github {
    /// What exists.
    pub world: FakeWorld,
    pub(crate) tokens: TokenBook,
    pub(crate) limits: LimitBook,
    pub(crate) faults: FaultPlan,
    /// What was asked and what it cost.
    pub counts: FakeCounts,
}
