//! The results of a tool.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{resource::ResourceContents, version::ProtocolVersion};

/// A part of a tool's result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum ContentBlock {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    Image {
        /// The image in base64.
        data: String,
        /// For instance `image/png`.
        mime_type: String,
    },
    /// Audio (from 2025-03-26 on).
    Audio {
        /// The audio in base64.
        data: String,
        /// For instance `audio/wav`.
        mime_type: String,
    },
    /// A resource with its contents.
    Resource {
        /// The contents.
        resource: ResourceContents,
    },
    /// A link to a resource (from 2025-06-18 on).
    ResourceLink {
        /// The resource's URI.
        uri: String,
        /// For programs.
        name: String,
    },
}

impl ContentBlock {
    /// A part that is text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// The part, or its replacement in a revision that does not know this kind.
    pub(crate) fn for_version(&self, version: ProtocolVersion) -> std::borrow::Cow<'_, Self> {
        use std::borrow::Cow;
        match self {
            Self::ResourceLink { uri, name } if !version.has_structured_output() => {
                Cow::Owned(Self::text(format!("{name}: {uri}")))
            }
            Self::Audio { mime_type, .. } if !version.has_annotations() => Cow::Owned(Self::text(
                format!("[{mime_type}, not shown in this revision]"),
            )),
            other => Cow::Borrowed(other),
        }
    }
}

/// Result of `tools/call`, in terms of the newest revision.
#[derive(Clone, Debug, Default)]
pub struct CallToolResult {
    content: Vec<ContentBlock>,
    /// Encoded once: a result may be large, and many calls may have theirs at the same time.
    structured: Option<Box<RawValue>>,
    is_error: bool,
}

impl CallToolResult {
    /// A result of these parts.
    #[must_use]
    pub const fn new(content: Vec<ContentBlock>) -> Self {
        Self {
            content,
            structured: None,
            is_error: false,
        }
    }

    /// Data that conforms to the tool's output schema; repeated as text, for clients and revisions
    /// that know only text.
    ///
    /// # Errors
    /// The data cannot be JSON.
    pub fn structured(data: &impl Serialize) -> Result<Self, serde_json::Error> {
        let structured = to_raw_value(data)?;
        Ok(Self {
            content: vec![ContentBlock::text(structured.get())],
            structured: Some(structured),
            is_error: false,
        })
    }

    /// A failure of the tool, with a message that a model can act on.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            content: vec![ContentBlock::text(message)],
            structured: None,
            is_error: true,
        }
    }

    /// Whether the tool failed.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        self.is_error
    }

    /// The result as a revision knows it.
    #[must_use]
    pub fn for_version(&self, version: ProtocolVersion) -> impl Serialize + '_ {
        let structured = self.structured.as_deref();
        Described {
            content: self
                .content
                .iter()
                .map(|c| c.for_version(version))
                .collect(),
            structured_content: structured.filter(|_| version.has_structured_output()),
            is_error: self.is_error,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described<'a> {
    content: Vec<std::borrow::Cow<'a, ContentBlock>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn shown(result: &CallToolResult, version: ProtocolVersion) -> Value {
        serde_json::to_value(result.for_version(version)).unwrap()
    }

    #[test]
    fn structured_data_is_text_everywhere_and_structured_where_that_exists() {
        let result = CallToolResult::structured(&json!({"found": 1})).unwrap();
        let text = json!([{"type": "text", "text": "{\"found\":1}"}]);
        assert_eq!(
            shown(&result, ProtocolVersion::V2025_03_26),
            json!({"content": text})
        );
        assert_eq!(
            shown(&result, ProtocolVersion::V2025_06_18),
            json!({"content": text, "structuredContent": {"found": 1}})
        );
    }

    #[test]
    fn a_failure_says_so() {
        assert_eq!(
            shown(&CallToolResult::failed("no"), ProtocolVersion::V2024_11_05),
            json!({"content": [{"type": "text", "text": "no"}], "isError": true})
        );
    }

    #[test]
    fn kinds_that_a_revision_does_not_know_become_text() {
        let link = ContentBlock::ResourceLink {
            uri: "github://events".into(),
            name: "events".into(),
        };
        let result = CallToolResult::new(vec![link]);
        assert_eq!(
            shown(&result, ProtocolVersion::V2025_03_26)["content"][0],
            json!({"type": "text", "text": "events: github://events"})
        );
        assert_eq!(
            shown(&result, ProtocolVersion::V2025_06_18)["content"][0]["type"],
            "resource_link"
        );
        let image = ContentBlock::Image {
            data: "AA==".into(),
            mime_type: "image/png".into(),
        };
        assert_eq!(
            serde_json::to_value(image).unwrap(),
            json!({"type": "image", "data": "AA==", "mimeType": "image/png"})
        );
    }
}
