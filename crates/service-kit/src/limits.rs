//! Every bound of probes, with its unit and reason.
//!
//! They belong together: a fault shows within [`NOT_READY_AFTER`], and its end within about two
//! intervals after the connection is back (adapters reconnect within a second); each is below 5 s.

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
