//! What MCP clients can be filled with: one file a prompt. A new prompt is a file with a descriptor and a
//! function, and a line in [`builtin`].
//!
//! What comes from GitHub was written by anybody: a prompt hands it on as embedded resources, which are
//! data, and says so. It shows nothing that its principal could not read itself.

mod activity;
mod summarize_activity;
mod triage_event;

use async_trait::async_trait;
use mcp::prompt::{GetParams, PromptArgument, PromptDescriptor, PromptResult};
use serde_json::value::RawValue;

use crate::{
    policy::Policy,
    protocol::{CallError, Caller},
};

/// A prompt.
#[async_trait]
pub(crate) trait Prompt: Send + Sync {
    /// Name, description, arguments; asked once, at start.
    fn descriptor(&self) -> PromptDescriptor;

    /// What a call needs; checked before it runs.
    fn policy(&self) -> Policy;

    /// The messages. Required arguments are there; one that does not fit is [`CallError::Input`]. A prompt
    /// may ask its client, like a tool.
    async fn get(&self, caller: &Caller, params: &GetParams) -> Result<PromptResult, CallError>;
}

/// The prompts of the product.
fn builtin() -> Vec<Box<dyn Prompt>> {
    vec![
        Box::new(summarize_activity::SummarizeActivity),
        Box::new(triage_event::TriageEvent),
    ]
}

/// All prompts, sorted by name.
pub(crate) struct Prompts {
    descriptors: Vec<PromptDescriptor>,
    prompts: Vec<Box<dyn Prompt>>,
}

impl std::fmt::Debug for Prompts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.descriptors.iter().map(|prompt| prompt.name);
        f.debug_list().entries(names).finish()
    }
}

impl Default for Prompts {
    fn default() -> Self {
        #[allow(
            unused_mut,
            reason = "the fixtures are added only where they are built in"
        )]
        let mut prompts = builtin();
        #[cfg(feature = "conformance")]
        prompts.extend(crate::conformance::prompts());
        let mut described: Vec<_> = prompts
            .into_iter()
            .map(|prompt| (prompt.descriptor(), prompt))
            .collect();
        described.sort_by_key(|(descriptor, _)| descriptor.name);
        let (descriptors, prompts) = described.into_iter().unzip();
        Self {
            descriptors,
            prompts,
        }
    }
}

impl Prompts {
    /// What `prompts/list` lists.
    pub(crate) fn descriptors(&self) -> &[PromptDescriptor] {
        &self.descriptors
    }

    /// The prompt of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&PromptDescriptor> {
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
    /// No such prompt, an argument that is missing or does not fit, not admitted, or a question to the
    /// client.
    pub(crate) async fn get(
        &self,
        caller: &Caller,
        params: Option<&RawValue>,
    ) -> Result<PromptResult, CallError> {
        let params = GetParams::parse(params)?;
        let place = self.place(&params.name);
        let place = place.ok_or_else(|| params.unknown_prompt())?;
        params.check(&self.descriptors[place])?;
        let prompt = &self.prompts[place];
        let _admitted = caller.admit(prompt.policy())?;
        prompt.get(caller, &params).await
    }
}

/// A required argument.
pub(crate) const fn required(name: &'static str, description: &'static str) -> PromptArgument {
    PromptArgument {
        name,
        title: None,
        description,
        required: true,
    }
}

/// The text of a required argument.
pub(crate) fn argument<'p>(params: &'p GetParams, name: &str) -> &'p str {
    params.arguments.get(name).map_or("", String::as_str)
}
