//! The sync role over gRPC, as the other roles use it.

mod call;
mod lists;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{
    EventId, FoundResource, LogPosition, ResourceId, ResourceUri, Sequence, Timestamp, TraceContext,
};
use ports::{
    MirrorReads, ResourceError, ResourceFinder, ResourceReader, ResourceState, SyncStatus,
};
use proto::v1::{
    FindResourceRequest, GetResourceRequest, GetResourceResponse, StatusRequest, StatusResponse,
};
use role_keys::RoleTrust;
use tonic::Status;

use crate::{ConnectError, wire};
use call::{Client, StampedClient, SyncCall, error, found, seen_on_wire};

/// A reader that queries the sync role at `endpoint` (for instance `http://sync:3002`).
///
/// This call does not connect: the first query connects, and a query after a lost connection
/// reconnects. Calls carry a stamp of `trust`. Queries change nothing, so one whose connection breaks is
/// sent again on a new one: behind an address with several instances, the restart of one is not noticed.
/// Each query, with connecting and repetitions, takes up to `deadline`. Must be called within a tokio
/// runtime.
///
/// # Errors
/// `endpoint` is not a URI.
pub fn connect(
    endpoint: &str,
    deadline: Duration,
    trust: RoleTrust,
) -> Result<Arc<dyn ResourceReader>, ConnectError> {
    Ok(Arc::new(Client::of(endpoint, deadline, trust)?))
}

/// As [`connect`], a finder.
///
/// # Errors
/// `endpoint` is not a URI.
pub fn connect_finder(
    endpoint: &str,
    deadline: Duration,
    trust: RoleTrust,
) -> Result<Arc<dyn ResourceFinder>, ConnectError> {
    Ok(Arc::new(Client::of(endpoint, deadline, trust)?))
}

/// As [`connect`], a reader of lists. A sync role of an older build, which has none, is
/// [`ports::ResourceError::Unavailable`].
///
/// # Errors
/// `endpoint` is not a URI.
pub fn connect_mirror(
    endpoint: &str,
    deadline: Duration,
    trust: RoleTrust,
) -> Result<Arc<dyn MirrorReads>, ConnectError> {
    Ok(Arc::new(Client::of(endpoint, deadline, trust)?))
}

#[async_trait]
impl ResourceReader for Client {
    async fn get_resource(
        &self,
        uri: &ResourceUri,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        if matches!(uri, ResourceUri::Events { .. }) {
            return Ok(None);
        }
        const CALL: SyncCall = SyncCall {
            name: "GetResource",
            op: "read a resource",
        };
        let message = GetResourceRequest {
            uri: uri.to_string(),
            seen: seen.map(seen_on_wire),
        };
        let send =
            |mut client: StampedClient, request| async move { client.get_resource(request).await };
        let read = |answer| {
            let found = found(CALL, answer)?;
            found.map(|answer| from_wire(uri, answer)).transpose()
        };
        self.traced(CALL, trace, message, (send, read)).await
    }

    async fn status(&self, trace: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        const CALL: SyncCall = SyncCall {
            name: "Status",
            op: "report its status",
        };
        let send = |mut client: StampedClient, request| async move { client.status(request).await };
        let read = |answer: Result<StatusResponse, Status>| {
            let answer = answer.map_err(|status| error(CALL.op, status))?;
            Ok(SyncStatus {
                position: Sequence(answer.position),
                head: Sequence(answer.head),
                resources: answer.resources,
                caught_up: answer.caught_up,
            })
        };
        self.traced(CALL, trace, StatusRequest {}, (send, read))
            .await
    }
}

#[async_trait]
impl ResourceFinder for Client {
    async fn find(
        &self,
        id: &ResourceId,
        trace: Option<TraceContext>,
    ) -> Result<Option<FoundResource>, ResourceError> {
        const CALL: SyncCall = SyncCall {
            name: "FindResource",
            op: "find a resource",
        };
        let message = FindResourceRequest {
            node_id: id.to_string(),
        };
        let send =
            |mut client: StampedClient, request| async move { client.find_resource(request).await };
        let read = |answer| Ok(found(CALL, answer)?.map(wire::resource));
        self.traced(CALL, trace, message, (send, read)).await
    }

    async fn check(&self) -> Result<(), ResourceError> {
        self.status(None).await.map(drop)
    }
}

fn from_wire(
    uri: &ResourceUri,
    answer: GetResourceResponse,
) -> Result<ResourceState, ResourceError> {
    let event_id = EventId::new(&answer.event_id).map_err(|source| ResourceError::Malformed {
        source: source.into(),
    })?;
    let present = match answer.uri.as_str() {
        // An older build.
        "" => uri.clone(),
        present => ResourceUri::parse(present).map_err(|source| ResourceError::Malformed {
            source: source.into(),
        })?,
    };
    Ok(ResourceState {
        uri: present,
        ids: wire::ids(answer.owner_id, answer.repository_id),
        json: answer.json,
        event_id,
        sequence: Sequence(answer.sequence),
        updated_at: Timestamp::from_unix_millis(answer.updated_at_millis),
        deleted: answer.deleted,
    })
}

#[cfg(test)]
mod tests {
    use model::GithubIds;

    use super::*;

    #[test]
    fn an_answer_of_an_older_build_has_the_uri_that_was_asked_for_and_no_ids() {
        let uri = ResourceUri::parse("github://issues/octo/cat/7").unwrap();
        let answer = GetResourceResponse {
            json: "{}".into(),
            event_id: "e".to_owned(),
            ..GetResourceResponse::default()
        };
        let state = from_wire(&uri, answer.clone()).unwrap();
        assert_eq!((state.uri, state.ids), (uri.clone(), GithubIds::default()));
        let wrong = GetResourceResponse {
            uri: "nowhere".to_owned(),
            ..answer
        };
        let error = from_wire(&uri, wrong).unwrap_err();
        assert!(matches!(error, ResourceError::Malformed { .. }));
    }
}
