//! One connection: hyper drives it until a response carries a stream that a reactor can drive.
//!
//! A stop never cuts a request. From the soft stop on, each response says `Connection: close`, and
//! connections that are idle stay open for their next request. Once the listener has closed, an idle
//! connection is closed when none of the listener's has had a request for a while, after a last look into
//! the kernel's buffer. A client that sends at this very moment is cut all the same: HTTP/1.1 announces an
//! end only in a response. Hyper's own graceful shutdown would close idle connections at the soft stop,
//! with requests that have arrived and that it has not read.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1::{Builder, Connection};
use hyper_util::rt::TokioIo;
use stream_driver::Reactors;
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit};

use super::{
    RemoteAddr,
    recent::RecentRequests,
    room::OpenConnections,
    sender::SenderKey,
    service::RouterService,
    socket::Io,
    state::{AwaitedPart, ConnectionState, RequestPhase},
    stops::{RequestTimer, RequestWaits, StopSignals, StopStep, StopWatch},
};
use crate::ip_network::of_one_sender;

/// The settings that all connections of a listener share.
pub(super) struct ConnectionSettings {
    pub(super) router: Router,
    pub(super) builder: Builder,
    pub(super) signals: StopSignals,
    pub(super) waits: RequestWaits,
    pub(super) recent: Arc<RecentRequests>,
    pub(super) open: OpenConnections,
    pub(super) unread_timeout: Duration,
    pub(super) reactors: Option<Arc<Reactors>>,
}

/// A connection from its start to its end. Written out as a future, because an `async` block would hold
/// the connection twice: 1.3 KiB per stream instead of 0.6.
pub(super) struct ConnectionTask {
    /// `None` once it is handed over.
    connection: Option<Connection<Io, RouterService>>,
    stop: StopWatch,
    request: RequestTimer,
    state: Arc<ConnectionState>,
    settings: Arc<ConnectionSettings>,
    permit: Option<OwnedSemaphorePermit>,
}

impl ConnectionTask {
    pub(super) fn new(
        settings: &Arc<ConnectionSettings>,
        socket: TcpStream,
        remote: RemoteAddr,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let peer = SenderKey::of(&of_one_sender(remote.0.ip()));
        let state = Arc::new(ConnectionState::new(peer));
        settings.open.add(&state);
        let io = Io {
            socket: TokioIo::new(socket),
            state: Arc::clone(&state),
            unread_timeout: settings.unread_timeout,
            unread: None,
        };
        let service = RouterService {
            router: settings.router.clone(),
            remote,
            state: Arc::clone(&state),
            recent: Arc::clone(&settings.recent),
            hands_over: settings.reactors.is_some(),
        };
        Self {
            connection: Some(settings.builder.serve_connection(io, service)),
            stop: StopWatch::new(&settings.signals),
            request: RequestTimer::new(),
            state,
            settings: Arc::clone(settings),
            permit: Some(permit),
        }
    }

    /// Takes the steps of the stop that have begun; whether the connection has to end now.
    fn take_stop_steps(&mut self, cx: &mut Context<'_>) -> bool {
        while let Poll::Ready(step) = self.stop.poll(cx, &self.settings.signals) {
            match step {
                StopStep::Serving => {}
                StopStep::LastAnswers => self.state.close_with_next_answer(),
                StopStep::LastRequests => self.request.shorten(self.settings.waits),
                StopStep::Closed => {
                    let phase = self.state.phase();
                    tracing::debug!(?phase, "connection cut: the process stops hard");
                    return true;
                }
            }
        }
        false
    }

    /// Takes the socket from hyper and gives it to a reactor, once hyper holds none of our data.
    fn hand_over(&mut self) -> Option<()> {
        let reactors = self.settings.reactors.as_ref()?;
        if !self.state.handover.is_flushed() {
            return None;
        }
        let source = self.state.handover.take_source()?;
        // Data that the client sent after its request is in hyper's read buffer and is dropped with it.
        let io = self.connection.take()?.into_parts().io;
        match io.socket.into_inner().into_std() {
            Ok(socket) => reactors.adopt(socket, source, self.permit.take()?),
            Err(error) => tracing::warn!(%error, "a stream is closed: it cannot be handed over"),
        }
        Some(())
    }

    /// Drives hyper; resolves when the connection has ended or is handed over.
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(());
        };
        if let Poll::Ready(ended) = Pin::new(connection).poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
            return Poll::Ready(());
        }
        match self.hand_over() {
            Some(()) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }
}

impl Future for ConnectionTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.take_stop_steps(cx) {
            return Poll::Ready(());
        }
        this.state.wake_when_asked(cx.waker());
        let mut has_asked = false;
        loop {
            if this.poll_connection(cx).is_ready() {
                return Poll::Ready(());
            }
            let (settings, step) = (&this.settings, this.stop.step());
            let waiting =
                this.request
                    .poll(cx, &this.state, settings.waits, &settings.recent, step);
            let asked = this.state.asked_to_end();
            let is_idle = match asked {
                Some(awaited) => awaited == AwaitedPart::Request,
                None => ready!(waiting) == RequestPhase::Idle,
            };
            if has_asked || !is_idle {
                let phase = this.state.phase();
                tracing::debug!(
                    ?phase,
                    for_a_new_one = asked.is_some(),
                    "connection closed: nothing came in time"
                );
                return Poll::Ready(());
            }
            // Closed only if the kernel has no byte of a request either.
            this.state.ask_kernel();
            has_asked = true;
        }
    }
}

#[cfg(test)]
mod tests;
