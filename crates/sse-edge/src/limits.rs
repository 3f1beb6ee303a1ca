//! Every bound of the edge, with its unit and reason.

use std::time::Duration;

/// Recent events that an edge keeps encoded: a stream that is further behind reads the log.
/// At 2 KiB an event this is 16 MiB at most in practice.
pub(crate) const RING_EVENTS: usize = 8192;
/// Bytes of encoded events that the ring keeps at most; large events shorten it.
pub(crate) const RING_BYTES: usize = 64 << 20;
/// Bytes that a stream hands to hyper at once: a burst goes out in few writes, and a slow client holds
/// no more than this beside the socket's own buffer.
pub(crate) const BATCH_BYTES: usize = 64 << 10;
/// Events that a stream looks at in one turn, so that one busy stream does not starve the others.
pub(crate) const BATCH_EVENTS: usize = 256;
/// Events that one read of the log brings to a stream that is behind.
pub(crate) const CATCH_UP_EVENTS: usize = 256;
/// Reads of the log at the same time; the others wait for their turn.
pub(crate) const CATCH_UP_READS: usize = 32;
/// Bytes of the pages that streams share, with the frames that are made of them; then those go first
/// that were asked for longest ago.
pub(crate) const CATCH_UP_PAGE_BYTES: u64 = 32 << 20;
/// How long a page is kept for other streams: clients of an edge that went away come back within seconds.
pub(crate) const CATCH_UP_PAGE_LIFETIME: Duration = Duration::from_secs(10);
/// Pause before a read of the log that failed is tried again.
pub(crate) const CATCH_UP_PAUSE: Duration = Duration::from_secs(1);
/// Parts that the open streams are divided into for heartbeats and drain, so that the work is spread.
pub(crate) const WHEEL_SLICES: usize = 64;
/// Streams that are taken from the list of all under one lock, to be woken without it.
pub(crate) const VISITED_AT_ONCE: usize = 256;
/// Nobody is cut for the events that came while it was behind for less than this.
pub(crate) const BURST_PATIENCE: Duration = Duration::from_secs(1);
/// A client that has been behind for so long when its stream ends gets no farewell if it takes nothing: it
/// would keep the stream open for as long as it likes.
pub(crate) const FAREWELL_PATIENCE: Duration = Duration::from_secs(60);
/// How much later than the edge the kernel cuts a client that does not read.
pub(crate) const KERNEL_LATER: Duration = Duration::from_secs(10);
/// What a client is told to wait before it comes back after a close of ours, in milliseconds.
pub(crate) const RETRY_MILLIS: u64 = 1000;
/// Session changes that wait to be looked at; on overflow all sessions with a stream are looked at.
pub(crate) const SESSION_CHANGES: usize = 1024;

/// How long the body of a POST may take to arrive.
pub(crate) const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Calls of sessions that run on one edge at once; more get 503.
pub(crate) const MAX_CALLS: usize = 4096;
/// Calls of one session that run on one edge at once; more get 503.
pub(crate) const MAX_CALLS_PER_SESSION: usize = 64;
/// A call that has neither answered nor said anything for so long begins to answer as a stream: its
/// connection is kept open, and (from 2025-11-25 on) the client can come back for the answer.
pub(crate) const STREAM_AFTER: Duration = Duration::from_secs(3);
/// Frames of a recorded call that wait for its client; a client that reads more slowly is cut off, and
/// comes back for the rest.
pub(crate) const WAITING_FRAMES: usize = 64;
/// How long a call whose edge is gone counts as running.
pub(crate) const CALL_LEASE: Duration = Duration::from_secs(30);
/// How long a call waits for the client's answer to a question: a person may have to think.
pub(crate) const ASK_DEADLINE: Duration = Duration::from_secs(600);
/// How often a mailbox is looked at without a hint while a call waits: the most that a lost hint costs.
pub(crate) const ANSWER_POLL: Duration = Duration::from_secs(2);
/// How often HTTP+SSE streams look for answers without a hint. Each look is a read of the store, and a bus
/// that loses hints says so, so this is the last resort.
pub(crate) const ANSWER_LOOK: Duration = Duration::from_secs(5);
/// Parts that the streams which carry answers are divided into for that look.
pub(crate) const ANSWER_SLICES: usize = 64;
/// How long a client may take to call again with its answers.
pub(crate) const STATE_LIFETIME: Duration = Duration::from_secs(3600);
/// How long a task lives from the call on, and may be worked on.
pub(crate) const TASK_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a client should ask for a task, in milliseconds.
pub(crate) const TASK_POLL_MILLIS: u64 = 1000;
/// How long a task whose edge is gone counts as worked on.
pub(crate) const TASK_LEASE: Duration = Duration::from_secs(60);
/// Changes of tasks that wait to be told; on overflow the regular round tells them.
pub(crate) const TASK_CHANGES: usize = 1024;
/// Reports of messages that were handed over and wait to be passed on; on overflow a sender hears
/// "stored", which is true as well.
pub(crate) const DELIVERY_REPORTS: usize = 1024;
/// How often an edge looks at the sessions whose stream it holds, whatever the bus says.
pub(crate) const SESSION_CHECK: Duration = Duration::from_secs(15);
/// Tries of a session's change while other edges change it too.
pub(crate) const UPDATE_TRIES: usize = 16;

/// Default of `edge.max_streams`.
pub(crate) const MAX_STREAMS: usize = 15_000;
/// Default of `edge.max_stream_seconds`: what a new edge waits at most for its share.
pub(crate) const MAX_STREAM_SECONDS: u32 = 3600;
/// Smallest of `edge.max_stream_seconds`, in heartbeats: ages are looked at with them.
pub(crate) const MIN_STREAM_HEARTBEATS: u64 = 8;
/// Default of `edge.heartbeat_seconds`: below the 45 s after which the first balancers cut.
pub(crate) const HEARTBEAT_SECONDS: u64 = 15;
/// Default of `edge.max_behind_seconds`.
pub(crate) const MAX_BEHIND_SECONDS: u64 = 60;
/// Largest of `edge.stream_threads`: more than the cores of any machine that this runs on.
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
/// Idle time of a session that goes with its stream: while that is open, its edge looks at the session
/// every [`SESSION_CHECK`]; an edge that died looks no more.
pub(crate) const STREAM_SESSION_IDLE: Duration = Duration::from_secs(90);
/// Sessions that are looked at side by side.
pub(crate) const SESSION_LOOKS: usize = 32;
/// Default of `edge.max_body_bytes`: what both official SDKs accept.
pub(crate) const MAX_BODY_BYTES: usize = 4 << 20;
/// Default of `edge.rates.memory_calls_per_second`: several times what one connection can ask.
pub(crate) const MEMORY_CALLS_PER_SECOND: u32 = 50_000;
/// Default of `edge.rates.store_calls_per_second`. Without tokens all clients are one principal, and all
/// of them may read a resource when it changes.
pub(crate) const STORE_CALLS_PER_SECOND: u32 = 20_000;
/// Default of `edge.rates.waiting_calls`: a waiting call is a task and a connection, no thread.
pub(crate) const WAITING_CALLS: usize = 1024;
/// How long a call of a store or of the sync role may keep a request waiting.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// NDJSON connections of one edge; one more is sent away with 503 and `Retry-After`. Each may hold a
/// line of 4 MiB, which a stream does not.
pub(crate) const LINE_CONNECTIONS: usize = 1000;
/// Requests of one NDJSON connection that run at the same time; then its lines wait.
pub(crate) const LINES_IN_FLIGHT: usize = 64;
/// Answers of one NDJSON connection that wait for a client that does not read; then requests
/// wait.
pub(crate) const LINES_QUEUED: usize = 64;
/// How long an NDJSON connection is silent at most: then an empty line keeps proxies from
/// cutting it.
pub(crate) const LINE_SILENCE: Duration = Duration::from_secs(15);
