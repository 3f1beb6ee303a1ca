//! gRPC between roles: trace context in metadata, error classes as codes, channels and servers with
//! deadlines, calls that only roles of the same installation may make.

mod connections;
mod stamped;

use std::{error::Error, io, net::IpAddr, time::Duration};

use futures_util::{Stream, stream};
use instruments::{SpanName, TraceSpan};
use model::{Classified, ErrorClass, IdSource, TraceContext};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    metadata::{MetadataMap, MetadataValue},
    transport::{Channel, Endpoint, Server, server::Router},
};

pub use stamped::{CallStamper, StampedService};

use self::connections::{CallConnections, WatchedSocket};

use crate::{
    lifecycle::Lifecycle,
    listener::{ClosingListener, accept},
    problem,
    trace::TRACEPARENT,
};

/// Interval of keep-alive pings on a silent connection. A peer that is gone without a FIN (power,
/// network) is noticed after this interval and [`KEEPALIVE_TIMEOUT`].
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Maximum time to the answer of a keep-alive ping.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of calls in flight on one connection; further calls wait at the client (HTTP/2
/// flow control).
pub const MAX_CALLS_PER_CONNECTION: u32 = 1024;

/// Errors before the first call.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// The endpoint is not an address.
    #[error("`{endpoint}` is not a gRPC address, for instance http://sync:3002")]
    Endpoint {
        /// The endpoint as it was given.
        endpoint: String,
        /// The reason; `None` if only the scheme is wrong.
        #[source]
        source: Option<tonic::transport::Error>,
    },
}

impl Classified for GrpcError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// The gRPC code of an error class.
#[must_use]
pub const fn code_of(class: ErrorClass) -> Code {
    match class {
        ErrorClass::Caller => Code::InvalidArgument,
        ErrorClass::Unauthorized => Code::Unauthenticated,
        ErrorClass::Missing => Code::NotFound,
        ErrorClass::Conflict => Code::Aborted,
        ErrorClass::Overloaded => Code::ResourceExhausted,
        ErrorClass::Transient => Code::Unavailable,
        ErrorClass::Permanent => Code::Internal,
    }
}

/// The error class of a gRPC code. `Unknown` counts as transient: a connection that breaks during a call
/// is reported as `Unknown`.
#[must_use]
pub const fn class_of(code: Code) -> ErrorClass {
    match code {
        Code::InvalidArgument | Code::OutOfRange => ErrorClass::Caller,
        Code::Unauthenticated | Code::PermissionDenied => ErrorClass::Unauthorized,
        Code::NotFound => ErrorClass::Missing,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => ErrorClass::Conflict,
        Code::ResourceExhausted => ErrorClass::Overloaded,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            ErrorClass::Transient
        }
        Code::Ok | Code::Internal | Code::DataLoss | Code::Unimplemented => ErrorClass::Permanent,
    }
}

/// Converts an error to a status with `text` for the caller; the error with its sources is logged.
#[must_use]
pub fn status(error: &(impl Classified + ?Sized), code: &'static str, text: &str) -> Status {
    problem::log(error, error.class(), code);
    Status::new(code_of(error.class()), text)
}

/// Puts the trace into a call's metadata; `None` changes nothing.
pub fn inject(metadata: &mut MetadataMap, trace: Option<TraceContext>) {
    let value = trace.and_then(|trace| MetadataValue::try_from(trace.to_string()).ok());
    if let Some(value) = value {
        metadata.insert(TRACEPARENT, value);
    }
}

/// The trace context of a call's metadata; `None` without a readable `traceparent`.
#[must_use]
pub fn extract(metadata: &MetadataMap) -> Option<TraceContext> {
    metadata
        .get(TRACEPARENT)?
        .to_str()
        .ok()
        .and_then(TraceContext::parse)
}

/// The trace of an incoming call, a child of the caller's or a new one, and its span if it is recorded.
#[must_use]
pub fn trace_of<T>(
    request: &Request<T>,
    method: &'static str,
    ids: &dyn IdSource,
) -> (TraceSpan, TraceContext) {
    let caller = extract(request.metadata());
    let span = TraceSpan::child(SpanName::SyncRequest, caller);
    describe(&span, method);
    let context = span.context().unwrap_or_else(|| {
        caller.map_or_else(|| TraceContext::start(ids), |caller| caller.child(ids))
    });
    (span, context)
}

/// Sets name and attributes of the span of a call.
pub fn describe(span: &TraceSpan, method: &'static str) {
    span.rename(|| format!("{}/{method}", SpanName::SyncCall.as_str()));
    span.set("rpc.system.name", "grpc");
    span.set("rpc.method", method);
}

/// The time that the caller waits, of a call's metadata; `None` without a readable `grpc-timeout` (gRPC
/// over HTTP/2, "Requests": up to eight digits and a unit).
#[must_use]
pub fn deadline_of(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let value = digits.parse::<u64>().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

/// A request with its trace and a deadline that the server also sees.
#[must_use]
pub fn request<T>(message: T, trace: Option<TraceContext>, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    inject(request.metadata_mut(), trace);
    request.set_timeout(deadline);
    request
}

/// A channel that connects on its first call and reconnects after each loss; making it never waits.
/// While the peer is unreachable, a call fails within `connect_timeout` or `deadline`.
///
/// # Errors
/// The endpoint is not an `http://` address: there is no TLS between roles yet.
///
/// # Panics
/// Outside a tokio runtime.
pub fn channel(
    endpoint: &str,
    connect_timeout: Duration,
    deadline: Duration,
) -> Result<Channel, GrpcError> {
    let wrong = |source| GrpcError::Endpoint {
        endpoint: endpoint.to_owned(),
        source,
    };
    let parsed = Endpoint::from_shared(endpoint.to_owned()).map_err(|error| wrong(Some(error)))?;
    if parsed.uri().scheme_str() != Some("http") {
        return Err(wrong(None));
    }
    let channel = parsed
        .connect_timeout(connect_timeout)
        .timeout(deadline)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_lazy();
    Ok(channel)
}

/// Whether an endpoint leads to this machine; anything that is no address does not.
#[must_use]
pub fn is_loopback(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<tonic::transport::Uri>() else {
        return false;
    };
    uri.host().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = address.parse().ok();
        host.eq_ignore_ascii_case("localhost")
            || address.is_some_and(|address| address.is_loopback())
    })
}

/// A server that allows each call up to `deadline` until its response's head.
#[must_use]
pub fn server(deadline: Duration) -> Server {
    Server::builder()
        .timeout(deadline)
        .max_concurrent_streams(MAX_CALLS_PER_CONNECTION)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

/// Serves up to `max_connections` until listeners stop accepting; at that bound a new one takes the place of the one that
/// has been silent for longest. Then connections that the kernel holds are accepted, the listener closes, every connection
/// gets a GOAWAY, and calls in flight finish. At the hard stop it returns at once. The listener comes from
/// [`crate::http::bind`].
///
/// # Errors
/// The transport failed.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    lifecycle: Lifecycle,
) -> Result<(), tonic::transport::Error> {
    let incoming = incoming(listener, max_connections, lifecycle.stop_accepting());
    // The end of `incoming` is the signal; with one of its own tonic would drop the listener at once.
    let serving = router.serve_with_incoming_shutdown(incoming, std::future::pending());
    let closed = lifecycle.closed();
    closed.run_until_cancelled(serving).await.unwrap_or(Ok(()))
}

/// The state of a listener.
enum AcceptStep {
    /// Until the token is cancelled.
    Open(TcpListener, CancellationToken),
    /// The connections that are left.
    Closing(ClosingListener),
}

/// The connections of a listener; with the end of the stream it has closed.
fn incoming(
    listener: TcpListener,
    max_connections: usize,
    stop: CancellationToken,
) -> impl Stream<Item = io::Result<WatchedSocket>> {
    let open = AcceptStep::Open(listener, stop);
    let connections = CallConnections::new(max_connections);
    stream::try_unfold((open, connections), |(mut step, connections)| async move {
        loop {
            step = match step {
                AcceptStep::Open(listener, stop) => {
                    match stop.run_until_cancelled(accept(&listener)).await {
                        Some((stream, _)) => {
                            let socket = connections.admit(stream).await?;
                            let step = AcceptStep::Open(listener, stop);
                            return Ok(Some((socket, (step, connections))));
                        }
                        None => AcceptStep::Closing(ClosingListener::new(listener)?),
                    }
                }
                AcceptStep::Closing(mut closing) => {
                    let Some((stream, _)) = closing.next().await else {
                        return Ok(None);
                    };
                    let socket = connections.admit(stream).await?;
                    return Ok(Some((socket, (AcceptStep::Closing(closing), connections))));
                }
            }
        }
    })
}

/// Whether a call that failed with this status may be sent again, if it changes nothing: the connection
/// ended, or the peer is not there at the moment. The transport's own errors have a source; a GOAWAY that
/// crossed the call is one of them, and looks like a defect by its code.
#[must_use]
pub fn is_worth_another_try(status: &Status) -> bool {
    status.source().is_some() || status.code() == Code::Unavailable
}

#[cfg(test)]
mod tests;
