//! Every bound of the ingest role, with its unit and the reason for its value; and what its bounds allow together.
//!
//! | together | at most | bound by | test |
//! | --- | --- | --- | --- |
//! | bodies that arrive: `ingest.max_body_bytes` × connections | 256 MiB, with the edge's in the same process; 192 MiB for those above 128 KiB | [`BODY_BUDGET_BYTES`](service_kit::limits::BODY_BUDGET_BYTES) | `ten_withheld_bodies_keep_no_delivery_out_small_or_large` |
//! | deliveries that wait for the log | 16,384 and the same bytes: each holds its body until it is stored | [`MIN_DELIVERY_BYTES`] | `bodies_share_a_budget_and_give_it_back` |
//! | work on a delivery before its signature is verified | [`MAX_SECRETS`] × one HMAC over its body: 16 × 25 MB, some 0.2 s on a thread for blocking work, for large bodies on half of the cores at once | the number of secrets, and the turns of large bodies | `every_secret_in_use_is_good`, `large_bodies_leave_cores_to_small_ones` |
//! | payloads that are parsed | [`PARSED_BYTES`] × up to 18, as a form of many small values takes when it is read, of which 1 is the payload out of the form: 576 MiB; and [`INLINE_BODY_BYTES`] × 18 = 4.5 MiB for each thread of the runtime | larger bodies wait for their turn, with a good signature | `large_payloads_are_parsed_within_a_bound_and_small_ones_do_not_wait`, `a_large_body_with_a_good_signature_waits_for_its_turn_to_be_parsed` |
//! | deliveries that wait for their place | those above; and [`MAX_FOREIGN_NOTICES`] of other ingests for each of [`REMEMBERED_RESOURCES`] resources, each for [`ORDER_PATIENCE`] | the oldest resource about which nothing waits is forgotten | `the_memory_of_places_is_bounded` |
//! | bodies that are remembered | 12 MiB | [`REMEMBERED_BODIES`] × 96 bytes | `the_memory_is_bounded_and_forgets_the_oldest` |
//! | sources whose failures are remembered | 3 MiB | [`SOURCES`] and [`GOOD_SOURCES`], some 150 bytes each | `the_tables_are_bounded_and_strangers_displace_no_good_source` |
//! | lines about accepted deliveries | 200 a second, and their sum in ten seconds | [`ACCEPTED_LINES_PER_SECOND`] | `many_deliveries_have_a_bounded_number_of_lines_and_the_rest_is_a_number` |
//! | lines about refusals of strangers | 44 in ten seconds: ten of each kind, and their sums | [`AuditLog`](service_kit::audit::AuditLog) | `a_flood_of_bad_signatures_keeps_no_delivery_out_and_does_not_fill_the_log` |

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

/// Default of `order_window_milliseconds`.
pub const DEFAULT_ORDER_WINDOW_MILLISECONDS: u64 = 8;
/// Longest configurable `order_window_milliseconds`: GitHub waits meanwhile, and so does every stream.
pub const HIGHEST_ORDER_WINDOW_MILLISECONDS: u64 = 1000;
/// The part of the window for which a delivery is held when nothing about its resource came in the last
/// [`ORDER_ACTIVE_PERIOD`].
pub const QUIET_PART: u32 = 4;
/// The time after a delivery for which its resource counts as active: GitHub sends what one action causes (opened,
/// labeled, assigned) together.
pub const ORDER_ACTIVE_PERIOD: Duration = Duration::from_secs(2);
/// Longest wait for a delivery that another ingest holds. It is longer than an append takes; an ingest that ends in
/// between delays the deliveries about the same resource by so much.
pub const ORDER_PATIENCE: Duration = Duration::from_millis(500);
/// The time after its notice within which an ingest begins to store a delivery. The rest of [`ORDER_PATIENCE`] is for the
/// append: it must not race with an ingest that has just stopped to wait.
pub const ANNOUNCED_PERIOD: Duration = Duration::from_millis(400);
/// Longest wait for the bus to bring back the notice of a delivery, before it is announced again.
pub const ECHO_PATIENCE: Duration = Duration::from_millis(250);
/// How often a delivery is announced. Who is stopped each time for longer than the others wait stores it as late: they
/// must not wait for ever.
pub const MAX_ANNOUNCEMENTS: u32 = 4;
/// A task that wakes later than this after its time was stopped, and the bus may have brought more meanwhile.
pub const LATE_WAKE: Duration = Duration::from_millis(100);
/// Maximum number of deliveries about one resource in one append.
pub const MAX_ORDERED_BATCH: usize = 64;
/// Number of resources whose latest state is remembered, to notice one that comes late; some 250 bytes each, and up to
/// 700 after a burst.
pub const REMEMBERED_RESOURCES: usize = 16 * 1024;
/// Maximum number of deliveries about one resource at other ingests that are waited for.
pub const MAX_FOREIGN_NOTICES: usize = 256;
/// Pause before a subscription of the bus that failed or ended is tried again.
pub const SUBSCRIBE_PAUSE: Duration = Duration::from_secs(1);
/// Bytes that a mark of a late event adds to its JSON, at most.
pub const LATE_MARK_BYTES: usize = 16;

/// Maximum number of webhook secrets: each one costs every delivery an HMAC over its body.
pub const MAX_SECRETS: usize = 16;
/// Largest file of webhook secrets, in bytes.
pub const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Longest wait for the sync role to say which issue an item of a project shows. Without an answer the item is stored as
/// GitHub sent it.
pub const ITEM_CONTENT_PATIENCE: Duration = Duration::from_millis(500);

/// Longest wait for the event log: GitHub gives up on a delivery after 10 s, and the answer must be
/// sent before that.
pub const APPEND_TIMEOUT: Duration = Duration::from_secs(8);
/// `Retry-After` of retryable refusals, in seconds.
pub const RETRY_AFTER_SECONDS: u32 = 5;

/// Number of accepted deliveries with a line of their own in the log, in a second. A hundred times what a busy
/// organization has; beyond it one line says how many there were.
pub const ACCEPTED_LINES_PER_SECOND: u32 = 200;
/// Interval of the lines that say how many accepted deliveries had none.
pub const ACCEPTED_SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

/// Default of `ingest.failures_per_minute`.
pub const DEFAULT_FAILURES_PER_MINUTE: u32 = 100;
/// Highest configurable `failures_per_minute`; a higher one would bound nothing.
pub const HIGHEST_FAILURES_PER_MINUTE: u32 = 1_000_000;
/// The addresses from which GitHub sends webhooks, as `GET https://api.github.com/meta` names them under `hooks`.
pub const GITHUB_ADDRESSES: [&str; 6] = [
    "192.30.252.0/22",
    "185.199.108.0/22",
    "140.82.112.0/20",
    "143.55.64.0/20",
    "2a0a:a440::/29",
    "2606:50c0::/32",
];
/// Maximum number of ranges in `ingest.never_limited`.
pub const MAX_NEVER_LIMITED: usize = 256;
/// Sources whose failures are counted; the oldest is forgotten for a new one.
pub const SOURCES: usize = 16 * 1024;
/// Sources that count as good because of a delivery.
pub const GOOD_SOURCES: usize = 4096;
/// Time for which a good signature makes its source a good one: repositories without a push for a day are not rare,
/// but the address is GitHub's for all of them.
pub const GOOD_SOURCE_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);
