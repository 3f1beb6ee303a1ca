//! Why a text is not read as JSON, in words for its sender: much of it is JSON, and exceeds a limit.

use std::fmt;

use serde_json::error::Category;

/// The reason why a text is not read as JSON. It is told after the name of the text: "the payload is nested deeper …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFault {
    /// It breaks the grammar of JSON.
    Syntax,
    /// It ends before its value does.
    CutOff,
    /// Its arrays and objects nest too deeply.
    TooDeep,
    /// A number in it is larger than any that a 64-bit floating point number can be.
    LargeNumber,
    /// A text in it has half of a pair of escapes that stand for one character together.
    HalfCharacter,
    /// Its bytes are not UTF-8.
    NotUtf8,
}

/// How `serde_json`, which keeps its codes to itself, begins the errors that are not of the grammar.
const MARKS: [(&str, JsonFault); 5] = [
    ("recursion limit exceeded", JsonFault::TooDeep),
    ("number out of range", JsonFault::LargeNumber),
    ("lone leading surrogate", JsonFault::HalfCharacter),
    ("unexpected end of hex escape", JsonFault::HalfCharacter),
    ("invalid unicode code point", JsonFault::NotUtf8),
];

impl JsonFault {
    /// The fault that an error is about; `None` for a value that was read and does not fit its type.
    #[must_use]
    pub fn of(error: &serde_json::Error) -> Option<Self> {
        match error.classify() {
            Category::Data | Category::Io => None,
            Category::Eof => Some(Self::CutOff),
            Category::Syntax => {
                let text = error.to_string();
                let known = MARKS.iter().find(|(mark, _)| text.starts_with(mark));
                Some(known.map_or(Self::Syntax, |(_, fault)| *fault))
            }
        }
    }

    /// The fault of a text that was read as any JSON value, which has no type that it might not fit.
    #[must_use]
    pub fn of_text(error: &serde_json::Error) -> Self {
        Self::of(error).unwrap_or(Self::Syntax)
    }

    /// The words for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "is not JSON",
            Self::CutOff => "is not JSON: it ends too early",
            Self::TooDeep => "has arrays or objects nested more than 127 deep; flatten it",
            Self::LargeNumber => {
                "has a number beyond 1.8e308, the largest that is read; write it as text"
            }
            Self::HalfCharacter => {
                "has half a character in a text: an escape from \\ud800 to \\udfff without its other half"
            }
            Self::NotUtf8 => "is not UTF-8",
        }
    }

    /// Whether it is a fault of the grammar, which has a place in the text.
    #[must_use]
    pub const fn is_of_grammar(self) -> bool {
        matches!(self, Self::Syntax | Self::CutOff)
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn fault(json: impl AsRef<[u8]>) -> Option<JsonFault> {
        let read = serde_json::from_slice::<Value>(json.as_ref());
        JsonFault::of(&read.err()?)
    }

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn a_limit_is_told_from_what_is_not_json() {
        assert_eq!(fault(nested(127)), None);
        for (json, expected) in [
            ("{'a':1}", JsonFault::Syntax),
            ("{} {}", JsonFault::Syntax),
            ("\"\u{1}\"", JsonFault::Syntax),
            (r#""\x""#, JsonFault::Syntax),
            ("", JsonFault::CutOff),
            ("[1,", JsonFault::CutOff),
            (&nested(128), JsonFault::TooDeep),
            ("[1e400]", JsonFault::LargeNumber),
            (r#""\ud83d""#, JsonFault::HalfCharacter),
            (r#""\ud83d\n""#, JsonFault::HalfCharacter),
            (r#""\ude80""#, JsonFault::HalfCharacter),
        ] {
            assert_eq!(fault(json), Some(expected), "{json}");
        }
        assert_eq!(fault(b"\"\xff\""), Some(JsonFault::NotUtf8));
        let other = serde_json::from_str::<bool>("1").unwrap_err();
        assert_eq!(JsonFault::of(&other), None);
    }
}
