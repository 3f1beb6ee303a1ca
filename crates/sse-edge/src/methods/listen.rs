//! `subscriptions/listen` (MCP 2026-07-28): a request whose answer is the stream of notifications.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use mcp::{
    HttpRefusal, ProtocolVersion, RequestId,
    capability::ClientCapabilities,
    stateless::{ListenFilter, acknowledged_frame, listen_result},
};
use model::{CursorScope, TaskId};
use ports::ListChanges;
use serde_json::value::RawValue;

use fanout::{
    feed::Feed,
    format::Format,
    hub::{Begin, OpenStream},
    interest::Interest,
    metrics::StreamKind,
    notices::Wants,
};

use crate::{edge::Edge, error::EdgeError, tasks::tell};
use access::Principal;

/// What a listen request comes to.
pub(crate) enum Listening {
    /// A stream.
    Stream(Feed),
    /// Nothing that was asked for is honoured: the acknowledgement and the result, and the end.
    Nothing(Bytes),
}

/// Why there is no stream.
pub(crate) enum NotListening {
    /// The parameters do not fit, or the client does not declare what it asks for.
    Refused(HttpRefusal),
    /// The edge cannot.
    Edge(EdgeError),
}

/// Opens the stream: it is in the fan-out before the acknowledgement, which is its first frame.
pub(crate) async fn listen(
    edge: &Edge,
    principal: &Arc<Principal>,
    client: &ClientCapabilities,
    version: ProtocolVersion,
    id: &RequestId,
    params: Option<&RawValue>,
) -> Result<Listening, NotListening> {
    let asked = ListenFilter::parse(params).map_err(|error| NotListening::Refused(error.into()))?;
    asked
        .check_declared(client)
        .map_err(NotListening::Refused)?;
    let tasks = own_tasks(edge, principal, &asked).await?;
    let honoured = asked.accepted(&edge.registry.profile().capabilities, |uri| {
        edge.registry.resources().is_subscribable(principal, uri)
    });
    let is_own = |id: &str| tasks.iter().any(|task| task.as_str() == id);
    let honoured = honoured.with_tasks(&asked, is_own);
    let acknowledged = acknowledged_frame(id, &honoured);
    if honoured.is_empty() {
        let result = mcp::sse::message(None, &listen_result(version, &edge.server_info, id));
        return Ok(Listening::Nothing([acknowledged, result].concat().into()));
    }
    let wants = Wants {
        lists: ListChanges {
            tools: honoured.tools_list_changed,
            prompts: honoured.prompts_list_changed,
            resources: honoured.resources_list_changed,
        },
        tasks: tasks.clone(),
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
        ages: true,
    };
    let feed = edge
        .hub
        .open(open, |_, _| acknowledged)
        .await
        .map_err(|error| NotListening::Edge(error.into()))?;
    // What changed between the look at a task and the opening of the stream was told to nobody.
    for task in &tasks {
        tell(&edge.tasks, &edge.hub, &principal.id, task).await;
    }
    Ok(Listening::Stream(feed))
}

/// Those of the tasks that are this principal's; somebody else's is not there.
async fn own_tasks(
    edge: &Edge,
    principal: &Principal,
    asked: &ListenFilter,
) -> Result<BTreeSet<TaskId>, NotListening> {
    let mut own = BTreeSet::new();
    for id in asked.task_ids.iter().filter_map(|id| TaskId::new(id).ok()) {
        let found = edge.tasks.load(&principal.id, &id).await;
        if found.map_err(NotListening::Edge)?.is_some() {
            own.insert(id);
        }
    }
    Ok(own)
}
