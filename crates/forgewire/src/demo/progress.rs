//! What the demo's sender and its client share, and how both speak to the person who watches.

use std::{collections::HashMap, io::Write, time::Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What the sender and the client both know.
#[derive(Debug, Default)]
pub(super) struct DemoProgress {
    /// When each delivery was posted, by its GUID, which is the event's id.
    pub(super) posted: Mutex<HashMap<String, Instant>>,
    /// The client has its stream: deliveries may begin.
    pub(super) listening: Notify,
    /// Enough events have arrived (`--events`).
    pub(super) enough: CancellationToken,
}

/// A line for the person who watches; a closed pipe ends nothing.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
