//! What a comparison has done.

/// The numbers of a comparison.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PassTally {
    pub(super) requests: u32,
    /// Points of GraphQL's limit.
    pub(super) points: u32,
    pub(super) unmodified: u32,
    pub(super) listed: usize,
    pub(super) newer: usize,
    pub(super) events: usize,
    /// Changes whose webhooks may still arrive.
    pub(super) waiting: usize,
}
