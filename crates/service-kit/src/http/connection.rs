//! One connection: hyper drives it until a response carries a stream that a reactor can drive.
//!
//! Hyper cannot release a socket in the middle of a response, but it can be dropped once it holds none
//! of our data: the response's body is replaced by one that yields the stream's first frames and then
//! nothing, and hyper flushes its I/O only once its own buffer is empty. From then on only the socket is
//! needed. (hyper 1.12, `proto/h1/io.rs`; `tests/handover.rs` shows that it still holds.)

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, routing::future::RouteFuture};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body::Frame;
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1::{Builder, Connection},
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use stream_driver::{Handover, Reactors, StreamSource};
use tokio::{
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::RemoteAddr;

/// State that the parts of a connection share.
#[derive(Default)]
struct HandoverState {
    step: AtomicU8,
    stream: Mutex<CarriedStream>,
}

/// The stream that a connection carries.
#[derive(Default)]
enum CarriedStream {
    /// None, or one that is not a source.
    #[default]
    Nothing,
    /// One that a reactor takes over, once the socket has its first frames.
    ToReactor(Box<dyn StreamSource>),
    /// One that hyper drives.
    WithHyper(Handover),
}

/// Nothing is handed over.
const KEPT: u8 = 0;
/// Hyper has the first frames in its buffer.
const BUFFERED: u8 = 1;
/// The socket has them.
const FLUSHED: u8 = 2;

impl HandoverState {
    fn advance(&self, from: u8, to: u8) {
        let _ = self
            .step
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn is_flushed(&self) -> bool {
        self.step.load(Ordering::Acquire) == FLUSHED
    }

    /// The source of a stream that leaves hyper.
    fn take_source(&self) -> Option<Box<dyn StreamSource>> {
        match std::mem::take(&mut *self.stream.lock()) {
            CarriedStream::ToReactor(source) => Some(source),
            CarriedStream::Nothing | CarriedStream::WithHyper(_) => None,
        }
    }

    /// Whether the stream gives up a client that takes nothing; `None` without a stream.
    fn should_give_up(&self, behind: Duration) -> Option<bool> {
        match &*self.stream.lock() {
            CarriedStream::Nothing => None,
            CarriedStream::ToReactor(source) => Some(source.should_give_up(behind)),
            CarriedStream::WithHyper(handover) => handover.should_give_up(behind),
        }
    }

    /// Whether the stream has more for its client at once.
    fn has_more(&self) -> bool {
        matches!(&*self.stream.lock(), CarriedStream::WithHyper(handover) if handover.has_more())
    }
}

/// A router behind hyper's own service trait: no boxed future and no adapter around it.
struct RouterService {
    router: Router,
    remote: RemoteAddr,
    handover: Arc<HandoverState>,
    /// Whether streams may leave hyper.
    hands_over: bool,
}

impl hyper::service::Service<Request<Incoming>> for RouterService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RouterFuture;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.remote);
        // Chunks need HTTP/1.1, and the answer to HEAD has no body.
        let can_stream = request.version() == Version::HTTP_11 && request.method() != Method::HEAD;
        RouterFuture {
            // A router is always ready, and cloning it increments a counter.
            answer: tower::Service::call(&mut self.router.clone(), request),
            handover: Arc::clone(&self.handover),
            hands_over: self.hands_over && can_stream,
        }
    }
}

/// The future of a router's answer.
struct RouterFuture {
    answer: RouteFuture<Infallible>,
    handover: Arc<HandoverState>,
    hands_over: bool,
}

impl Future for RouterFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(Pin::new(&mut self.answer).poll(cx))?;
        if let Some(handover) = response.extensions_mut().remove::<Handover>() {
            let taken = self.hands_over.then(|| handover.take()).flatten();
            *self.handover.stream.lock() = match taken {
                None => CarriedStream::WithHyper(handover),
                Some((first, source)) => {
                    self.start_handover(&mut response, first);
                    CarriedStream::ToReactor(source)
                }
            };
        }
        Poll::Ready(Ok(response))
    }
}

impl RouterFuture {
    /// Leaves the head and the first frames of a stream to hyper.
    fn start_handover(&self, response: &mut Response<Body>, first: Bytes) {
        // The connection ends with the stream, so that the client does not wait for another answer on it.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        *response.body_mut() = Body::new(FirstFrames {
            first: Some(first).filter(|first| !first.is_empty()),
            handover: Arc::clone(&self.handover),
        });
    }
}

/// The part of a stream that is sent with the response's head.
struct FirstFrames {
    first: Option<Bytes>,
    handover: Arc<HandoverState>,
}

impl http_body::Body for FirstFrames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.handover.advance(KEPT, BUFFERED);
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Poll::Pending,
        }
    }
}

/// Interval at which a client that takes nothing is checked.
const UNREAD_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A socket that records when everything is written, and for how long something could not be written.
struct Io {
    socket: TokioIo<TcpStream>,
    handover: Arc<HandoverState>,
    unread_timeout: Duration,
    /// Set while the client is behind.
    unread: Option<Box<UnreadState>>,
}

/// The state of a client that did not take everything and has not caught up since.
struct UnreadState {
    since: Instant,
    /// The next check.
    next_check: Pin<Box<Sleep>>,
}

impl Io {
    /// Hyper does not poll a body whose frames cannot be written, so the wait is limited here.
    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            return written;
        }
        let unread = self.unread.get_or_insert_with(|| {
            Box::new(UnreadState {
                since: Instant::now(),
                next_check: Box::pin(sleep(UNREAD_CHECK_INTERVAL)),
            })
        });
        loop {
            // Also checked when the stream was woken meanwhile: its client may no longer be allowed to read.
            let behind = unread.since.elapsed();
            let should_give_up = self.handover.should_give_up(behind);
            if should_give_up.unwrap_or(behind >= self.unread_timeout) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            ready!(unread.next_check.as_mut().poll(cx));
            unread
                .next_check
                .as_mut()
                .reset(Instant::now() + UNREAD_CHECK_INTERVAL);
        }
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Hyper's buffer is empty. A client that takes a little from time to time empties it too, but
        // has not caught up.
        if self.unread.is_some() && !self.handover.has_more() {
            self.unread = None;
        }
        self.handover.advance(BUFFERED, FLUSHED);
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// The settings that all connections of a listener share.
pub(super) struct ConnectionSettings {
    pub(super) router: Router,
    pub(super) builder: Builder,
    pub(super) draining: CancellationToken,
    pub(super) closed: CancellationToken,
    pub(super) unread_timeout: Duration,
    pub(super) reactors: Option<Arc<Reactors>>,
}

/// A connection from its start to its end. Written out as a future, because an `async` block would hold
/// the connection twice: 1.3 KiB per stream instead of 0.6.
pub(super) struct ConnectionTask {
    /// `None` once it is handed over.
    connection: Option<Connection<Io, RouterService>>,
    /// Resolves at the soft stop; then replaced by the hard stop.
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The hard stop, until `stop` waits for it.
    closed: Option<CancellationToken>,
    handover: Arc<HandoverState>,
    reactors: Option<Arc<Reactors>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl ConnectionTask {
    pub(super) fn new(
        settings: &ConnectionSettings,
        socket: TcpStream,
        remote: RemoteAddr,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let (handover, reactors) = (Arc::<HandoverState>::default(), settings.reactors.clone());
        let io = Io {
            socket: TokioIo::new(socket),
            handover: Arc::clone(&handover),
            unread_timeout: settings.unread_timeout,
            unread: None,
        };
        let service = RouterService {
            router: settings.router.clone(),
            remote,
            handover: Arc::clone(&handover),
            hands_over: reactors.is_some(),
        };
        Self {
            connection: Some(settings.builder.serve_connection(io, service)),
            stop: Box::pin(settings.draining.clone().cancelled_owned()),
            closed: Some(settings.closed.clone()),
            handover,
            reactors,
            permit: Some(permit),
        }
    }

    /// Takes the socket from hyper and gives it to a reactor, once hyper holds none of our data.
    fn hand_over(&mut self) -> Option<()> {
        let reactors = self.reactors.as_ref()?;
        if !self.handover.is_flushed() {
            return None;
        }
        let source = self.handover.take_source()?;
        // Data that the client sent after its request is in hyper's read buffer and is dropped with it.
        let io = self.connection.take()?.into_parts().io;
        match io.socket.into_inner().into_std() {
            Ok(socket) => reactors.adopt(socket, source, self.permit.take()?),
            Err(error) => tracing::warn!(%error, "a stream is closed: it cannot be handed over"),
        }
        Some(())
    }
}

impl Future for ConnectionTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        while this.stop.as_mut().poll(cx).is_ready() {
            let Some(closed) = this.closed.take() else {
                return Poll::Ready(());
            };
            if let Some(connection) = &mut this.connection {
                Pin::new(connection).graceful_shutdown();
            }
            this.stop.set(closed.cancelled_owned());
        }
        let Some(connection) = &mut this.connection else {
            return Poll::Ready(());
        };
        match Pin::new(connection).poll(cx) {
            Poll::Pending => match this.hand_over() {
                Some(()) => Poll::Ready(()),
                None => Poll::Pending,
            },
            Poll::Ready(ended) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                Poll::Ready(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_costs_one_copy_of_itself() {
        let connection = size_of::<Connection<Io, RouterService>>();
        assert!(
            size_of::<ConnectionTask>() <= connection + 64,
            "{} {connection}",
            size_of::<ConnectionTask>()
        );
    }
}
