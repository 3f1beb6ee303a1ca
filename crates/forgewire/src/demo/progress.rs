//! State that the demo's sender and client share, and the output of both.

use std::{collections::HashMap, io::Write, time::Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// State that the sender and the client share.
#[derive(Debug, Default)]
pub(super) struct DemoProgress {
    /// When each delivery was posted, by its GUID, which is the event's id.
    pub(super) posted: Mutex<HashMap<String, Instant>>,
    /// The client has its stream: deliveries may begin.
    pub(super) listening: Notify,
    /// Enough events have arrived (`--events`).
    pub(super) enough: CancellationToken,
}

/// Prints a line; a closed pipe is not an error.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
