//! One stream on one socket, without a thread: the logic that a reactor applies to it.

use std::{
    io,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;

use crate::{FillResult, OutgoingFrames, StreamSource, outgoing::Framing};

/// Interval at which a line that is behind is checked ([`StreamLine::sweep`]).
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Number of buffers that one stream fills in a turn before others have theirs.
const TURN_FILLS: usize = 2;
/// Number of bytes that a client may send after its request. It is not expected to send any, so more is
/// an attack.
const MAX_DISCARDED_BYTES: usize = 64 << 10;

/// The socket that a line writes to. Calls never wait.
pub trait Socket {
    /// Sends a part of `bytes`; [`io::ErrorKind::WouldBlock`] when there is no room, after which the
    /// reactor gets an event when there is.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Reads what the client sent and discards it. `Ok(0)`: the client is gone.
    fn discard(&mut self) -> io::Result<usize>;

    /// Ends the sending side.
    fn finish(&mut self);
}

/// The reason why a line is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The source ended, and its client has everything.
    Ended,
    /// The client disconnected.
    Disconnected,
    /// The source gave up its client, which reads too slowly or may no longer read.
    Abandoned,
    /// The client sends data although it should only read.
    UnexpectedData,
}

/// The result of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnResult {
    /// Nothing to do until the source wakes it or the socket has room.
    Idle,
    /// There is more to send, after the turns of other lines.
    More,
    /// The line is closed; drop it.
    Closed(CloseReason),
}

/// A stream: its source, its socket, and the end of a frame that did not fit.
pub struct StreamLine<S> {
    source: Box<dyn StreamSource>,
    socket: S,
    waker: Waker,
    /// The rest of a frame; the rest of the stream is a position in its source.
    rest: Bytes,
    /// Whether other streams have the same frame.
    is_rest_shared: bool,
    discarded_bytes: usize,
    /// Number of sweeps since the client did not take everything; 0 when it has everything.
    behind_sweeps: u32,
    is_blocked: bool,
    is_behind: bool,
    is_last: bool,
}

/// A buffer for all lines of a thread.
#[derive(Debug)]
pub struct Scratch(OutgoingFrames);

impl Default for Scratch {
    fn default() -> Self {
        Self(OutgoingFrames::new(Framing::Chunked))
    }
}

impl<S: Socket> StreamLine<S> {
    /// A stream whose response head has been sent; `waker` is woken when the line needs a turn.
    pub fn new(source: Box<dyn StreamSource>, socket: S, waker: Waker) -> Self {
        Self {
            source,
            socket,
            waker,
            rest: Bytes::new(),
            is_rest_shared: false,
            discarded_bytes: 0,
            behind_sweeps: 0,
            is_blocked: false,
            is_behind: false,
            is_last: false,
        }
    }

    /// Whether its client has not taken everything that it could have.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Whether other lines have their turn first.
    pub fn is_catching_up(&self) -> bool {
        self.source.is_catching_up()
    }

    /// Sends what the source has, as far as the socket takes it.
    pub fn turn(&mut self, scratch: &mut Scratch) -> TurnResult {
        if self.is_blocked {
            // The line was woken but cannot send: its source may want to end it.
            return self.check_give_up();
        }
        for _ in 0..TURN_FILLS {
            if !self.rest.is_empty() {
                match self.send_rest() {
                    Ok(()) if self.is_blocked => return self.hold_rest(),
                    Ok(()) => {}
                    Err(_) => return TurnResult::Closed(CloseReason::Disconnected),
                }
            }
            if self.is_last {
                self.socket.finish();
                return TurnResult::Closed(CloseReason::Ended);
            }
            // The socket took everything so far.
            self.source.hold(0, false);
            let out = &mut scratch.0;
            out.clear();
            let mut cx = Context::from_waker(&self.waker);
            match self.source.poll_fill(&mut cx, out) {
                Poll::Pending => {
                    self.is_behind = false;
                    self.behind_sweeps = 0;
                    return TurnResult::Idle;
                }
                Poll::Ready(FillResult::Frames) => {}
                Poll::Ready(FillResult::Last) => {
                    out.end();
                    self.is_last = true;
                }
            }
            if self.offer(out).is_err() {
                return TurnResult::Closed(CloseReason::Disconnected);
            }
            if self.is_blocked {
                return self.hold_rest();
            }
        }
        TurnResult::More
    }

    /// Keeps the rest of the frame for a client that does not take it, if there is room.
    fn hold_rest(&mut self) -> TurnResult {
        match self.source.hold(self.rest.len(), self.is_rest_shared) {
            true => TurnResult::Idle,
            false => TurnResult::Closed(CloseReason::Abandoned),
        }
    }

    /// The socket has room. Returns whether the line waited for it and needs a turn.
    pub fn writable(&mut self) -> bool {
        std::mem::take(&mut self.is_blocked)
    }

    /// The client sent something or disconnected.
    pub fn readable(&mut self) -> Option<CloseReason> {
        while self.discarded_bytes <= MAX_DISCARDED_BYTES {
            match self.socket.discard() {
                Ok(0) => return Some(CloseReason::Disconnected),
                Ok(bytes) => self.discarded_bytes += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => return Some(CloseReason::Disconnected),
            }
        }
        Some(CloseReason::UnexpectedData)
    }

    /// Another [`SWEEP_INTERVAL`] has passed.
    pub fn sweep(&mut self) -> TurnResult {
        if self.is_behind {
            self.behind_sweeps = self.behind_sweeps.saturating_add(1);
        }
        match self.is_blocked {
            true => match self.check_give_up() {
                // The frame may have left what is shared.
                TurnResult::Idle => self.hold_rest(),
                closed => closed,
            },
            false => TurnResult::Idle,
        }
    }

    fn check_give_up(&self) -> TurnResult {
        match self
            .source
            .should_give_up(SWEEP_INTERVAL * self.behind_sweeps)
        {
            true => TurnResult::Closed(CloseReason::Abandoned),
            false => TurnResult::Idle,
        }
    }

    fn offer(&mut self, out: &OutgoingFrames) -> io::Result<()> {
        let sent = self.send(out.bytes())?;
        let taken = out.result_of_sending(sent);
        if let Some(progress) = taken.progress {
            self.source.record_progress(progress);
        }
        if self.is_blocked {
            self.source.release();
        }
        self.rest = taken.rest;
        self.is_rest_shared = out.is_shared();
        Ok(())
    }

    fn send_rest(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        let sent = self.send(&rest)?;
        self.rest = rest.slice(sent..);
        Ok(())
    }

    /// Sends until everything is sent or the socket is full.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.socket.send(&bytes[sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => sent += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    self.is_behind = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }
}

#[cfg(test)]
mod tests;
