//! Every limit of this crate, with its unit and the reason for its value.

use std::time::Duration;

/// Maximum wait for the bus to accept a hint. If it does not, readers find the event when they next poll
/// the log.
pub(crate) const HINT_TIMEOUT: Duration = Duration::from_secs(2);

/// Time for which a writer uses the log's identity without reading it again. After a log was replaced
/// without an error for this writer, its hints name the old one for up to this time, and readers get its
/// events when they next poll.
pub(crate) const EPOCH_LIFETIME: Duration = Duration::from_secs(1);
