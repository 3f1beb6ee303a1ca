//! The kinds of field, their schema in each revision, and what fits them.

use serde::Serialize;
use serde_json::Value;

use crate::version::ProtocolVersion;

/// What a field takes. A default is what the client fills in beforehand.
#[derive(Clone, PartialEq, Debug)]
pub enum Field {
    /// Text.
    Text {
        /// In characters.
        min_length: Option<u32>,
        /// In characters.
        max_length: Option<u32>,
        /// Helps the client to show the right input.
        format: Option<TextFormat>,
        /// Filled in beforehand.
        default: Option<String>,
    },
    /// A number.
    Number {
        /// Smallest.
        minimum: Option<f64>,
        /// Largest.
        maximum: Option<f64>,
        /// Filled in beforehand.
        default: Option<f64>,
    },
    /// A whole number.
    Integer {
        /// Smallest.
        minimum: Option<i64>,
        /// Largest.
        maximum: Option<i64>,
        /// Filled in beforehand.
        default: Option<i64>,
    },
    /// Yes or no.
    Boolean {
        /// Filled in beforehand.
        default: Option<bool>,
    },
    /// One of some values.
    One {
        /// The values.
        choices: Choices,
        /// Chosen beforehand.
        default: Option<String>,
    },
    /// Several of some values (from 2025-11-25 on).
    Several {
        /// The values; titles of the old kind are shown as new ones.
        choices: Choices,
        /// Fewest.
        min_items: Option<u32>,
        /// Most.
        max_items: Option<u32>,
        /// Chosen beforehand.
        default: Vec<String>,
    },
}

/// What helps a client to show the right input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextFormat {
    /// An e-mail address.
    Email,
    /// A URI.
    Uri,
    /// A day.
    Date,
    /// A day with a time.
    DateTime,
}

/// The values of a choice (SEP-1330: with [`Field::One`] and [`Field::Several`] its five forms).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choices {
    /// Values that are shown as they are.
    Plain(Vec<String>),
    /// Values with a title each.
    Titled(Vec<(String, String)>),
    /// The same in the spelling of 2025-06-18, `enumNames`, for clients that know no other.
    TitledOldStyle(Vec<(String, String)>),
}

impl Choices {
    fn values(&self) -> Vec<&str> {
        match self {
            Self::Plain(values) => values.iter().map(String::as_str).collect(),
            Self::Titled(pairs) | Self::TitledOldStyle(pairs) => {
                pairs.iter().map(|(value, _)| value.as_str()).collect()
            }
        }
    }

    fn titled(pairs: &[(String, String)]) -> Vec<Titled<'_>> {
        pairs
            .iter()
            .map(|(value, title)| Titled { value, title })
            .collect()
    }

    fn describe_one<'a>(&'a self, new_style: bool, out: &mut DescribedField<'a>) {
        match self {
            Self::Titled(pairs) if new_style => out.one_of = Some(Self::titled(pairs)),
            Self::Titled(pairs) | Self::TitledOldStyle(pairs) => {
                out.values = Some(self.values());
                out.enum_names = Some(pairs.iter().map(|(_, title)| title.as_str()).collect());
            }
            Self::Plain(_) => out.values = Some(self.values()),
        }
    }

    fn describe_several(&self) -> Items<'_> {
        match self {
            Self::Plain(_) => Items {
                kind: Some("string"),
                values: Some(self.values()),
                any_of: None,
            },
            Self::Titled(pairs) | Self::TitledOldStyle(pairs) => Items {
                kind: None,
                values: None,
                any_of: Some(Self::titled(pairs)),
            },
        }
    }
}

#[derive(Serialize)]
struct Titled<'a> {
    #[serde(rename = "const")]
    value: &'a str,
    title: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Items<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    values: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    any_of: Option<Vec<Titled<'a>>>,
}

/// The schema of a field in a revision.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribedField<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<TextFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<Value>,
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    values: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enum_names: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    one_of: Option<Vec<Titled<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Items<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_items: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_items: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Value>,
}

impl Field {
    /// Any text.
    #[must_use]
    pub const fn text() -> Self {
        Self::Text {
            min_length: None,
            max_length: None,
            format: None,
            default: None,
        }
    }

    /// Yes or no, with nothing filled in.
    #[must_use]
    pub const fn boolean() -> Self {
        Self::Boolean { default: None }
    }

    /// One of these values, with nothing chosen.
    #[must_use]
    pub const fn one_of(choices: Choices) -> Self {
        Self::One {
            choices,
            default: None,
        }
    }

    /// Whether there is anything to choose and the default can be chosen.
    pub(super) fn is_sound(&self) -> bool {
        let sound = |choices: &Choices, defaults: &[String]| {
            let values = choices.values();
            let mut defaults = defaults.iter();
            !values.is_empty() && defaults.all(|default| values.contains(&default.as_str()))
        };
        match self {
            Self::One { choices, default } => sound(choices, default.as_slice()),
            Self::Several {
                choices, default, ..
            } => sound(choices, default),
            _ => true,
        }
    }

    /// Defaults of other kinds than boolean, and titles of the new kind, came with 2025-11-25.
    pub(super) fn for_version(&self, version: ProtocolVersion) -> DescribedField<'_> {
        let new_style = version >= ProtocolVersion::V2025_11_25;
        let mut out = DescribedField::default();
        match self {
            Self::Text {
                min_length,
                max_length,
                format,
                default,
            } => {
                out.kind = "string";
                out.format = *format;
                (out.min_length, out.max_length) = (*min_length, *max_length);
                out.default = default.clone().map(Value::from);
            }
            Self::Number {
                minimum,
                maximum,
                default,
            } => {
                out.kind = "number";
                (out.minimum, out.maximum) = (minimum.map(Value::from), maximum.map(Value::from));
                out.default = default.map(Value::from);
            }
            Self::Integer {
                minimum,
                maximum,
                default,
            } => {
                out.kind = "integer";
                (out.minimum, out.maximum) = (minimum.map(Value::from), maximum.map(Value::from));
                out.default = default.map(Value::from);
            }
            Self::Boolean { default } => {
                out.kind = "boolean";
                out.default = default.map(Value::from);
            }
            Self::One { choices, default } => {
                out.kind = "string";
                choices.describe_one(new_style, &mut out);
                out.default = default.clone().map(Value::from);
            }
            Self::Several {
                choices,
                min_items,
                max_items,
                default,
            } => {
                out.kind = "array";
                out.items = Some(choices.describe_several());
                (out.min_items, out.max_items) = (*min_items, *max_items);
                out.default = (!default.is_empty()).then(|| default.clone().into());
            }
        }
        if !new_style && !matches!(self, Self::Boolean { .. }) {
            out.default = None;
        }
        out
    }

    /// Whether a value fits; says why not.
    pub(super) fn check(&self, value: &Value) -> Result<(), &'static str> {
        match self {
            Self::Text {
                min_length,
                max_length,
                ..
            } => {
                let text = value.as_str().ok_or("has to be text")?;
                within(text.chars().count(), *min_length, *max_length)
            }
            Self::Number {
                minimum, maximum, ..
            } => {
                let number = value.as_f64().ok_or("has to be a number")?;
                let low = minimum.is_some_and(|minimum| number < minimum);
                let high = maximum.is_some_and(|maximum| number > maximum);
                (!low && !high).then_some(()).ok_or("is out of range")
            }
            Self::Integer {
                minimum, maximum, ..
            } => {
                let number = whole(value).ok_or("has to be a whole number")?;
                let low = minimum.is_some_and(|minimum| number < minimum);
                let high = maximum.is_some_and(|maximum| number > maximum);
                (!low && !high).then_some(()).ok_or("is out of range")
            }
            Self::Boolean { .. } => {
                let is_boolean = value.is_boolean();
                is_boolean.then_some(()).ok_or("has to be true or false")
            }
            Self::One { choices, .. } => is_choice(choices, value),
            Self::Several {
                choices,
                min_items,
                max_items,
                ..
            } => {
                let items = value.as_array().ok_or("has to be a list")?;
                within(items.len(), *min_items, *max_items)?;
                items.iter().try_for_each(|item| is_choice(choices, item))
            }
        }
    }
}

/// JavaScript clients may send 5.0 for 5.
fn whole(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        let is_whole = number.fract() == 0.0 && number.abs() <= EXACT;
        // Whole and within 2^53: the conversion is exact.
        #[expect(clippy::cast_possible_truncation, reason = "checked in the line above")]
        is_whole.then_some(number as i64)
    })
}

fn is_choice(choices: &Choices, value: &Value) -> Result<(), &'static str> {
    let is_one = value
        .as_str()
        .is_some_and(|text| choices.values().contains(&text));
    is_one.then_some(()).ok_or("is none of the choices")
}

fn within(count: usize, min: Option<u32>, max: Option<u32>) -> Result<(), &'static str> {
    let bound = |bound: Option<u32>| bound.and_then(|bound| usize::try_from(bound).ok());
    if bound(min).is_some_and(|min| count < min) {
        return Err("is too short");
    }
    if bound(max).is_some_and(|max| count > max) {
        return Err("is too long");
    }
    Ok(())
}
