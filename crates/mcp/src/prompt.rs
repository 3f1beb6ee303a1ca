//! Prompts: descriptors, parameters and results (MCP, Server Features, "Prompts").

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    envelope::RpcError,
    lenient,
    limits::{MAX_CALL_ARGUMENT_BYTES, MAX_PROMPT_ARGUMENTS},
    params::{self, InputError},
    tool::ContentBlock,
    version::ProtocolVersion,
};

/// A prompt in `prompts/list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromptDescriptor {
    /// The name for `prompts/get`.
    pub name: &'static str,
    /// For humans, where the revision has titles.
    pub title: &'static str,
    /// For models and humans.
    pub description: &'static str,
    /// The arguments, in this order.
    pub arguments: Vec<PromptArgument>,
}

/// An argument of a prompt; always text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromptArgument {
    /// The key in `arguments`.
    pub name: &'static str,
    /// For humans, where the revision has titles.
    pub title: Option<&'static str>,
    /// For models and humans.
    pub description: &'static str,
    /// Whether the prompt is refused without it.
    pub required: bool,
}

#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    description: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    arguments: Vec<DescribedArgument<'a>>,
}

#[derive(Serialize)]
struct DescribedArgument<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    description: &'a str,
    required: bool,
}

impl PromptDescriptor {
    fn describe(&self, version: ProtocolVersion) -> Described<'_> {
        let titled = version.has_titles();
        let arguments = self.arguments.iter().map(|argument| DescribedArgument {
            name: argument.name,
            title: argument.title.filter(|_| titled),
            description: argument.description,
            required: argument.required,
        });
        Described {
            name: self.name,
            title: titled.then_some(self.title),
            description: self.description,
            arguments: arguments.collect(),
        }
    }
}

/// Result of `prompts/list`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPromptsResult<'a> {
    prompts: Vec<Described<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
}

/// Builds the result of `prompts/list`.
#[must_use]
pub fn list_result<'a>(
    version: ProtocolVersion,
    prompts: &'a [PromptDescriptor],
    next_cursor: Option<&'a str>,
) -> ListPromptsResult<'a> {
    ListPromptsResult {
        prompts: prompts.iter().map(|p| p.describe(version)).collect(),
        next_cursor,
    }
}

/// Params of `prompts/get`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct GetPromptParams {
    /// The name of the prompt.
    pub name: String,
    /// The values of its arguments, by name.
    #[serde(default, deserialize_with = "lenient::texts")]
    pub arguments: BTreeMap<String, String>,
}

impl GetPromptParams {
    /// Reads the params.
    ///
    /// # Errors
    /// -32602: there is no name, an argument is neither text nor a number or flag, there are more than 64 arguments, or they
    /// have more than 64 KiB together.
    pub fn parse(params: Option<&RawValue>) -> Result<Self, RpcError> {
        let parsed: Self = params::parse(params)?;
        check_arguments("arguments", &parsed.arguments)?;
        Ok(parsed)
    }

    /// Checks the arguments against the prompt. Unknown ones are ignored.
    ///
    /// # Errors
    /// -32602 with the name of the missing required argument.
    pub fn check(&self, prompt: &PromptDescriptor) -> Result<(), RpcError> {
        let missing = prompt
            .arguments
            .iter()
            .find(|argument| argument.required && !self.arguments.contains_key(argument.name));
        match missing {
            None => Ok(()),
            Some(argument) => {
                let field = format!("arguments.{}", argument.name);
                Err(InputError::new(&field, "the prompt requires it").into())
            }
        }
    }

    /// -32602, the same in every revision.
    #[must_use]
    pub fn unknown_prompt(&self) -> RpcError {
        let name: String = self.name.chars().take(64).collect();
        RpcError::invalid_params(format!("unknown prompt: {name}"))
    }
}

/// Checks the bounds of named texts from a client.
pub(crate) fn check_arguments(
    field: &str,
    arguments: &BTreeMap<String, String>,
) -> Result<(), InputError> {
    if arguments.len() > MAX_PROMPT_ARGUMENTS {
        return Err(InputError::new(field, "at most 64 arguments"));
    }
    let bytes = |(name, value): (&String, &String)| name.len() + value.len();
    if arguments.iter().map(bytes).sum::<usize>() > MAX_CALL_ARGUMENT_BYTES {
        return Err(InputError::new(field, "at most 64 KiB of arguments"));
    }
    Ok(())
}

/// The author of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    /// The user.
    User,
    /// The model.
    Assistant,
}

/// A message of a prompt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromptMessage {
    /// The author of the message.
    pub role: MessageRole,
    /// The content of the message.
    pub content: ContentBlock,
}

impl PromptMessage {
    /// A text from the user.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            role: MessageRole::User,
            content: ContentBlock::text(text),
        }
    }
}

/// Result of `prompts/get`, in terms of the newest revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GetPromptResult {
    /// The purpose of the prompt.
    pub description: Option<String>,
    /// The messages, in order.
    pub messages: Vec<PromptMessage>,
}

impl GetPromptResult {
    /// The result as a revision knows it.
    #[must_use]
    pub fn for_version(&self, version: ProtocolVersion) -> impl Serialize + '_ {
        let messages = self.messages.iter().map(|message| DescribedMessage {
            role: message.role,
            content: message.content.for_version(version),
        });
        DescribedResult {
            description: self.description.as_deref(),
            messages: messages.collect(),
        }
    }
}

#[derive(Serialize)]
struct DescribedResult<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    messages: Vec<DescribedMessage<'a>>,
}

#[derive(Serialize)]
struct DescribedMessage<'a> {
    role: MessageRole,
    content: Cow<'a, ContentBlock>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ResourceContents;
    use serde_json::{Value, json};

    fn review() -> PromptDescriptor {
        let argument = |name, required| PromptArgument {
            name,
            title: Some("Title"),
            description: "d",
            required,
        };
        PromptDescriptor {
            name: "review",
            title: "Review",
            description: "Reviews a change.",
            arguments: vec![argument("repo", true), argument("branch", false)],
        }
    }

    fn get(params: &Value) -> Result<GetPromptParams, RpcError> {
        GetPromptParams::parse(Some(&RawValue::from_string(params.to_string()).unwrap()))
    }

    #[test]
    fn a_prompt_is_listed_with_what_the_revision_knows() {
        let prompts = [review()];
        let list = |version| serde_json::to_value(list_result(version, &prompts, None)).unwrap();
        assert_eq!(
            list(ProtocolVersion::V2024_11_05),
            json!({"prompts": [{
                "name": "review", "description": "Reviews a change.", "arguments": [
                    {"name": "repo", "description": "d", "required": true},
                    {"name": "branch", "description": "d", "required": false}
                ]
            }]})
        );
        let newer = list(ProtocolVersion::V2025_06_18);
        assert_eq!(newer["prompts"][0]["title"], "Review");
        assert_eq!(newer["prompts"][0]["arguments"][0]["title"], "Title");
    }

    #[test]
    fn params_that_do_not_fit_are_named() {
        let long = "x".repeat(MAX_CALL_ARGUMENT_BYTES + 1);
        let many: BTreeMap<_, _> = (0..65).map(|n| (n.to_string(), "")).collect();
        for (bad, field) in [
            (json!({}), "name"),
            (
                json!({"name": "p", "arguments": {"a": ["b"]}}),
                "arguments.a",
            ),
            (json!({"name": "p", "arguments": ["b"]}), "arguments"),
            (json!({"name": "p", "arguments": {"a": long}}), "arguments"),
            (json!({"name": "p", "arguments": many}), "arguments"),
        ] {
            let error = get(&bad).unwrap_err();
            assert_eq!(error.code.number(), -32602);
            assert!(error.message.contains(field), "{error}");
        }
        for absent in [json!(null), json!([]), json!({"a": null})] {
            let read = get(&json!({"name": "p", "arguments": absent})).unwrap();
            assert!(read.arguments.is_empty());
        }
        let missing = get(&json!({"name": "review", "arguments": {"branch": "b"}})).unwrap();
        let error = missing.check(&review()).unwrap_err();
        assert_eq!(error.message, "arguments.repo: the prompt requires it");
        let full = get(&json!({"name": "review", "arguments": {"repo": "r", "x": "y"}})).unwrap();
        assert_eq!(full.check(&review()), Ok(()));
        assert_eq!(full.unknown_prompt().code.number(), -32602);
    }

    #[test]
    fn messages_of_every_kind_have_their_shape() {
        let message = |content| PromptMessage {
            role: MessageRole::Assistant,
            content,
        };
        let result = GetPromptResult {
            description: Some("d".into()),
            messages: vec![
                PromptMessage::user("hi"),
                message(ContentBlock::Image {
                    data: "AA==".into(),
                    mime_type: "image/png".into(),
                }),
                message(ContentBlock::Audio {
                    data: "AA==".into(),
                    mime_type: "audio/wav".into(),
                }),
                message(ContentBlock::Resource {
                    resource: ResourceContents::json("test://r", "{}".into()),
                }),
            ],
        };
        let shown = |version| serde_json::to_value(result.for_version(version)).unwrap();
        assert_eq!(
            shown(ProtocolVersion::V2025_11_25),
            json!({"description": "d", "messages": [
                {"role": "user", "content": {"type": "text", "text": "hi"}},
                {"role": "assistant", "content":
                    {"type": "image", "data": "AA==", "mimeType": "image/png"}},
                {"role": "assistant", "content":
                    {"type": "audio", "data": "AA==", "mimeType": "audio/wav"}},
                {"role": "assistant", "content": {"type": "resource", "resource":
                    {"uri": "test://r", "mimeType": "application/json", "text": "{}"}}}
            ]})
        );
        let oldest = shown(ProtocolVersion::V2024_11_05);
        assert_eq!(oldest["messages"][2]["content"]["type"], "text");
    }
}
