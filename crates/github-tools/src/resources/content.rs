//! A list within its bytes.

use mcp_server::answer_size::DEFAULT_RESULT_BYTES;
use model::Timestamp;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::limits::FRAME_BYTES;

/// The content of a resource that is a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListContent {
    as_of: Option<String>,
    count: usize,
    left_out: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    items: Vec<Box<RawValue>>,
}

/// A list that is being made.
#[derive(Debug, Default)]
pub(crate) struct ListInBytes {
    /// Since when each part of the list is known to be whole.
    pub(crate) as_of: Vec<Option<Timestamp>>,
    pub(crate) notes: Vec<String>,
    /// JSON of the items, the most telling first.
    pub(crate) items: Vec<String>,
}

impl ListInBytes {
    /// As JSON of up to as many bytes as an answer of the default size has; what has no room is counted.
    pub(crate) fn finish(self) -> String {
        let mut left = DEFAULT_RESULT_BYTES - FRAME_BYTES;
        let all = self.items.len();
        let fits = |item: &String| {
            let rest = left.checked_sub(item.len() + 1);
            left = rest.unwrap_or_default();
            rest.is_some()
        };
        let items = self.items.into_iter().take_while(fits);
        let items: Vec<_> = items
            .filter_map(|item| RawValue::from_string(item).ok())
            .collect();
        // As old as its oldest part.
        let as_of: Option<Vec<Timestamp>> = self.as_of.into_iter().collect();
        let as_of = as_of.and_then(|times| times.into_iter().min());
        let content = ListContent {
            as_of: as_of.map(|time| time.to_string()),
            count: items.len(),
            left_out: all - items.len(),
            notes: self.notes,
            items,
        };
        serde_json::to_string(&content).expect("texts and JSON are JSON")
    }
}

/// An item with one more member before the others.
pub(crate) fn with_member((key, value): (&str, &str), item: &str) -> String {
    let (key, value) = (Value::from(key), Value::from(value));
    match item.strip_prefix('{') {
        Some("}") | None => format!("{{{key}:{value}}}"),
        Some(members) => format!("{{{key}:{value},{members}"),
    }
}
