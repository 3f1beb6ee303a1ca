//! What the fake GitHub did: the truth that a mirror, a log or a client is compared with.

use model::Timestamp;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// When, in whole seconds.
    pub at: Timestamp,
    /// GitHub's word for the kind of event: `issues`.
    pub event: &'static str,
    /// GitHub's word for what happened: `labeled`; empty for events without actions.
    pub action: &'static str,
    /// Node id of what it happened to.
    pub node_id: String,
    /// `owner/name` at that time, if it happened in a repository.
    pub repository: Option<String>,
    /// Number of the issue, pull request, milestone or project.
    pub number: Option<u64>,
    /// The GUID that every delivery about it carries.
    pub guid: String,
    /// How many webhooks it was meant for.
    pub hooks: usize,
}

/// All entries, oldest first.
#[derive(Debug, Default)]
pub(crate) struct FakeLedger {
    entries: Vec<LedgerEntry>,
}

impl FakeLedger {
    pub(crate) fn push(&mut self, entry: LedgerEntry) {
        self.entries.push(entry);
    }

    pub(crate) fn entries(&self) -> &[LedgerEntry] {
        &self.entries
    }
}
