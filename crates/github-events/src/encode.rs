//! Encodes an event for the log, with a bounded size.

use model::{ResourceEvent, StoredEvent, TraceContext};
use serde_json::Value;

use crate::limits::MAX_EVENT_BYTES;

/// Encodes an event for the log, in up to [`MAX_EVENT_BYTES`], or in up to `max_bytes` if the log takes
/// less.
///
/// A larger event loses GitHub's object (`data` is null, `metadata.dataOmitted` is true) and, if that is
/// not enough, `metadata.changes`, which may quote whole texts. All remaining parts are bounded
/// ([`crate::limits::MAX_BARE_EVENT_BYTES`]). So the bus and every log can carry every event, and a consumer that needs
/// the object fetches it from GitHub.
///
/// # Errors
/// None in practice: JSON that could be decoded can be encoded.
pub fn encode(
    mut event: ResourceEvent,
    trace: TraceContext,
    max_bytes: usize,
) -> Result<StoredEvent, serde_json::Error> {
    let max_bytes = max_bytes.min(MAX_EVENT_BYTES);
    let stored = event.store(trace)?;
    if stored.json.len() <= max_bytes {
        return Ok(stored);
    }
    event.data = Value::Null;
    event.metadata.data_omitted = true;
    let stored = event.store(trace)?;
    if stored.json.len() <= max_bytes {
        return Ok(stored);
    }
    event.metadata.changes = Value::Null;
    event.store(trace)
}
