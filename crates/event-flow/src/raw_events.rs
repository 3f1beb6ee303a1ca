//! Events of the log as JSON, passed on unchanged.

use model::{Sequenced, StoredEvent};
use serde_json::{Map, Value, value::RawValue};

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
    raw_events_up_to(events, truncated, usize::MAX)
}

/// As [`raw_events`]; an event of more than `max_event_bytes` bytes comes without GitHub's object, and says
/// so (`metadata.dataOmitted`), as an event does that is too large for the log.
#[must_use]
pub fn raw_events_up_to(
    events: Vec<Sequenced<StoredEvent>>,
    truncated: bool,
    max_event_bytes: usize,
) -> RawEvents {
    let raw = |event: Sequenced<StoredEvent>| match event.item.json {
        json if json.len() <= max_event_bytes => {
            RawValue::from_string(String::from_utf8(json.into()).ok()?).ok()
        }
        json => without_data(&json),
    };
    let count = events.len();
    let events: Vec<_> = events.into_iter().filter_map(raw).collect();
    RawEvents {
        truncated: truncated || events.len() < count,
        events,
    }
}

fn without_data(json: &[u8]) -> Option<Box<RawValue>> {
    let mut event: Map<String, Value> = serde_json::from_slice(json).ok()?;
    event.insert("data".to_owned(), Value::Null);
    let metadata = event
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(metadata) = metadata {
        // The changes of an edited text are as long as the text.
        metadata.remove("changes");
        metadata.insert("dataOmitted".to_owned(), Value::Bool(true));
    }
    serde_json::value::to_raw_value(&event).ok()
}

#[cfg(test)]
mod tests {
    use contract::event;
    use model::Sequence;

    use super::*;

    fn sequenced(number: u64, json: &str) -> Sequenced<StoredEvent> {
        Sequenced {
            sequence: Sequence(number),
            item: StoredEvent {
                json: json.to_owned().into(),
                ..event(number)
            },
        }
    }

    #[test]
    fn an_event_that_is_no_json_is_left_out_and_told() {
        let mut events = vec![sequenced(1, "{}"), sequenced(2, "{}")];
        assert!(!raw_events(events.clone(), false).truncated);
        events[0].item.json = "{".into();
        let raw = raw_events(events, false);
        assert_eq!((raw.events.len(), raw.truncated), (1, true));
    }

    #[test]
    fn an_event_that_does_not_fit_comes_without_its_data_and_says_so() {
        let json = |data: &str| {
            let event = serde_json::json!({
                "id": "e1", "data": { "body": data },
                "metadata": { "delivery": "d", "changes": { "body": { "from": data } } },
            });
            event.to_string()
        };
        let small = json("x");
        let events = vec![sequenced(1, &small), sequenced(2, &json(&"x".repeat(1000)))];
        let raw = raw_events_up_to(events, false, 1000);
        assert!(!raw.truncated);
        assert_eq!(raw.events[0].get(), small, "unchanged");
        let stripped: Value = serde_json::from_str(raw.events[1].get()).unwrap();
        let expected = serde_json::json!({
            "id": "e1", "data": null, "metadata": { "delivery": "d", "dataOmitted": true },
        });
        assert_eq!(stripped, expected);
    }
}
