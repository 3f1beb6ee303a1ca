//! The socket of a connection as hyper sees it.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::state::ConnectionState;

/// Interval at which a client that takes nothing is checked.
const UNREAD_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A socket that records when everything is written, and for how long something could not be written.
pub(super) struct Io {
    pub(super) socket: TokioIo<TcpStream>,
    pub(super) state: Arc<ConnectionState>,
    pub(super) unread_timeout: Duration,
    /// Set while the client is behind.
    pub(super) unread: Option<Box<UnreadState>>,
}

/// The state of a client that did not take everything and has not caught up since.
pub(super) struct UnreadState {
    since: Instant,
    /// The next check.
    next_check: Pin<Box<Sleep>>,
}

impl Io {
    /// Whether the kernel has bytes that the runtime has not reported yet. It will report them.
    fn has_arrived(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let found = SockRef::from(self.socket.inner()).peek(&mut byte);
        found.is_ok_and(|count| count > 0)
    }

    /// Hyper does not poll a body whose frames cannot be written, so the wait is limited here.
    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.state.written(*written.as_ref().unwrap_or(&0));
            return Poll::Ready(written);
        }
        self.state.is_full();
        self.state.handover.release();
        let unread = self.unread.get_or_insert_with(|| {
            Box::new(UnreadState {
                since: Instant::now(),
                next_check: Box::pin(sleep(UNREAD_CHECK_INTERVAL)),
            })
        });
        loop {
            // Also checked when the stream was woken meanwhile: its client may no longer be allowed to read.
            let behind = unread.since.elapsed();
            let should_give_up = self.state.handover.should_give_up(behind);
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
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        let asks_kernel = self.state.take_asks_kernel();
        if read.is_ready() || (asks_kernel && self.has_arrived()) {
            self.state.received();
        }
        read
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
        if self.unread.is_some() && !self.state.handover.has_more() {
            self.unread = None;
        }
        self.state.flushed();
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
