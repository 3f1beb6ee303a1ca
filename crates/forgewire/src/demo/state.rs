//! State of the demo's client that outlives a run: its session and the last event it received.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::progress::say;

/// Number of recent ids that are kept, to detect an event that arrives twice.
const REMEMBERED_IDS: usize = 1000;

/// The client's state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) session: String,
    pub(super) version: String,
    pub(super) last_event_id: Option<String>,
    /// Events received over all runs.
    pub(super) received: usize,
    recent: Vec<String>,
}

impl State {
    /// Records an event; returns whether it is new.
    pub(super) fn saw(&mut self, event_id: &str, cursor: Option<&str>) -> bool {
        if let Some(cursor) = cursor {
            self.last_event_id = Some(cursor.to_owned());
        }
        let new = !self.recent.iter().any(|seen| seen == event_id);
        if new {
            self.received += 1;
            self.recent.push(event_id.to_owned());
            let surplus = self.recent.len().saturating_sub(REMEMBERED_IDS);
            self.recent.drain(..surplus);
        }
        new
    }
}

/// The file that keeps the state.
#[derive(Debug)]
pub(super) struct StateFile(PathBuf);

impl StateFile {
    pub(super) fn new(dir: &Path) -> Self {
        Self(dir.join("client.json"))
    }

    /// The saved state; `None` on the first run.
    pub(super) fn load(&self) -> Option<State> {
        serde_json::from_slice(&std::fs::read(&self.0).ok()?).ok()
    }

    pub(super) fn save(&self, state: &State) {
        let written = serde_json::to_vec(state).map_err(std::io::Error::other);
        if let Err(error) = written.and_then(|bytes| std::fs::write(&self.0, bytes)) {
            say(&format!("  the client cannot save its position: {error}"));
        }
    }
}
