//! The bound on the connections of a gRPC listener: at the bound, the one that has been silent for longest ends for a new
//! one. Roles send pings on idle connections, so that one is a stranger's or dead; first come those that never said
//! anything. Strangers can send pings too: last come those over which a call of a role of this installation came.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tonic::transport::server::Connected;

use crate::limits::ROOM_INTERVAL;

/// The connections of a listener.
pub(super) struct CallConnections {
    permits: Arc<Semaphore>,
    begun: Instant,
    open: Mutex<Vec<Weak<WatchedConnection>>>,
}

/// The state of a connection.
struct WatchedConnection {
    begun: Instant,
    /// Microseconds after `begun` at which the last bytes came, or the connection; see [`Self::rank`].
    heard_micros: AtomicU64,
    has_spoken: AtomicBool,
    is_trusted: AtomicBool,
    must_end: AtomicBool,
    waker: AtomicWaker,
}

impl WatchedConnection {
    fn heard(&self) {
        let micros = self.begun.elapsed().as_micros();
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        self.heard_micros.store(micros, Ordering::Relaxed);
    }

    /// The lesser, the sooner it ends for a new one.
    fn rank(&self) -> (bool, bool, u64) {
        let heard = self.heard_micros.load(Ordering::Relaxed);
        let has_spoken = self.has_spoken.load(Ordering::Relaxed);
        (self.is_trusted.load(Ordering::Relaxed), has_spoken, heard)
    }
}

impl CallConnections {
    /// Up to `max` at once, and at least one.
    pub(super) fn new(max: usize) -> Self {
        let permits = max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(permits)),
            begun: Instant::now(),
            open: Mutex::default(),
        }
    }

    /// Admits a connection, once there is room for it.
    pub(super) async fn admit(&self, socket: TcpStream) -> io::Result<WatchedSocket> {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                break permit;
            }
            self.make_room();
            let freed = Arc::clone(&self.permits).acquire_owned();
            if let Ok(permit) = timeout(ROOM_INTERVAL, freed).await {
                break permit.map_err(io::Error::other)?;
            }
        };
        let connection = Arc::new(WatchedConnection {
            begun: self.begun,
            heard_micros: AtomicU64::new(0),
            has_spoken: AtomicBool::new(false),
            is_trusted: AtomicBool::new(false),
            must_end: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        connection.heard();
        let mut open = self.open.lock();
        open.retain(|other| other.strong_count() > 0);
        open.push(Arc::downgrade(&connection));
        Ok(WatchedSocket {
            socket,
            connection,
            _permit: permit,
        })
    }

    fn make_room(&self) {
        let open = self.open.lock();
        let open = open.iter().filter_map(Weak::upgrade);
        let silent = open
            .filter(|one| !one.must_end.load(Ordering::Relaxed))
            .min_by_key(|one| one.rank());
        if let Some(silent) = silent {
            silent.must_end.store(true, Ordering::Release);
            silent.waker.wake();
        }
    }
}

/// The socket of a connection, which ends when it has to make room.
pub(super) struct WatchedSocket {
    socket: TcpStream,
    connection: Arc<WatchedConnection>,
    _permit: OwnedSemaphorePermit,
}

impl WatchedSocket {
    fn check(&self) -> io::Result<()> {
        match self.connection.must_end.load(Ordering::Acquire) {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }
}

impl AsyncRead for WatchedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection.waker.register(cx.waker());
        self.check()?;
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if read.is_ready() {
            self.connection.heard();
            self.connection.has_spoken.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for WatchedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.socket).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

/// The connection of a call, in its extensions.
#[derive(Clone)]
pub(super) struct CallConnection(Arc<WatchedConnection>);

impl CallConnection {
    /// A call over it was one of a role of this installation.
    pub(super) fn trust(&self) {
        self.0.is_trusted.store(true, Ordering::Relaxed);
    }
}

impl Connected for WatchedSocket {
    type ConnectInfo = CallConnection;

    fn connect_info(&self) -> CallConnection {
        CallConnection(Arc::clone(&self.connection))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_stranger_that_talks_takes_no_connection_of_a_role() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connections = CallConnections::new(3);
        let (mut clients, mut admitted) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await;
            clients.push(client.unwrap());
            let (socket, _) = listener.accept().await.unwrap();
            admitted.push(connections.admit(socket).await.unwrap());
        }
        // The role has said something first, and then a stranger; the other one never did.
        let [role, stranger, silent] = &admitted[..] else {
            panic!("three connections")
        };
        for speaks in [role, stranger] {
            speaks.connection.heard();
            speaks.connection.has_spoken.store(true, Ordering::Relaxed);
        }
        role.connect_info().trust();
        let ends = |one: &WatchedSocket| one.check().is_err();
        connections.make_room();
        assert!(ends(silent) && !ends(stranger) && !ends(role));
        stranger.connection.heard();
        connections.make_room();
        assert!(ends(stranger) && !ends(role));
    }
}
