//! Every bound of the bridge, with its unit and what happens there.

use std::time::Duration;

/// Requests that run at the same time; one more is answered with an error at once.
pub(crate) const MAX_IN_FLIGHT: usize = 256;
/// Lines that wait for stdout; then whoever has one waits, and with it the stream that it came on.
pub(crate) const OUTPUT_LINES: usize = 64;
/// Bytes that one read of stdin takes.
pub(crate) const READ_BYTES: usize = 16 * 1024;
/// Largest answer that is no stream, in bytes, as large as the largest event; more is an error.
pub(crate) const MAX_ANSWER_BYTES: usize = mcp::limits::MAX_SSE_EVENT_BYTES;
/// Longest token, in bytes; a longer one is refused at start.
pub(crate) const MAX_TOKEN_BYTES: usize = 4096;

/// How long a TCP connect and TLS handshake may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// How long a request's answer may be silent: no head, or no byte on its stream. Then it counts as
/// broken.
pub(crate) const ANSWER_SILENCE: Duration = Duration::from_secs(600);
/// How long a stream that lives as long as we may be silent. An edge sends a comment every 15 s.
pub(crate) const STREAM_SILENCE: Duration = Duration::from_secs(90);
/// How long a notification, a response or an `initialize` may take.
pub(crate) const DELIVERY: Duration = Duration::from_secs(60);

/// Tries of a request that did not get out, or was put off with 503; then its error is the answer.
pub(crate) const SEND_TRIES: u32 = 7;
/// First pause between tries.
pub(crate) const SEND_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause between tries of a request, whatever `Retry-After` says.
pub(crate) const SEND_PAUSE_MAX: Duration = Duration::from_secs(5);
/// First pause before a broken stream is opened again.
pub(crate) const STREAM_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a broken stream is opened again.
pub(crate) const STREAM_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest that a server may ask us to wait (`retry`).
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(60);
/// A stream that lived so long was no failure: the pauses begin anew.
pub(crate) const STREAM_GOOD: Duration = Duration::from_secs(30);
/// Tries in a row to resume an answer's stream that bring nothing; then the request has failed.
pub(crate) const RESUME_TRIES: u32 = 10;

/// Resource subscriptions that are made again in a new session; more are forgotten with the old.
pub(crate) const MAX_REMEMBERED: usize = 256;
/// Pages of `tools/list` that are read to find out what a tool wants mirrored.
pub(crate) const MAX_TOOL_PAGES: usize = 16;

/// How long requests that run may go on after the end of stdin.
pub(crate) const FINISH: Duration = Duration::from_secs(5);
/// How long the DELETE of the session, and the last lines on stdout, may take.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);
