//! Every bound of the sync role, with its unit and its reason.

use std::time::Duration;

/// Default of `sync.max_resources`. With 8 KiB for a typical issue that is 160 MiB; at the bound
/// the least recently used states are evicted, and a later `GetResource` for one of them answers
/// "not found".
pub(crate) const DEFAULT_MAX_RESOURCES: usize = 20_000;

/// Maximum size of all states together, in bytes of JSON; states are evicted at this bound too. A
/// pull request may have hundreds of KiB, so a count alone would not bound the memory.
pub(crate) const MAX_STATE_BYTES: usize = 256 * 1024 * 1024;

/// Repositories, and owners, of which is known which address they have and had: some 400 bytes each, 13 MiB. Beyond it the
/// ones of which nothing was heard for longest are forgotten; their states are "not found" until their next event.
pub(crate) const MAX_MIRRORED_PLACES: usize = 32 * 1024;

/// Addresses of one repository or owner that are remembered: renames of years.
pub(crate) const MAX_ADDRESSES_OF_PLACE: usize = 16;

/// Default of `sync.deadline_seconds`, for one call from end to end. An agent waits for the answer.
pub(crate) const DEFAULT_DEADLINE_SECONDS: u64 = 2;

/// Part of a call's deadline in which the sync role does not wait for the log any more: its answer, or the
/// reason why there is none, has to arrive before the caller gives up.
pub(crate) const ANSWER_RESERVE: Duration = Duration::from_millis(300);

/// Pause before the log's end is read again when it does not fit the follower's position: the follower is
/// about to notice that the log was replaced or put back.
pub(crate) const END_RECHECK: Duration = Duration::from_millis(50);

/// Longest `sync.deadline_seconds`: after that time the user has stopped waiting.
pub(crate) const MAX_DEADLINE_SECONDS: u64 = 60;

/// Largest response that the client reads. A state is no larger than a webhook's payload, 25 MB.
pub(crate) const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Largest request that the server reads: a URI has up to 256 bytes.
pub(crate) const MAX_REQUEST_BYTES: usize = 4 * 1024;

/// How often the log's head is read for the lag, in case the follower hangs.
pub(crate) const HEAD_INTERVAL: Duration = Duration::from_secs(2);

/// Pauses before the second, third and further attempts of a read that broke with its connection or found
/// no peer, all within the deadline of the whole call. The first repetition finds another instance at
/// once, if there is one behind the address; the last ones bridge the moment in which a balancer still
/// chooses an instance that has stopped.
pub(crate) const RETRY_PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(300),
];
