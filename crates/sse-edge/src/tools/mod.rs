//! What MCP clients can call: one file a tool. A new tool is a file with a descriptor and a function, and
//! a line in [`builtin`].

mod filters;
mod get_recent_events;
mod manage_events;
mod replay_events;
mod subscribe_to_events;

use async_trait::async_trait;
use bytes::Bytes;
use mcp::{
    Era, Refusal, RequestId,
    tool::{CallParams, CallResult, ToolDescriptor, check_param_headers, input_failure},
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    error::EdgeError,
    policy::Policy,
    protocol::{CallError, Caller, rpc_error},
};

/// A tool.
#[async_trait]
pub(crate) trait Tool: Send + Sync {
    /// Name, schemas, hints; asked once, at start.
    fn descriptor(&self) -> ToolDescriptor;

    /// What a call needs; checked before it runs.
    fn policy(&self) -> Policy;

    /// Does what the tool does. Input that does not fit is [`CallError::Input`], a failure that a model can
    /// act on is a result with `isError`. A tool that asks its client does so before it acts: in the
    /// stateless era it runs again from its beginning when the answer is there.
    async fn call(&self, caller: &Caller, call: &CallParams) -> Result<CallResult, CallError>;
}

/// The tools of the product.
fn builtin() -> Vec<Box<dyn Tool>> {
    vec![
        Box::new(get_recent_events::GetRecentEvents),
        Box::new(manage_events::ManageEvents),
        Box::new(replay_events::ReplayEvents),
        Box::new(subscribe_to_events::SubscribeToEvents),
    ]
}

/// All tools, sorted by name: a stable order keeps clients' prompt caches warm.
pub(crate) struct Tools {
    descriptors: Vec<ToolDescriptor>,
    tools: Vec<Box<dyn Tool>>,
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
            .map(|tool| (tool.descriptor(), tool))
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
        let result = match run(&*self.tools[tool], caller, &call).await {
            Ok(result) => result,
            Err(CallError::Input(error)) => input_failure(caller.version, error)?,
            // The session ended under the call: no tool result can say that.
            Err(CallError::Edge(error)) if !matches!(error, EdgeError::SessionGone) => {
                // Logged in full; a model gets what it can act on.
                let _ = rpc_error(&error);
                CallResult::failed(error.public_text())
            }
            Err(error) => return error.answer(caller, id),
        };
        Ok(caller.answer(id, &result.for_version(caller.version)))
    }
}

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
