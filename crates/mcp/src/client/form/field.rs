//! The kinds of field: their schema in each revision and the check of their values.

use serde::Serialize;
use serde_json::Value;

use crate::version::ProtocolVersion;

/// A kind of field. A default is filled in by the client in advance.
#[derive(Clone, PartialEq, Debug)]
pub enum FormField {
    /// Text.
    Text {
        /// Minimum length in characters.
        min_length: Option<u32>,
        /// Maximum length in characters.
        max_length: Option<u32>,
        /// A hint for the client's input control.
        format: Option<TextFormat>,
        /// Text filled in by default.
        default: Option<String>,
    },
    /// A number.
    Number {
        /// Smallest value.
        minimum: Option<f64>,
        /// Largest value.
        maximum: Option<f64>,
        /// Number filled in by default.
        default: Option<f64>,
    },
    /// A whole number.
    Integer {
        /// Smallest value.
        minimum: Option<i64>,
        /// Largest value.
        maximum: Option<i64>,
        /// Number filled in by default.
        default: Option<i64>,
    },
    /// Yes or no.
    Boolean {
        /// Value filled in by default.
        default: Option<bool>,
    },
    /// One of several values.
    One {
        /// The available values.
        choices: Choices,
        /// Value chosen by default.
        default: Option<String>,
    },
    /// Any number of several values (from 2025-11-25 on).
    Several {
        /// The available values; old-style titles are shown in the new style.
        choices: Choices,
        /// Fewest choices.
        min_items: Option<u32>,
        /// Maximum number of choices.
        max_items: Option<u32>,
        /// Values chosen by default.
        default: Vec<String>,
    },
}

/// The format of a text, a hint for the client's input control.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextFormat {
    /// An e-mail address.
    Email,
    /// A URI.
    Uri,
    /// A date.
    Date,
    /// A date with a time.
    DateTime,
}

/// The values of a choice (SEP-1330: with [`FormField::One`] and [`FormField::Several`] its five
/// forms).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choices {
    /// Values that are shown as they are.
    Plain(Vec<String>),
    /// Values and their titles.
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

impl FormField {
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

    /// Yes or no, without a default.
    #[must_use]
    pub const fn boolean() -> Self {
        Self::Boolean { default: None }
    }

    /// One of these values, without a default.
    #[must_use]
    pub const fn one_of(choices: Choices) -> Self {
        Self::One {
            choices,
            default: None,
        }
    }

    /// Whether there are values to choose from and the default is among them.
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

    /// Defaults of kinds other than boolean, and titles in the new style, were added in 2025-11-25.
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

    /// Checks that a value fits; the error is the reason.
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
    is_one.then_some(()).ok_or("is not one of the choices")
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
