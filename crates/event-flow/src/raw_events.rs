//! Events of the log as JSON, passed on unchanged.

use model::{Sequenced, StoredEvent};
use serde_json::value::RawValue;

/// The events' own JSON, without parsing and encoding it again. An event whose stored text is not JSON is
/// left out; Forgewire never writes one.
#[must_use]
pub fn raw_events(events: Vec<Sequenced<StoredEvent>>) -> Vec<Box<RawValue>> {
    let raw = |event: Sequenced<StoredEvent>| {
        RawValue::from_string(String::from_utf8(event.item.json.into()).ok()?).ok()
    };
    events.into_iter().filter_map(raw).collect()
}
