//! State that the demo's sender and client share, and the output of both.

use std::{
    collections::HashMap,
    io,
    sync::LazyLock,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use service_kit::line_queue::LineQueue;
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

/// Standard output, which is one for the whole process. A terminal that was stopped must not stop the
/// roles that run behind it.
static OUTPUT: LazyLock<Option<LineQueue>> = LazyLock::new(|| {
    let report = |lines| format!("  ({lines} lines were not shown)");
    LineQueue::start("demo-output", io::stdout(), report).ok()
});
/// Longest wait for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Prints a line, without waiting for it.
pub(super) fn say(line: &str) {
    if let Some(output) = &*OUTPUT {
        output.push(format!("{line}\n").as_bytes());
    }
}

/// Waits until the lines are printed.
pub(super) fn flush() {
    if let Some(output) = &*OUTPUT {
        output.flush(FLUSH_TIMEOUT);
    }
}
