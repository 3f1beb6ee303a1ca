//! One call for all who ask for the same thing at the same time.
//!
//! Who asks while a call is under way waits for it, and then either finds its answer in the cache, or shares the next call
//! with all others who wait: one that began after each of them had asked is new enough for all of them. Nobody owns a call
//! but the one who makes it; if that one leaves, the next makes its own.

use std::{collections::HashMap, sync::Arc};

use model::LogPosition;
use parking_lot::Mutex;
use ports::ResourceError;
use tokio::time::Instant;

use crate::entries::{CacheKey, CachedAnswer};

/// The calls that are under way, by what they ask for.
#[derive(Debug, Default)]
pub(crate) struct SharedCalls(Mutex<HashMap<Vec<CacheKey>, Arc<CallTurn>>>);

/// The turn to make a call, with the last one that was made.
pub(crate) type CallTurn = tokio::sync::Mutex<Option<MadeCall>>;

/// The answers to the questions of a call.
type CallResult = Result<Vec<CachedAnswer>, ResourceError>;

/// A call that was made.
#[derive(Debug)]
pub(crate) struct MadeCall {
    began: Instant,
    /// What its answer is at least as new as.
    wanted: LogPosition,
    result: CallResult,
}

impl MadeCall {
    pub(crate) fn new(began: Instant, wanted: LogPosition, result: &CallResult) -> Self {
        Self {
            began,
            wanted,
            result: copy_of(result),
        }
    }

    /// The result for somebody who asked at a time, and has seen the log up to a position; `None` if it may be too old.
    pub(crate) fn for_caller(&self, asked: Instant, seen: LogPosition) -> Option<CallResult> {
        let is_newer = self.began > asked
            && self.wanted.epoch == seen.epoch
            && self.wanted.sequence >= seen.sequence;
        is_newer.then(|| copy_of(&self.result))
    }
}

/// The same result for another caller.
fn copy_of(result: &CallResult) -> CallResult {
    match result {
        Ok(answers) => Ok(answers.clone()),
        Err(error) => Err(shared(error)),
    }
}

/// The same error for another caller, with its sources as text.
fn shared(error: &ResourceError) -> ResourceError {
    match error {
        ResourceError::Behind => ResourceError::Behind,
        ResourceError::Refused { field, problem } => ResourceError::Refused {
            field,
            problem: problem.clone(),
        },
        ResourceError::Unavailable { op, source } => ResourceError::Unavailable {
            op,
            source: model::error_chain(&**source).into(),
        },
        ResourceError::Malformed { source } => ResourceError::Malformed {
            source: model::error_chain(&**source).into(),
        },
    }
}

/// A place among those who ask for the same thing.
pub(crate) struct CallPlace<'c> {
    calls: &'c SharedCalls,
    keys: Vec<CacheKey>,
    pub(crate) turn: Arc<CallTurn>,
}

impl SharedCalls {
    pub(crate) fn place(&self, keys: Vec<CacheKey>) -> CallPlace<'_> {
        let turn = Arc::clone(self.0.lock().entry(keys.clone()).or_default());
        CallPlace {
            calls: self,
            keys,
            turn,
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl Drop for CallPlace<'_> {
    fn drop(&mut self) {
        let mut calls = self.calls.0.lock();
        // The table's and this one.
        if Arc::strong_count(&self.turn) <= 2 {
            calls.remove(&self.keys);
        }
    }
}
