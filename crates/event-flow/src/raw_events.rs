//! Events of the log as JSON, passed on unchanged.

use model::{Sequenced, StoredEvent};
use serde_json::{Map, Value, value::RawValue};

/// The events' own JSON, without parsing and encoding it again. An event whose stored text is not JSON is
/// left out; Forgewire never writes one.
#[must_use]
pub fn raw_events(events: Vec<Sequenced<StoredEvent>>) -> Vec<Box<RawValue>> {
    raw_events_up_to(events, usize::MAX)
}

/// As [`raw_events`]; an event of more than `max_event_bytes` bytes comes without GitHub's object, and says
/// so (`metadata.dataOmitted`), as an event does that is too large for the log.
#[must_use]
pub fn raw_events_up_to(
    events: Vec<Sequenced<StoredEvent>>,
    max_event_bytes: usize,
) -> Vec<Box<RawValue>> {
    let raw = |event: Sequenced<StoredEvent>| match event.item.json {
        json if json.len() <= max_event_bytes => {
            RawValue::from_string(String::from_utf8(json.into()).ok()?).ok()
        }
        json => without_data(&json),
    };
    events.into_iter().filter_map(raw).collect()
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
    use model::Sequence;

    use super::*;

    #[test]
    fn an_event_that_does_not_fit_comes_without_its_data_and_says_so() {
        let event = |data: &str| {
            let json = serde_json::json!({
                "id": "e1", "data": { "body": data },
                "metadata": { "delivery": "d", "changes": { "body": { "from": data } } },
            });
            Sequenced {
                sequence: Sequence(1),
                item: StoredEvent {
                    json: json.to_string().into(),
                    ..contract::event(1)
                },
            }
        };
        let (small, large) = (event("x"), event(&"x".repeat(1000)));
        let raw = raw_events_up_to(vec![small.clone(), large], 1000);
        assert_eq!(raw[0].get().as_bytes(), &small.item.json[..], "unchanged");
        let stripped: Value = serde_json::from_str(raw[1].get()).unwrap();
        let expected = serde_json::json!({
            "id": "e1", "data": null, "metadata": { "delivery": "d", "dataOmitted": true },
        });
        assert_eq!(stripped, expected);
    }
}
