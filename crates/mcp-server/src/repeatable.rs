//! A call that can be made again, because it changes nothing and its answer covers the time in between: by this edge
//! once there is something to answer, or by another edge if this one is gone.

use mcp::{RequestId, method};
use model::{LogPosition, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

/// What an edge needs in order to make such a call of a tool again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepeatableCall {
    /// The name of the tool.
    pub tool: String,
    /// The tool's input; up to [`MAX_CALL_ARGUMENT_BYTES`](mcp::limits::MAX_CALL_ARGUMENT_BYTES).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Box<RawValue>>,
    /// The token under which the client wants to hear of progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_token: Option<RequestId>,
    /// What the call has to cover begins after this position, unless its arguments name another.
    pub since: LogPosition,
    /// The time at which the call was made first.
    pub began: Timestamp,
    /// How long the call waits at most, in seconds; earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_seconds: Option<u32>,
}

impl RepeatableCall {
    /// The method of the request.
    pub const METHOD: &str = method::TOOLS_CALL;

    /// The params of the request.
    ///
    /// # Panics
    /// Never: names, numbers and JSON are JSON.
    #[must_use]
    pub fn params(&self) -> Box<RawValue> {
        let meta = self.progress_token.as_ref();
        let meta = meta.map(|token| json!({ "progressToken": token }));
        #[derive(Serialize)]
        struct Params<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            arguments: Option<&'a RawValue>,
            #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
            meta: Option<serde_json::Value>,
        }
        let params = Params {
            name: &self.tool,
            arguments: self.arguments.as_deref(),
            meta,
        };
        serde_json::value::to_raw_value(&params).expect("it is JSON")
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, Sequence};

    use super::*;

    #[test]
    fn what_is_stored_of_a_call_makes_the_same_call() {
        let call = RepeatableCall {
            tool: "wait_for_events".to_owned(),
            arguments: Some(serde_json::value::to_raw_value(&json!({ "limit": 3 })).unwrap()),
            progress_token: Some(RequestId::Text("a".into())),
            since: LogPosition {
                epoch: Epoch(1),
                sequence: Sequence(12),
                tag: None,
            },
            began: Timestamp::default(),
            most_seconds: Some(3600),
        };
        let stored = serde_json::to_vec(&call).unwrap();
        let again: RepeatableCall = serde_json::from_slice(&stored).unwrap();
        assert_eq!(
            again.params().get(),
            r#"{"name":"wait_for_events","arguments":{"limit":3},"_meta":{"progressToken":"a"}}"#
        );
        assert_eq!(again.since, call.since);
        assert_eq!(again.began, call.began);
        assert_eq!(again.most_seconds, call.most_seconds);
    }
}
