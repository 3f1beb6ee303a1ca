//! Every bound of the fan-out, with its unit and reason; and what the bounds allow together.
//!
//! | together | at most | bound by |
//! | --- | --- | --- |
//! | comparisons of filters per event, to find the streams that want it and by calls that wait for it | [`MAX_EDGE_COST`], about 3 ms on one core; of one principal [`MAX_PRINCIPAL_COST`], 0.2 ms | checked when a stream opens, when its session subscribes, and when a call waits |
//! | comparisons of filters per event by the streams that it woke | the same again, spread over the threads of streams | the same shares |
//! | bytes of the filters of all open streams | 32 × [`MAX_EDGE_COST`] = 16 MiB in streams, the same in the index | a digest has 16 bytes |

use std::time::Duration;

/// Recent events that an edge keeps encoded: a stream that is further behind reads the log. At 2
/// KiB an event this is at most 16 MiB in practice.
pub(crate) const RING_EVENTS: usize = 8192;
/// Maximum bytes of encoded events in the ring; large events shorten it.
pub(crate) const RING_BYTES: usize = 64 << 20;
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
/// Maximum bytes that a stream hands to hyper at once: a burst is sent in few writes, and a slow
/// client holds no more than this beside the socket's own buffer.
pub(crate) const BATCH_BYTES: usize = 64 << 10;
/// Events that a stream examines in one turn, so that one busy stream does not starve the others.
pub(crate) const BATCH_EVENTS: usize = 256;
/// Events that one read of the log returns to a stream that is behind.
pub(crate) const CATCH_UP_EVENTS: usize = 256;
/// Concurrent reads of the log; further ones wait for their turn.
pub(crate) const CATCH_UP_READS: usize = 32;
/// Bytes of the pages that streams share, including the frames made of them; beyond that the least
/// recently used pages are dropped.
pub(crate) const CATCH_UP_PAGE_BYTES: u64 = 32 << 20;
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
/// Streams copied from the list of all streams under one lock, so that waking them needs no lock.
pub(crate) const STREAMS_PER_VISIT: usize = 256;
/// A client that has been behind for less than this is not cut for its number of unread events.
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
