//! The repositories that events are about.

/// The owner of every repository here.
pub(crate) const OWNER: &str = "forgewire";

/// Repositories that events are about in turn: event 1 concerns the first, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repositories {
    /// Common prefix of their names.
    pub(crate) prefix: String,
    /// Number of repositories: 1 to 99,999.
    pub(crate) count: u64,
}

impl Repositories {
    /// The one repository of most measurements.
    pub(crate) fn one() -> Self {
        Self::of("bench", 1)
    }

    pub(crate) fn of(prefix: &str, count: u64) -> Self {
        Self {
            prefix: prefix.to_owned(),
            count: count.max(1),
        }
    }

    /// The repository that an event concerns; events are numbered from 1.
    pub(crate) fn of_event(&self, number: u64) -> u64 {
        (number - 1) % self.count
    }

    /// The events among 1 to `events` that concern the repository `index`.
    pub(crate) fn events_of(&self, index: u64, events: u64) -> impl Iterator<Item = u64> {
        (index + 1..=events).step_by(usize::try_from(self.count).unwrap_or(usize::MAX))
    }

    /// All names have the same length, and so are the events.
    pub(crate) fn name(&self, index: u64) -> String {
        format!("{}-{index:05}", self.prefix)
    }
}
