//! How a call is made: with a stamp, a deadline and a span, and again if its connection breaks.

use std::{fmt, sync::Arc, time::Duration};

use instruments::{SpanName, TraceSpan};
use model::{LogPosition, TraceContext};
use ports::ResourceError;
use proto::v1::{self, sync_client::SyncClient};
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

/// Each call carries a stamp.
pub(super) type StampedClient = SyncClient<InterceptedService<Channel, CallStamper>>;

/// A method of the sync role, for traces and for errors.
#[derive(Clone, Copy)]
pub(super) struct SyncCall {
    pub(super) name: &'static str,
    /// What was being done, after "cannot".
    pub(super) op: &'static str,
}

/// The client.
pub(super) struct Client {
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
    pub(super) fn of(
        endpoint: &str,
        deadline: Duration,
        trust: RoleTrust,
    ) -> Result<Self, ConnectError> {
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
    pub(super) async fn traced<M, T, C, R>(
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

/// What an answer found, where there may be nothing to find.
pub(super) fn found<T>(
    call: SyncCall,
    answer: Result<T, Status>,
) -> Result<Option<T>, ResourceError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) if status.code() == BEHIND => Err(ResourceError::Behind),
        Err(status) => Err(error(call.op, status)),
    }
}

/// A caller's position in the log.
pub(super) fn seen_on_wire(seen: LogPosition) -> v1::LogPosition {
    v1::LogPosition {
        epoch: seen.epoch.0,
        sequence: seen.sequence.0,
    }
}

/// A status that a retry may cure becomes `Unavailable`, and so does a refused stamp, because keys and
/// clocks are put right while the processes run elsewhere; any other means a different version or a
/// defect.
pub(super) fn error(op: &'static str, status: Status) -> ResourceError {
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
