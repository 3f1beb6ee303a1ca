//! Every bound of the flow of events, with its unit and the reason for its value.

use std::time::Duration;

/// Longest wait for the bus to take a hint; after that readers find the event when they next poll the log.
pub const HINT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one question to the log may keep its asker waiting.
pub const QUERY_DEADLINE: Duration = Duration::from_secs(5);
