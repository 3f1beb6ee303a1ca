//! Accepting, and closing a listener without losing a client.
//!
//! A listening socket that closes resets the connections that it still holds: those in the accept
//! queue, and those whose clients have our SYN-ACK and believe that they are connected. Requests that
//! were sent on them are lost. So a listener begins no new handshake first, then accepts those that
//! have begun, and closes with an empty queue.

use std::{io, net::SocketAddr, time::Duration};

#[cfg(any(target_os = "android", target_os = "linux"))]
use socket2::SockFilter;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

/// Pause before the next accept after the system had no file descriptor or memory for a connection.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Time in which handshakes that have begun can end: several round trips between data centres. A client
/// that begins one in this time gets no reply, and a refusal when it tries again a second later, so the
/// time is short.
const LAST_HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(25);

/// Pause between two looks for such handshakes.
const LAST_HANDSHAKE_INTERVAL: Duration = Duration::from_millis(5);

/// A program for the kernel that drops the packets that begin a handshake: SYN, without ACK, RST or FIN.
/// (linux/filter.h; the packet begins with the TCP header, whose flags are byte 13.)
#[cfg(any(target_os = "android", target_os = "linux"))]
const NO_NEW_HANDSHAKES: [SockFilter; 5] = {
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(AND, 0, 0, 0x17),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0x02),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
};

/// The next connection. Errors are logged, and accepting is tried again.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                send_at_once(&stream);
                return (stream, remote);
            }
            // The client disconnected before it was accepted: nothing is lost.
            Err(error) if is_clients_fault(&error) => {}
            Err(error) => {
                // Logged once per series of failures: without free descriptors this happens 20 times
                // a second.
                if !failing {
                    tracing::warn!(%error, "cannot accept connections; retrying");
                }
                failing = true;
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// A listener that begins no new handshake. It closes when it is dropped.
pub(crate) struct ClosingListener {
    /// Not blocking. Not the runtime's listener, which reports a connection later than the kernel has it.
    listener: std::net::TcpListener,
    until: Instant,
}

impl ClosingListener {
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        #[cfg(any(target_os = "android", target_os = "linux"))]
        if let Err(error) = SockRef::from(&listener).attach_filter(&NO_NEW_HANDSHAKES) {
            tracing::debug!(%error, "clients that connect while the listener closes may be cut");
        }
        Ok(Self {
            listener: listener.into_std()?,
            until: Instant::now() + LAST_HANDSHAKE_TIMEOUT,
        })
    }

    /// The next connection whose handshake had begun; `None` if there is none left. While the system
    /// has no file descriptor for one, this waits: the caller limits the time.
    pub(crate) async fn next(&mut self) -> Option<(TcpStream, SocketAddr)> {
        loop {
            // Before the look, so that the last one comes after the end of the time.
            let over = Instant::now() >= self.until;
            let accepted = self.listener.accept();
            match accepted.and_then(|(stream, remote)| Ok((into_tokio(stream)?, remote))) {
                Ok(accepted) => return Some(accepted),
                Err(error) if is_clients_fault(&error) => {}
                Err(error) if over && error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => sleep(LAST_HANDSHAKE_INTERVAL).await,
            }
        }
    }
}

fn into_tokio(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream)?;
    send_at_once(&stream);
    Ok(stream)
}

fn send_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
}

fn is_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream as Client;

    use futures_util::FutureExt;
    use tokio::time::timeout;

    use super::*;

    /// Longer than anything here takes, so that a broken promise is a failure and not a hang.
    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_kernels_connections_are_accepted_and_a_later_one_is_refused_not_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        // The runtime has not been asked for them, and the kernel has them.
        let early: Vec<_> = (0..20).map(|_| Client::connect(addr).unwrap()).collect();
        let mut closing = ClosingListener::new(listener).unwrap();
        let late = TcpStream::connect(addr);
        tokio::pin!(late);
        assert!((&mut late).now_or_never().is_none());
        let mut accepted = Vec::new();
        while let Some((_, remote)) = closing.next().await {
            accepted.push(remote);
        }
        let early: Vec<_> = early.iter().map(|one| one.local_addr().unwrap()).collect();
        assert_eq!(accepted, early);
        // In all that time the kernel did not begin to talk to the late client.
        assert!((&mut late).now_or_never().is_none());
        drop(closing);
        let late = timeout(DEADLINE, late)
            .await
            .expect("the client tries again");
        let error = late.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
