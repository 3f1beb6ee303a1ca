//! Every bound of the ingest role, with its unit and the reason for its value.

use std::time::Duration;

/// Largest body that we take unless configured otherwise: GitHub sends none above 25 MB.
pub const DEFAULT_MAX_BODY_BYTES: usize = 25 * 1024 * 1024;
/// Largest `max_body_bytes` that can be configured; a few such bodies still fit into the budget.
pub const HIGHEST_MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Time for reading one body unless configured otherwise: GitHub gives up on a delivery after 10 s.
pub const DEFAULT_BODY_TIMEOUT_SECONDS: u64 = 10;
/// Longest `body_timeout_seconds` that can be configured (GitHub Enterprise Server waits 30 s).
pub const HIGHEST_BODY_TIMEOUT_SECONDS: u64 = 60;

/// Bytes of bodies that all deliveries under way hold together. At the bound a delivery gets a 503
/// with `Retry-After`. Bytes count when they arrive, not when they are announced, so that nobody
/// reserves memory with a header.
pub const BODY_BUDGET_BYTES: usize = 256 * 1024 * 1024;
/// What a delivery counts for at least, so that the budget also bounds how many are under way
/// (16,384).
pub const MIN_DELIVERY_BYTES: usize = 16 * 1024;

/// Bodies above this are verified and parsed on the blocking pool: hashing and parsing 25 MB takes
/// tens of milliseconds that a runtime thread owes to other connections.
pub const INLINE_BODY_BYTES: usize = 256 * 1024;

/// Longest `X-GitHub-Event` and `X-GitHub-Hook-ID`; GitHub's longest event name has 38 characters.
pub const MAX_HEADER_TEXT_BYTES: usize = 100;

/// Most webhook secrets at a time: each one costs every delivery an HMAC over its body.
pub const MAX_SECRETS: usize = 16;
/// Largest file of webhook secrets, in bytes.
pub const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Longest wait for the event log: the answer has to be out before GitHub's 10 s are over.
pub const APPEND_TIMEOUT: Duration = Duration::from_secs(8);
/// `Retry-After` of answers that a moment of patience improves, in seconds.
pub const RETRY_AFTER_SECONDS: u32 = 5;
/// Pause between two tries to reach the event log at start.
pub const READY_RETRY: Duration = Duration::from_millis(500);
