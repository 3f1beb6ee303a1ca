//! The logs that were followed before: one of them may come back, perhaps put back to an earlier state.

use std::collections::VecDeque;

use model::{Epoch, Sequence};

use super::trail::Trail;

/// Maximum number of remembered logs; the oldest is forgotten.
const MAX_FORMER_LOGS: usize = 2;

/// How far a log was followed.
#[derive(Debug)]
pub(super) struct FormerLog {
    epoch: Epoch,
    pub(super) position: Sequence,
    pub(super) trail: Trail,
}

/// Those of one follower.
#[derive(Debug, Default)]
pub(super) struct FormerLogs(VecDeque<FormerLog>);

impl FormerLogs {
    /// Remembers a log that another has taken the place of.
    pub(super) fn remember(&mut self, epoch: Epoch, position: Sequence, trail: Trail) {
        if self.0.len() == MAX_FORMER_LOGS {
            self.0.pop_front();
        }
        self.0.push_back(FormerLog {
            epoch,
            position,
            trail,
        });
    }

    /// The log that has come back, if it is one of them.
    pub(super) fn take(&mut self, epoch: Epoch) -> Option<FormerLog> {
        let known = self.0.iter().position(|former| former.epoch == epoch)?;
        self.0.remove(known)
    }
}
