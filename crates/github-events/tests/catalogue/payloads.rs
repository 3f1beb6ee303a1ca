//! Payloads of a shape. Every text, number and time in one says where it stands, so that an event shows which
//! field of the payload each of its fields comes from.

use std::collections::BTreeMap;

use model::Timestamp;
use serde_json::{Map, Value};

use crate::shape::{Description, Shape};

/// How deep the objects of a payload are made; deeper ones are empty. GitHub's fields that matter are higher.
const MAX_DEPTH: usize = 6;
/// 2026-11-20T10:00:00Z.
const FIRST_TIME_MS: i64 = 1_795_168_800_000;

/// Which members a payload has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variant {
    /// All.
    Everything,
    /// Those that are required.
    Required,
    /// Those that are required, and null wherever that is allowed.
    Null,
}

pub(crate) const VARIANTS: [Variant; 3] = [Variant::Everything, Variant::Required, Variant::Null];

/// A payload, and where its numbers and times stand.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) payload: Value,
    numbers: BTreeMap<u64, String>,
    times: BTreeMap<Timestamp, String>,
}

impl Made {
    /// Where a number of the payload stands.
    pub(crate) fn place_of_number(&self, number: u64) -> &str {
        self.numbers.get(&number).map_or("?", String::as_str)
    }

    /// Where a time of the payload stands; `-` if it is not of the payload.
    pub(crate) fn place_of_time(&self, time: Timestamp) -> &str {
        let seconds = u64::try_from(time.unix_millis() / 1000).ok();
        let as_number = || self.numbers.get(&seconds?);
        self.times
            .get(&time)
            .or_else(as_number)
            .map_or("-", String::as_str)
    }
}

/// Makes a payload with this action.
pub(crate) fn make(
    description: &Description,
    shape: &Shape,
    variant: Variant,
    action: Option<&str>,
) -> Made {
    let mut maker = Maker {
        description,
        variant,
        numbers: BTreeMap::new(),
        times: BTreeMap::new(),
    };
    let mut payload = maker.value(shape, "", 0);
    if let Some(action) = action {
        payload["action"] = action.into();
    }
    Made {
        payload,
        numbers: maker.numbers,
        times: maker.times,
    }
}

/// Null, or a list of nulls.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().all(Value::is_null),
        other => other.is_null(),
    }
}

struct Maker<'d> {
    description: &'d Description,
    variant: Variant,
    numbers: BTreeMap<u64, String>,
    times: BTreeMap<Timestamp, String>,
}

impl Maker<'_> {
    fn value(&mut self, shape: &Shape, place: &str, depth: usize) -> Value {
        match shape {
            Shape::Named(_) => {
                let description = self.description;
                self.value(description.resolve(shape), place, depth)
            }
            Shape::Null | Shape::Any => Value::Null,
            Shape::Boolean => true.into(),
            Shape::Number => self.number(place),
            Shape::Text => self.text(place),
            Shape::Literal(words) => self.choice(words).clone(),
            Shape::List(element) => {
                let is_empty = self.variant == Variant::Null || depth >= MAX_DEPTH;
                let elements =
                    (!is_empty).then(|| self.value(element, &format!("{place}.0"), depth + 1));
                elements.into_iter().collect()
            }
            Shape::Object(fields) => {
                let mut members = Map::new();
                for field in fields {
                    // An issue that has it is a pull request.
                    let is_other = field.name == "pull_request" && place.ends_with("issue");
                    let optional = self.variant == Variant::Everything && !is_other;
                    let wanted = field.required || optional;
                    if wanted && depth < MAX_DEPTH {
                        let place = match place {
                            "" => field.name.clone(),
                            _ => format!("{place}.{}", field.name),
                        };
                        let value = self.value(&field.shape, &place, depth + 1);
                        members.insert(field.name.clone(), value);
                    }
                }
                Value::Object(members)
            }
            Shape::OneOf(any) => {
                let nulls = any.iter().any(|one| matches!(one, Shape::Null));
                let one = any.iter().find(|one| !matches!(one, Shape::Null));
                match one {
                    Some(one) if !(nulls && self.variant == Variant::Null) => {
                        self.value(one, place, depth)
                    }
                    _ => Value::Null,
                }
            }
            Shape::AllOf(all) => self.merged(all, place, depth),
        }
    }

    fn merged(&mut self, all: &[Shape], place: &str, depth: usize) -> Value {
        let mut members = Map::new();
        let mut other = Value::Null;
        for part in all {
            match self.value(part, place, depth) {
                // A part may refine a member of another one by a shape without a type.
                Value::Object(more) => {
                    for (name, value) in more {
                        let is_refined = members.contains_key(&name) && is_empty(&value);
                        if !is_refined {
                            members.insert(name, value);
                        }
                    }
                }
                Value::Null => {}
                value => other = value,
            }
        }
        match members.is_empty() {
            true => other,
            false => Value::Object(members),
        }
    }

    fn choice<'w>(&self, words: &'w [Value]) -> &'w Value {
        let null = words.iter().find(|word| word.is_null());
        let some = words.iter().find(|word| !word.is_null());
        match self.variant {
            Variant::Null => null.or(some),
            _ => some.or(null),
        }
        .unwrap_or(&Value::Null)
    }

    fn number(&mut self, place: &str) -> Value {
        let next = 1 + self.numbers.len() as u64;
        self.numbers.insert(next, place.to_owned());
        next.into()
    }

    fn text(&mut self, place: &str) -> Value {
        let name = place.rsplit('.').next().unwrap_or_default();
        if name.ends_with("_at") || matches!(name, "date" | "timestamp" | "since") {
            let minutes = i64::try_from(self.times.len()).unwrap();
            let time = Timestamp::from_unix_millis(FIRST_TIME_MS + minutes * 60_000);
            self.times.insert(time, place.to_owned());
            return time.to_string().into();
        }
        // Of those that a filter names, the place as GitHub could have written it.
        match name {
            "login" | "node_id" => place.replace('.', "_").into(),
            name if name.ends_with("_node_id") => place.replace('.', "_").into(),
            _ => place.into(),
        }
    }
}
