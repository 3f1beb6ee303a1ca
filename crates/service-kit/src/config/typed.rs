//! Deserializes merged values into the caller's structs. Values from the environment are text: the type
//! of the target field decides how a text is read, so that a secret `12345` stays a string.

use std::fmt::Display;

use figment::{
    Figment, Source,
    value::{Dict, Tag, Value},
};
use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess,
        Unexpected, Visitor, value::MapAccessDeserializer,
    },
    forward_to_deserialize_any,
};

use super::{ConfigProblem, MAX_PROBLEMS, TEXT, file};

/// Returns the configuration, or adds its problems to `problems`. After a problem it continues without
/// the key in question, so that one start shows all problems.
pub(super) fn extract<T: DeserializeOwned>(
    figment: &Figment,
    problems: &mut Vec<ConfigProblem>,
) -> Option<T> {
    let mut values = figment.find_value("").ok()?.into_dict().unwrap_or_default();
    while problems.len() < MAX_PROBLEMS {
        let value = Value::Dict(Tag::Default, values.clone());
        match T::deserialize(Typed {
            figment,
            value,
            tag: Tag::Default,
            text: false,
        }) {
            Ok(config) => return Some(config),
            Err(failure) => {
                let removed = remove(&mut values, &failure.path);
                problems.push(failure.into_problem());
                if !removed {
                    return None;
                }
            }
        }
    }
    None
}

/// Removes the value at the path, or the list that contains it.
fn remove(values: &mut Dict, path: &[String]) -> bool {
    let Some((key, rest)) = path.split_first() else {
        return false;
    };
    match values.get_mut(key) {
        Some(Value::Dict(_, inner)) if !rest.is_empty() => remove(inner, rest),
        _ => values.remove(key).is_some(),
    }
}

/// The problem of one value. Its texts never contain a string from the configuration.
#[derive(Debug)]
struct Failure {
    path: Vec<String>,
    origin: Option<String>,
    what: String,
}

impl Failure {
    fn new(what: String) -> Self {
        Self {
            path: Vec::new(),
            origin: None,
            what,
        }
    }

    fn at(mut self, key: String, origin: impl FnOnce() -> Option<String>) -> Self {
        self.path.insert(0, key);
        self.origin = self.origin.or_else(origin);
        self
    }

    fn into_problem(self) -> ConfigProblem {
        let nowhere = || "nowhere: it is not set and has no default".to_owned();
        let origin = self.origin.unwrap_or_else(nowhere);
        ConfigProblem {
            key: self.path.join("."),
            origin,
            what: self.what,
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: Display>(what: T) -> Self {
        Self::new(what.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {}", kind(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        // A number that is too large is not a secret, and seeing it helps.
        Self::new(match found {
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => {
                format!("expected {expected}, found {found}")
            }
            _ => format!("expected {expected}, found another {}", kind(&found)),
        })
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "unknown value; the known values are {}",
            expected.join(", ")
        ))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(match expected {
            [] => "unknown key; there are none here".to_owned(),
            known => format!("unknown key; the known keys here are {}", known.join(", ")),
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("it must be set".to_owned()).at(field.to_owned(), || None)
    }
}

/// The kind of a value in the terms of a configuration, without the value.
fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "bool",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "integer",
        Unexpected::Float(_) => "fraction",
        Unexpected::Char(_) | Unexpected::Str(_) => "string",
        Unexpected::Seq => "list",
        Unexpected::Map => "table",
        Unexpected::Unit | Unexpected::Option => "nothing",
        _ => "something else",
    }
}

/// A value that is being deserialized into a field.
struct Typed<'f> {
    figment: &'f Figment,
    value: Value,
    /// The origin: its own tag, or that of the text that it was cut out of.
    tag: Tag,
    /// Whether a string in it is text that has yet to be converted to the type of the field.
    text: bool,
}

impl<'f> Typed<'f> {
    /// A value inside a table or list of values.
    fn inside(&self, value: Value) -> Self {
        let tag = value.tag();
        if tag == Tag::Default {
            return Self {
                figment: self.figment,
                value,
                tag: self.tag,
                text: self.text,
            };
        }
        let source = self
            .figment
            .get_metadata(tag)
            .and_then(|metadata| metadata.source.as_ref());
        let text = source.and_then(Source::custom) == Some(TEXT);
        Self {
            figment: self.figment,
            value,
            tag,
            text,
        }
    }

    /// A value that was cut out of a text.
    fn cut(&self, value: Value, text: bool) -> Self {
        Self {
            figment: self.figment,
            value,
            tag: self.tag,
            text,
        }
    }

    /// The text, if the value is one.
    fn as_text(&self) -> Option<&str> {
        self.value.as_str().filter(|_| self.text).map(str::trim)
    }

    fn entries(self, values: Dict) -> Entries<'f> {
        let entries = values
            .into_iter()
            .map(|(key, value)| (key, self.inside(value)));
        Entries {
            rest: entries.collect::<Vec<_>>().into_iter(),
            next: None,
        }
    }

    fn items(self, values: Vec<Value>) -> Items<'f> {
        let items: Vec<_> = values.into_iter().map(|value| self.inside(value)).collect();
        Items {
            rest: items.into_iter().enumerate(),
        }
    }
}

/// The name of the origin that a tag refers to.
fn origin(figment: &Figment, tag: Tag) -> Option<String> {
    figment
        .get_metadata(tag)
        .map(|metadata| metadata.name.clone().into_owned())
}

/// The origin of a value; for a table that is merged from several origins, that of its first leaf.
fn leaf_origin(figment: &Figment, value: &Value, tag: Tag) -> Option<String> {
    match value {
        Value::Dict(_, inner) if !inner.is_empty() => inner
            .values()
            .find_map(|inner| leaf_origin(figment, inner, inner.tag())),
        _ => origin(figment, tag),
    }
}

/// Splits `a,b` or `[a, b]` into items; an item in quotes may contain commas. A list that contains
/// tables is not split here but read as TOML.
fn split(text: &str) -> Vec<String> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let (mut items, mut item, mut quote) = (Vec::new(), String::new(), None);
    for c in bracketed.unwrap_or(text).chars() {
        match (quote, c) {
            (None, '"' | '\'') if item.trim().is_empty() => {
                item.clear();
                quote = Some(c);
            }
            (Some(open), _) if c == open => quote = None,
            (None, ',') => items.push(std::mem::take(&mut item)),
            _ => item.push(c),
        }
    }
    items.push(item);
    items
        .into_iter()
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

/// The value of a text that is a TOML value; `None` for any other text.
fn as_toml(text: &str) -> Option<Value> {
    let mut table = format!("value = {text}").parse::<toml::Table>().ok()?;
    table.remove("value").map(file::to_value)
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            let Some(text) = self.as_text() else { return self.deserialize_any(visitor) };
            if let Ok(number) = text.parse::<u64>() {
                visitor.visit_u64(number)
            } else if let Ok(number) = text.parse::<i64>() {
                visitor.visit_i64(number)
            } else if let Ok(number) = text.parse::<f64>() {
                visitor.visit_f64(number)
            } else {
                Err(de::Error::invalid_type(Unexpected::Str(text), &visitor))
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Typed<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Failure> {
        match std::mem::replace(&mut self.value, Value::from(false)) {
            Value::String(_, text) => visitor.visit_string(text),
            Value::Char(_, c) => visitor.visit_char(c),
            Value::Bool(_, yes) => visitor.visit_bool(yes),
            Value::Num(_, number) => {
                if let Some(number) = number.to_u128().and_then(|n| u64::try_from(n).ok()) {
                    visitor.visit_u64(number)
                } else if let Some(number) = number.to_i128().and_then(|n| i64::try_from(n).ok()) {
                    visitor.visit_i64(number)
                } else {
                    visitor.visit_f64(number.to_f64().unwrap_or(f64::NAN))
                }
            }
            Value::Empty(..) => visitor.visit_unit(),
            Value::Dict(_, values) => visitor.visit_map(self.entries(values)),
            Value::Array(_, values) => visitor.visit_seq(self.items(values)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.as_text() {
            Some("true" | "1") => visitor.visit_bool(true),
            Some("false" | "0") => visitor.visit_bool(false),
            Some(text) => Err(de::Error::invalid_type(
                Unexpected::Str(text),
                &"true or false",
            )),
            None => self.deserialize_any(visitor),
        }
    }

    numbers! {
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_f32 deserialize_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match (&self.value, self.as_text()) {
            (Value::Empty(..), _) | (_, Some("")) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let Some(text) = self.as_text() else {
            return self.deserialize_any(visitor);
        };
        let items = match as_toml(text).and_then(Value::into_array) {
            // Tables and lists inside a list are read as TOML; anything else stays text until its field
            // is known.
            Some(values)
                if values
                    .iter()
                    .any(|v| matches!(v, Value::Dict(..) | Value::Array(..))) =>
            {
                values
                    .into_iter()
                    .map(|value| self.cut(value, false))
                    .collect()
            }
            _ => split(text)
                .into_iter()
                .map(|item| self.cut(item.into(), true))
                .collect::<Vec<_>>(),
        };
        visitor.visit_seq(Items {
            rest: items.into_iter().enumerate(),
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let table = self
            .as_text()
            .map(|text| as_toml(text).and_then(Value::into_dict));
        match table {
            Some(Some(values)) => visitor.visit_map(self.cut(false.into(), false).entries(values)),
            Some(None) => Err(de::Error::invalid_type(Unexpected::Str(""), &visitor)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_map(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match std::mem::replace(&mut self.value, Value::from(false)) {
            Value::String(_, text) => visitor.visit_enum(text.into_deserializer()),
            Value::Dict(_, values) => {
                visitor.visit_enum(MapAccessDeserializer::new(self.entries(values)))
            }
            value => self.cut(value, false).deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple_struct identifier
        ignored_any
    }
}

/// The entries of a table.
struct Entries<'f> {
    rest: std::vec::IntoIter<(String, Typed<'f>)>,
    next: Option<(String, Typed<'f>)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failure> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        let known =
            seed.deserialize(key.as_str().into_deserializer())
                .map_err(|failure: Failure| {
                    failure.at(key.clone(), || {
                        leaf_origin(value.figment, &value.value, value.tag)
                    })
                });
        self.next = Some((key, value));
        known.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let Some((key, value)) = self.next.take() else {
            return Err(de::Error::custom("a value was requested before its key"));
        };
        let (figment, tag) = (value.figment, value.tag);
        seed.deserialize(value)
            .map_err(|failure| failure.at(key, || origin(figment, tag)))
    }
}

/// The items of a list.
struct Items<'f> {
    rest: std::iter::Enumerate<std::vec::IntoIter<Typed<'f>>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        let Some((index, item)) = self.rest.next() else {
            return Ok(None);
        };
        let (figment, tag) = (item.figment, item.tag);
        let value = seed.deserialize(item);
        value
            .map(Some)
            .map_err(|failure| failure.at(index.to_string(), || origin(figment, tag)))
    }
}
