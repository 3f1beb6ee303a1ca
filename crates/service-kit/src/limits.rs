//! Every bound of probes, hosts, bodies and listeners, with its unit and reason; and what they allow together.
//!
//! Those of probes belong together: a fault shows within [`NOT_READY_AFTER`], and its end within about two
//! intervals after the connection is back (adapters reconnect within a second); each is below 5 s.
//!
//! | together | at most | bound by | test |
//! | --- | --- | --- | --- |
//! | bodies that arrive or are worked on, of all listeners of a process | [`BODY_BUDGET_BYTES`] = 256 MiB, whatever the number of connections and the largest body | [`BodyBudget`](crate::bodies::BodyBudget) | `four_hundred_withheld_bodies_stay_within_the_budget` |
//! | of these, bodies above [`SMALL_BODY_BYTES`] | 192 MiB: [`SMALL_BODIES_BYTES`] = 64 MiB are never theirs | the same | `large_bodies_never_take_the_part_of_small_ones` |
//! | work to find the body that is given up | one look at each body that arrives (65,536 of [`MIN_BODY_BYTES`] at most), only while there is no room | the same | `a_full_budget_of_the_smallest_bodies_gives_up_one_for_each_newcomer` |
//! | connections of all listeners of a process | the limit of file descriptors less 56 for everything else | [`DescriptorPlan`](crate::descriptors::DescriptorPlan) | `listeners_never_promise_more_descriptors_than_there_are` |
//! | work to find the connection that makes room | one look at each connection, and a sort of those that may end, for every [`CHOSEN_AT_ONCE`] that are accepted at the bound, or for every 64th part ([`CHOSEN_PART`]) of these | `http::room` | `at_the_bound_the_longest_idle_makes_room` |
//! | wait of a new connection at the bound while only strangers hold it | [`UNFINISHED_REQUEST_TIMEOUT`] = 0.5 s, and the turns of those before it in the backlog | `http::room` | `answers_that_nobody_takes_make_room`, `bodies_that_drip_make_room` |
//! | lines of the audit log | [`AUDIT_LINES`] and a summary for each kind in [`AUDIT_INTERVAL`], whatever strangers send | [`AuditLog`](crate::audit::AuditLog) | `a_flood_has_a_bounded_number_of_lines_and_the_rest_is_a_number` |

use std::time::Duration;

/// Interval between two probes of a dependency.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Interval until a dependency has answered for the first time, so that a start is not delayed.
pub(crate) const STARTUP_PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// Longest probe: adapters have shorter deadlines of their own (up to 5 s); this one is for those
/// that hang.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(6);
/// A dependency counts as failed once no probe has succeeded for this long: one probe that times out
/// after 2 s (Redis, NATS), and its repetition a second later, fit into it.
pub(crate) const NOT_READY_AFTER: Duration = Duration::from_millis(3500);
/// Successful probes in a row before a dependency that has failed counts as restored.
pub(crate) const SUCCESSES_UNTIL_READY: u32 = 2;

/// Bytes that the bodies of all requests of a process hold together, from their first byte until the work
/// on them has ended: ten of GitHub's largest (25 MB). Bytes count when they arrive, not when they are
/// announced, so that a header alone reserves no memory.
pub const BODY_BUDGET_BYTES: usize = 256 * 1024 * 1024;
/// Part of the budget that bodies above [`SMALL_BODY_BYTES`] never take: room for 512 of the largest small
/// ones, and for thousands of usual requests and deliveries.
pub const SMALL_BODIES_BYTES: usize = 64 * 1024 * 1024;
/// Largest small body: nearly all of GitHub's deliveries and of MCP's requests are below it.
pub const SMALL_BODY_BYTES: usize = 128 * 1024;
/// Smallest size that a body counts for: the memory of its request beside the bytes. It also bounds the number
/// of bodies.
pub const MIN_BODY_BYTES: usize = 4 * 1024;
/// Part of the budget that one principal may hold: a half, because a body that has arrived is not given up while its
/// call runs. One address has no such part: GitHub, behind a proxy, comes from a single one.
pub(crate) const PRINCIPAL_PART: usize = 2;
/// Bytes by which a body has to grow to count as one that makes progress.
pub(crate) const BODY_STEP_BYTES: usize = 32 * 1024;
/// A body without progress for this long is given up when another one needs its room. A lost packet is sent again
/// within half of it.
pub(crate) const BODY_STALL_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait of a body for room, after which it is refused: GitHub gives up on a delivery after 10 s, and the
/// rest of that is left to read and store it.
pub(crate) const BODY_ROOM_TIMEOUT: Duration = Duration::from_secs(4);
/// A body above [`SMALL_BODY_BYTES`] without progress for this long is given up in any case: 32 KiB in 5 s is slower
/// than any link that could deliver such a body before its timeout.
pub(crate) const BODY_STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of the log lines about bodies that are given up: strangers could otherwise fill the log.
pub(crate) const BODY_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Time for which a connection at the bound may make the server wait before it may be closed for a new one: for the end
/// of a head, for [`CLIENT_STEP_BYTES`] of a body, or to take as much of an answer that is no stream; an idle one may be
/// closed at once. A head is one packet, and the next one of a body comes within a round trip.
pub(crate) const UNFINISHED_REQUEST_TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes that a client has to send or take for that time to begin anew, of which only waits for the client count: 32 KiB,
/// which a connection with a round trip of 200 ms has moved within two of them. A byte now and then is no progress.
pub(crate) const CLIENT_STEP_BYTES: u32 = 32 * 1024;
/// Largest rest of a body that is read and dropped before an answer which did not need it, in bytes: that of a usual
/// delivery or call, which is refused for its head. A larger one costs its client the connection.
pub const UNREAD_BODY_BYTES: u64 = 64 * 1024;
/// Longest wait for that rest, in which the answer does not begin: many clients send a body a moment after its head, and
/// a client that does not send it does not need the answer sooner. It is that of a connection at the bound.
pub(crate) const UNREAD_BODY_TIMEOUT: Duration = UNFINISHED_REQUEST_TIMEOUT;
/// Connections that one search at the bound finds, from the senders that have most of them: they make room for as many
/// new ones.
pub(crate) const CHOSEN_AT_ONCE: usize = 32;
/// Or this part of those that may end, if that is more: a search looks at each, so that strangers who come back as soon as
/// their connections end could keep a core busy with it.
pub(crate) const CHOSEN_PART: usize = 64;
/// Pause at the bound until the next search, if no connection has ended by then.
pub(crate) const ROOM_INTERVAL: Duration = Duration::from_millis(50);
/// Longest host that an operator may name, in bytes: the longest name of DNS.
pub const MAX_HOST_BYTES: usize = 253;
/// Number of refused hosts that the log names; strangers could otherwise fill it with names.
pub(crate) const LOGGED_HOSTS: usize = 64;
/// Maximum number of ranges of trusted proxies of a listener: each is compared with every request's address.
pub const MAX_PROXY_RANGES: usize = 256;
/// Lines of the audit log about one kind of refusal in an interval: enough to see what happens and from where.
pub const AUDIT_LINES: u32 = 10;
/// Interval of the audit log: after it, what was left out is said in one line.
pub const AUDIT_INTERVAL: Duration = Duration::from_secs(10);
/// What is added to the nice value of the threads for webhooks: on a full core a thread without it gets 1.5 times as
/// much time, and does not wait for the end of theirs.
pub(crate) const WEBHOOK_NICE: i32 = 2;
/// What is added to that of the threads for clients' requests: three times, and twice as much for webhooks. Not more:
/// these threads also end streams at a drain, which must be in time on a busy machine.
pub(crate) const CLIENT_NICE: i32 = 5;
/// What is added to both for threads for blocking work: reads of a store and large bodies give way to what takes
/// microseconds.
pub(crate) const BLOCKING_NICE: i32 = 2;
/// Threads for requests beyond the number of cores: as many as there are cores may work on requests, and these
/// serve connections meanwhile.
pub(crate) const SPARE_REQUEST_THREADS: usize = 1;
