//! Every bound of the ingest role, with its unit and the reason for its value.

use std::time::Duration;

/// Default of the largest body: GitHub sends none above 25 MB.
pub const DEFAULT_MAX_BODY_BYTES: usize = 25 * 1024 * 1024;
/// Largest configurable `max_body_bytes`; a few such bodies still fit into the budget.
pub const HIGHEST_MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Default time limit for reading one body: GitHub gives up on a delivery after 10 s.
pub const DEFAULT_BODY_TIMEOUT_SECONDS: u64 = 10;
/// Longest configurable `body_timeout_seconds` (GitHub Enterprise Server waits 30 s).
pub const HIGHEST_BODY_TIMEOUT_SECONDS: u64 = 60;

/// Bytes of bodies that all deliveries in progress hold together. At the bound a delivery gets a
/// 503 with `Retry-After`. Bytes count when they arrive, not when they are announced, so that a
/// header alone reserves no memory.
pub const BODY_BUDGET_BYTES: usize = 256 * 1024 * 1024;
/// Smallest size that a delivery counts for, so that the budget also bounds the number of
/// deliveries in progress (16,384).
pub const MIN_DELIVERY_BYTES: usize = 16 * 1024;

/// Larger bodies are verified and parsed on the blocking pool: hashing and parsing 25 MB takes tens
/// of milliseconds, during which a runtime thread could not serve other connections.
pub const INLINE_BODY_BYTES: usize = 256 * 1024;

/// Longest `X-GitHub-Event` and `X-GitHub-Hook-ID`; GitHub's longest event name has 38 characters.
pub const MAX_HEADER_TEXT_BYTES: usize = 100;

/// Number of bodies that are remembered, by their signatures, to notice one that comes again under another
/// GUID; about 12 MiB when it is full, and a day of 1.5 deliveries a second. Beyond it the oldest is
/// forgotten, and would not be noticed.
pub const REMEMBERED_BODIES: usize = 128 * 1024;

/// Maximum number of webhook secrets: each one costs every delivery an HMAC over its body.
pub const MAX_SECRETS: usize = 16;
/// Largest file of webhook secrets, in bytes.
pub const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Longest wait for the event log: GitHub gives up on a delivery after 10 s, and the answer must be
/// sent before that.
pub const APPEND_TIMEOUT: Duration = Duration::from_secs(8);
/// `Retry-After` of retryable refusals, in seconds.
pub const RETRY_AFTER_SECONDS: u32 = 5;
