//! The largest message that the server takes (`max_payload`), and the largest event that fits into it.

use tracing::warn;

use crate::NatsError;

/// Maximum bytes of a message beside the JSON of its event, in the log and in a hint: facts (100 labels
/// of 256 bytes, a dozen names of up to 1 KiB), headers and the frames around them.
const OVERHEAD_BYTES: usize = 44 * 1024;
/// Smallest `max_payload` with which an event without `data` and `changes` (up to 80 KiB) always fits.
/// The server's own default is 1 MiB.
const MIN_PAYLOAD_BYTES: usize = 128 * 1024;
/// Events are encoded in up to 512 KiB; from here on none loses its `data` because of the server.
const FULL_PAYLOAD_BYTES: usize = 512 * 1024 + OVERHEAD_BYTES;

/// Refusal of appends to a server whose `max_payload` became too small while this process runs.
pub(crate) const TOO_SMALL: &str =
    "max_payload of the NATS server is below 128 KiB: raise it in the server's configuration";

/// Refuses a server that is too small for any event.
pub(crate) fn check(max_payload: usize) -> Result<(), NatsError> {
    if max_payload < MIN_PAYLOAD_BYTES {
        return Err(NatsError::MaxPayload {
            max_bytes: max_payload,
            min_bytes: MIN_PAYLOAD_BYTES,
        });
    }
    Ok(())
}

/// Warns of a server that is too small for some events: once, when it is known.
pub(crate) fn warn_if_small(max_payload: usize) {
    if (MIN_PAYLOAD_BYTES..FULL_PAYLOAD_BYTES).contains(&max_payload) {
        warn!(
            max_payload,
            max_event_bytes = max_event_bytes(max_payload),
            "larger events are stored without their `data`, because max_payload of the NATS server is \
             small; raise it to the default of 1 MiB"
        );
    }
}

/// Maximum bytes of a message beside the body of its entry: headers and the frame.
const AROUND_BODY_BYTES: usize = OVERHEAD_BYTES - proto::EVENT_FACTS_BYTES;

/// Largest body of an entry that fits into a message.
pub(crate) const fn max_body_bytes(max_payload: usize) -> usize {
    max_payload.saturating_sub(AROUND_BODY_BYTES)
}

/// Largest JSON of an event that fits into a message.
const fn max_event_bytes(max_payload: usize) -> usize {
    max_payload.saturating_sub(OVERHEAD_BYTES)
}
