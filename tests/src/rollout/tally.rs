//! The answers, counted.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use anyhow::Result;
use serde::Serialize;

use super::connection::LoadAnswer;

/// Number of failures that are described in words.
const EXAMPLES: usize = 10;

/// What became of requests.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct AnswerCounts {
    /// Number of requests sent.
    pub(crate) sent: u64,
    /// Number of those answered with 2xx.
    pub(crate) successful: u64,
    /// Number of other answers, by status.
    pub(crate) refused: BTreeMap<u16, u64>,
    /// Number of requests without a whole answer.
    pub(crate) cut: u64,
    /// The first failures in words.
    pub(crate) examples: Vec<String>,
}

impl AnswerCounts {
    pub(crate) fn is_good(&self) -> bool {
        self.sent > 0 && self.successful == self.sent
    }
}

impl fmt::Display for AnswerCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused: u64 = self.refused.values().sum();
        let (sent, successful, cut) = (self.sent, self.successful, self.cut);
        write!(
            f,
            "{successful} of {sent} answered with 2xx, {refused} with another status"
        )?;
        if refused > 0 {
            write!(f, " {:?}", self.refused)?;
        }
        write!(f, ", {cut} cut")
    }
}

/// Counts that many clients share.
#[derive(Debug, Default)]
pub(crate) struct AnswerTally(Mutex<AnswerCounts>);

impl AnswerTally {
    /// Counts one request; `during` is what the run did at the moment.
    pub(crate) fn count(&self, what: &str, during: &str, outcome: &Result<LoadAnswer>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.sent += 1;
        let problem = match outcome {
            Ok(LoadAnswer {
                status: 200..=299, ..
            }) => {
                counts.successful += 1;
                return;
            }
            Ok(LoadAnswer { status, told }) => {
                *counts.refused.entry(*status).or_default() += 1;
                format!("{what}: HTTP {status} ({during}): {told}")
            }
            Err(error) => {
                counts.cut += 1;
                format!("{what}: {error:#} ({during})")
            }
        };
        if counts.examples.len() < EXAMPLES {
            counts.examples.push(problem);
        }
    }

    pub(crate) fn counts(&self) -> AnswerCounts {
        let counts = self.0.lock();
        counts.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
