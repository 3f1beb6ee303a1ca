//! Every bound of the fan-out, with its unit and reason; and what the bounds allow together.
//!
//! | together | at most | bound by |
//! | --- | --- | --- |
//! | comparisons of filters per event, to find the streams that want it and by calls that wait for it | [`MAX_EDGE_COST`], about 3 ms on one core; of one principal [`MAX_PRINCIPAL_COST`], 0.2 ms | checked when a stream opens, when its session subscribes, and when a call waits |
//! | comparisons of filters per event by the streams that it woke | the same again, spread over the threads of streams | the same shares |
//! | pages of the log that queries hold while they examine them | ([`FIRST_PAGE_TURNS`] + [`FURTHER_PAGE_TURNS`]) × [`CATCH_UP_READ_BYTES`] = 72 MiB; of one principal half of it | each read waits for its turn |
//! | bytes that queries, and streams behind the ring, read from the log in a second | [`READ_BYTES_PER_SECOND`] of each principal, after [`READ_BURST`] | the next page of a principal waits until the last one is made good; a page that another reader began costs nothing, and a search for a time counts [`SEEK_READ_BYTES`] and what it reads |
//! | cores that searches through the log use | [`FURTHER_PAGE_TURNS`], of one principal half of them; without authentication all | the same |
//! | answers that one event causes at once, by waking calls that wait | [`WOKEN_TURNS`], of one principal half of them: however many wait, others get their turn on the cores | each takes a turn; a call that the event does not match is not woken |
//! | states of tasks on their way to listen streams that do not read | one per stream: 64 KiB, as of any stream; the larger ones, up to 1 MiB, have places that the source of tasks shares out | [`TaskNotice::place`](crate::followed::TaskNotice) |
//! | ids and digests of the tasks that listen streams follow | some 300 bytes × [`MAX_FOLLOWED_TASKS`] = 75 MiB | checked when a stream opens |
//! | reads of tasks at once when all of them change | [`MAX_FOLLOWED_TASKS`], one at a time per stream | the same |
//! | bytes of the filters of all open streams | 32 × [`MAX_EDGE_COST`] = 16 MiB in streams, the same in the index | a digest has 16 bytes |
//! | bytes of the pages of the log that are read for streams behind the ring | [`CATCH_UP_BYTES`] = 96 MiB | each page holds its part until it is dropped, and a stream whose client does not read holds none |
//! | the rest of a frame that a stream holds for a client that does not read | [`UNREAD_BYTES`] = 256 MiB, with a token 8/9 of what others leave, and [`SMALL_UNREAD_BYTES`] for each stream; frames that are in the ring are shared | a stream without room is cut: its client has a cursor |
//! | announcements on their way to streams whose clients do not read | [`WAITING_ANNOUNCEMENTS`] pointers a stream; a message is in memory once, and one stream holds its frame as any other | the oldest are left out |
//! | the rest of a page of the mailbox, likewise | 4 MiB a stream; of one principal together what the store holds for it (`ports::MailboxLimits`) | a session has one stream, and one that was replaced is cut after [`BURST_GRACE`] |

use std::time::Duration;

use ports::MAX_PAGE_BYTES;

/// Recent events that an edge keeps encoded: a stream that is further behind reads the log. At 2
/// KiB an event this is at most 16 MiB in practice.
pub(crate) const RING_EVENTS: usize = 8192;
/// Streams whose write of one event has a span, if the event's trace is recorded: a trace shows how events reach
/// streams, and one event may go to all streams of an edge.
pub(crate) const WRITE_SPANS_PER_EVENT: u8 = 8;
/// Maximum bytes of encoded events in the ring; large events shorten it.
pub(crate) const RING_BYTES: usize = 64 << 20;
/// Events that a new edge reads at a time, newest first, until half of its ring is full: up to 8 reads.
pub(crate) const PREFILL_PAGE_EVENTS: usize = 512;
/// Events that are copied from the ring under one lock; they are compared and encoded without it, so that a
/// slow comparison delays no new event.
pub(crate) const RING_CHUNK_EVENTS: usize = 32;
/// Comparisons that the filters of all open streams and waiting calls may need for one event, in the unit of
/// [`CompiledFilter::cost`](model::CompiledFilter::cost). 15,000 streams may have 34 each: 8 filters of owner,
/// repository and type. Beyond it a stream is refused, and a subscription too.
pub(crate) const MAX_EDGE_COST: usize = 512 << 10;
/// The same for one principal: a sixteenth, so that no few principals fill an edge. A
/// session may have 4,096 ([`model::limits::MAX_SESSION_COST`]). Without authentication there is only the
/// edge's bound, because all clients are one principal.
pub(crate) const MAX_PRINCIPAL_COST: usize = MAX_EDGE_COST / 16;
/// Comparisons of one query for the events of subscriptions, in the same unit: a tenth of a second at most. Its answer
/// then ends, and says where it goes on. One event is compared with all of them, so a query may exceed it by the cost
/// of one event.
pub(crate) const MAX_QUERY_COMPARISONS: usize = 4 << 20;
/// Filters of one stream from before a rename that it keeps for earlier events: it has examined them within
/// moments, unless it is far behind.
pub(crate) const MAX_SUPERSEDED_FILTERS: usize = 64;
/// Tasks that all listen streams of an edge may follow together, shared out between principals; beyond it a
/// stream is refused. A thousand streams may follow 256 each. Of one principal at most a thousand exist.
pub(crate) const MAX_FOLLOWED_TASKS: usize = 256 << 10;
/// Maximum bytes that a stream hands to hyper at once: a burst is sent in few writes, and a slow
/// client holds no more than this beside the socket's own buffer.
pub(crate) const BATCH_BYTES: usize = 64 << 10;
/// Bytes of begun frames that all streams hold for clients that do not read: 512 of the largest events.
pub(crate) const UNREAD_BYTES: usize = 256 << 20;
/// Bytes of such a frame that need no room there, so that a slow reader of ordinary events is not cut because
/// of others: 240 MiB for 15,000 streams.
pub(crate) const SMALL_UNREAD_BYTES: usize = 16 << 10;
/// Events that a stream examines in one turn, so that one busy stream does not starve the others.
pub(crate) const BATCH_EVENTS: usize = 256;
/// Events that one read of the log returns to a stream that is behind.
pub(crate) const CATCH_UP_EVENTS: usize = 256;
/// First pages of queries that are read from the log at once; of one principal, half of them. Most queries
/// need one page, and a page near the end of the log is small.
pub(crate) const FIRST_PAGE_TURNS: usize = 32;
/// Further pages of queries that are read at once; of one principal, half of them. Such a query searches the
/// log, for up to 3 s, and each page is the decoding of 500 events: some milliseconds of a core, of which
/// streams need the rest.
pub(crate) const FURTHER_PAGE_TURNS: usize = 4;
/// Bytes of events that the queries and streams of one principal read from the log in each second, twice as many without
/// authentication, beyond those of [`READ_BURST`]: one core reads ten times as many from SQLite, and three times as many
/// from nats-server, which all edges share. A query that is in the ring reads none.
pub(crate) const READ_BYTES_PER_SECOND: u64 = 16 << 20;
/// Time worth of such bytes that may be read at once: 64 pages.
pub(crate) const READ_BURST: Duration = Duration::from_secs(4);
/// Bytes that an entry of the log counts beside its JSON, for the work on it.
pub(crate) const ENTRY_READ_BYTES: usize = 256;
/// Bytes that a search for a time counts for, beside the entries that it reads: some requests, and on JetStream a
/// consumer, cost the store as much as half a page.
pub(crate) const SEEK_READ_BYTES: usize = MAX_PAGE_BYTES / 2;
/// Calls that one event has woken whose answers are made at once; of one principal, half of them. Such an
/// answer may be half a megabyte, about a millisecond of a core, and one event may wake all calls of a client.
pub(crate) const WOKEN_TURNS: usize = 2;
/// Time that a query waits for its first turn, before [`CALL_DEADLINE`] begins: many times what others need
/// for a page.
pub(crate) const TURN_WAIT: Duration = Duration::from_secs(2);
/// Bytes that one read of the log may bring: the adapters end a page at half of it, and the last event may exceed that.
pub(crate) const CATCH_UP_READ_BYTES: usize = 2 * MAX_PAGE_BYTES;
/// Bytes of the pages that are cached for streams, including the frames made of them; beyond that the
/// least recently used pages are dropped.
pub(crate) const CATCH_UP_PAGE_BYTES: u64 = 32 << 20;
/// Bytes of all pages: those that are being read, cached and held by streams. Further reads wait for their
/// turn, so some 32 run at once. The log fills an edge with no more, however many streams read at places of
/// their own.
pub(crate) const CATCH_UP_BYTES: usize = 32 * CATCH_UP_READ_BYTES + (CATCH_UP_PAGE_BYTES as usize);
/// Positions of one session that are compared with the log when its stream opens, if the log still has their
/// entries: each may be a read of the log.
pub(crate) const MAX_COMPARED_POSITIONS: usize = 64;
/// Time for which a page is cached for other streams: the clients of an edge that stopped reconnect
/// within seconds.
pub(crate) const CATCH_UP_PAGE_LIFETIME: Duration = Duration::from_secs(10);
/// Time for which a resuming client waits until this edge has reached its cursor: longer than a lost hint
/// delays an edge.
pub(crate) const RESUME_WAIT: Duration = Duration::from_secs(2);
/// Pause before a failed read of the log is retried.
pub const CATCH_UP_PAUSE: Duration = Duration::from_secs(1);
/// Number of slices into which the open streams are divided for heartbeats and drain, so that the
/// work is spread.
pub(crate) const WHEEL_SLICES: usize = 64;
/// Events with a line of their own in the log, in a second; the next line says how many had none.
pub(crate) const EVENT_LINES_PER_SECOND: u32 = 200;
/// Streams copied from the list of all streams under one lock, so that waking them needs no lock.
pub(crate) const STREAMS_PER_VISIT: usize = 256;
/// Announcements that wait for a client that does not read; beyond it the oldest are left out, and are not counted
/// as delivered.
pub(crate) const WAITING_ANNOUNCEMENTS: usize = 16;
/// A client that has been behind for less than this is not cut for its number of unread events, nor because
/// its session has another stream.
pub(crate) const BURST_GRACE: Duration = Duration::from_secs(1);
/// A client that has been behind for this long when its stream ends gets no farewell if it takes
/// nothing: otherwise it could keep the stream open indefinitely.
pub(crate) const FAREWELL_GRACE: Duration = Duration::from_secs(60);
/// Time that a client is told to wait before it reconnects after the edge closed its stream, in
/// milliseconds.
pub const RETRY_MILLIS: u64 = 1000;
/// Minimum of `edge.max_stream_seconds`, in heartbeats, because ages are checked with each
/// heartbeat.
pub const MIN_STREAM_HEARTBEATS: u64 = 8;
/// Time for which a call to a store or to the sync role may delay a request.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(5);
