//! The router as hyper sees it.

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{Router, body::Body, routing::future::RouteFuture};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use stream_driver::Handover;

use super::{
    RemoteAddr, StreamingAnswer,
    handover::{CarriedStream, FirstFrames},
    lenient_path::normalise,
    recent::RecentRequests,
    request_body::{BodyRest, RequestBody, RestReader, SharedRest},
    request_sender::RequestSender,
    state::ConnectionState,
};

/// A router behind hyper's own service trait: no boxed future and no adapter around it.
pub(super) struct RouterService {
    pub(super) router: Router,
    pub(super) remote: RemoteAddr,
    pub(super) state: Arc<ConnectionState>,
    pub(super) recent: Arc<RecentRequests>,
    /// Whether streams may leave hyper.
    pub(super) hands_over: bool,
}

impl hyper::service::Service<Request<Incoming>> for RouterService {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = RouterFuture;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.state.begin_answer(!request.body().is_end_stream());
        if self.state.closes() {
            self.recent.record();
        }
        normalise(request.uri_mut());
        request.extensions_mut().insert(self.remote);
        let sender = RequestSender(Arc::clone(&self.state));
        request.extensions_mut().insert(sender);
        // Chunks need HTTP/1.1, and the answer to HEAD has no body.
        let can_stream = request.version() == Version::HTTP_11 && request.method() != Method::HEAD;
        let expects = request.headers().contains_key(header::EXPECT);
        let request = request.map(|body| RequestBody::new(body, expects, &self.state));
        RouterFuture {
            rest: request.body().rest(),
            // A router is always ready, and cloning it increments a counter.
            answer: tower::Service::call(&mut self.router.clone(), request),
            held: None,
            state: Arc::clone(&self.state),
            hands_over: self.hands_over && can_stream,
        }
    }
}

/// The future of a router's answer.
pub(super) struct RouterFuture {
    answer: RouteFuture<Infallible>,
    /// What the router leaves of the request's body; `None` without one.
    rest: Option<SharedRest>,
    /// The answer, until the rest of the body has been read.
    held: Option<Box<HeldAnswer>>,
    state: Arc<ConnectionState>,
    hands_over: bool,
}

struct HeldAnswer {
    response: Response<Body>,
    rest: RestReader,
}

impl Future for RouterFuture {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.held.is_none() {
            let response = ready!(Pin::new(&mut self.answer).poll(cx))?;
            let rest = self.rest.take().map(|rest| mem::take(&mut *rest.lock()));
            match rest {
                None | Some(BodyRest::Ended) => return Poll::Ready(Ok(self.begin(response, true))),
                Some(BodyRest::Open) => return Poll::Ready(Ok(self.begin(response, false))),
                Some(BodyRest::Unread(body)) => {
                    let rest = RestReader::new(body);
                    self.held = Some(Box::new(HeldAnswer { response, rest }));
                }
            }
        }
        let Some(mut held) = self.held.take() else {
            return Poll::Pending;
        };
        match held.rest.poll(&self.state, cx) {
            Poll::Ready(has_ended) => Poll::Ready(Ok(self.begin(held.response, has_ended))),
            Poll::Pending => {
                self.held = Some(held);
                Poll::Pending
            }
        }
    }
}

impl RouterFuture {
    /// The answer as it begins. It is the connection's last if the request's body has not ended.
    fn begin(&self, mut response: Response<Body>, body_has_ended: bool) -> Response<AnswerBody> {
        self.state.end_body();
        if let Some(handover) = response.extensions_mut().remove::<Handover>() {
            let taken = self.hands_over.then(|| handover.take()).flatten();
            self.state.handover.carry(match taken {
                None => CarriedStream::WithHyper(handover),
                Some((first, source)) => {
                    self.start_handover(&mut response, first);
                    CarriedStream::ToReactor(source)
                }
            });
        } else if response
            .extensions_mut()
            .remove::<StreamingAnswer>()
            .is_some()
        {
            self.state.handover.carry(CarriedStream::Unmanaged);
        }
        if self.state.closes() || !body_has_ended {
            close_after(&mut response);
        }
        let state = Arc::clone(&self.state);
        response.map(|body| AnswerBody { body, state })
    }

    /// Leaves the head and the first frames of a stream to hyper.
    fn start_handover(&self, response: &mut Response<Body>, first: Bytes) {
        // The connection ends with the stream, so that the client does not wait for another answer on it.
        close_after(response);
        *response.body_mut() = Body::new(FirstFrames {
            first: Some(first).filter(|first| !first.is_empty()),
            state: Arc::clone(&self.state),
        });
    }
}

/// Makes a response the last one of its connection.
fn close_after(response: &mut Response<Body>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

/// The body of a response. Hyper drops it once it has all of it.
pub(super) struct AnswerBody {
    body: Body,
    state: Arc<ConnectionState>,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.state.end_answer();
    }
}
