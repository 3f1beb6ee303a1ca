//! Every bound of the edge, with its unit and reason; and what the bounds of sessions allow together.
//!
//! | together | at most | bound by |
//! | --- | --- | --- |
//! | the record of a session | 97 KiB: 64 KiB of subscriptions, 16 KiB each of client information and capabilities | [`model::limits::MAX_SUBSCRIPTION_BYTES`], `mcp::limits::MAX_CLIENT_INFO_BYTES` |
//! | the records that running calls have loaded | 97 KiB × [`MAX_CALLS`] = 388 MiB | each loads its session once |
//! | the records of one principal in the store | 97 KiB × [`MAX_SESSIONS_PER_PRINCIPAL`] = 950 MiB; less with a lower `edge.max_sessions_per_principal` | the number of sessions |

use std::time::Duration;

use ports::TaskLimits;

/// Extra time before the kernel drops a client that stopped reading; the edge should act first and
/// give the reason.
pub(crate) const KERNEL_EXTRA_TIME: Duration = Duration::from_secs(10);
/// Number of hosts in `edge.allowed_hosts`; each request is compared with all of them.
pub(crate) const MAX_ALLOWED_HOSTS: usize = 256;
/// Longest host in `edge.allowed_hosts`, in bytes: the longest name of DNS.
pub(crate) const MAX_HOST_BYTES: usize = 253;
/// Number of refused hosts that the log names; strangers could otherwise fill it with names.
pub(crate) const LOGGED_HOSTS: usize = 64;
/// Session changes that wait to be examined; on overflow all sessions with a stream are examined.
pub(crate) const SESSION_CHANGES: usize = 1024;
/// Time within which the body of a POST has to arrive.
pub(crate) const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Concurrent calls of sessions on one edge; further ones get 503.
pub(crate) const MAX_CALLS: usize = 4096;
/// Concurrent calls of one session on one edge; further ones get 503.
pub(crate) const MAX_CALLS_PER_SESSION: usize = 64;
/// A call that has sent neither an answer nor a message for this long begins to answer as a stream:
/// its connection is kept open, and (from 2025-11-25 on) the client can reconnect for the answer.
pub(crate) const STREAM_AFTER: Duration = Duration::from_secs(3);
/// Frames of a recorded call that wait for its client; a client that reads more slowly is
/// disconnected, and reconnects for the rest.
pub(crate) const WAITING_FRAMES: usize = 64;
/// Time for which a call waits for a client that does not read and could not come back for the rest: its
/// messages cannot be stored. As long as the client of any stream may stay behind by default.
pub(crate) const UNKEPT_CLIENT_WAIT: Duration = Duration::from_secs(MAX_BEHIND_SECONDS);
/// Time for which a call whose edge died still counts as running.
pub(crate) const CALL_LEASE: Duration = Duration::from_secs(30);
/// Time that a call waits for the client's answer to a question: a person may have to think.
pub(crate) const ASK_DEADLINE: Duration = Duration::from_secs(600);
/// Interval at which a waiting call checks a mailbox without a hint: the maximum delay caused by a
/// lost hint.
pub(crate) const ANSWER_POLL: Duration = Duration::from_secs(2);
/// Interval at which HTTP+SSE streams check for answers without a hint. Each check is a read of the
/// store, and a bus that loses hints reports it, so this is the last resort.
pub(crate) const ANSWER_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Number of slices into which the streams that carry answers are divided for that check.
pub(crate) const ANSWER_SLICES: usize = 64;
/// Time within which a client has to call again with its answers.
pub(crate) const STATE_LIFETIME: Duration = Duration::from_secs(3600);
/// Maximum time to work on a task.
pub(crate) const TASK_WORK_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Time for which the outcome of a task is kept. At the bound of tasks of one principal, those that ended
/// first make room for new ones.
pub(crate) const TASK_OUTCOME_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// Bounds of the stored tasks of one principal. A task that is worked on has more time left than one that
/// is over, so the store spares only those.
pub(crate) const TASK_LIMITS: TaskLimits = TaskLimits {
    max_tasks_per_owner: 1000,
    spare_ttl: TASK_OUTCOME_TTL,
    max_ttl: Duration::from_secs(2 * 24 * 60 * 60),
};
/// Interval at which a client should poll a task, in milliseconds.
pub(crate) const TASK_POLL_MILLIS: u64 = 1000;
/// Time for which a task whose edge died still counts as being worked on.
pub(crate) const TASK_LEASE: Duration = Duration::from_secs(60);
/// Time for which an edge tries to store the outcome of a task while the store does not answer: its lease was
/// renewed at most a third of [`TASK_LEASE`] ago, so no other edge has given the task up.
pub(crate) const TASK_OUTCOME_PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two of these attempts.
pub(crate) const TASK_OUTCOME_PAUSE: Duration = Duration::from_secs(1);
/// Changes of tasks that wait to be announced; on overflow the periodic check announces them.
pub(crate) const TASK_CHANGES: usize = 1024;
/// Delivery reports of messages that wait to be passed on; on overflow a sender gets "stored",
/// which is also true.
pub(crate) const DELIVERY_REPORTS: usize = 1024;
/// Time that a sender waits for the report that its message was delivered; a broadcast waits once for all
/// its messages.
pub(crate) const DELIVERY_WAIT: Duration = Duration::from_millis(500);
/// Messages of one broadcast whose reports are awaited together (some 300 bytes each); the reports of
/// further ones are awaited in groups of this size.
pub(crate) const AWAITED_REPORTS: usize = 100_000;
/// Interval at which an edge checks the sessions whose streams it holds, independent of the bus.
pub(crate) const SESSION_CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// Attempts to change a session while other edges change it too.
pub(crate) const UPDATE_ATTEMPTS: usize = 16;
/// Shortest time after which a page whose stream cannot be opened is told to come back, in
/// milliseconds; the longest is twice that. Longer than the 1 s of `Retry-After`, because the page cannot
/// wait longer with each attempt.
pub(crate) const PAGE_RETRY_MILLIS: u64 = 2000;
/// Default of `edge.max_streams`.
pub(crate) const MAX_STREAMS: usize = 15_000;
/// Default of `edge.max_stream_seconds`: the maximum time until a new edge has its share of the
/// streams.
pub(crate) const MAX_STREAM_SECONDS: u32 = 3600;
/// Default of `edge.heartbeat_seconds`: below the 45 s after which the strictest balancers cut idle
/// connections.
pub(crate) const HEARTBEAT_SECONDS: u64 = 15;
/// Default of `edge.max_behind_seconds`.
pub(crate) const MAX_BEHIND_SECONDS: u64 = 60;
/// Maximum of `edge.stream_threads`: more than the cores of any machine on which this runs.
pub(crate) const MAX_STREAM_THREADS: usize = 1024;
/// Default of `edge.drain_seconds`.
pub(crate) const DRAIN_SECONDS: u64 = 20;
/// Default of `edge.session_idle_seconds`.
pub(crate) const SESSION_IDLE_SECONDS: u64 = 24 * 60 * 60;
/// Default of `edge.session_max_seconds`: 7 days.
pub(crate) const SESSION_MAX_SECONDS: u64 = 7 * 24 * 60 * 60;
/// Default of `edge.max_sessions`.
pub(crate) const MAX_SESSIONS: u64 = 1_000_000;
/// Default of `edge.max_sessions_per_principal`.
pub(crate) const MAX_SESSIONS_PER_PRINCIPAL: u32 = 10_000;
/// Idle time of a session that ends with its stream: while the stream is open, its edge checks the
/// session every [`SESSION_CHECK_INTERVAL`]; an edge that died does not.
pub(crate) const STREAM_SESSION_IDLE: Duration = Duration::from_secs(90);
/// Sessions that are checked concurrently.
pub(crate) const CONCURRENT_SESSION_CHECKS: usize = 32;
/// Default of `edge.max_body_bytes`: what both official SDKs accept.
pub(crate) const MAX_BODY_BYTES: usize = 4 << 20;
/// Time for which a call to a store or to the sync role may delay a request.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// NDJSON connections of one edge; further ones are refused with 503 and `Retry-After`. Each may
/// hold a line of 4 MiB, which a stream does not.
pub(crate) const LINE_CONNECTIONS: usize = 1000;
/// Concurrent requests of one NDJSON connection; beyond that its further lines wait.
pub(crate) const LINES_IN_FLIGHT: usize = 64;
/// Answers of one NDJSON connection that wait for a client that does not read; beyond that its
/// requests wait.
pub(crate) const LINES_QUEUED: usize = 64;
/// Shortest and longest pause before the stream of a session is opened again on an NDJSON connection.
pub(crate) const LINE_STREAM_PAUSE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(5));
/// Maximum silence on an NDJSON connection: after that an empty line keeps proxies from cutting it.
pub(crate) const LINE_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
