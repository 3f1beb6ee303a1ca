//! `subscriptions/listen` (MCP 2026-07-28): a request whose answer is the stream of notifications.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use mcp::{
    HttpRefusal, ProtocolVersion, RequestId,
    capability::ClientCapabilities,
    stateless::{ListenFilter, acknowledged_frame, listen_result},
};
use model::{CursorScope, ResourceUri, Sequence, TaskId};
use ports::ListChanges;
use serde_json::value::RawValue;

use fanout::{
    feed::Feed,
    followed::TaskSource,
    format::StreamFormat,
    hub::{StreamRequest, StreamStart},
    interest::StreamInterest,
    metrics::StreamKind,
    news::NewsSelection,
};

use crate::{edge::Edge, error::EdgeError, tasks::TaskTeller};
use access::Principal;

/// The response to a listen request.
pub(crate) enum ListenResponse {
    /// A stream.
    Stream(Box<Feed>),
    /// None of the requested notifications can be sent: acknowledgement and result, then the end.
    Empty(Bytes),
}

/// The reason for which no stream is opened.
pub(crate) enum ListenError {
    /// The parameters are invalid, or the client does not declare what it asks for.
    Refused(HttpRefusal),
    /// The edge cannot open a stream now.
    Edge(EdgeError),
}

impl From<EdgeError> for ListenError {
    fn from(error: EdgeError) -> Self {
        Self::Edge(error)
    }
}

/// Opens the stream. It is in the fan-out before the acknowledgement, its first frame, is sent.
pub(crate) async fn listen(
    edge: &Edge,
    principal: &Arc<Principal>,
    (client, has_channels): (&ClientCapabilities, bool),
    version: ProtocolVersion,
    id: &RequestId,
    params: Option<&RawValue>,
) -> Result<ListenResponse, ListenError> {
    let asked = ListenFilter::parse(params).map_err(|error| ListenError::Refused(error.into()))?;
    asked.check_declared(client).map_err(ListenError::Refused)?;
    edge.admit(principal).map_err(EdgeError::from)?;
    let tasks = own_tasks(edge, principal, &asked).await?;
    // Of several spellings of one resource the first is accepted: a change is one notification.
    let mut resources = BTreeSet::new();
    let honoured = asked.accepted(&edge.registry.profile().capabilities, |uri| {
        edge.registry.resources().is_subscribable(principal, uri)
            && resources.insert(ResourceUri::canonical(uri).into_owned())
    });
    let is_own = |id: &str| tasks.iter().any(|task| task.as_str() == id);
    let honoured = honoured.with_tasks(&asked, is_own);
    let acknowledged = acknowledged_frame(id, &honoured);
    if honoured.is_empty() {
        let result = mcp::sse::message(None, &listen_result(version, &edge.server_info, id));
        return Ok(ListenResponse::Empty(
            [acknowledged, result].concat().into(),
        ));
    }
    let wants = NewsSelection {
        lists: ListChanges {
            tools: honoured.tools_list_changed,
            prompts: honoured.prompts_list_changed,
            resources: honoured.resources_list_changed,
        },
        tasks,
    };
    // The events of the lists that the client listens to: the era has no subscriptions to events.
    let channel =
        (has_channels && edge.hub.has_channels()).then(|| CursorScope::events(&principal.id));
    let open = StreamRequest {
        labels: None,
        wants,
        kind: StreamKind::Listen,
        format: StreamFormat::Listen {
            tag: id.clone(),
            version,
            server: Arc::clone(&edge.server_info),
        },
        scope: CursorScope::events(&principal.id),
        session: None,
        inbox: Sequence::START,
        principal: Arc::clone(principal),
        interest: StreamInterest::resources(
            honoured.resource_subscriptions,
            edge.hub.names().now(),
        )
        .as_channel(channel),
        begin: StreamStart::Head,
        ages: true,
    };
    let mut feed = edge
        .hub
        .open(open, |_| acknowledged)
        .await
        .map_err(EdgeError::from)?;
    let source: Arc<dyn TaskSource> = Arc::<TaskTeller>::clone(&edge.task_teller);
    feed.follow_tasks(source);
    Ok(ListenResponse::Stream(Box::new(feed)))
}

/// The requested tasks that belong to this principal; those of others do not exist for it.
async fn own_tasks(
    edge: &Edge,
    principal: &Principal,
    asked: &ListenFilter,
) -> Result<BTreeSet<TaskId>, ListenError> {
    let mut own = BTreeSet::new();
    for id in asked.task_ids.iter().filter_map(|id| TaskId::new(id).ok()) {
        edge.admit(principal).map_err(EdgeError::from)?;
        if edge.tasks.exists(&principal.id, &id).await? {
            own.insert(id);
        }
    }
    Ok(own)
}
