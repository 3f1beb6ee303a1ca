//! Every bound of the bridge, with its unit and its effect.

use std::time::Duration;

/// Maximum number of requests that run at the same time; a further one is answered with an error at
/// once.
pub(crate) const MAX_IN_FLIGHT: usize = 256;
/// Maximum number of lines that wait for stdout; at the bound a writer waits, and with it the
/// stream that it reads from.
pub(crate) const OUTPUT_LINES: usize = 64;
/// Maximum number of lines that wait because an earlier one has to be handled first, for instance an
/// `initialize` that the server has not answered; at the bound stdin is not read.
pub(crate) const WAITING_LINES: usize = 256;
/// Maximum number of bytes in one read of stdin.
pub(crate) const READ_BYTES: usize = 16 * 1024;
/// Largest response that is not a stream, in bytes: as large as the largest event; more is an
/// error.
pub(crate) const MAX_ANSWER_BYTES: usize = mcp::limits::MAX_SSE_EVENT_BYTES;

/// Time limit of a TCP connect and of a TLS handshake.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// Longest silence of a request's response: no headers, or no byte on its stream. After that it
/// counts as broken.
pub(crate) const ANSWER_SILENCE: Duration = Duration::from_secs(600);
/// Longest silence of a stream that stays open as long as the bridge. An edge sends a comment every
/// 15 s.
pub(crate) const STREAM_SILENCE: Duration = Duration::from_secs(90);
/// Time limit of a notification, a response or an `initialize`.
pub(crate) const DELIVERY: Duration = Duration::from_secs(60);

/// Attempts for a request that was not sent, or was postponed with 503; the client receives the
/// error of the last one.
pub(crate) const SEND_TRIES: u32 = 7;
/// First pause between attempts.
pub(crate) const SEND_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause between attempts of a request, whatever `Retry-After` says.
pub(crate) const SEND_PAUSE_MAX: Duration = Duration::from_secs(5);
/// First pause before a broken stream is reopened.
pub(crate) const STREAM_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a broken stream is reopened.
pub(crate) const STREAM_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest reconnection delay (`retry`) that a server may ask for.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(60);
/// A stream that lasted longer than this was not a failure: the pauses start over.
pub(crate) const STREAM_HEALTHY_AFTER: Duration = Duration::from_secs(30);
/// Consecutive attempts to resume a response's stream without progress; then the request has
/// failed.
pub(crate) const RESUME_TRIES: u32 = 10;

/// Maximum number of resource subscriptions that are repeated in a new session; further ones are
/// lost with the old one.
pub(crate) const MAX_REMEMBERED: usize = 256;
/// Maximum number of pages of `tools/list` that are read to find the arguments to mirror.
pub(crate) const MAX_TOOL_PAGES: usize = 16;

/// Longest time from the end of stdin to the end of the bridge, whoever hangs; clients kill a server that
/// stays much longer. Running requests have what the shares below leave of it.
pub(crate) const INPUT_END_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time from a stop to the end of the bridge.
pub(crate) const STOP_END_TIMEOUT: Duration = Duration::from_secs(2);
/// The part of that time which is kept for the errors of abandoned requests.
pub(crate) const ANSWERS_SHARE: Duration = Duration::from_millis(250);
/// The part of that time which is kept for the DELETE of the session.
pub(crate) const SESSION_SHARE: Duration = Duration::from_millis(750);
/// The part of that time which is kept for the last lines on stdout.
pub(crate) const OUTPUT_SHARE: Duration = Duration::from_millis(250);
