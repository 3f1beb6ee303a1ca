//! `subscriptions/listen` (MCP 2026-07-28): a request whose answer is the stream of notifications.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use mcp::{
    ProtocolVersion, RequestId, RpcError,
    stateless::{ListenFilter, acknowledged_frame, listen_result},
};
use model::CursorScope;
use ports::ChangedLists;
use serde_json::value::RawValue;

use super::resources;
use crate::{
    auth::Principal,
    error::EdgeError,
    fanout::{
        body::StreamBody,
        format::Format,
        hub::{Begin, OpenStream},
        interest::Interest,
        notices::Wants,
    },
    metrics::StreamKind,
    service::Edge,
};

/// What a listen request comes to.
pub(crate) enum Listening {
    /// A stream.
    Stream(StreamBody),
    /// Nothing that was asked for is honoured: the acknowledgement and the result, and the end.
    Nothing(Bytes),
}

/// Why there is no stream.
pub(crate) enum NotListening {
    /// The parameters do not fit.
    Params(RpcError),
    /// The edge cannot.
    Edge(EdgeError),
}

/// Opens the stream: it is in the fan-out before the acknowledgement, which is its first frame.
pub(crate) async fn listen(
    edge: &Edge,
    principal: &Arc<Principal>,
    version: ProtocolVersion,
    id: &RequestId,
    params: Option<&RawValue>,
) -> Result<Listening, NotListening> {
    let asked = ListenFilter::parse(params).map_err(NotListening::Params)?;
    let honoured = asked.honoured(&edge.profile.capabilities, |uri| {
        resources::is_subscribable(principal, uri)
    });
    let acknowledged = acknowledged_frame(id, &honoured);
    if honoured.is_empty() {
        let result = mcp::sse::message(None, &listen_result(version, &edge.profile.info, id));
        return Ok(Listening::Nothing([acknowledged, result].concat().into()));
    }
    let wants = Wants {
        lists: ChangedLists {
            tools: honoured.tools_list_changed,
            prompts: honoured.prompts_list_changed,
            resources: honoured.resources_list_changed,
        },
        tasks: BTreeSet::new(),
    };
    let open = OpenStream {
        wants,
        kind: StreamKind::Listen,
        format: Format::Listen {
            tag: id.clone(),
            version,
            server: Arc::clone(&edge.server_info),
        },
        scope: CursorScope::events(&principal.id),
        session: None,
        principal: Arc::clone(principal),
        interest: Interest::resources(honoured.resource_subscriptions),
        begin: Begin::Now,
    };
    let body = edge
        .hub
        .open(open, |_, _| acknowledged)
        .await
        .map_err(NotListening::Edge)?;
    Ok(Listening::Stream(body))
}
