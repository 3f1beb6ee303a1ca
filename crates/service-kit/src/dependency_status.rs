//! The state of one dependency, as `/health` shows it.

use std::{fmt, sync::Arc};

use model::{Classified, ErrorClass, error_chain};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

/// The reason why a probe failed. It is shown to operators, so it has no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFailure {
    class: ErrorClass,
    pub(crate) reason: String,
}

impl ProbeFailure {
    /// A failure of this class, described in words.
    #[must_use]
    pub fn new(class: ErrorClass, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { class, reason }
    }
}

/// Keeps an error's class and its text, with all its causes.
impl<E: Classified + std::error::Error + 'static> From<E> for ProbeFailure {
    fn from(error: E) -> Self {
        Self::new(error.class(), error_chain(&error))
    }
}

/// The state of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DependencyState {
    Starting,
    Ok,
    Failing,
}

/// The state of one dependency, for `/health`. Clones share it.
#[derive(Clone)]
pub(crate) struct DependencyStatus {
    pub(crate) name: &'static str,
    shared: Arc<Mutex<StatusParts>>,
}

struct StatusParts {
    state: DependencyState,
    since: Instant,
    last_failure: Option<(ProbeFailure, Instant)>,
}

impl DependencyStatus {
    pub(crate) fn new(name: &'static str) -> Self {
        let parts = StatusParts {
            state: DependencyState::Starting,
            since: Instant::now(),
            last_failure: None,
        };
        Self {
            name,
            shared: Arc::new(Mutex::new(parts)),
        }
    }

    pub(crate) fn state(&self) -> DependencyState {
        self.shared.lock().state
    }

    pub(crate) fn set(&self, state: DependencyState) {
        let mut parts = self.shared.lock();
        if parts.state != state {
            (parts.state, parts.since) = (state, Instant::now());
        }
    }

    pub(crate) fn failed(&self, failure: ProbeFailure) {
        self.shared.lock().last_failure = Some((failure, Instant::now()));
    }

    /// The last failure, if it was after `time`.
    pub(crate) fn failure_after(&self, time: Instant) -> Option<ProbeFailure> {
        let parts = self.shared.lock();
        let (failure, at) = parts.last_failure.as_ref()?;
        (*at > time).then(|| failure.clone())
    }

    /// As JSON for operators.
    pub(crate) fn to_json(&self) -> Value {
        let parts = self.shared.lock();
        let last_error = parts.last_failure.as_ref().map(|(failure, at)| {
            json!({
                "class": failure.class.as_str(),
                "reason": failure.reason,
                "secondsAgo": at.elapsed().as_secs(),
            })
        });
        let state = match parts.state {
            DependencyState::Starting => "starting",
            DependencyState::Ok => "ok",
            DependencyState::Failing => "failing",
        };
        json!({
            "state": state,
            "sinceSeconds": parts.since.elapsed().as_secs(),
            "lastError": last_error,
        })
    }
}

impl fmt::Debug for DependencyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DependencyStatus")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
