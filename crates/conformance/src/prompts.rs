//! Prompts of the suite.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mcp::{
    completion::{CompleteParams, CompleteResult, CompletionReference},
    prompt::{
        GetPromptParams, GetPromptResult, MessageRole, PromptArgument, PromptDescriptor,
        PromptMessage,
    },
    resource::{ResourceContents, ResourcePayload},
    tool::ContentBlock,
};

use super::{
    asking::{form, text_field},
    content::PIXEL,
};
use mcp_server::{
    CallError, Caller, Policy, RateClass,
    completion::Completer,
    prompt::{Prompt, argument, required},
};

type Get = for<'a> fn(
    &'a Caller,
    &'a GetPromptParams,
) -> BoxFuture<'a, Result<GetPromptResult, CallError>>;

/// A prompt of the suite.
struct PromptFixture {
    name: &'static str,
    arguments: Vec<PromptArgument>,
    get: Get,
}

#[async_trait]
impl Prompt for PromptFixture {
    fn descriptor(&self) -> PromptDescriptor {
        PromptDescriptor {
            name: self.name,
            title: self.name,
            description: "For the conformance suite",
            arguments: self.arguments.clone(),
        }
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Memory)
    }

    async fn get(
        &self,
        caller: &Caller,
        params: &GetPromptParams,
    ) -> Result<GetPromptResult, CallError> {
        (self.get)(caller, params).await
    }
}

fn fixture(name: &'static str, arguments: Vec<PromptArgument>, get: Get) -> Box<dyn Prompt> {
    Box::new(PromptFixture {
        name,
        arguments,
        get,
    })
}

fn says(messages: Vec<PromptMessage>) -> GetPromptResult {
    GetPromptResult {
        description: None,
        messages,
    }
}

fn user(content: ContentBlock) -> PromptMessage {
    let role = MessageRole::User;
    PromptMessage { role, content }
}

/// All prompts of the suite.
pub(super) fn prompts() -> Vec<Box<dyn Prompt>> {
    let two = vec![required("arg1", "first"), required("arg2", "second")];
    vec![
        fixture("test_simple_prompt", Vec::new(), |_, _| {
            let text = "This is a simple prompt for testing.";
            Box::pin(async move { Ok(says(vec![PromptMessage::user(text)])) })
        }),
        fixture("test_prompt_with_arguments", two, |_, params| {
            let (one, two) = (argument(params, "arg1"), argument(params, "arg2"));
            let text = format!("Prompt with arguments: arg1='{one}', arg2='{two}'");
            Box::pin(async { Ok(says(vec![PromptMessage::user(text)])) })
        }),
        fixture(
            "test_prompt_with_embedded_resource",
            vec![required("resourceUri", "what to embed")],
            |_, params| {
                let resource = ResourceContents {
                    uri: argument(params, "resourceUri").to_owned(),
                    mime_type: Some("text/plain".to_owned()),
                    payload: ResourcePayload::Text(
                        "Embedded resource content for testing.".to_owned(),
                    ),
                    meta: None,
                };
                let ask = PromptMessage::user("Please process the embedded resource above.");
                let messages = vec![user(ContentBlock::Resource { resource }), ask];
                Box::pin(async { Ok(says(messages)) })
            },
        ),
        fixture("test_prompt_with_image", Vec::new(), |_, _| {
            let image = ContentBlock::Image {
                data: PIXEL.to_owned(),
                mime_type: "image/png".to_owned(),
            };
            let ask = PromptMessage::user("Please analyze the image above.");
            Box::pin(async { Ok(says(vec![user(image), ask])) })
        }),
        fixture(
            "test_input_required_result_prompt",
            Vec::new(),
            |caller, _| {
                Box::pin(async {
                    let message = "What context should the prompt use?";
                    let question = form(message, vec![text_field("context")]);
                    let context = caller.ask("user_context", question).await?;
                    Ok(says(vec![PromptMessage::user(format!(
                        "Context: {context:?}"
                    ))]))
                })
            },
        ),
    ]
}

/// Candidates for an argument of a prompt of the suite; `None` for any other prompt.
fn complete(params: &CompleteParams) -> Option<Vec<String>> {
    match &params.reference {
        CompletionReference::Prompt { name } if name == "test_prompt_with_arguments" => {
            let all = ["paris", "park", "party", "testValue1", "testValue2"];
            let typed = params.argument.value.as_str();
            let fit = all.into_iter().filter(|value| value.starts_with(typed));
            Some(fit.map(ToOwned::to_owned).collect())
        }
        _ => None,
    }
}

/// Completes the arguments of the suite's prompts.
pub(super) struct SuiteCompleter;

#[async_trait]
impl Completer for SuiteCompleter {
    async fn complete(
        &self,
        _: &Caller,
        params: &CompleteParams,
    ) -> Result<Option<CompleteResult>, CallError> {
        Ok(complete(params).map(CompleteResult::of))
    }
}
