//! `sampling/createMessage` (MCP, Client Features, "Sampling"; deprecated by SEP-2577, removal not
//! before 2027). Without tools: the server asks a model for text, not for tool calls.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    params::{self, InputError},
    prompt::MessageRole,
    version::ProtocolVersion,
};

/// A question to the client's model.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateMessage {
    /// The conversation so far.
    pub messages: Vec<SamplingMessage>,
    /// The preferred models; the client decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_preferences: Option<ModelPreferences>,
    /// The system prompt; the client may change it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// The sampling temperature: higher values give more varied answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Maximum length of the answer, in tokens.
    pub max_tokens: u32,
    /// Texts that end the answer early.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<String>,
}

impl CreateMessage {
    /// A question that consists of one text from the user.
    #[must_use]
    pub fn ask(text: impl Into<String>, max_tokens: u32) -> Self {
        let content = SamplingContent::Text { text: text.into() };
        Self {
            messages: vec![SamplingMessage {
                role: MessageRole::User,
                content,
            }],
            model_preferences: None,
            system_prompt: None,
            temperature: None,
            max_tokens,
            stop_sequences: Vec::new(),
        }
    }

    /// The question as a revision knows it: audio was added in 2025-03-26.
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

/// The preferred models. Priorities range from 0 to 1.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelPreferences {
    /// Parts of model names, in order of preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<ModelHint>,
    /// How much a low price matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_priority: Option<f64>,
    /// How much speed matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_priority: Option<f64>,
    /// How much capability matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intelligence_priority: Option<f64>,
}

/// A part of a model's name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ModelHint {
    /// The part, for instance `sonnet`.
    pub name: String,
}

/// A message of the conversation.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SamplingMessage {
    /// The author of the message.
    pub role: MessageRole,
    /// The content of the message.
    pub content: SamplingContent,
}

/// One part of a message.
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
    /// An image.
    Image {
        /// The image in base64.
        data: String,
        /// For instance `image/png`.
        mime_type: String,
    },
    /// Audio.
    Audio {
        /// The audio in base64.
        data: String,
        /// For instance `audio/wav`.
        mime_type: String,
    },
}

/// The model's answer.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateMessageResult {
    /// Usually the assistant.
    pub role: MessageRole,
    /// The parts of the answer, in order; from 2025-11-25 on there may be several.
    #[serde(deserialize_with = "one_or_more")]
    pub content: Vec<SamplingContent>,
    /// The name of the model that answered.
    pub model: String,
    /// The reason for the end: `endTurn`, `stopSequence`, `maxTokens` or a vendor's own value.
    #[serde(default)]
    pub stop_reason: Option<String>,
}

impl CreateMessageResult {
    pub(super) fn read(result: &RawValue) -> Result<Self, InputError> {
        params::parse(Some(result))
    }

    /// The text of all text parts.
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
