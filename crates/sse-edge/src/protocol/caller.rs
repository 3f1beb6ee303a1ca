//! Who asks, and how.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use mcp::{
    ProtocolVersion, RequestId,
    answer::{Answer, CacheHint, Empty},
    capability::ClientCapabilities,
};
use model::{LogPosition, Session, TraceContext};
use serde::Serialize;

use super::outlet::Outlet;
use crate::{auth::Principal, calls::asking::Asking, service::Edge};

/// Everything that a method may know of the request that it serves. Owned, because a call of the
/// handshake era outlives its connection.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) edge: Arc<Edge>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) version: ProtocolVersion,
    /// The session, in the handshake era.
    pub(crate) session: Option<Arc<Session>>,
    /// What the client can do: as it says with this request, or said for its session.
    pub(crate) client: ClientCapabilities,
    pub(crate) trace: Option<TraceContext>,
    /// Where this edge was in the log when the request came: "from now on" is after it.
    pub(crate) since: LogPosition,
    /// Arguments that are mirrored into headers, so that a balancer can route by them (stateless era).
    pub(crate) param_headers: HeaderMap,
    /// How the client can be asked something.
    pub(crate) asking: Asking,
    /// What goes out before the answer.
    pub(crate) outlet: Outlet,
}

impl Caller {
    pub(crate) fn answer<T: Serialize>(&self, id: &RequestId, body: &T) -> Bytes {
        Answer::new(self.version, &self.edge.profile.info, body).encode(id)
    }

    pub(super) fn cached<T: Serialize>(&self, id: &RequestId, body: &T, hint: CacheHint) -> Bytes {
        Answer::new(self.version, &self.edge.profile.info, body)
            .cached(hint)
            .encode(id)
    }

    pub(crate) fn done(&self, id: &RequestId) -> Bytes {
        self.answer(id, &Empty)
    }
}
