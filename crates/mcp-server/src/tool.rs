//! Tools that a model can call.

use std::{borrow::Cow, fmt, sync::Arc, time::Instant};

use async_trait::async_trait;
use instruments::TraceSpan;
use mcp::{
    Era, HttpRefusal, RpcError,
    limits::MAX_CALL_ARGUMENT_BYTES,
    method,
    params::InputError,
    task::require_extension,
    tool::{CallToolParams, CallToolResult, ToolDescriptor, check_param_headers, input_failure},
};
use serde_json::value::RawValue;

use crate::{
    call_error::{CallError, log_failure},
    call_metrics::{CallMetrics, ToolLatency},
    caller::Caller,
    offered_tools::{
        EXCLUDE_TOOLS_HEADER, OfferedTools, READ_ONLY_HEADER, TOOLS_HEADER, TOOLSETS_HEADER,
        ToolChoice, ToolsetNames,
    },
    policy::Policy,
    rates::AdmissionPermit,
    waiting::WaitingCall,
};

/// A tool.
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// Name, schemas and hints; called once, at start.
    fn descriptor(&self) -> ToolDescriptor;

    /// The requirements of a call, checked before it runs.
    fn policy(&self) -> Policy;

    /// Does the work. For invalid input return [`CallError::Input`]; for a failure that a model can
    /// act on, a result with `isError`. A tool that asks its client has to do so before it acts: in
    /// the stateless era it runs again from the beginning once the answer is there.
    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError>;

    /// Maximum size of the arguments, in bytes without white space between their parts. A call keeps them
    /// until it ends.
    fn max_argument_bytes(&self) -> usize {
        MAX_CALL_ARGUMENT_BYTES
    }

    /// Whether a call may continue after its answer.
    fn execution(&self) -> Execution {
        Execution::Inline
    }

    /// Asks or refuses whatever has to be asked or refused before a call becomes a task.
    async fn before_task(&self, _caller: &Caller, _call: &CallToolParams) -> Result<(), CallError> {
        Ok(())
    }
}

/// Whether a call may continue after its answer (tasks extension).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// Never; the tool is quick.
    Inline,
    /// If the client supports tasks.
    TaskIfPossible,
    /// Always in the stateless era; a client without support for tasks is refused.
    TaskOnly,
}

/// The outcome of dispatching a call.
pub enum ToolCall {
    /// The tool has run.
    Done(Result<CallToolResult, CallError>),
    /// The call waits, and is made again later ([`Tools::call_again`]).
    Waits(Box<WaitingCall>),
    /// The call becomes a task, which the server runs.
    Task(Arc<dyn Tool>, CallToolParams),
}

/// A tool of a toolset.
pub(crate) struct NamedTool {
    pub(crate) descriptor: ToolDescriptor,
    pub(crate) tool: Box<dyn Tool>,
    pub(crate) names: ToolsetNames,
}

/// All tools, sorted by name: a stable order keeps clients' prompt caches warm.
pub struct Tools {
    descriptors: Vec<ToolDescriptor>,
    tools: Vec<Arc<dyn Tool>>,
    /// The names of the toolset of the tool at the same place.
    toolsets: Vec<ToolsetNames>,
    /// Of the tool at the same place.
    latencies: Vec<ToolLatency>,
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.descriptors.iter().map(ToolDescriptor::name);
        f.debug_list().entries(names).finish()
    }
}

impl Tools {
    pub(crate) fn new(mut named: Vec<NamedTool>) -> Self {
        named.sort_by_key(|named| named.descriptor.name());
        let (mut descriptors, mut tools, mut toolsets) = (Vec::new(), Vec::new(), Vec::new());
        for NamedTool {
            descriptor,
            tool,
            names,
        } in named
        {
            descriptors.push(descriptor);
            tools.push(Arc::from(tool));
            toolsets.push(names);
        }
        let tools = Self {
            descriptors,
            tools,
            toolsets,
            latencies: Vec::new(),
        };
        tools.observed_by(&CallMetrics::default())
    }

    /// The tools that a request asks for.
    ///
    /// # Errors
    /// It names a tool that is not here.
    pub fn offered(&self, choice: &ToolChoice) -> Result<OfferedTools, InputError> {
        let is_known = |name: &&String| self.descriptors.iter().any(|tool| tool.name() == **name);
        let mut named = choice.tools.iter();
        if let Some(unknown) = named.find(|name| !is_known(name)) {
            let known: Vec<_> = self.descriptors.iter().map(ToolDescriptor::name).collect();
            let reason = format!("there is no tool {unknown}; use {}", known.join(", "));
            return Err(InputError::new(TOOLS_HEADER.as_str(), &reason));
        }
        let tools = self.descriptors.iter().zip(&self.toolsets);
        Ok(OfferedTools::some(tools.map(|(tool, names)| {
            choice.has(tool.name(), tool.is_read_only(), |name| names.has(name))
        })))
    }

    /// Those that `tools/list` lists for a request.
    pub(crate) fn offered_descriptors(&self, offered: &OfferedTools) -> Cow<'_, [ToolDescriptor]> {
        if !offered.is_choice() {
            return Cow::Borrowed(&self.descriptors);
        }
        let tools = self.descriptors.iter().enumerate();
        let tools = tools.filter(|(place, _)| offered.has(*place));
        Cow::Owned(tools.map(|(_, tool)| tool.clone()).collect())
    }

    /// Counts the calls of each tool in these metrics.
    pub(crate) fn observed_by(self, metrics: &CallMetrics) -> Self {
        let names = self.descriptors.iter().map(ToolDescriptor::name);
        let latencies = names.map(|name| metrics.of_tool(name)).collect();
        Self { latencies, ..self }
    }

    /// The tools that `tools/list` lists.
    #[must_use]
    pub fn descriptors(&self) -> &[ToolDescriptor] {
        &self.descriptors
    }

    /// `tools/call`, up to a result or a task. Of the params only the name and the arguments outlive this.
    ///
    /// # Errors
    /// No such tool; (before 2025-11-25) arguments that do not fit; (stateless era) headers that differ
    /// from the arguments, or a capability that the client lacks.
    pub async fn call(
        &self,
        caller: &Caller,
        params: Option<Box<RawValue>>,
    ) -> Result<ToolCall, HttpRefusal> {
        let read = CallToolParams::parse(params.as_deref());
        drop(params);
        let call = read?;
        let place = self
            .descriptors
            .binary_search_by(|tool| tool.name().cmp(&call.name));
        let place = place.map_err(|_| call.unknown_tool())?;
        if !caller.offered.has(place) {
            return Err(not_offered(&call.name).into());
        }
        if caller.version.era() == Era::Stateless {
            let arguments = call.arguments.as_deref();
            check_param_headers(
                &self.descriptors[place],
                arguments,
                &caller.client().param_headers,
            )?;
        }
        let tool = &self.tools[place];
        name_span(self.descriptors[place].name());
        let call = match call.within(tool.max_argument_bytes()) {
            Ok(call) => call,
            Err(error) => return Ok(ToolCall::Done(Err(error.into()))),
        };
        if !becomes_task(caller, tool.execution())? {
            let began = Instant::now();
            return Ok(match caller.admit(tool.policy()) {
                Ok(admitted) => self.run(caller, call, (place, began, admitted)).await,
                Err(error) => self.done((place, began), Err(error)),
            });
        }
        Ok(match Box::pin(before_task(&**tool, caller, &call)).await {
            Ok(()) => ToolCall::Task(Arc::clone(tool), call),
            Err(error) => ToolCall::Done(Err(error)),
        })
    }
}

impl Tools {
    /// Makes a call again whose wait is over. It was admitted when it began.
    pub(crate) async fn call_again(&self, caller: &Caller, waiting: Box<WaitingCall>) -> ToolCall {
        let call = waiting.params();
        let place = self
            .descriptors
            .binary_search_by(|tool| tool.name().cmp(&call.name));
        let WaitingCall {
            admitted, began, ..
        } = *waiting;
        match place {
            Ok(place) => self.run(caller, call, (place, began, admitted)).await,
            Err(_) => ToolCall::Done(Err(call.unknown_tool().into())),
        }
    }

    /// Runs a tool for a caller that is admitted.
    async fn run(
        &self,
        caller: &Caller,
        call: CallToolParams,
        (place, began, admitted): (usize, Instant, AdmissionPermit),
    ) -> ToolCall {
        match self.tools[place].call(caller, &call).await {
            Err(CallError::Waits(wait)) => ToolCall::Waits(Box::new(WaitingCall {
                call: Arc::new(caller.repeatable(call, &*wait)),
                wait,
                admitted,
                began,
                observed: None,
            })),
            outcome => self.done((place, began), outcome),
        }
    }

    fn done(
        &self,
        (place, began): (usize, Instant),
        outcome: Result<CallToolResult, CallError>,
    ) -> ToolCall {
        let is_ok = outcome.as_ref().is_ok_and(|result| !result.is_error());
        self.latencies[place].observe(began, is_ok);
        ToolCall::Done(outcome)
    }
}

/// The request has headers that choose other tools.
fn not_offered(tool: &str) -> RpcError {
    RpcError::invalid_params(format!(
        "the tool {tool} is not among those that this request asks for: see its headers {TOOLSETS_HEADER}, \
         {TOOLS_HEADER}, {EXCLUDE_TOOLS_HEADER} and {READ_ONLY_HEADER}, and its path"
    ))
}

/// Names the tool in the span of its call.
fn name_span(tool: &str) {
    let span = TraceSpan::current();
    if span.is_recorded() {
        span.rename(|| format!("{} {tool}", method::TOOLS_CALL));
        span.set("gen_ai.tool.name", tool.to_owned());
    }
}

/// Turns a failure that a model can act on into a result; other errors stay errors.
///
/// # Errors
/// Those other errors.
pub fn as_result(
    caller: &Caller,
    outcome: Result<CallToolResult, CallError>,
) -> Result<CallToolResult, CallError> {
    match outcome {
        Err(CallError::Input(error)) => Ok(input_failure(caller.version, error)?),
        Err(CallError::Failed(failure)) => {
            // Logged in full; the model gets only the public text.
            log_failure(&*failure);
            Ok(CallToolResult::failed(failure.public_text()))
        }
        Err(CallError::Denied(denied)) => Ok(CallToolResult::failed(denied.to_string())),
        Err(CallError::Limited(limited)) => Ok(CallToolResult::failed(limited.to_string())),
        // The session ended during the call: a tool result cannot express that.
        other => other,
    }
}

/// Whether the call becomes a task; only the stateless era has tasks.
///
/// # Errors
/// 400 with -32021: the tool runs only as a task, and the client does not support tasks.
fn becomes_task(caller: &Caller, execution: Execution) -> Result<bool, HttpRefusal> {
    if execution == Execution::Inline || caller.version.era() == Era::Handshake {
        return Ok(false);
    }
    let declared = require_extension(&caller.client().capabilities);
    if execution == Execution::TaskOnly {
        declared?;
        return Ok(true);
    }
    Ok(declared.is_ok())
}

async fn before_task(
    tool: &dyn Tool,
    caller: &Caller,
    call: &CallToolParams,
) -> Result<(), CallError> {
    let _admitted = caller.admit(tool.policy())?;
    tool.before_task(caller, call).await
}
