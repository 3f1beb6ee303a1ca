//! The times at which the server stored messages.

use model::Timestamp;

/// A time of the server, given in nanoseconds since the Unix epoch.
pub(super) fn stored_at(nanos: i128) -> Timestamp {
    let millis = i64::try_from(nanos.div_euclid(1_000_000));
    millis.map_or(Timestamp::MAX, Timestamp::from_unix_millis)
}
