//! The sync role over gRPC, as the other roles use it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use instruments::{SpanName, TraceSpan};
use model::{
    EventId, GithubIds, LogPosition, OwnerId, RepositoryId, ResourceId, ResourceUri, Sequence,
    Timestamp, TraceContext,
};
use ports::{
    FoundResource, ResourceError, ResourceFinder, ResourceReader, ResourceState, SyncStatus,
};
use proto::v1::{
    self, FindResourceRequest, FindResourceResponse, GetResourceRequest, GetResourceResponse,
    StatusRequest, StatusResponse, sync_client::SyncClient,
};
use role_keys::RoleTrust;
use service_kit::grpc::{self, CallStamper};
use tokio::time::{sleep, timeout};
use tonic::{
    Code, Request, Response, Status, service::interceptor::InterceptedService, transport::Channel,
};

use crate::{
    ConnectError,
    api::BEHIND,
    limits::{MAX_ANSWER_BYTES, RETRY_PAUSES},
};

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

/// Each call carries a stamp.
type StampedClient = SyncClient<InterceptedService<Channel, CallStamper>>;

/// A method of the sync role, for traces and for errors.
#[derive(Clone, Copy)]
struct SyncCall {
    name: &'static str,
    /// What was being done, after "cannot".
    op: &'static str,
}

struct Client {
    client: StampedClient,
    deadline: Duration,
    endpoint: Arc<str>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Client {
    fn of(endpoint: &str, deadline: Duration, trust: RoleTrust) -> Result<Self, ConnectError> {
        let channel =
            grpc::channel(endpoint, deadline, deadline).map_err(ConnectError::Endpoint)?;
        let client = SyncClient::with_interceptor(channel, CallStamper::new(trust));
        Ok(Self {
            client: client.max_decoding_message_size(MAX_ANSWER_BYTES),
            deadline,
            endpoint: endpoint.into(),
        })
    }

    /// Makes a call, and repeats it if its connection breaks. Limits the time of all attempts, because
    /// the transport's own timeout does not cover connecting.
    async fn read<T, C>(
        &self,
        op: &'static str,
        call: impl Fn(StampedClient) -> C + Send + Sync,
    ) -> Result<Result<T, Status>, ResourceError>
    where
        C: Future<Output = Result<Response<T>, Status>> + Send,
        T: Send,
    {
        let attempts = async {
            for pause in RETRY_PAUSES {
                match call(self.client.clone()).await {
                    Err(status) if grpc::is_worth_another_try(&status) => {
                        tracing::debug!(op, code = ?status.code(), "sync is asked again");
                        sleep(pause).await;
                    }
                    answer => return answer,
                }
            }
            call(self.client.clone()).await
        };
        match timeout(self.deadline, attempts).await {
            Ok(answer) => Ok(answer.map(Response::into_inner)),
            Err(elapsed) => Err(ResourceError::Unavailable {
                op,
                source: elapsed.into(),
            }),
        }
    }

    /// Makes a call in a span of its own, which fails with it. `send` puts a request on a connection, and `read` makes
    /// of the answer what the caller gets.
    async fn traced<M, T, C, R>(
        &self,
        call: SyncCall,
        trace: Option<TraceContext>,
        message: M,
        (send, read): (
            impl Fn(StampedClient, Request<M>) -> C + Send + Sync,
            impl FnOnce(Result<T, Status>) -> Result<R, ResourceError> + Send,
        ),
    ) -> Result<R, ResourceError>
    where
        M: Clone + Send + Sync,
        C: Future<Output = Result<Response<T>, Status>> + Send,
        T: Send,
        R: Send,
    {
        let span = TraceSpan::below(SpanName::SyncCall, trace);
        grpc::describe(&span, call.name);
        let trace = span.context().or(trace);
        let answer = self.read(call.op, |client| {
            send(client, grpc::request(message.clone(), trace, self.deadline))
        });
        let outcome = span.enclose(answer).await.and_then(read);
        if let Err(error) = &outcome {
            span.fail(error);
        }
        outcome
    }
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
            seen: seen.map(|seen| v1::LogPosition {
                epoch: seen.epoch.0,
                sequence: seen.sequence.0,
            }),
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
        let read = |answer| Ok(found(CALL, answer)?.map(found_on_wire));
        self.traced(CALL, trace, message, (send, read)).await
    }

    async fn check(&self) -> Result<(), ResourceError> {
        self.status(None).await.map(drop)
    }
}

/// What an answer found, where there may be nothing to find.
fn found<T>(call: SyncCall, answer: Result<T, Status>) -> Result<Option<T>, ResourceError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) if status.code() == BEHIND => Err(ResourceError::Behind),
        Err(status) => Err(error(call.op, status)),
    }
}

fn place_ids(owner: Option<u64>, repository: Option<u64>) -> GithubIds {
    GithubIds {
        owner: owner.map(OwnerId),
        repository: repository.map(RepositoryId),
        resource: None,
    }
}

fn found_on_wire(answer: FindResourceResponse) -> FoundResource {
    FoundResource {
        owner: answer.owner,
        repo: answer.repo,
        number: answer.number,
        ids: place_ids(answer.owner_id, answer.repository_id),
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
        ids: place_ids(answer.owner_id, answer.repository_id),
        json: answer.json,
        event_id,
        sequence: Sequence(answer.sequence),
        updated_at: Timestamp::from_unix_millis(answer.updated_at_millis),
        deleted: answer.deleted,
    })
}

/// A status that a retry may cure becomes `Unavailable`, and so does a refused stamp, because keys and
/// clocks are put right while the processes run elsewhere; any other means a different version or a
/// defect.
fn error(op: &'static str, status: Status) -> ResourceError {
    let is_refused_stamp = status.code() == Code::Unauthenticated;
    let is_retryable = grpc::class_of(status.code()).is_retryable();
    if is_retryable || is_refused_stamp || grpc::is_worth_another_try(&status) {
        ResourceError::Unavailable {
            op,
            source: status.into(),
        }
    } else {
        ResourceError::Malformed {
            source: status.into(),
        }
    }
}

#[cfg(test)]
mod tests {
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
