//! The parts of the kernel that a reactor uses: readiness of sockets, and a wake-up from other threads.

#[cfg(not(feature = "shuttle"))]
pub(crate) use mio::{Events, Interest, Poll, Token, Waker, event::Event, net::TcpStream};

#[cfg(feature = "shuttle")]
pub(crate) use crate::model::{Event, Events, Interest, Poll, TcpStream, Token, Waker};
