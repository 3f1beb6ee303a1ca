//! A tool of the suite as a descriptor and a function.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mcp::tool::{CallToolParams, CallToolResult, ContentBlock, ToolAnnotations, ToolDescriptor};
use mcp_server::{CallError, Caller, Policy, RateClass, tool::Tool};
use schemars::JsonSchema;
use serde::Deserialize;

/// The behaviour of a fixture.
pub(crate) type FixtureCall =
    for<'a> fn(&'a Caller, &'a CallToolParams) -> BoxFuture<'a, Result<CallToolResult, CallError>>;

/// A tool of the suite.
pub(crate) struct ToolFixture {
    pub(crate) descriptor: ToolDescriptor,
    pub(crate) call: FixtureCall,
}

#[async_trait]
impl Tool for ToolFixture {
    fn descriptor(&self) -> ToolDescriptor {
        self.descriptor.clone()
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Memory)
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        (self.call)(caller, call).await
    }
}

/// No input.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

pub(crate) fn fixture<Input: JsonSchema>(
    name: &'static str,
    description: &'static str,
    call: FixtureCall,
) -> Box<dyn Tool> {
    let hints = ToolAnnotations::read_only();
    Box::new(ToolFixture {
        descriptor: ToolDescriptor::new::<Input>(name, name, description, hints),
        call,
    })
}

/// One text.
pub(crate) fn said(text: impl Into<String>) -> CallToolResult {
    CallToolResult::new(vec![ContentBlock::text(text)])
}
