//! Every limit of this crate, with its unit and the reason for its value.

use std::time::Duration;

/// Maximum wait for the bus to accept a hint. If it does not, readers find the event when they next poll
/// the log.
pub(crate) const HINT_TIMEOUT: Duration = Duration::from_secs(2);
