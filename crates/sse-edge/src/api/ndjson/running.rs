//! The requests that run on an NDJSON connection, so that a cancellation finds them.

use ::mcp::{
    Incoming, RequestId,
    envelope::MessageBody,
    line::{LineKind, OpenRequests},
    method,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::ConnectionState;

/// A request of a line that runs.
pub(super) struct RunningLine {
    kind: LineKind,
    cancel: CancellationToken,
    /// The client has cancelled it, so it expects no answer.
    is_cancelled: bool,
}

impl ConnectionState {
    /// Registers requests as running; `false` if one of their ids is in use.
    pub(super) fn register_call(
        &self,
        owed: &OpenRequests,
        kind: LineKind,
        cancel: &CancellationToken,
    ) -> bool {
        let mut running = self.running.lock();
        if owed.ids().iter().any(|id| running.contains_key(id)) {
            return false;
        }
        for id in owed.ids() {
            let line = RunningLine {
                kind,
                cancel: cancel.clone(),
                is_cancelled: false,
            };
            running.insert(id.clone(), line);
        }
        true
    }

    /// Removes requests that have ended; gives those that the client has cancelled.
    pub(super) fn end_requests(&self, ids: &[RequestId]) -> Vec<RequestId> {
        let mut running = self.running.lock();
        let ended = ids.iter().filter_map(|id| running.remove_entry(id));
        let cancelled = ended.filter(|(_, request)| request.is_cancelled);
        cancelled.map(|(id, _)| id).collect()
    }

    /// In the stateless era the end of a request's stream cancels it. A line has no stream of its
    /// own, so `notifications/cancelled` does that. `true` if the message was one. In a session the call is
    /// cancelled by the message itself.
    pub(super) fn cancel(&self, message: &MessageBody) -> bool {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            #[serde(borrow)]
            request_id: &'a RawValue,
        }
        let MessageBody::One(Incoming::Notification(notification)) = message else {
            return false;
        };
        let params = notification.params.as_deref().map_or("", RawValue::get);
        let named: Option<Params<'_>> = serde_json::from_str(params).ok();
        let id = named.and_then(|params| RequestId::from_raw(params.request_id));
        let (true, Some(id)) = (notification.method == method::CANCELLED, id) else {
            return false;
        };
        let mut running = self.running.lock();
        let Some(request) = running.get_mut(&id) else {
            return false;
        };
        request.is_cancelled = true;
        if request.kind != LineKind::Stateless {
            return false;
        }
        request.cancel.cancel();
        true
    }
}
