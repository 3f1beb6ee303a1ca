//! Every bound of the watch, with its unit and its reason.

use std::time::Duration;

/// Longest part of a server's sentence that is repeated, in UTF-16 units.
pub(crate) const MAX_DETAIL_UNITS: usize = 300;
/// Notes about the filters that are repeated; an edge gives a few.
pub(crate) const MAX_NOTES: usize = 16;
/// Longest name of a watch, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Largest file with the position, in bytes.
pub(crate) const MAX_STATE_BYTES: u64 = 4096;
/// Shortest and longest cursor, in bytes: what is shorter is a mistake.
pub(crate) const CURSOR_BYTES: std::ops::RangeInclusive<usize> = 32..=512;
/// Largest body of a refusal, in bytes.
pub(crate) const MAX_REFUSAL_BYTES: usize = 64 << 10;
/// Bytes of lines that are written together, before the position is kept.
pub(crate) const BATCH_BYTES: usize = 64 << 10;

/// Time for which events are counted before the line that says how many there were.
pub(crate) const COUNTING: Duration = Duration::from_secs(10);

/// Time limit of a connect.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of the head of an answer, and of the body of a refusal.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest silence of a stream, after which it is opened anew. An edge sends a comment every 15 s.
pub(crate) const STREAM_SILENCE: Duration = Duration::from_secs(60);
/// Lifetime of an idle connection: shorter than load balancers allow.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// First pause before a stream is opened again.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause that the watch chooses.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Longest pause that a server may ask for, by `Retry-After` or `retry`.
pub(crate) const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(300);
/// A stream that lasted longer than this was no failure: the pauses begin anew.
pub(crate) const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// First pause before a command that has failed runs again.
pub(crate) const FIRST_COMMAND_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
pub(crate) const LONGEST_COMMAND_PAUSE: Duration = Duration::from_secs(60);
/// Time that a running command has to end by itself when the watch is stopped.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(5);
/// Time between SIGTERM and SIGKILL for a command.
pub(crate) const TERM_GRACE: Duration = Duration::from_secs(2);
