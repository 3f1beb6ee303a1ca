//! Prompts: messages with which a user can start a conversation.
//!
//! Contents of GitHub are untrusted: a prompt passes them on as embedded resources, which are data,
//! and says so. It shows nothing that its principal could not read itself.

use std::fmt;

use async_trait::async_trait;
use mcp::prompt::{GetPromptParams, GetPromptResult, PromptArgument, PromptDescriptor};
use serde_json::value::RawValue;

use crate::{call_error::CallError, caller::Caller, policy::Policy};

/// A prompt.
#[async_trait]
pub trait Prompt: Send + Sync {
    /// Name, description and arguments; called once, at start.
    fn descriptor(&self) -> PromptDescriptor;

    /// The requirements of a call, checked before it runs.
    fn policy(&self) -> Policy;

    /// The messages. Required arguments are present; for an invalid argument return
    /// [`CallError::Input`]. A prompt may ask its client questions, like a tool.
    async fn get(
        &self,
        caller: &Caller,
        params: &GetPromptParams,
    ) -> Result<GetPromptResult, CallError>;
}

/// All prompts, sorted by name.
pub struct Prompts {
    descriptors: Vec<PromptDescriptor>,
    prompts: Vec<Box<dyn Prompt>>,
}

impl fmt::Debug for Prompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.descriptors.iter().map(|prompt| prompt.name);
        f.debug_list().entries(names).finish()
    }
}

impl Prompts {
    pub(crate) fn new(mut prompts: Vec<(PromptDescriptor, Box<dyn Prompt>)>) -> Self {
        prompts.sort_by_key(|(descriptor, _)| descriptor.name);
        let (descriptors, prompts) = prompts.into_iter().unzip();
        Self {
            descriptors,
            prompts,
        }
    }

    /// The prompts that `prompts/list` lists.
    #[must_use]
    pub fn descriptors(&self) -> &[PromptDescriptor] {
        &self.descriptors
    }

    /// The prompt of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&PromptDescriptor> {
        Some(&self.descriptors[self.place(name)?])
    }

    fn place(&self, name: &str) -> Option<usize> {
        let place = self
            .descriptors
            .binary_search_by(|prompt| prompt.name.cmp(name));
        place.ok()
    }

    /// `prompts/get`.
    ///
    /// # Errors
    /// No such prompt, an argument that is missing or invalid, not admitted, or a question to the
    /// client.
    pub async fn get(
        &self,
        caller: &Caller,
        params: Option<Box<RawValue>>,
    ) -> Result<GetPromptResult, CallError> {
        let read = GetPromptParams::parse(params.as_deref());
        drop(params);
        let params = read?;
        let place = self.place(&params.name);
        let place = place.ok_or_else(|| params.unknown_prompt())?;
        params.check(&self.descriptors[place])?;
        let prompt = &self.prompts[place];
        let _admitted = caller.admit(prompt.policy())?;
        prompt.get(caller, &params).await
    }
}

/// A required argument.
#[must_use]
pub const fn required(name: &'static str, description: &'static str) -> PromptArgument {
    PromptArgument {
        name,
        title: None,
        description,
        required: true,
    }
}

/// The text of a required argument.
#[must_use]
pub fn argument<'p>(params: &'p GetPromptParams, name: &str) -> &'p str {
    params.arguments.get(name).map_or("", String::as_str)
}
