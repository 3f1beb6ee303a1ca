//! What the official conformance suite expects of a server beyond the product's own offer. Behind
//! the cargo feature `conformance`, which production builds leave out.
//!
//! Names and texts are those of the suite (npm `@modelcontextprotocol/conformance`, server
//! scenarios).

mod asking;
mod content;
mod lists;
mod prompts;
mod resources;
mod rounds;
mod schema;
mod streaming;
mod tasks;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mcp::tool::{Annotations, CallParams, CallResult, Content, ToolDescriptor};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use prompts::{complete, prompts};
pub(crate) use resources::{is_subscribable, read, resources, templates};

use crate::{
    policy::{Policy, RateClass},
    protocol::{CallError, Caller},
    tools::Tool,
};

/// The behaviour of a fixture.
type Call = for<'a> fn(&'a Caller, &'a CallParams) -> BoxFuture<'a, Result<CallResult, CallError>>;

/// A tool of the suite.
struct Fixture {
    descriptor: ToolDescriptor,
    call: Call,
}

#[async_trait]
impl Tool for Fixture {
    fn descriptor(&self) -> ToolDescriptor {
        self.descriptor.clone()
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Memory)
    }

    async fn call(&self, caller: &Caller, call: &CallParams) -> Result<CallResult, CallError> {
        (self.call)(caller, call).await
    }
}

/// No input.
#[derive(Debug, Deserialize, JsonSchema)]
struct Nothing {}

fn fixture<Input: JsonSchema>(
    name: &'static str,
    description: &'static str,
    call: Call,
) -> Box<dyn Tool> {
    let hints = Annotations::read_only();
    Box::new(Fixture {
        descriptor: ToolDescriptor::new::<Input>(name, name, description, hints),
        call,
    })
}

/// One text.
fn said(text: impl Into<String>) -> CallResult {
    CallResult::new(vec![Content::text(text)])
}

/// All tools of the suite.
pub(crate) fn tools() -> Vec<Box<dyn Tool>> {
    let mut tools = content::tools();
    tools.extend(streaming::tools());
    tools.extend(schema::tools());
    tools.extend(tasks::tools());
    tools.extend(asking::tools());
    tools.extend(rounds::tools());
    tools.extend(lists::tools());
    tools
}
