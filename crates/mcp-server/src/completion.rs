//! Completion of arguments while they are typed.

use async_trait::async_trait;
use mcp::{
    completion::{CompleteParams, CompleteResult, CompletionReference},
    params::InputError,
};
use model::ResourceUri;
use serde_json::value::RawValue;

use crate::{
    call_error::CallError,
    caller::Caller,
    policy::{Policy, RateClass},
    prompt::Prompts,
    resource::Resources,
};

/// Completes arguments of prompts and resource templates.
#[async_trait]
pub trait Completer: Send + Sync {
    /// The candidates for an existing argument; `None` if this completer does not know the
    /// argument.
    ///
    /// # Errors
    /// A component behind the completer does not answer.
    async fn complete(
        &self,
        caller: &Caller,
        params: &CompleteParams,
    ) -> Result<Option<CompleteResult>, CallError>;
}

/// Answers `completion/complete` with the first completer that knows the argument; empty if none
/// does.
///
/// # Errors
/// No such prompt, template or argument; not admitted; or the completer failed.
pub(crate) async fn complete(
    (prompts, resources): (&Prompts, &Resources),
    completers: &[Box<dyn Completer>],
    caller: &Caller,
    params: Option<Box<RawValue>>,
) -> Result<CompleteResult, CallError> {
    let read = CompleteParams::parse(params.as_deref());
    drop(params);
    let mut params = read?;
    if let CompletionReference::Resource { uri } = &mut params.reference
        && let Some(canonical) = ResourceUri::canonical_template(uri)
    {
        *uri = canonical;
    }
    check_reference(prompts, resources, &params)?;
    let _admitted = caller.admit(Policy::read(RateClass::Store))?;
    for completer in completers {
        if let Some(result) = completer.complete(caller, &params).await? {
            return Ok(result);
        }
    }
    Ok(CompleteResult::of(Vec::new()))
}

/// Checks that the argument exists.
fn check_reference(
    prompts: &Prompts,
    resources: &Resources,
    params: &CompleteParams,
) -> Result<(), InputError> {
    let name = &params.argument.name;
    let is_known = match &params.reference {
        CompletionReference::Prompt { name: prompt } => {
            let found = prompts.find(prompt);
            let found = found.ok_or_else(|| InputError::new("ref.name", "unknown prompt"))?;
            let mut arguments = found.arguments.iter();
            arguments.any(|argument| argument.name == name)
        }
        CompletionReference::Resource { uri } => {
            let mut templates = resources.templates().iter();
            if !templates.any(|template| template.uri_template == *uri) {
                return Err(InputError::new("ref.uri", "unknown resource template"));
            }
            uri.contains(&format!("{{{name}}}"))
        }
    };
    match is_known {
        true => Ok(()),
        false => Err(InputError::new(
            "argument.name",
            "there is no such argument",
        )),
    }
}
