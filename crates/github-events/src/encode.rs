//! Encodes an event for the log, with a bounded size.

use model::{ResourceEvent, StoredEvent, TraceContext};
use serde_json::Value;

use crate::{EventContent, limits::MAX_EVENT_BYTES};

/// Encodes an event for the log, in up to [`MAX_EVENT_BYTES`], or in up to `max_bytes` if the log takes
/// less.
///
/// A larger event loses what alone is larger. As far as that is not enough, it loses GitHub's object (`data` is null,
/// `metadata.dataOmitted` is true), then the rest of the payload (`metadata.related`), then `metadata.changes`, which
/// may quote whole texts. All remaining parts are bounded ([`crate::limits::MAX_BARE_EVENT_BYTES`]). So the bus and
/// every log can carry every event, and a consumer that needs the object fetches it from GitHub.
///
/// # Errors
/// None in practice: JSON that could be decoded can be encoded.
pub fn encode(
    mut event: ResourceEvent,
    trace: TraceContext,
    max_bytes: usize,
) -> Result<StoredEvent, serde_json::Error> {
    let max_bytes = max_bytes.min(MAX_EVENT_BYTES);
    // 25 MB are not encoded to find out that they are too many.
    let mut expected = FACTS_BYTES;
    for part in PARTS {
        match least_bytes(part.of(&mut event), max_bytes) {
            Some(bytes) => expected += bytes + bytes / ESCAPES_PART,
            None => part.omit(&mut event),
        }
    }
    for part in PARTS {
        let stored = event.store_expecting(trace, expected)?;
        if stored.json.len() <= max_bytes {
            return Ok(stored);
        }
        part.omit(&mut event);
    }
    event.store_expecting(trace, expected)
}

/// As [`encode`], with GitHub's JSON as it was sent, if that fits: then it is copied and not written anew. `text` is that of the
/// payload ([`crate::PayloadText::text`]).
///
/// # Errors
/// As [`encode`].
pub fn encode_delivered(
    event: ResourceEvent,
    (content, text): (&EventContent, Option<&[u8]>),
    trace: TraceContext,
    max_bytes: usize,
) -> Result<StoredEvent, serde_json::Error> {
    let fits = |text: &&[u8]| text.len() <= max_bytes.min(MAX_EVENT_BYTES);
    let text = text.filter(fits);
    if let Some(delivered) = text.and_then(|text| content.delivered(text)) {
        let expected = FACTS_BYTES + text.map_or(0, <[u8]>::len);
        let stored = event.store_delivered(&delivered, trace, expected)?;
        if stored.json.len() <= max_bytes.min(MAX_EVENT_BYTES) {
            return Ok(stored);
        }
    }
    encode(event, trace, max_bytes)
}

/// What the parts of an event that are not GitHub's take of its JSON, as a rule.
const FACTS_BYTES: usize = 1024;
/// Escapes (line breaks and quotes in texts) take one of so many bytes, as a rule.
const ESCAPES_PART: usize = 16;

/// A part of an event that has GitHub's JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Data,
    Related,
    Changes,
}

/// In the order in which they are omitted.
const PARTS: [Part; 3] = [Part::Data, Part::Related, Part::Changes];

impl Part {
    fn of(self, event: &mut ResourceEvent) -> &mut Value {
        match self {
            Self::Data => &mut event.data,
            Self::Related => &mut event.metadata.related,
            Self::Changes => &mut event.metadata.changes,
        }
    }

    fn omit(self, event: &mut ResourceEvent) {
        *self.of(event) = Value::Null;
        event.metadata.data_omitted |= self == Self::Data;
    }
}

/// The bytes that the JSON of a value has at least; `None` if it has more than this. Looks at no more of it than that.
fn least_bytes(value: &Value, max_bytes: usize) -> Option<usize> {
    let mut rest = max_bytes;
    takes(value, &mut rest).then(|| max_bytes - rest)
}

/// Takes the least that the JSON of a value can have from `rest`; whether it was there.
fn takes(value: &Value, rest: &mut usize) -> bool {
    let own = match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 1,
        Value::String(text) => text.len() + 2,
        // Brackets, and a comma for each element but the last.
        Value::Array(elements) => 2 + elements.len().saturating_sub(1),
        // The same, and for each member a key in quotes and a colon.
        Value::Object(members) => 2 + (4 * members.len()).saturating_sub(1),
    };
    let Some(left) = rest.checked_sub(own) else {
        return false;
    };
    *rest = left;
    match value {
        Value::Array(elements) => elements.iter().all(|element| takes(element, rest)),
        Value::Object(members) => members.iter().all(|(key, member)| {
            let left = rest.checked_sub(key.len());
            *rest = left.unwrap_or_default();
            left.is_some() && takes(member, rest)
        }),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_larger_is_known_without_encoding_it() {
        let value = json!({"a": ["x".repeat(100), 1, null, true], "b": {}});
        let bytes = value.to_string().len();
        assert_eq!(least_bytes(&value, bytes), Some(bytes));
        assert_eq!(least_bytes(&value, bytes - 1), None);
        assert_eq!(least_bytes(&json!(vec![0; 1000]), 2000), None);
        assert_eq!(least_bytes(&json!(vec![0; 1000]), 2001), Some(2001));
    }

    proptest! {
        #[test]
        fn no_value_that_fits_counts_as_larger(texts in prop::collection::vec("\\PC{0,9}", 0..9), number in any::<f64>()) {
            let value = json!({"texts": texts, "number": number, "nested": {"texts": [texts, [], {}]}});
            let bytes = value.to_string().len();
            prop_assert!(least_bytes(&value, bytes).is_some_and(|least| least <= bytes));
        }
    }
}
