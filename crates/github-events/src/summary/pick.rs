//! Reads chosen parts of JSON in one pass, and keeps nothing of the others.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::text::shortened;

/// Maximum JSON of a text that is kept, in bytes: as much as an event's own texts may have.
const KEPT_TEXT_BYTES: usize = 2 << 10;
/// Maximum number of members or elements that a sample has of one value.
const SAMPLE_MEMBERS: usize = 16;

/// What to read of a value. Anything else in its place counts as absent.
#[derive(Debug, Clone, Copy)]
pub enum JsonSelection {
    /// A text, a number or a flag.
    Scalar,
    /// The number of elements of an array.
    Count,
    /// Anything: of arrays and objects the first elements or members, down to this depth.
    Sample(u8),
    /// These members of an object.
    Members(&'static [(&'static str, JsonSelection)]),
    /// This of each element of an array, up to 16 of them. `…` stands for the others.
    Elements(&'static JsonSelection),
}

/// The wanted parts of the JSON, null for those that it does not have. Texts are cut to 2 KiB.
///
/// # Errors
/// It is not JSON.
pub fn pick(json: &[u8], wanted: &JsonSelection) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let picked = wanted.deserialize(&mut reader)?;
    reader.end()?;
    Ok(picked)
}

impl JsonSelection {
    /// A scalar where one is wanted.
    fn scalar(self, value: impl Into<Value>) -> Value {
        match self {
            Self::Scalar | Self::Sample(_) => value.into(),
            Self::Count | Self::Members(_) | Self::Elements(_) => Value::Null,
        }
    }

    /// What is wanted of a member, in an object of which `kept` members were kept.
    fn member(self, key: &str, kept: usize) -> Option<Self> {
        match self {
            Self::Members(members) => {
                let mut members = members.iter();
                members
                    .find(|(name, _)| *name == key)
                    .map(|(_, wanted)| *wanted)
            }
            Self::Sample(depth) if depth > 0 && kept < SAMPLE_MEMBERS => {
                Some(Self::Sample(depth - 1))
            }
            _ => None,
        }
    }
}

impl<'de> DeserializeSeed<'de> for &JsonSelection {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(*self)
    }
}

impl<'de> Visitor<'de> for JsonSelection {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(self.scalar(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(self.scalar(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(self.scalar(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(self.scalar(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(match self {
            Self::Scalar | Self::Sample(_) => shortened(text, KEPT_TEXT_BYTES, super::CUT).into(),
            Self::Count | Self::Members(_) | Self::Elements(_) => Value::Null,
        })
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        let inner = match self {
            Self::Sample(depth @ 1..) => Some(Self::Sample(depth - 1)),
            Self::Elements(inner) => Some(*inner),
            _ => None,
        };
        if let Some(inner) = inner {
            while kept.len() < SAMPLE_MEMBERS
                && let Some(element) = elements.next_element_seed(&inner)?
            {
                kept.push(element);
            }
        }
        let mut others = 0_u64;
        while elements.next_element::<IgnoredAny>()?.is_some() {
            others += 1;
        }
        Ok(match self {
            Self::Count => others.into(),
            Self::Sample(1..) => kept.into(),
            Self::Elements(_) => {
                kept.extend((others > 0).then(|| super::CUT.into()));
                kept.into()
            }
            _ => Value::Null,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            match self.member(&key, kept.len()) {
                Some(wanted) => {
                    let value = members.next_value_seed(&wanted)?;
                    kept.insert(shortened(&key, KEPT_TEXT_BYTES, super::CUT), value);
                }
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(match self {
            Self::Members(_) | Self::Sample(1..) => Value::Object(kept),
            _ => Value::Null,
        })
    }
}
