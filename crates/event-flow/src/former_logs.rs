//! What is known of the logs that were followed before: one of them may come back, perhaps put back to an earlier state.

use std::collections::VecDeque;

use model::Epoch;

/// Maximum number of remembered logs; the oldest is forgotten.
const MAX_FORMER_LOGS: usize = 2;

/// What a reader knows of the logs that it followed before.
#[derive(Debug)]
pub struct FormerLogs<T>(VecDeque<(Epoch, T)>);

impl<T> Default for FormerLogs<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> FormerLogs<T> {
    /// Another log takes the place of `before`, of which this is `known`. Returns what was known of the other one, if it
    /// is one of them.
    pub fn replaced(&mut self, (before, known): (Epoch, T), by: Epoch) -> Option<T> {
        // First, so that what comes back is not forgotten for what goes.
        let at = self.0.iter().position(|(former, _)| *former == by);
        let returned = at.and_then(|at| self.0.remove(at));
        if self.0.len() == MAX_FORMER_LOGS {
            self.0.pop_front();
        }
        self.0.push_back((before, known));
        returned.map(|(_, known)| known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_logs_are_known_and_the_one_that_comes_back_is_no_longer_among_them() {
        let mut former = FormerLogs::default();
        let mut replaced = |before, by| former.replaced((Epoch(before), before), Epoch(by));
        assert_eq!(replaced(1, 2), None);
        assert_eq!(replaced(2, 3), None);
        assert_eq!(replaced(3, 1), Some(1));
        assert_eq!(replaced(1, 2), Some(2));
        for epoch in 3..3 + 2 * MAX_FORMER_LOGS as u64 {
            replaced(epoch, 9);
        }
        assert_eq!(former.0.len(), MAX_FORMER_LOGS);
    }
}
