//! A kernel for model checks: sockets and readiness under the scheduler of `shuttle`, so that
//! [`Reactors`] run on it as they are.
//!
//! It guarantees no more than the real one does. Readiness is reported on an edge: of room after a write
//! that found none, of a client that left, once. Time stands still: a wait with a timeout never times
//! out, so what only the sweep would find counts as lost.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::Shutdown,
    ops::BitOr,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

pub use shuttle;
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use tokio::sync::Semaphore;

use crate::{Reactors, StreamSource};

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token(pub(crate) usize);

/// Every socket is watched for all kinds of readiness.
pub(crate) struct Interest;

impl Interest {
    pub(crate) const READABLE: Self = Self;
    pub(crate) const WRITABLE: Self = Self;
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, _: Self) -> Self {
        self
    }
}

#[derive(Debug)]
pub(crate) struct Event {
    token: Token,
    is_readable: bool,
    is_writable: bool,
}

impl Event {
    pub(crate) fn token(&self) -> Token {
        self.token
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.is_readable
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.is_writable
    }

    pub(crate) fn is_read_closed(&self) -> bool {
        false
    }

    pub(crate) fn is_write_closed(&self) -> bool {
        false
    }

    pub(crate) fn is_error(&self) -> bool {
        false
    }
}

pub(crate) struct Events(VecDeque<Event>);

impl Events {
    pub(crate) fn with_capacity(_: usize) -> Self {
        Self(VecDeque::new())
    }
}

impl<'e> IntoIterator for &'e Events {
    type Item = &'e Event;
    type IntoIter = std::collections::vec_deque::Iter<'e, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Events that have not been fetched.
#[derive(Default)]
struct Queue {
    events: Mutex<VecDeque<Event>>,
    changed: Condvar,
}

impl Queue {
    fn push(&self, event: Event) {
        let mut events = locked(&self.events);
        match events.iter_mut().find(|known| known.token == event.token) {
            Some(known) => {
                known.is_readable |= event.is_readable;
                known.is_writable |= event.is_writable;
            }
            None => events.push_back(event),
        }
        drop(events);
        self.changed.notify_all();
    }
}

/// Registers the sockets that a poll watches.
#[derive(Clone, Default)]
pub(crate) struct Registry(Arc<Queue>);

impl Registry {
    #[allow(
        clippy::unnecessary_wraps,
        clippy::needless_pass_by_value,
        reason = "the signature of mio's"
    )]
    pub(crate) fn register(
        &self,
        socket: &mut TcpStream,
        token: Token,
        _: Interest,
    ) -> io::Result<()> {
        let mut pipe = locked(&socket.0.pipe);
        pipe.watcher = Some((self.clone(), token));
        let event = Event {
            token,
            is_readable: pipe.client_left,
            is_writable: pipe.room > 0,
        };
        drop(pipe);
        self.0.push(event);
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct Poll(Registry);

impl Poll {
    #[allow(clippy::unnecessary_wraps, reason = "the signature of mio's")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::default())
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0
    }

    #[allow(clippy::unnecessary_wraps, reason = "the signature of mio's")]
    pub(crate) fn poll(&self, into: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let mut events = locked(&self.0.0.events);
        while events.is_empty() && timeout != Some(Duration::ZERO) {
            events = self
                .0
                .0
                .changed
                .wait(events)
                .unwrap_or_else(PoisonError::into_inner);
        }
        into.0 = std::mem::take(&mut *events);
        Ok(())
    }
}

pub(crate) struct Waker(Registry, Token);

impl Waker {
    #[allow(clippy::unnecessary_wraps, reason = "the signature of mio's")]
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self(registry.clone(), token))
    }

    #[allow(clippy::unnecessary_wraps, reason = "the signature of mio's")]
    pub(crate) fn wake(&self) -> io::Result<()> {
        self.0.0.push(Event {
            token: self.1,
            is_readable: true,
            is_writable: false,
        });
        Ok(())
    }
}

struct Pipe {
    /// Number of bytes that the socket takes now.
    room: usize,
    /// Room is reported only after a write that found none.
    found_no_room: bool,
    bytes: Vec<u8>,
    watcher: Option<(Registry, Token)>,
    client_left: bool,
    /// The server ended it regularly.
    is_finished: bool,
    is_closed: bool,
}

struct Wire {
    pipe: Mutex<Pipe>,
    changed: Condvar,
}

/// The server's end of a connection.
pub struct TcpStream(Arc<Wire>);

impl TcpStream {
    pub(crate) fn from_std(_: std::net::TcpStream) -> Self {
        unreachable!("a model has no sockets of the real kernel")
    }

    #[allow(clippy::unnecessary_wraps, reason = "the signature of mio's")]
    pub(crate) fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        locked(&self.0.pipe).is_finished = true;
        self.0.changed.notify_all();
        Ok(())
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = locked(&self.0.pipe);
        if pipe.client_left {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let sent = bytes.len().min(pipe.room);
        if sent == 0 {
            pipe.found_no_room = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pipe.room -= sent;
        pipe.bytes.extend_from_slice(&bytes[..sent]);
        drop(pipe);
        self.0.changed.notify_all();
        Ok(sent)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match locked(&self.0.pipe).client_left {
            true => Ok(0),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        locked(&self.0.pipe).is_closed = true;
        self.0.changed.notify_all();
    }
}

/// The client's end of a connection. Dropping it disconnects.
pub struct ModelClient(Arc<Wire>);

impl ModelClient {
    /// Waits for bytes and takes them, which makes room for as many; `None` when the server ended the
    /// connection regularly.
    ///
    /// # Errors
    /// The server closed the connection without a regular end.
    pub fn read(&self) -> Result<Option<Vec<u8>>, AbruptEnd> {
        let mut pipe = locked(&self.0.pipe);
        while pipe.bytes.is_empty() && !pipe.is_closed && !pipe.is_finished {
            pipe = self
                .0
                .changed
                .wait(pipe)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if pipe.bytes.is_empty() {
            return if pipe.is_finished {
                Ok(None)
            } else {
                Err(AbruptEnd)
            };
        }
        let bytes = std::mem::take(&mut pipe.bytes);
        pipe.room += bytes.len();
        let waits = std::mem::take(&mut pipe.found_no_room);
        let tell = pipe.watcher.clone().filter(|_| waits);
        drop(pipe);
        if let Some((registry, token)) = tell {
            registry.0.push(Event {
                token,
                is_readable: false,
                is_writable: true,
            });
        }
        Ok(Some(bytes))
    }
}

impl Drop for ModelClient {
    fn drop(&mut self) {
        let mut pipe = locked(&self.0.pipe);
        pipe.client_left = true;
        let watcher = pipe.watcher.clone();
        drop(pipe);
        if let Some((registry, token)) = watcher {
            registry.0.push(Event {
                token,
                is_readable: true,
                is_writable: true,
            });
        }
    }
}

/// The server closed a connection without a regular end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbruptEnd;

/// A connection whose socket holds up to `room` bytes that the client has not read.
#[must_use]
pub fn connection(room: usize) -> (TcpStream, ModelClient) {
    let pipe = Pipe {
        room,
        found_no_room: false,
        bytes: Vec::new(),
        watcher: None,
        client_left: false,
        is_finished: false,
        is_closed: false,
    };
    let wire = Arc::new(Wire {
        pipe: Mutex::new(pipe),
        changed: Condvar::new(),
    });
    (TcpStream(Arc::clone(&wire)), ModelClient(wire))
}

impl Reactors {
    /// As [`Reactors::adopt`], with a socket of the model.
    ///
    /// # Panics
    /// Never: the permit is from a semaphore of its own.
    pub fn adopt_modelled(&self, socket: TcpStream, source: Box<dyn StreamSource>) {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned();
        self.assign(socket, source, permit.expect("it has one"));
    }
}

/// Tries interleavings of `run`: half of the time at random, half by priorities that change at `depth`
/// places (PCT). An interleaving that panics or waits for ever fails, and its schedule is printed.
///
/// The environment variable `MODEL_SECONDS` sets the duration, 3 by default. The schedules differ from
/// run to run.
///
/// # Panics
/// An interleaving fails.
pub fn explore(depth: usize, run: impl Fn() + Send + Sync + 'static) {
    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    let asked = std::env::var("MODEL_SECONDS").ok();
    let seconds = asked.and_then(|asked| asked.parse().ok()).unwrap_or(3.0);
    let mut config = shuttle::Config::new();
    config.stack_size = STACK_BYTES;
    config.silence_warnings = true;
    // Reactors need a runtime; nothing runs on it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without descriptors");
    let _entered = runtime.enter();
    let (run, until) = (
        Arc::new(run),
        Instant::now() + Duration::from_secs_f64(seconds),
    );
    let mut tried = 0;
    while Instant::now() < until {
        let at_random = shuttle::Runner::new(RandomScheduler::new(BATCH), config.clone());
        let by_priority = shuttle::Runner::new(PctScheduler::new(depth, BATCH), config.clone());
        let again = Arc::clone(&run);
        tried += at_random.run(move || again());
        let again = Arc::clone(&run);
        tried += by_priority.run(move || again());
    }
    println!("{tried} schedules");
}

/// Stack of one of the scheduler's threads: builds without optimization need much.
const STACK_BYTES: usize = 512 << 10;
/// Number of schedules that are tried between two checks of the clock.
const BATCH: usize = 100;
