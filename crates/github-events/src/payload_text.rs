//! Reads a payload once, and passes GitHub's objects on as the text that GitHub sent: an event's `data` is not written anew.
//!
//! The text is passed on if it is what would be written: one line, and each key of an object once. Otherwise readers might
//! take another one of its values than was read here.

use std::{borrow::Cow, cell::Cell, fmt};

use memchr::memchr2;
use model::{DeliveredJson, DeliveredPart, without_byte_order_mark};
use serde::de::{DeserializeSeed, Deserializer as _, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Number, Value, value::RawValue};

use crate::{event::Content, family::ENVELOPE};

/// A payload, and its text.
#[derive(Debug)]
pub struct PayloadText<'b> {
    /// The payload.
    pub value: Value,
    /// Its text, if it can be passed on.
    text: Option<&'b [u8]>,
}

/// Where in a payload the JSON of an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventContent {
    pub(crate) content: Content,
    /// Members that events do not keep.
    pub(crate) omitted: &'static [&'static str],
}

impl<'b> PayloadText<'b> {
    /// Reads a payload. A byte order mark before it is skipped.
    ///
    /// # Errors
    /// It is no JSON, or beyond the limits of what is read.
    pub fn read(body: &'b [u8]) -> Result<Self, serde_json::Error> {
        let text = without_byte_order_mark(body);
        let repeats = Cell::new(false);
        let mut reader = Deserializer::from_slice(text);
        let value = (&mut reader).deserialize_any(ValueVisitor { repeats: &repeats })?;
        reader.end()?;
        let is_one_line = memchr2(b'\n', b'\r', text).is_none();
        Ok(Self {
            value,
            text: (is_one_line && !repeats.get()).then_some(text),
        })
    }

    /// The text from which the JSON of events is taken; `None` if it cannot be passed on.
    #[must_use]
    pub fn text(&self) -> Option<&'b [u8]> {
        self.text
    }
}

impl EventContent {
    /// The JSON of the event in the text of its payload, as [`crate::normalise`] divides it; `None` if the payload is no
    /// object.
    pub(crate) fn delivered<'b>(&self, text: &'b [u8]) -> Option<DeliveredJson<'b>> {
        let mut reader = Deserializer::from_slice(text);
        let members = (&mut reader).deserialize_map(MembersVisitor).ok()?;
        let mut delivered = DeliveredJson::default();
        let mut rest = Vec::with_capacity(members.len());
        for (key, json) in members {
            match &self.content {
                Content::Member(content) if *key == **content => {
                    delivered.data = DeliveredPart::Whole(json);
                }
                _ if key == "changes" => delivered.changes = DeliveredPart::Whole(json),
                _ if ENVELOPE.contains(&&*key) || self.omitted.contains(&&*key) => {}
                _ => rest.push((key, json)),
            }
        }
        if !rest.is_empty() {
            let rest = DeliveredPart::Members(rest);
            match self.content {
                Content::Member(_) => delivered.related = rest,
                Content::Payload => delivered.data = rest,
            }
        }
        Some(delivered)
    }
}

/// The members of an object, as text.
struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key_seed(KeySeed)? {
            members.push((key, map.next_value()?));
        }
        Ok(members)
    }
}

/// A key, which is copied only if it has escapes.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// As the visitor of [`Value`], which does not say that an object has a key twice.
#[derive(Clone, Copy)]
struct ValueVisitor<'r> {
    repeats: &'r Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for ValueVisitor<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, value: D) -> Result<Value, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let before = members.insert(key, map.next_value_seed(self)?);
            if before.is_some() {
                self.repeats.set(true);
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of_member(key: &str) -> EventContent {
        EventContent {
            content: Content::Member(key.to_owned()),
            omitted: &["issue_parent"],
        }
    }

    fn json(part: &DeliveredPart<'_>) -> String {
        serde_json::to_string(part).unwrap()
    }

    #[test]
    fn an_object_stays_as_it_was_sent() {
        let body = r#"{"action":"edited","issue":{"z":1,"a":[1.50,"\u00e9"]},"changes":{"b":0},"label":{"y":1,"x":2},"issue_parent":{},"repository":{}}"#;
        let payload = PayloadText::read(body.as_bytes()).unwrap();
        assert_eq!(payload.value, serde_json::from_str::<Value>(body).unwrap());
        let text = payload.text().unwrap();
        let delivered = of_member("issue").delivered(text).unwrap();
        assert_eq!(json(&delivered.data), r#"{"z":1,"a":[1.50,"\u00e9"]}"#);
        assert_eq!(json(&delivered.changes), r#"{"b":0}"#);
        assert_eq!(json(&delivered.related), r#"{"label":{"y":1,"x":2}}"#);
        let whole = EventContent {
            content: Content::Payload,
            omitted: &[],
        };
        let delivered = whole.delivered(text).unwrap();
        assert_eq!(json(&delivered.related), "null");
        assert!(json(&delivered.data).starts_with(r#"{"issue":{"z":1"#));
    }

    #[test]
    fn a_text_that_readers_may_understand_otherwise_is_not_passed_on() {
        for body in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":[{"c":1,"\u0063":2}]}}"#,
            "{\"a\":\n1}",
            "{\r\"a\":1}",
        ] {
            let payload = PayloadText::read(body.as_bytes()).unwrap();
            assert_eq!(payload.text(), None, "{body}");
            assert_eq!(payload.value, serde_json::from_str::<Value>(body).unwrap());
        }
    }

    #[test]
    fn what_serde_json_does_not_read_is_not_read() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for body in [
            "",
            "{",
            "{}x",
            "1e999",
            r#""\ud800""#,
            "{\"a\":\"\u{1}\"}",
            &deep,
        ] {
            let own = PayloadText::read(body.as_bytes()).unwrap_err().to_string();
            let serdes = serde_json::from_str::<Value>(body).unwrap_err().to_string();
            assert_eq!(own, serdes, "{body}");
        }
        let marked = PayloadText::read(b"\xef\xbb\xbf{}").unwrap();
        assert_eq!((marked.value, marked.text), (json!({}), Some(&b"{}"[..])));
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_serde_json_reads_it(body in "[\\[\\]{}:,\"a1.e \\\\-]{0,40}") {
            let own = PayloadText::read(body.as_bytes()).map(|payload| payload.value);
            let serdes = serde_json::from_slice::<Value>(body.as_bytes());
            prop_assert_eq!(own.ok(), serdes.ok());
        }
    }
}
