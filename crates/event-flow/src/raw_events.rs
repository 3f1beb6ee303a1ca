//! Events of the log as JSON that is passed on as it is.

use model::{Sequenced, StoredEvent};
use serde_json::value::RawValue;

/// The events' own JSON, not parsed and built again. What is no JSON is left out: nothing of ours ever is.
#[must_use]
pub fn raw_events(events: Vec<Sequenced<StoredEvent>>) -> Vec<Box<RawValue>> {
    let raw = |event: Sequenced<StoredEvent>| {
        RawValue::from_string(String::from_utf8(event.item.json.into()).ok()?).ok()
    };
    events.into_iter().filter_map(raw).collect()
}
