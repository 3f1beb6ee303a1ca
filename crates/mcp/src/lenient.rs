//! Values as serializers and models write them, where the meaning is certain.
//!
//! A serializer that writes every member writes `null` for one that is absent, and a form or a template an empty text; PHP writes an empty
//! object as `[]`; models write numbers and flags as text, and languages with one type of numbers
//! write 10 as `10.0`. The functions are for `#[serde(default, deserialize_with = "…")]`.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value, value::RawValue};

/// Whether a value stands for an absent object: null, or an empty array.
#[must_use]
pub fn is_no_object(raw: &RawValue) -> bool {
    let text = raw.get();
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    text == "null" || inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

/// Null counts as absent.
///
/// # Errors
/// The value is neither null nor a `T`.
pub fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A flag: `true`, `"true"`; null counts as absent, and absent as `false`.
///
/// # Errors
/// Any other value.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    optional_flag(deserializer).map(Option::unwrap_or_default)
}

/// As [`flag`], where absent means something else than `false`.
///
/// # Errors
/// As [`flag`].
pub fn optional_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    deserializer.deserialize_any(OptionalFlagVisitor)
}

/// The whole number that a text means: `10`, `10.0`, `1e1`, with white space around it or not.
#[must_use]
pub fn whole_number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.parse().ok().or_else(|| whole(text.parse().ok()?))
}

/// As [`whole_number`], and with the sign of GitHub's numbers: `#7`.
#[must_use]
pub fn resource_number(text: &str) -> Option<u64> {
    let text = text.trim();
    whole_number(text.strip_prefix('#').unwrap_or(text))
}

/// The number, if it is whole and not negative.
fn whole(number: f64) -> Option<u64> {
    // Written without a fraction, a whole number has digits only.
    let digits = format!("{number:.0}");
    digits.parse().ok().filter(|_| number.fract() == 0.0)
}

/// A number that counts something: `10`, `"10"`, `10.0`, `"10.0"`; null counts as absent.
///
/// # Errors
/// Any other value, and a number that is negative, has a fraction or does not fit `T`.
pub fn count<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(CountVisitor(whole_number, PhantomData))
}

/// As [`count`], within bounds.
///
/// # Errors
/// As [`count`], and a number outside them; the error names them.
pub fn count_between<'de, const MIN: u64, const MAX: u64, D, T>(
    deserializer: D,
) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let visitor = BoundedCountVisitor::<MIN, MAX>;
    let Some(number) = deserializer.deserialize_any(visitor)? else {
        return Ok(None);
    };
    let number = T::try_from(number).map_err(|_| D::Error::custom("too large for this server"))?;
    Ok(Some(number))
}

/// The number of a resource on GitHub: as [`count`], and `"#7"`.
///
/// # Errors
/// As [`count`].
pub fn optional_resource_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_any(CountVisitor(resource_number, PhantomData))
}

/// Texts by name; a number or flag counts as its text. Null counts as absent, in the place of one and of
/// all, and so does an empty array.
///
/// # Errors
/// Any other value.
pub fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    deserializer.deserialize_any(TextsVisitor)
}

/// An object of any members; null and an empty array count as an empty one.
///
/// # Errors
/// Any other value.
pub fn members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Object(members) => Ok(members),
        Value::Null => Ok(Map::new()),
        Value::Array(items) if items.is_empty() => Ok(Map::new()),
        _ => Err(D::Error::custom("must be an object")),
    }
}

/// An object with named members; null counts as absent. serde would take a list of the values of a structure too, and
/// an empty list for one without any.
///
/// # Errors
/// Any other value, or one that is no `T`.
pub fn object<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose members are text")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        match items.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(BTreeMap::new()),
            Some(_) => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some((name, value)) = members.next_entry::<String, Option<TextOrScalar>>()? {
            if let Some(TextOrScalar(text)) = value {
                texts.insert(name, text);
            }
        }
        Ok(texts)
    }
}

/// A text, or the text of a number or flag.
struct TextOrScalar(String);

impl<'de> Deserialize<'de> for TextOrScalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl Visitor<'_> for ScalarVisitor {
            type Value = TextOrScalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E>(self, text: &str) -> Result<TextOrScalar, E> {
                Ok(TextOrScalar(text.to_owned()))
            }
            fn visit_bool<E>(self, flag: bool) -> Result<TextOrScalar, E> {
                Ok(TextOrScalar(flag.to_string()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<TextOrScalar, E> {
                Ok(TextOrScalar(number.to_string()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<TextOrScalar, E> {
                Ok(TextOrScalar(number.to_string()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<TextOrScalar, E> {
                Ok(TextOrScalar(number.to_string()))
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct OptionalFlagVisitor;

impl Visitor<'_> for OptionalFlagVisitor {
    type Value = Option<bool>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Option<bool>, E> {
        Ok(Some(flag))
    }

    fn visit_unit<E>(self) -> Result<Option<bool>, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<bool>, E> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let flag = text.trim().to_ascii_lowercase().parse();
        let wrong = |_| E::invalid_value(Unexpected::Str(text), &self);
        flag.map(Some).map_err(wrong)
    }
}

/// How a text is read, and the type of the count.
struct CountVisitor<T>(fn(&str) -> Option<u64>, PhantomData<T>);

impl<T: TryFrom<u64>> Visitor<'_> for CountVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<T>, E> {
        let wrong = |_| E::invalid_value(Unexpected::Unsigned(number), &self);
        T::try_from(number).map(Some).map_err(wrong)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<T>, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<T>, E> {
        match whole(number) {
            Some(whole) => self.visit_u64(whole),
            None => Err(E::invalid_value(Unexpected::Float(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        match (self.0)(text) {
            Some(number) => self.visit_u64(number),
            None if text.trim().is_empty() => Ok(None),
            None => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

/// As [`CountVisitor`], for a number within bounds. Whatever does not fit is told both of them.
struct BoundedCountVisitor<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Visitor<'_> for BoundedCountVisitor<MIN, MAX> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_unit<E>(self) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<u64>, E> {
        match (MIN..=MAX).contains(&number) {
            true => Ok(Some(number)),
            false => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<u64>, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<u64>, E> {
        match whole(number) {
            Some(whole) => self.visit_u64(whole),
            None => Err(E::invalid_value(Unexpected::Float(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<u64>, E> {
        match whole_number(text) {
            Some(number) => self.visit_u64(number),
            None if text.trim().is_empty() => Ok(None),
            None => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Default, PartialEq, Debug)]
    #[serde(default)]
    struct Input {
        #[serde(deserialize_with = "null_as_default")]
        list: Vec<u8>,
        #[serde(deserialize_with = "flag")]
        all: bool,
        #[serde(deserialize_with = "count")]
        limit: Option<u16>,
        #[serde(deserialize_with = "count_between::<1, 60, _, _>")]
        seconds: Option<u64>,
        #[serde(deserialize_with = "texts")]
        named: BTreeMap<String, String>,
    }

    fn read(json: &str) -> Result<Input, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn null_is_absent_and_so_is_a_blank_text() {
        for absent in [
            r#"{"list":null,"all":null,"limit":null,"seconds":null,"named":null}"#,
            r#"{"all":"","limit":"","seconds":" "}"#,
        ] {
            assert_eq!(read(absent).unwrap(), Input::default(), "{absent}");
        }
        assert_eq!(read("{}").unwrap(), Input::default());
    }

    #[test]
    fn a_number_is_read_in_every_notation() {
        for ten in ["10", "\"10\"", "\" 10 \"", "10.0", "1e1", "\"10.0\""] {
            let input = read(&format!(r#"{{"limit":{ten},"seconds":{ten}}}"#)).unwrap();
            assert_eq!((input.limit, input.seconds), (Some(10), Some(10)), "{ten}");
        }
        for bad in [
            "-1",
            "1.5",
            "\"1.5\"",
            "\"ten\"",
            "true",
            "[]",
            "-0.5",
            "1e300",
            "\"inf\"",
            "\"-1.0\"",
            "\"NaN\"",
            "0",
            "61",
            "\"61\"",
            "18446744073709551616",
        ] {
            let error = read(&format!(r#"{{"seconds":{bad}}}"#))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("a whole number from 1 to 60"),
                "{bad}: {error}"
            );
        }
        assert!(read(r#"{"limit":65536}"#).is_err());
    }

    #[test]
    fn the_number_of_a_resource_may_have_its_sign() {
        for (text, number) in [("#7", 7), (" #7 ", 7), ("7", 7), ("7.0", 7), ("#0", 0)] {
            assert_eq!(resource_number(text), Some(number), "{text}");
        }
        for text in ["", "#", "##7", "#-7", "acme/rocket#7"] {
            assert_eq!(resource_number(text), None, "{text}");
        }
    }

    #[test]
    fn named_texts_may_be_numbers_and_those_that_are_null_are_absent() {
        let input = read(r#"{"named":{"a":"x","b":7,"c":7.0,"d":true,"e":null}}"#).unwrap();
        let expected = [("a", "x"), ("b", "7"), ("c", "7"), ("d", "true")];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(input.named, BTreeMap::from(expected));
        assert!(read(r#"{"named":[]}"#).unwrap().named.is_empty());
        for bad in [r#"["a"]"#, r#"{"a":[]}"#, r#"{"a":{}}"#, "\"a\"", "7"] {
            assert!(read(&format!(r#"{{"named":{bad}}}"#)).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_object_is_not_read_from_a_list() {
        #[derive(Deserialize, Default, PartialEq, Debug)]
        #[serde(default)]
        struct Inner {
            all: bool,
        }
        #[derive(Deserialize, Debug)]
        struct Outer {
            #[serde(deserialize_with = "object")]
            inner: Inner,
        }
        let read = |json: &str| serde_json::from_str::<Outer>(json).map(|outer| outer.inner);
        assert_eq!(read(r#"{"inner":null}"#).unwrap(), Inner::default());
        assert_eq!(
            read(r#"{"inner":{"all":true}}"#).unwrap(),
            Inner { all: true }
        );
        for wrong in ["[]", "[true]", "\"\"", "0", "false"] {
            let refused = read(&format!(r#"{{"inner":{wrong}}}"#)).unwrap_err();
            assert!(refused.to_string().contains("an object"), "{wrong}");
        }
    }

    #[test]
    fn a_flag_is_read_as_text() {
        for (text, expected) in [("true", true), ("\"True\"", true), ("\"false\"", false)] {
            assert_eq!(read(&format!(r#"{{"all":{text}}}"#)).unwrap().all, expected);
        }
        for bad in ["1", "\"yes\"", "{}"] {
            assert!(read(&format!(r#"{{"all":{bad}}}"#)).is_err(), "{bad}");
        }
    }
}
