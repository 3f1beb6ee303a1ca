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
    StatusRequest, sync_client::SyncClient,
};
use role_keys::RoleTrust;
use service_kit::grpc::{self, CallStamper};
use tokio::time::{sleep, timeout};
use tonic::{Code, Response, Status, service::interceptor::InterceptedService, transport::Channel};

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
        const OP: &str = "read a resource";
        let message = GetResourceRequest {
            uri: uri.to_string(),
            seen: seen.map(|seen| v1::LogPosition {
                epoch: seen.epoch.0,
                sequence: seen.sequence.0,
            }),
        };
        let span = TraceSpan::below(SpanName::SyncCall, trace);
        grpc::describe(&span, "GetResource");
        let trace = span.context().or(trace);
        let answer = self.read(OP, |mut client| {
            let request = grpc::request(message.clone(), trace, self.deadline);
            async move { client.get_resource(request).await }
        });
        let state = match span.enclose(answer).await {
            Ok(Ok(answer)) => from_wire(uri, answer).map(Some),
            Ok(Err(status)) if status.code() == Code::NotFound => Ok(None),
            Ok(Err(status)) if status.code() == BEHIND => Err(ResourceError::Behind),
            Ok(Err(status)) => Err(error(OP, status)),
            Err(error) => Err(error),
        };
        if let Err(error) = &state {
            span.fail(error);
        }
        state
    }

    async fn status(&self, trace: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        const OP: &str = "report its status";
        let span = TraceSpan::below(SpanName::SyncCall, trace);
        grpc::describe(&span, "Status");
        let trace = span.context().or(trace);
        let answer = self.read(OP, |mut client| {
            let request = grpc::request(StatusRequest {}, trace, self.deadline);
            async move { client.status(request).await }
        });
        let answer = span.enclose(answer).await;
        let answer = answer.and_then(|answer| answer.map_err(|status| error(OP, status)));
        if let Err(error) = &answer {
            span.fail(error);
        }
        answer.map(|answer| SyncStatus {
            position: Sequence(answer.position),
            head: Sequence(answer.head),
            resources: answer.resources,
            caught_up: answer.caught_up,
        })
    }
}

#[async_trait]
impl ResourceFinder for Client {
    async fn find(
        &self,
        id: &ResourceId,
        trace: Option<TraceContext>,
    ) -> Result<Option<FoundResource>, ResourceError> {
        const OP: &str = "find a resource";
        let message = FindResourceRequest {
            node_id: id.to_string(),
        };
        let span = TraceSpan::below(SpanName::SyncCall, trace);
        grpc::describe(&span, "FindResource");
        let trace = span.context().or(trace);
        let answer = self.read(OP, |mut client| {
            let request = grpc::request(message.clone(), trace, self.deadline);
            async move { client.find_resource(request).await }
        });
        let found = match span.enclose(answer).await {
            Ok(Ok(answer)) => Ok(Some(found_on_wire(answer))),
            Ok(Err(status)) if status.code() == Code::NotFound => Ok(None),
            Ok(Err(status)) if status.code() == BEHIND => Err(ResourceError::Behind),
            Ok(Err(status)) => Err(error(OP, status)),
            Err(error) => Err(error),
        };
        if let Err(error) = &found {
            span.fail(error);
        }
        found
    }

    async fn check(&self) -> Result<(), ResourceError> {
        self.status(None).await.map(drop)
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
