//! HTTP/1.1 with its own accept loop over hyper.
//!
//! `axum::serve` is not used: it detects the protocol, which reserves the read buffer twice, and it
//! hides the limits. Here a connection is one small future that holds everything once; the rest of its
//! memory is hyper's buffers.
//!
//! A listener accepts and serves until [`Lifecycle::stop_accepting`]. From the soft stop on, each response
//! says `Connection: close`, and idle keep-alive connections stay open for their next request. Then the
//! listener closes, once it has accepted every connection that the kernel holds. Idle connections close
//! when no connection of the listener has had a request for a second, after a last look for one; a
//! request that has begun is answered; one with a streaming body stays open until the body ends, so
//! bodies watch [`Lifecycle::draining`]. At the hard stop the remaining connections are dropped.
//!
//! An answer that begins before the request's body has ended says `Connection: close`, if the rest is not small or does
//! not come soon: whoever reuses the connection would lose the next request on it.
//!
//! A slash too many in a request's path makes no difference: `/mcp/` is `/mcp`.
//!
//! A response that carries a [`Handover`](stream_driver::Handover) leaves hyper together with its
//! socket, if the listener has threads for that ([`HttpLimits::stream_threads`]).

mod client_waits;
mod connection;
mod handover;
mod lenient_path;
mod recent;
mod request_body;
mod request_sender;
mod room;
mod sender;
mod service;
mod socket;
mod state;
mod stops;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::TokioTimer;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use stream_driver::Reactors;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::request_sender::RequestSender;
use self::{
    connection::{ConnectionSettings, ConnectionTask},
    recent::RecentRequests,
    room::OpenConnections,
    stops::{RequestWaits, StopSignals},
};
use crate::{
    lifecycle::Lifecycle,
    limits::ROOM_INTERVAL,
    listener::{ClosingListener, accept},
};

/// Maximum number of connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 4096;

/// Unsent bytes that the kernel accepts per connection before it reports the socket as full. Without
/// this limit a client that never reads holds megabytes in the kernel, and a slow one is noticed late.
const NOTSENT_LOWAT_BYTES: u32 = 16 * 1024;
/// Maximum time for which a client may leave sent data unacknowledged, or its window closed,
/// before the kernel cuts its connection: the smallest [`HttpLimits::silent_timeout`] that
/// leaves time for retransmissions.
pub const MIN_SILENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Default of [`HttpLimits::idle_timeout`], in seconds: longer than the 60 s after which AWS's load
/// balancers and nginx close.
pub const DEFAULT_IDLE_SECONDS: u64 = 75;

/// Longest `idle_seconds` of a listener: longer than the 600 s of Google Cloud's load balancers, which
/// have the longest fixed time.
pub const MAX_IDLE_SECONDS: u64 = 700;

/// Time without a request on any connection after which idle ones close, once the listener has closed: a
/// client that has not noticed the drain may be sending on one of them. They wait up to a quarter of the
/// drain window.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// Number of connections that are accepted before other tasks run.
const ACCEPTED_AT_ONCE: usize = 16;

/// The smallest buffer size that hyper accepts.
const MIN_BUFFER_BYTES: usize = 8192;

/// Limits of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Maximum number of open connections; one more waits for room. At the limit a new one takes the place of a
    /// connection that is idle, or that made the server wait for half a second: for its head, for 32 KiB of its body, or
    /// to take as much of its answer. The sender that has most of these gives way first. While all others are streams
    /// or worked on, clients wait in the kernel's backlog, and a balancer sees a slow connect and chooses another server.
    pub max_connections: usize,
    /// Maximum time for which a connection waits for a request; then it closes. It should be longer than
    /// the time after which a balancer in front closes idle connections: one side has to be the first,
    /// and a request that the balancer sends at the moment when the server closes is lost.
    pub idle_timeout: Duration,
    /// Maximum time for a request's head from its first byte on; then the connection closes without an
    /// answer.
    pub header_timeout: Duration,
    /// Maximum size of a request's head in bytes; a larger one is answered with 431. Hyper's two buffers
    /// per connection grow up to it (and to 8192 at least).
    pub max_header_bytes: usize,
    /// Maximum time for which data that hyper writes waits for a client that does not take it; after
    /// that the connection is cut. Streams decide themselves
    /// ([`StreamSource::should_give_up`](stream_driver::StreamSource::should_give_up)), regardless of the
    /// driver that serves them.
    pub unread_timeout: Duration,
    /// Maximum time for which a client may acknowledge nothing, or keep its window closed, before the
    /// kernel cuts its connection (`TCP_USER_TIMEOUT`, which does not distinguish the two). `None`: a
    /// client that is gone is noticed when the kernel stops retransmitting, and one that does not read
    /// is never noticed. It must be longer than streams wait for their clients; otherwise the kernel
    /// cuts first.
    pub silent_timeout: Option<Duration>,
    /// Number of threads that own the sockets of streams; 0 leaves streams to hyper.
    pub stream_threads: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_connections: 100_000,
            idle_timeout: Duration::from_secs(DEFAULT_IDLE_SECONDS),
            header_timeout: Duration::from_secs(30),
            max_header_bytes: 16 * 1024,
            unread_timeout: Duration::from_secs(300),
            silent_timeout: Some(MIN_SILENT_TIMEOUT),
            stream_threads: 0,
        }
    }
}

/// The address that a request came from: the balancer's if there is one. It is in each request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteAddr(pub SocketAddr);

/// Marks a response, in its extensions, whose body is a stream without a [`Handover`](stream_driver::Handover): at the
/// bound of its listener its client may be behind, as that of any stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamingAnswer;

/// Opens a listener; port 0 picks a free port. Accepted connections inherit the options that are set here.
///
/// # Errors
/// The address is in use or not local, or the process is out of file descriptors.
///
/// # Panics
/// Outside a tokio runtime.
pub fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_tcp_notsent_lowat(NOTSENT_LOWAT_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves the router until listeners stop accepting, and returns once every connection has ended. The threads
/// for streams are started by this call, with the priority of its thread.
///
/// Spawn it as a task of the lifecycle, with [`OnExit::EndsProcess`](crate::lifecycle::OnExit::EndsProcess).
///
/// # Panics
/// Outside a tokio runtime.
pub fn serve(
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    lifecycle: Lifecycle,
) -> impl Future<Output = ()> + Send {
    let until = lifecycle.stop_accepting();
    let reactors = reactors(limits.stream_threads);
    serve_until(until, listener, router, (limits, reactors), lifecycle)
}

/// As [`serve`], but accepts until the hard stop, for probes. Spawn it with
/// [`Lifecycle::spawn_until_closed`].
///
/// # Panics
/// Outside a tokio runtime.
pub fn serve_until_closed(
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    lifecycle: Lifecycle,
) -> impl Future<Output = ()> + Send {
    let until = lifecycle.closed();
    let reactors = reactors(limits.stream_threads);
    serve_until(until, listener, router, (limits, reactors), lifecycle)
}

/// Starts the threads for streams.
fn reactors(threads: usize) -> Option<Arc<Reactors>> {
    if threads == 0 {
        return None;
    }
    match Reactors::start(threads) {
        Ok(reactors) => Some(Arc::new(reactors)),
        Err(error) => {
            tracing::warn!(%error, threads, "no stream threads: each stream costs more memory");
            None
        }
    }
}

async fn serve_until(
    stop_accepting: CancellationToken,
    listener: TcpListener,
    router: Router,
    (limits, reactors): (HttpLimits, Option<Arc<Reactors>>),
    lifecycle: Lifecycle,
) {
    set_silent_timeout(&listener, limits.silent_timeout);
    let closed = lifecycle.closed();
    // Of what waits for clients once the listener has closed: half of the window is left for answers.
    let longest = lifecycle.drain_window() / 4;
    let server = Server {
        settings: Arc::new(ConnectionSettings {
            router,
            builder: builder(limits),
            signals: StopSignals {
                draining: lifecycle.draining(),
                stop_accepting: stop_accepting.clone(),
                closed: closed.clone(),
            },
            waits: RequestWaits {
                idle: limits.idle_timeout,
                head: limits.header_timeout,
                last: LAST_REQUEST_TIMEOUT.min(longest),
            },
            recent: Arc::new(RecentRequests::new(longest)),
            open: OpenConnections::default(),
            unread_timeout: limits.unread_timeout,
            reactors: reactors.clone(),
        }),
        connections: TaskTracker::new(),
    };
    let permits = limits.max_connections.min(Semaphore::MAX_PERMITS);
    let permits = Arc::new(Semaphore::new(permits));
    let mut waiting = None;
    tokio::select! {
        () = server.accept_forever(&listener, &permits, &mut waiting) => {},
        () = stop_accepting.cancelled_owned() => {},
        () = reactors_failed(reactors.as_deref()) => tracing::error!("a stream thread has ended"),
    }
    let last = timeout(longest, server.accept_last(listener, &permits, waiting));
    let _ = closed.run_until_cancelled(last).await;
    server.connections.close();
    // Bounded by the lifecycle: each connection ends itself at the hard stop.
    server.connections.wait().await;
    if let Some(reactors) = reactors {
        closed.run_until_cancelled(reactors.finish()).await;
    }
}

/// Sets the option on the listener; accepted connections inherit it.
fn set_silent_timeout(listener: &TcpListener, timeout: Option<Duration>) {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Err(error) = SockRef::from(listener).set_tcp_user_timeout(timeout) {
        tracing::warn!(%error, "no TCP_USER_TIMEOUT: lost clients are noticed late");
    }
}

/// Resolves when a thread for streams has failed; never if there are none.
async fn reactors_failed(reactors: Option<&Reactors>) {
    match reactors {
        Some(reactors) => reactors.failed().await,
        None => std::future::pending().await,
    }
}

fn builder(limits: HttpLimits) -> Builder {
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        // The connection's own timer distinguishes the wait for a request from the wait for its head.
        .header_read_timeout(None)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER_BYTES))
        // A client that sends FIN is gone: hyper notices it and drops the streaming body.
        .half_close(false)
        .pipeline_flush(false)
        // Chunk head, frame and chunk end go out as one slice: copying a kilobyte is cheaper than a
        // vectored write of three (measured at 1,000 streams: see docs/performance.md).
        .writev(false);
    builder
}

/// A connection that has no task yet, and its remote address.
type AcceptedConnection = (TcpStream, SocketAddr);

struct Server {
    settings: Arc<ConnectionSettings>,
    connections: TaskTracker,
}

impl Server {
    /// Accepts until it is cancelled; a connection that then waits for room is left in `waiting`.
    async fn accept_forever(
        &self,
        listener: &TcpListener,
        permits: &Arc<Semaphore>,
        waiting: &mut Option<AcceptedConnection>,
    ) {
        let mut accepted = 0_usize;
        loop {
            *waiting = Some(accept(listener).await);
            let Some(permit) = self.room(permits).await else {
                return;
            };
            if let Some(connection) = waiting.take() {
                self.start(connection, permit);
            }
            // A burst of thousands of connections waits in the backlog and does not hold up all other
            // tasks.
            accepted += 1;
            if accepted.is_multiple_of(ACCEPTED_AT_ONCE) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Accepts the connections that the kernel holds already, then closes the listener.
    async fn accept_last(
        &self,
        listener: TcpListener,
        permits: &Arc<Semaphore>,
        mut waiting: Option<AcceptedConnection>,
    ) {
        let Ok(mut closing) = ClosingListener::new(listener) else {
            return;
        };
        // At the bound they wait until other connections have ended.
        while let Ok(permit) = Arc::clone(permits).acquire_owned().await {
            let next = match waiting.take() {
                None => closing.next().await,
                waiting => waiting,
            };
            match next {
                Some(connection) => self.start(connection, permit),
                None => return,
            }
        }
    }

    /// Waits for room for a connection; at the bound another one is asked to end. `None` if there are no permits any
    /// more, which never happens while this listener serves.
    async fn room(&self, permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        loop {
            match Arc::clone(permits).try_acquire_owned() {
                Ok(permit) => return Some(permit),
                Err(TryAcquireError::Closed) => return None,
                Err(TryAcquireError::NoPermits) => {}
            }
            self.settings.open.make_room(Instant::now());
            let freed = Arc::clone(permits).acquire_owned();
            if let Ok(permit) = timeout(ROOM_INTERVAL, freed).await {
                return permit.ok();
            }
        }
    }

    fn start(&self, (stream, remote): AcceptedConnection, permit: OwnedSemaphorePermit) {
        let task = ConnectionTask::new(&self.settings, stream, RemoteAddr(remote), permit);
        self.connections.spawn(task);
    }
}

#[cfg(test)]
mod tests;
