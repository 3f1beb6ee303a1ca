//! Every bound of the ingest role, with its unit and the reason for its value; and what its bounds allow together.
//!
//! | together | at most | bound by | test |
//! | --- | --- | --- | --- |
//! | bodies that arrive: `ingest.max_body_bytes` × connections | 256 MiB, with the edge's in the same process; 192 MiB for those above 128 KiB | [`BODY_BUDGET_BYTES`](service_kit::limits::BODY_BUDGET_BYTES) | `ten_withheld_bodies_keep_no_delivery_out_small_or_large` |
//! | deliveries that wait for the log | 16,384 and the same bytes: each holds its body until it is stored | [`MIN_DELIVERY_BYTES`] | `bodies_share_a_budget_and_give_it_back` |
//! | work on a delivery before its signature is verified | [`MAX_SECRETS`] × one HMAC over its body: 16 × 25 MB, some 0.2 s on a thread for blocking work, for large bodies on half of the cores at once | the number of secrets, and the turns of large bodies | `every_secret_in_use_is_good`, `large_bodies_leave_cores_to_small_ones` |
//! | payloads that are parsed | [`PARSED_BYTES`] × up to 17, as a body of many small values takes when it is read: 560 MiB; and [`INLINE_BODY_BYTES`] × 17 = 4 MiB for each thread of the runtime | larger bodies wait for their turn, with a good signature | `large_payloads_are_parsed_within_a_bound_and_small_ones_do_not_wait`, `a_large_body_with_a_good_signature_waits_for_its_turn_to_be_parsed` |
//! | bodies that are remembered | 12 MiB | [`REMEMBERED_BODIES`] × 96 bytes | `the_memory_is_bounded_and_forgets_the_oldest` |

use std::time::Duration;

/// Default of the largest body: GitHub sends none above 25 MB.
pub const DEFAULT_MAX_BODY_BYTES: usize = 25 * 1024 * 1024;
/// Largest configurable `max_body_bytes`; a few such bodies still fit into the budget.
pub const HIGHEST_MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// Default time limit for reading one body: GitHub gives up on a delivery after 10 s.
pub const DEFAULT_BODY_TIMEOUT_SECONDS: u64 = 10;
/// Longest configurable `body_timeout_seconds` (GitHub Enterprise Server waits 30 s).
pub const HIGHEST_BODY_TIMEOUT_SECONDS: u64 = 60;

/// Smallest size that a delivery counts for in the memory for bodies
/// ([`BODY_BUDGET_BYTES`](service_kit::limits::BODY_BUDGET_BYTES)), so that it also bounds the number of deliveries in
/// progress (16,384).
pub const MIN_DELIVERY_BYTES: usize = 16 * 1024;

/// Larger bodies are verified and parsed on the blocking pool: hashing and parsing 25 MB takes tens
/// of milliseconds, during which a runtime thread could not serve other connections. They take turns there.
pub const INLINE_BODY_BYTES: usize = 256 * 1024;

/// Bytes of the bodies above [`INLINE_BODY_BYTES`] that are parsed at once: one of GitHub's largest, 25 MB, and
/// some smaller ones. A larger one, as `ingest.max_body_bytes` may allow, is parsed alone.
pub const PARSED_BYTES: usize = 32 << 20;
/// Longest wait of a large body for its turn: half of the ten seconds that GitHub waits for an answer. What is
/// refused can be delivered again, and the sync role finds what it changed.
pub const PARSE_WAIT: Duration = Duration::from_secs(5);

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
