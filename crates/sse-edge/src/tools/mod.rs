//! What MCP clients can call: one file a tool. A new tool is a file with a descriptor and a function, and
//! a line in [`builtin`].

mod filters;
mod get_recent_events;
mod manage_events;
mod replay_events;
mod subscribe_to_events;
mod wait_for_events;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mcp::{
    Era, Refusal, RequestId,
    task::require_extension,
    tool::{CallParams, CallResult, ToolDescriptor, check_param_headers, input_failure},
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    error::EdgeError,
    policy::Policy,
    protocol::{CallError, Caller, rpc_error},
    tasks,
};

/// A tool.
#[async_trait]
pub(crate) trait Tool: Send + Sync + 'static {
    /// Name, schemas, hints; asked once, at start.
    fn descriptor(&self) -> ToolDescriptor;

    /// What a call needs; checked before it runs.
    fn policy(&self) -> Policy;

    /// Does what the tool does. Input that does not fit is [`CallError::Input`], a failure that a model can
    /// act on is a result with `isError`. A tool that asks its client does so before it acts: in the
    /// stateless era it runs again from its beginning when the answer is there.
    async fn call(&self, caller: &Caller, call: &CallParams) -> Result<CallResult, CallError>;

    /// Whether a call may go on after its answer.
    fn runs(&self) -> Runs {
        Runs::Inline
    }

    /// What has to be asked or refused before a call becomes a task.
    async fn before_task(&self, _caller: &Caller, _call: &CallParams) -> Result<(), CallError> {
        Ok(())
    }
}

/// Whether a call may go on after its answer (tasks extension).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    /// Never: it is quick.
    Inline,
    /// Where the client knows tasks.
    AsTaskIfPossible,
    /// In the stateless era always; a client that does not know tasks is refused.
    AsTaskOnly,
}

/// The tools of the product.
fn builtin() -> Vec<Box<dyn Tool>> {
    vec![
        Box::new(get_recent_events::GetRecentEvents),
        Box::new(manage_events::ManageEvents),
        Box::new(replay_events::ReplayEvents),
        Box::new(subscribe_to_events::SubscribeToEvents),
        Box::new(wait_for_events::WaitForEvents),
    ]
}

/// All tools, sorted by name: a stable order keeps clients' prompt caches warm.
pub(crate) struct Tools {
    descriptors: Vec<ToolDescriptor>,
    tools: Vec<Arc<dyn Tool>>,
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.descriptors.iter().map(ToolDescriptor::name);
        f.debug_list().entries(names).finish()
    }
}

impl Default for Tools {
    fn default() -> Self {
        #[allow(
            unused_mut,
            reason = "the fixtures are added only where they are built in"
        )]
        let mut tools = builtin();
        #[cfg(feature = "conformance")]
        tools.extend(crate::conformance::tools());
        let mut described: Vec<_> = tools
            .into_iter()
            .map(|tool| (tool.descriptor(), Arc::from(tool)))
            .collect();
        described.sort_by_key(|(descriptor, _)| descriptor.name());
        let (descriptors, tools) = described.into_iter().unzip();
        Self { descriptors, tools }
    }
}

impl Tools {
    /// What `tools/list` lists.
    pub(crate) fn descriptors(&self) -> &[ToolDescriptor] {
        &self.descriptors
    }

    /// `tools/call`.
    ///
    /// # Errors
    /// No such tool; (before 2025-11-25) arguments that do not fit; (stateless era) headers that say
    /// something else than the arguments, or a capability that the client lacks.
    pub(crate) async fn call(
        &self,
        caller: &Caller,
        id: &RequestId,
        params: Option<&RawValue>,
    ) -> Result<Bytes, Refusal> {
        let call = CallParams::parse(params)?;
        let place = self
            .descriptors
            .binary_search_by(|tool| tool.name().cmp(&call.name));
        let tool = place.map_err(|_| call.unknown_tool())?;
        if caller.version.era() == Era::Stateless {
            let arguments = call.arguments.as_deref();
            check_param_headers(&self.descriptors[tool], arguments, &caller.param_headers)?;
        }
        let tool = &self.tools[tool];
        let outcome = if becomes_task(caller, tool.runs())? {
            match before_task(&**tool, caller, &call).await {
                Ok(()) => return tasks::start(caller, id, Arc::clone(tool), call).await,
                Err(error) => Err(error),
            }
        } else {
            run(&**tool, caller, &call).await
        };
        match as_result(caller, outcome) {
            Ok(result) => Ok(caller.answer(id, &result.for_version(caller.version))),
            Err(error) => error.answer(caller, id),
        }
    }
}

/// A failure that a model can act on is a result; the others stay errors.
pub(crate) fn as_result(
    caller: &Caller,
    outcome: Result<CallResult, CallError>,
) -> Result<CallResult, CallError> {
    match outcome {
        Err(CallError::Input(error)) => Ok(input_failure(caller.version, error)?),
        // The session ended under the call: no tool result can say that.
        Err(CallError::Edge(error)) if !matches!(error, EdgeError::SessionGone) => {
            // Logged in full; a model gets what it can act on.
            let _ = rpc_error(&error);
            Ok(CallResult::failed(error.public_text()))
        }
        other => other,
    }
}

/// Whether the call becomes a task; the stateless era alone has them.
///
/// # Errors
/// 400 with -32021: it would have to, and the client does not know tasks.
fn becomes_task(caller: &Caller, runs: Runs) -> Result<bool, Refusal> {
    if runs == Runs::Inline || caller.version.era() == Era::Handshake {
        return Ok(false);
    }
    let declared = require_extension(&caller.client);
    if runs == Runs::AsTaskOnly {
        declared?;
        return Ok(true);
    }
    Ok(declared.is_ok())
}

/// What has to be asked or refused before a call becomes a task.
async fn before_task(tool: &dyn Tool, caller: &Caller, call: &CallParams) -> Result<(), CallError> {
    let _admitted = caller.admit(tool.policy())?;
    tool.before_task(caller, call).await
}

/// Runs a tool for whoever may have it.
///
/// # Errors
/// What the tool says, or that the caller has not the permission, or no room.
async fn run(tool: &dyn Tool, caller: &Caller, call: &CallParams) -> Result<CallResult, CallError> {
    let _admitted = caller.admit(tool.policy())?;
    tool.call(caller, call).await
}

/// A result that fits the tool's output schema.
fn done(data: &impl Serialize) -> Result<CallResult, CallError> {
    CallResult::structured(data).map_err(|_| {
        let reason = "an event cannot be encoded".to_owned();
        CallError::Edge(EdgeError::Parameter {
            field: "events".to_owned(),
            reason,
        })
    })
}
