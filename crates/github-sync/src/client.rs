//! The sync role over gRPC, as the other roles use it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{EventId, ResourceUri, Sequence, Timestamp, TraceContext};
use ports::{ResourceError, ResourceReader, ResourceState, SyncStatus};
use proto::v1::{GetResourceRequest, GetResourceResponse, StatusRequest, sync_client::SyncClient};
use role_keys::RoleTrust;
use service_kit::grpc::{self, CallStamper};
use tokio::time::timeout;
use tonic::{Code, Response, Status, service::interceptor::InterceptedService, transport::Channel};

use crate::{ConnectError, limits::MAX_ANSWER_BYTES};

/// A reader that queries the sync role at `endpoint` (for instance `http://sync:3002`).
///
/// This call does not connect: the first query connects, and a query after a lost connection
/// reconnects. Calls carry a stamp of `trust`. Each query, including the connect, takes up to `deadline`. Must be called within a
/// tokio runtime.
///
/// # Errors
/// `endpoint` is not a URI.
pub fn connect(
    endpoint: &str,
    deadline: Duration,
    trust: RoleTrust,
) -> Result<Arc<dyn ResourceReader>, ConnectError> {
    let channel = grpc::channel(endpoint, deadline, deadline).map_err(ConnectError::Endpoint)?;
    let client = SyncClient::with_interceptor(channel, CallStamper::new(trust));
    let client = client.max_decoding_message_size(MAX_ANSWER_BYTES);
    Ok(Arc::new(Client {
        client,
        deadline,
        endpoint: endpoint.into(),
    }))
}

struct Client {
    client: SyncClient<InterceptedService<Channel, CallStamper>>,
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
    /// Limits the time of a whole call, because the transport's own timeout does not cover
    /// connecting.
    async fn within<T>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Result<T, Status>, ResourceError> {
        match timeout(self.deadline, call).await {
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
        trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        if matches!(uri, ResourceUri::Events { .. }) {
            return Ok(None);
        }
        const OP: &str = "read a resource";
        let message = GetResourceRequest {
            uri: uri.to_string(),
        };
        let request = grpc::request(message, trace, self.deadline);
        let mut client = self.client.clone();
        match self.within(OP, client.get_resource(request)).await? {
            Ok(answer) => from_wire(uri, answer).map(Some),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(error(OP, status)),
        }
    }

    async fn status(&self, trace: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        const OP: &str = "report its status";
        let request = grpc::request(StatusRequest {}, trace, self.deadline);
        let mut client = self.client.clone();
        let answer = self.within(OP, client.status(request)).await?;
        let answer = answer.map_err(|status| error(OP, status))?;
        Ok(SyncStatus {
            position: Sequence(answer.position),
            head: Sequence(answer.head),
            resources: answer.resources,
            caught_up: answer.caught_up,
        })
    }
}

fn from_wire(
    uri: &ResourceUri,
    answer: GetResourceResponse,
) -> Result<ResourceState, ResourceError> {
    let event_id = EventId::new(&answer.event_id).map_err(|source| ResourceError::Malformed {
        source: source.into(),
    })?;
    Ok(ResourceState {
        uri: uri.clone(),
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
    if grpc::class_of(status.code()).is_retryable() || status.code() == Code::Unauthenticated {
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
