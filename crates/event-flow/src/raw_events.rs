//! Events of the log as JSON, passed on unchanged.

use model::{Sequenced, StoredEvent};
use serde_json::value::RawValue;

/// The events of an answer.
#[derive(Debug)]
pub struct RawEvents {
    /// The events' own JSON, without parsing and encoding it again.
    pub events: Vec<Box<RawValue>>,
    /// Whether events before the first, or among these, are missing.
    pub truncated: bool,
}

/// The events' own JSON. An event whose stored text is not JSON is left out, and the answer is truncated;
/// Forgewire never writes one.
#[must_use]
pub fn raw_events(events: Vec<Sequenced<StoredEvent>>, truncated: bool) -> RawEvents {
    let raw = |event: Sequenced<StoredEvent>| {
        RawValue::from_string(String::from_utf8(event.item.json.into()).ok()?).ok()
    };
    let count = events.len();
    let events: Vec<_> = events.into_iter().filter_map(raw).collect();
    RawEvents {
        truncated: truncated || events.len() < count,
        events,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::event;
    use model::Sequence;

    #[test]
    fn an_event_that_is_no_json_is_left_out_and_told() {
        let sequenced = |n: u64| Sequenced {
            sequence: Sequence(n),
            item: event(n),
        };
        let mut events = vec![sequenced(1), sequenced(2)];
        assert!(!raw_events(events.clone(), false).truncated);
        events[0].item.json = "{".into();
        let raw = raw_events(events, false);
        assert_eq!((raw.events.len(), raw.truncated), (1, true));
    }
}
