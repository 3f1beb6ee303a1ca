//! Tools that announce that a list changed.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor};
use mcp_server::{CallError, Caller, Policy, RateClass, lists::announce_lists, tool::Tool};
use ports::{Bus, ListChanges};

use crate::fixture::{Nothing, said};

/// Announces a change of one list.
struct AnnounceChange {
    name: &'static str,
    lists: ListChanges,
    bus: Arc<dyn Bus>,
}

#[async_trait]
impl Tool for AnnounceChange {
    fn descriptor(&self) -> ToolDescriptor {
        let hints = ToolAnnotations::read_only();
        let description = "Announces that a list changed.";
        ToolDescriptor::new::<Nothing>(self.name, self.name, description, hints)
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Memory)
    }

    async fn call(&self, _: &Caller, _: &CallToolParams) -> Result<CallToolResult, CallError> {
        announce_lists(&*self.bus, self.lists).await;
        Ok(said("announced"))
    }
}

pub(super) fn tools(bus: &Arc<dyn Bus>) -> Vec<Box<dyn Tool>> {
    let none = ListChanges::default();
    let tools = ListChanges {
        tools: true,
        ..none
    };
    let prompts = ListChanges {
        prompts: true,
        ..none
    };
    let announce = |name, lists| -> Box<dyn Tool> {
        Box::new(AnnounceChange {
            name,
            lists,
            bus: Arc::clone(bus),
        })
    };
    vec![
        announce("test_trigger_tool_change", tools),
        announce("test_trigger_prompt_change", prompts),
    ]
}
