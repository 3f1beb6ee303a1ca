//! One connection of a stream.

use std::{
    io::Write,
    net::{SocketAddrV4, TcpStream},
    time::{Duration, Instant},
};

use rustix::{
    event::epoll,
    fd::OwnedFd,
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt},
};

use crate::soak::wire::Wire;

/// A connection that is being established, or that carries an answer.
#[derive(Debug)]
pub(super) struct SoakConnection {
    pub(super) socket: TcpStream,
    pub(super) wire: Wire,
    /// Time when the connect began.
    pub(super) began: Instant,
    /// Time when the stream's first frame arrived.
    pub(super) opened: Option<Instant>,
    /// Time when data last arrived.
    pub(super) last_data_at: Instant,
    request_sent: bool,
}

impl SoakConnection {
    /// Starts to connect; the epoll reports its events with this mark.
    pub(super) fn open(to: SocketAddrV4, epoll: &OwnedFd, mark: u64) -> Result<Self, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        match connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        epoll::add(epoll, &socket, epoll::EventData::new_u64(mark), flags)?;
        let now = Instant::now();
        Ok(Self {
            socket: TcpStream::from(socket),
            wire: Wire::new(),
            began: now,
            opened: None,
            last_data_at: now,
            request_sent: false,
        })
    }

    /// Sends the request if it has not been sent yet; gives whether the connection is usable.
    pub(super) fn send_request(&mut self, request: impl FnOnce() -> String) -> bool {
        if self.request_sent {
            return true;
        }
        self.request_sent = true;
        let request = request();
        // An empty socket buffer takes any of these requests at once.
        let sent = self.socket.write(request.as_bytes());
        sent.is_ok_and(|sent| sent == request.len())
    }

    /// Closes it with a reset.
    pub(super) fn reset(self) {
        // If this fails, the close is an orderly one, which is acceptable too.
        let _ = sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
    }
}
