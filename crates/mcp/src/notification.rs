//! Notifications that a handler sends while it works, and notifications of changed lists (MCP, Base
//! Protocol, "Utilities"; 2026-07-28, Patterns).

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    answer,
    envelope::{self, RequestId},
    limits::MAX_REASON_BYTES,
    log::LogLevel,
    log::log_message,
    method,
    tagged::TaggedNotification,
};

/// Progress of one request. It only increases ("Progress": the value MUST increase with each
/// notification), whatever the handler reports.
#[derive(Clone, PartialEq, Debug)]
pub struct ProgressReporter {
    token: RequestId,
    last: Option<f64>,
}

impl ProgressReporter {
    /// Progress for a request that opted in with this token.
    #[must_use]
    pub const fn new(token: RequestId) -> Self {
        Self { token, last: None }
    }

    /// The notification for the request's own stream. `None`, to be skipped, if `progress` is not
    /// higher than before or is not finite. A total that is not finite is left out.
    #[must_use]
    pub fn report(
        &mut self,
        progress: f64,
        total: Option<f64>,
        message: Option<&str>,
    ) -> Option<Bytes> {
        let rises = self.last.is_none_or(|last| progress > last);
        if !rises || !progress.is_finite() {
            return None;
        }
        self.last = Some(progress);
        let total = total.filter(|total| total.is_finite());
        Some(answer::progress(&self.token, progress, total, message))
    }
}

/// The log messages that a client receives ("Logging"). In the handshake era the session sets the
/// level; in the stateless era each request does, and without a level it receives none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogFilter(Option<LogLevel>);

impl LogFilter {
    /// Admits this level and everything above; `None` admits nothing.
    #[must_use]
    pub const fn new(level: Option<LogLevel>) -> Self {
        Self(level)
    }

    /// Whether a message of this level is sent.
    #[must_use]
    pub fn admits(self, level: LogLevel) -> bool {
        self.0.is_some_and(|lowest| level >= lowest)
    }

    /// The `notifications/message`; `None` if the filter does not admit the level.
    #[must_use]
    pub fn message(self, level: LogLevel, logger: &str, data: &Value) -> Option<Bytes> {
        self.admits(level).then(|| log_message(level, logger, data))
    }
}

/// `notifications/cancelled` for a request from the server that no longer waits for its response
/// (handshake era). The reason is cut at 400 bytes.
#[must_use]
pub fn cancelled(request: &RequestId, reason: &str) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        request_id: &'a RequestId,
        reason: &'a str,
    }
    let end = reason.floor_char_boundary(MAX_REASON_BYTES);
    let params = Params {
        request_id: request,
        reason: &reason[..end],
    };
    envelope::notification(method::CANCELLED, Some(&params))
}

/// A list that can change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ListKind {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list` and `resources/templates/list`.
    Resources,
}

impl ListKind {
    /// All lists.
    pub const ALL: [Self; 3] = [Self::Tools, Self::Prompts, Self::Resources];

    /// The method of the notification.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => method::TOOLS_LIST_CHANGED,
            Self::Prompts => method::PROMPTS_LIST_CHANGED,
            Self::Resources => method::RESOURCES_LIST_CHANGED,
        }
    }

    /// `notifications/…/list_changed` for the streams of sessions.
    #[must_use]
    pub fn changed(self) -> Bytes {
        envelope::notification::<()>(self.method(), None)
    }

    /// `notifications/…/list_changed` for listen streams.
    #[must_use]
    pub fn changed_tagged(self) -> TaggedNotification {
        TaggedNotification::new(self.method(), &json!({}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tagged::SUBSCRIPTION_ID;
    use proptest::prelude::*;

    fn json_of(bytes: &Bytes) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn progress_only_rises(values in proptest::collection::vec(any::<f64>(), 0..30)) {
            let mut progress = ProgressReporter::new(RequestId::Integer(1));
            let sent: Vec<f64> = values
                .into_iter()
                .filter_map(|value| progress.report(value, Some(f64::NAN), None))
                .map(|bytes| json_of(&bytes)["params"]["progress"].as_f64().unwrap())
                .collect();
            prop_assert!(sent.is_sorted_by(|a, b| a < b), "{sent:?}");
        }
    }

    #[test]
    fn the_first_report_may_be_zero_and_the_same_again_is_skipped() {
        let mut progress = ProgressReporter::new(RequestId::Text("t".into()));
        let first = progress.report(0.0, Some(100.0), Some("go")).unwrap();
        assert_eq!(
            json_of(&first)["params"],
            json!({"progressToken": "t", "progress": 0.0, "total": 100.0, "message": "go"})
        );
        assert_eq!(progress.report(0.0, None, None), None);
        assert!(progress.report(50.0, None, None).is_some());
        assert_eq!(progress.report(f64::INFINITY, None, None), None);
    }

    #[test]
    fn only_the_wanted_levels_are_logged_and_none_where_none_is_set() {
        let data = json!("hello");
        let silent = LogFilter::default();
        assert_eq!(silent.message(LogLevel::Emergency, "edge", &data), None);
        let filter = LogFilter::new(Some(LogLevel::Warning));
        assert!(!filter.admits(LogLevel::Notice));
        assert!(filter.admits(LogLevel::Warning) && filter.admits(LogLevel::Alert));
        let message = filter.message(LogLevel::Error, "edge", &data).unwrap();
        assert_eq!(json_of(&message)["params"]["level"], "error");
    }

    #[test]
    fn a_cancellation_names_the_request_and_its_reason_is_bounded() {
        let bytes = cancelled(&RequestId::Integer(7), &"é".repeat(1000));
        let params = json_of(&bytes)["params"].clone();
        assert_eq!(params["requestId"], 7);
        assert_eq!(params["reason"].as_str().unwrap().len(), 400);
    }

    #[test]
    fn a_list_change_reaches_sessions_and_listen_streams() {
        for list in ListKind::ALL {
            let plain = json_of(&list.changed());
            assert_eq!(plain, json!({"jsonrpc": "2.0", "method": list.method()}));
            let tagged = json_of(&list.changed_tagged().message(&RequestId::Integer(7)));
            assert_eq!(tagged["method"], list.method());
            assert_eq!(tagged["params"]["_meta"][SUBSCRIPTION_ID], 7);
        }
    }
}
