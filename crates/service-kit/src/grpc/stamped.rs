//! Calls that only roles of the same installation may make: each carries a stamp over its method and its
//! time (`role-keys`).
//!
//! The stamp does not cover the message: whoever can change a call on its way can also read the answer,
//! and only TLS or a network of one's own helps against that.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use role_keys::{RoleTrust, StampMemory, StampedChannel};
use tonic::{
    GrpcMethod, Request, Status, body::Body, codegen::Service, metadata::MetadataValue,
    server::NamedService, service::Interceptor,
};

use super::connections::CallConnection;

/// Metadata with the stamp of a call.
const STAMP: &str = "forgewire-stamp";

/// Stamps the calls of a client.
#[derive(Clone, Debug)]
pub struct CallStamper(RoleTrust);

impl CallStamper {
    /// Stamps with the first key of `trust`; without keys, calls go out unchanged.
    #[must_use]
    pub const fn new(trust: RoleTrust) -> Self {
        Self(trust)
    }
}

impl Interceptor for CallStamper {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let method = request.extensions().get::<GrpcMethod<'static>>();
        let path = method.map(|method| format!("/{}/{}", method.service(), method.method()));
        let stamp = path.and_then(|path| self.0.stamp(StampedChannel::Grpc, &[path.as_bytes()]));
        let value = stamp.and_then(|stamp| MetadataValue::try_from(stamp).ok());
        if let Some(value) = value {
            request.metadata_mut().insert(STAMP, value);
        }
        Ok(request)
    }
}

/// A service that refuses calls without a stamp with `UNAUTHENTICATED`, before their message is read.
#[derive(Clone, Debug)]
pub struct StampedService<S> {
    inner: S,
    trust: RoleTrust,
    memory: Arc<StampMemory>,
}

impl<S> StampedService<S> {
    /// Guards `inner`; without keys in `trust`, every call is accepted.
    #[must_use]
    pub fn new(inner: S, trust: RoleTrust) -> Self {
        Self {
            inner,
            trust,
            memory: Arc::default(),
        }
    }
}

impl<S: NamedService> NamedService for StampedService<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<http::Request<B>> for StampedService<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>, Error = Infallible>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<http::Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let stamp = request.headers().get(STAMP);
        // Text that is not visible ASCII is no stamp, which is not the same as none.
        let stamp = stamp.map(|value| value.to_str().unwrap_or_default());
        let parts = [request.uri().path().as_bytes()];
        match self
            .trust
            .verify(StampedChannel::Grpc, &parts, stamp, &self.memory)
        {
            Ok(()) => {
                if let Some(connection) = request.extensions().get::<CallConnection>() {
                    connection.trust();
                }
                Either::Left(self.inner.call(request))
            }
            Err(refusal) => {
                let text = format!("this call is not from a role of this installation: {refusal}");
                Either::Right(ready(Ok(Status::unauthenticated(text).into_http())))
            }
        }
    }
}
