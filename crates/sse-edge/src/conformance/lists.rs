//! Tools that announce the change of a list.

use ports::ChangedLists;

use super::{Nothing, fixture, said};
use crate::tools::Tool;

pub(super) fn tools() -> Vec<Box<dyn Tool>> {
    vec![
        fixture::<Nothing>(
            "test_trigger_tool_change",
            "Announces that the list of tools changed.",
            |caller, _| {
                Box::pin(async {
                    let tools = ChangedLists {
                        tools: true,
                        ..ChangedLists::default()
                    };
                    caller.edge.announce(tools).await;
                    Ok(said("announced"))
                })
            },
        ),
        fixture::<Nothing>(
            "test_trigger_prompt_change",
            "Announces that the list of prompts changed.",
            |caller, _| {
                Box::pin(async {
                    let prompts = ChangedLists {
                        prompts: true,
                        ..ChangedLists::default()
                    };
                    caller.edge.announce(prompts).await;
                    Ok(said("announced"))
                })
            },
        ),
    ]
}
