//! The stream of a response on its way from hyper to a reactor.
//!
//! Hyper cannot release a socket in the middle of a response, but it can be dropped once it holds none
//! of our data: the response's body is replaced by one that yields the stream's first frames and then
//! nothing, and hyper flushes its I/O only once its own buffer is empty. From then on only the socket is
//! needed. (hyper 1.12, `proto/h1/io.rs`; `tests/handover.rs` shows that it still holds.)

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::Frame;
use parking_lot::Mutex;
use stream_driver::{Handover, StreamSource};

use super::state::ConnectionState;

/// How far the handover of a connection's stream has come.
#[derive(Default)]
pub(super) struct HandoverState {
    step: AtomicU8,
    stream: Mutex<CarriedStream>,
}

/// The stream that a connection carries.
#[derive(Default)]
pub(super) enum CarriedStream {
    /// None, or one that is not a source.
    #[default]
    Nothing,
    /// One that a reactor takes over, once the socket has its first frames.
    ToReactor(Box<dyn StreamSource>),
    /// One that hyper drives.
    WithHyper(Handover),
    /// One that hyper drives, and that leaves it to the connection how long to wait for its client.
    Unmanaged,
}

/// Nothing is handed over.
const KEPT: u8 = 0;
/// Hyper has the first frames in its buffer.
const BUFFERED: u8 = 1;
/// The socket has them.
const FLUSHED: u8 = 2;

impl HandoverState {
    /// The response carries this stream.
    pub(super) fn carry(&self, stream: CarriedStream) {
        *self.stream.lock() = stream;
    }

    /// Hyper has written everything that it holds.
    pub(super) fn flushed(&self) {
        self.advance(BUFFERED, FLUSHED);
    }

    fn advance(&self, from: u8, to: u8) {
        let _ = self
            .step
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.step.load(Ordering::Acquire) == FLUSHED
    }

    /// The source of a stream that leaves hyper.
    pub(super) fn take_source(&self) -> Option<Box<dyn StreamSource>> {
        match std::mem::take(&mut *self.stream.lock()) {
            CarriedStream::ToReactor(source) => Some(source),
            CarriedStream::Nothing | CarriedStream::Unmanaged | CarriedStream::WithHyper(_) => None,
        }
    }

    /// Whether the stream gives up a client that takes nothing; `None` without a stream.
    pub(super) fn should_give_up(&self, behind: Duration) -> Option<bool> {
        match &*self.stream.lock() {
            CarriedStream::Nothing | CarriedStream::Unmanaged => None,
            CarriedStream::ToReactor(source) => Some(source.should_give_up(behind)),
            CarriedStream::WithHyper(handover) => handover.should_give_up(behind),
        }
    }

    /// The socket is full.
    pub(super) fn release(&self) {
        match &mut *self.stream.lock() {
            CarriedStream::Nothing | CarriedStream::Unmanaged => {}
            CarriedStream::ToReactor(source) => source.release(),
            CarriedStream::WithHyper(handover) => handover.release(),
        }
    }

    /// Whether there is a stream.
    pub(super) fn carries_stream(&self) -> bool {
        !matches!(&*self.stream.lock(), CarriedStream::Nothing)
    }

    /// Whether the stream has more for its client at once.
    pub(super) fn has_more(&self) -> bool {
        matches!(&*self.stream.lock(), CarriedStream::WithHyper(handover) if handover.has_more())
    }
}

/// The part of a stream that is sent with the response's head.
pub(super) struct FirstFrames {
    pub(super) first: Option<Bytes>,
    pub(super) state: Arc<ConnectionState>,
}

impl http_body::Body for FirstFrames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.state.handover.advance(KEPT, BUFFERED);
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Poll::Pending,
        }
    }
}
