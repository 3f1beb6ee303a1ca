//! Bounds of the cache.

use std::time::Duration;

/// Bytes of all entries together, if the configuration does not say. 20,000 issues of 1.5 KiB.
pub const DEFAULT_MAX_BYTES: u64 = 32 << 20;

/// Bytes that an entry counts for in addition to its JSON: its key, its dependencies, the cache's own nodes.
pub(crate) const ENTRY_BYTES: usize = 512;

/// Age at which an entry is read again though nothing is known to have changed it: the delay that a lost hint causes.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(60);

/// The same where nothing was found: who asks for what is not there may be about to make it.
pub(crate) const MAX_NONE_AGE: Duration = Duration::from_secs(5);

/// Number of names, ids and resources of which the last change is remembered, in each of the two parts of the table; about
/// 100 bytes each. Beyond it all entries are dropped. A resource is remembered for up to twice [`MAX_AGE`], so this is 400
/// different resources in a second.
pub(crate) const MAX_REMEMBERED: usize = 50_000;

/// Time for which the log's end is waited for. Then the log counts as one that does not answer (RR-03).
pub(crate) const END_PATIENCE: Duration = Duration::from_millis(500);

/// Time for which a reader waits for another one's call about the same thing before it makes its own.
pub(crate) const CALL_WAIT: Duration = Duration::from_secs(1);
