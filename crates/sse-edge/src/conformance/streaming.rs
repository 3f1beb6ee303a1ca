//! Tools that say something before they answer.

use std::time::Duration;

use mcp::log::LogLevel;
use serde_json::json;

use super::{Nothing, fixture, said};
use crate::tools::Tool;

/// What the suite expects between two messages.
const PAUSE: Duration = Duration::from_millis(50);

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
                    Ok(said("Tool with logging executed successfully"))
                })
            },
        ),
        fixture::<Nothing>("test_logging_tool", "Logs once.", |caller, _| {
            Box::pin(async {
                caller
                    .outlet
                    .log(LogLevel::Info, "conformance", &json!("a log message"))
                    .await;
                Ok(said("done"))
            })
        }),
        fixture::<Nothing>(
            "test_reconnection",
            "Lets the client go and works on.",
            |caller, _| {
                Box::pin(async {
                    caller.outlet.hang_up().await;
                    tokio::time::sleep(2 * PAUSE).await;
                    Ok(said("Reconnection test completed successfully"))
                })
            },
        ),
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
                    Ok(said("done"))
                })
            },
        ),
    ]
}
