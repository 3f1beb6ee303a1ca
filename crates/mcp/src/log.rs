//! Log messages for the client, and their severities.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{envelope, method};

/// Severity of a log message (RFC 5424), lowest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Details for developers.
    Debug,
    /// Normal operation.
    Info,
    /// Normal but noteworthy.
    Notice,
    /// A condition that may become a problem.
    Warning,
    /// An operation failed.
    Error,
    /// A component failed.
    Critical,
    /// Immediate action is needed.
    Alert,
    /// The system is unusable.
    Emergency,
}

#[derive(Serialize)]
struct LogParams<'a> {
    level: LogLevel,
    logger: &'a str,
    data: &'a Value,
}

/// `notifications/message` (MCP 2025-11-25, Utilities, "Logging").
#[must_use]
pub fn log_message(level: LogLevel, logger: &str, data: &Value) -> Bytes {
    let params = LogParams {
        level,
        logger,
        data,
    };
    envelope::notification(method::MESSAGE, Some(&params))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_log_message_is_a_notification() {
        let bytes = log_message(LogLevel::Info, "edge", &json!("hello"));
        assert_eq!(
            serde_json::from_slice::<Value>(&bytes).unwrap(),
            json!({
                "jsonrpc": "2.0", "method": "notifications/message",
                "params": {"level": "info", "logger": "edge", "data": "hello"}
            })
        );
    }
}
