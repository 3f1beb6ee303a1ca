//! `sampling/createMessage` (MCP, Client Features, "Sampling"; deprecated by SEP-2577, removal not
//! before 2027). Without tools: we ask a model for words, not for calls.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    params::{self, InputError},
    prompt::Role,
    version::ProtocolVersion,
};

/// A question to the client's model.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateMessage {
    /// The conversation so far.
    pub messages: Vec<SamplingMessage>,
    /// Which model would do; the client decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_preferences: Option<ModelPreferences>,
    /// What the model is told first; the client may change it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// How varied the answer is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Longest answer, in tokens.
    pub max_tokens: u32,
    /// What ends the answer early.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<String>,
}

impl CreateMessage {
    /// One text from the user.
    #[must_use]
    pub fn ask(text: impl Into<String>, max_tokens: u32) -> Self {
        let content = SamplingContent::Text { text: text.into() };
        Self {
            messages: vec![SamplingMessage {
                role: Role::User,
                content,
            }],
            model_preferences: None,
            system_prompt: None,
            temperature: None,
            max_tokens,
            stop_sequences: Vec::new(),
        }
    }

    /// As a revision knows it: sound came with 2025-03-26.
    pub(super) fn for_version(&self, version: ProtocolVersion) -> Self {
        let mut known = self.clone();
        if !version.has_annotations() {
            for message in &mut known.messages {
                if let SamplingContent::Audio { mime_type, .. } = &message.content {
                    let text = format!("[{mime_type}, not shown in this revision]");
                    message.content = SamplingContent::Text { text };
                }
            }
        }
        known
    }
}

/// Which model would do. Priorities are from 0 to 1.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelPreferences {
    /// Parts of model names, best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<ModelHint>,
    /// How much it matters that the model is cheap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_priority: Option<f64>,
    /// How much it matters that the model is fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_priority: Option<f64>,
    /// How much it matters that the model is able.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intelligence_priority: Option<f64>,
}

/// A part of a model's name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ModelHint {
    /// Such as `sonnet`.
    pub name: String,
}

/// A message of the conversation.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SamplingMessage {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: SamplingContent,
}

/// What is said.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum SamplingContent {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A picture.
    Image {
        /// In base64.
        data: String,
        /// Such as `image/png`.
        mime_type: String,
    },
    /// A sound.
    Audio {
        /// In base64.
        data: String,
        /// Such as `audio/wav`.
        mime_type: String,
    },
}

/// What the model said.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateMessageResult {
    /// As a rule the assistant.
    pub role: Role,
    /// In order; from 2025-11-25 on it may be several parts.
    #[serde(deserialize_with = "one_or_more")]
    pub content: Vec<SamplingContent>,
    /// Which model it was.
    pub model: String,
    /// Why it ended; `endTurn`, `stopSequence`, `maxTokens` or what the model's maker says.
    #[serde(default)]
    pub stop_reason: Option<String>,
}

impl CreateMessageResult {
    pub(super) fn read(result: &RawValue) -> Result<Self, InputError> {
        params::parse(Some(result))
    }

    /// All text of it.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|part| match part {
            SamplingContent::Text { text } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SamplingContent>, D::Error> {
    let parts = match Value::deserialize(deserializer)? {
        Value::Array(parts) => parts,
        one => vec![one],
    };
    let parts = parts.into_iter().map(serde_json::from_value);
    parts
        .collect::<Result<_, _>>()
        .map_err(serde::de::Error::custom)
}
