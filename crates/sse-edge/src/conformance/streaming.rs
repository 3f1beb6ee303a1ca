//! Tools that say something before they answer.

use std::time::Duration;

use mcp::{
    dispatch::LogLevel,
    tool::{CallResult, Content},
};
use serde_json::json;

use super::{Nothing, fixture};
use crate::tools::Tool;

/// What the suite expects between two messages.
const PAUSE: Duration = Duration::from_millis(50);

fn done(text: &str) -> CallResult {
    CallResult::new(vec![Content::text(text)])
}

pub(super) fn tools() -> Vec<Box<dyn Tool>> {
    vec![
        fixture::<Nothing>(
            "test_tool_with_logging",
            "Logs three times.",
            |caller, _| {
                Box::pin(async {
                    for text in ["Tool execution started", "Tool processing data"] {
                        caller
                            .outlet
                            .log(LogLevel::Info, "conformance", &json!(text))
                            .await;
                        tokio::time::sleep(PAUSE).await;
                    }
                    let last = json!("Tool execution completed");
                    caller
                        .outlet
                        .log(LogLevel::Info, "conformance", &last)
                        .await;
                    Ok(done("Tool with logging executed successfully"))
                })
            },
        ),
        fixture::<Nothing>("test_logging_tool", "Logs once.", |caller, _| {
            Box::pin(async {
                caller
                    .outlet
                    .log(LogLevel::Info, "conformance", &json!("a log message"))
                    .await;
                Ok(done("done"))
            })
        }),
        fixture::<Nothing>(
            "test_tool_with_progress",
            "Reports its progress.",
            |caller, _| {
                Box::pin(async {
                    for (step, progress) in [0.0, 50.0, 100.0].into_iter().enumerate() {
                        if step > 0 {
                            tokio::time::sleep(PAUSE).await;
                        }
                        let text = format!("Completed step {progress} of 100");
                        caller
                            .outlet
                            .progress(progress, Some(100.0), Some(&text))
                            .await;
                    }
                    Ok(done("done"))
                })
            },
        ),
    ]
}
