//! Every bound of these tools, with its unit and reason.

use std::time::Duration;

/// Interval at which a waiting call reports progress to a client that asked for it, and sees whether its token still
/// holds. Clients give up after a silence of 60 s or more, and one interval may be lost while an edge is restarted.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_secs(20);
/// Longest wait of a call whose client does not ask for progress: less than the 60 s after which the strictest clients
/// and balancers give up.
pub(crate) const MAX_SILENT_WAIT_SECONDS: u64 = 50;
/// Longest wait of a call whose client asks for progress: 28 hours, after which the most patient client gives up.
pub(crate) const MAX_WAIT_SECONDS: u64 = 28 * 3600;
/// Longest wait as a task: one lives for a day.
pub(crate) const MAX_TASK_WAIT_SECONDS: u64 = 23 * 3600;

/// Maximum JSON of the whole events from which one result is made, in bytes. GitHub's published examples have 5 KB on
/// average, their pull requests 25 KB: as many as a result of the default size has room for.
pub(crate) const MAX_READ_BYTES: usize = 2 << 20;
/// Room that a result keeps for what is known only after its events: a note, and longer cursors. In bytes.
pub(crate) const NOTE_BYTES: usize = 700;
/// Summaries that are kept for the next answers: the events that wake calls are the newest ones.
pub(crate) const RECENT_SUMMARIES: usize = 8;
/// JSON of an event whose summary is kept, at most, in bytes: it is kept too.
pub(crate) const SUMMARISED_BYTES: usize = 256 << 10;
/// Subscriptions that an event of an answer names; of others it says how many they are.
pub(crate) const NAMED_SUBSCRIPTIONS: usize = 8;
/// Bytes of their ids in JSON, with the name of the member: an id has up to 53.
pub(crate) const NAMED_SUBSCRIPTIONS_BYTES: usize = 640;
