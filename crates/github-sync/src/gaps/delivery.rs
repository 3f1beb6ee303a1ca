//! A delivery as GitHub lists it, and as it gives it by itself.

use std::collections::BTreeMap;

use model::{DeliveryId, Timestamp, delivery_time};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// Longest name of an event that is believed, in bytes; GitHub's longest has 38.
const MAX_NAME_BYTES: usize = 100;

/// An attempt in GitHub's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SweptDelivery {
    pub(super) id: u64,
    pub(super) guid: DeliveryId,
    pub(super) event: Box<str>,
    pub(super) delivered_at: Timestamp,
    /// The answer of the receiver; 0 if there was none.
    pub(super) status_code: u16,
}

#[derive(Deserialize)]
struct WrittenAttempt {
    id: u64,
    guid: String,
    event: String,
    delivered_at: String,
    #[serde(default)]
    status_code: Option<u16>,
}

impl SweptDelivery {
    /// Reads an entry of the list.
    fn read(entry: &RawValue) -> Option<Self> {
        let written: WrittenAttempt = serde_json::from_str(entry.get()).ok()?;
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let event = written.event;
        let has_name = (1..=MAX_NAME_BYTES).contains(&event.len()) && event.bytes().all(is_name);
        Some(Self {
            id: written.id,
            guid: DeliveryId::new(&written.guid).ok()?,
            event: has_name.then_some(event)?.into(),
            delivered_at: Timestamp::parse(&written.delivered_at)?,
            status_code: written.status_code.unwrap_or_default(),
        })
    }

    /// Reads a page; entries that make no sense do not hide the others. Returns their number too.
    pub(super) fn read_page(entries: &[Box<RawValue>]) -> (Vec<Self>, usize) {
        let read: Vec<_> = entries
            .iter()
            .filter_map(|entry| Self::read(entry))
            .collect();
        let unreadable = entries.len() - read.len();
        (read, unreadable)
    }

    /// GitHub's order of what happened: every attempt to deliver it has the same GUID, which tells when it was made.
    pub(super) fn made_at(&self) -> u64 {
        delivery_time(Some(self.guid.as_str()), self.delivered_at)
    }

    /// Whether the receiver took it.
    pub(super) fn is_ok(&self) -> bool {
        (200..300).contains(&self.status_code)
    }
}

/// A delivery by itself.
#[derive(Deserialize)]
pub(super) struct DeliveryDetails {
    pub(super) guid: String,
    pub(super) event: String,
    request: DetailedRequest,
}

#[derive(Deserialize)]
struct DetailedRequest {
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    payload: Option<Box<RawValue>>,
}

impl DeliveryDetails {
    /// The id of the webhook, as GitHub sent it.
    pub(super) fn hook_id(&self) -> Option<String> {
        let headers = self.request.headers.as_ref()?;
        let mut headers = headers.iter();
        let (_, id) = headers.find(|(name, _)| name.eq_ignore_ascii_case("x-github-hook-id"))?;
        let id = id.as_str()?;
        let is_number = (1..=MAX_NAME_BYTES).contains(&id.len())
            && id.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| id.to_owned())
    }

    /// The payload, as GitHub writes it; `None` if GitHub has it no longer.
    pub(super) fn payload(&self) -> Option<&str> {
        self.request.payload.as_deref().map(RawValue::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_makes_no_sense_does_not_hide_the_others() {
        let good = r#"{"id":7,"guid":"72d3162e-cc78-11e3-81ab-4c9367dc0958","event":"issues",
            "delivered_at":"2026-11-30T10:00:00.123Z","status_code":502,"action":"opened"}"#;
        let entries = [
            good.to_owned(),
            good.replace("502", "null"),
            good.replace("issues", "a b"),
            good.replace("72d3162e-cc78", "../72d3"),
            good.replace("2026-11-30T", "at "),
            "[]".to_owned(),
        ];
        let entries = entries.map(|text| RawValue::from_string(text).unwrap());
        let (read, unreadable) = SweptDelivery::read_page(&entries);
        assert_eq!((read.len(), unreadable), (2, 4));
        assert!(!read[0].is_ok() && read[0].status_code == 502);
        assert_eq!(read[1].status_code, 0);
    }
}
