//! A thread that owns sockets.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::Shutdown,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    task::Waker,
    time::{Duration, Instant},
};

use slab::Slab;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, error, warn};

use crate::{
    StreamSource,
    kernel::{Event, Events, Interest, Poll, TcpStream, Token},
    line::{CloseReason, SWEEP_INTERVAL, Scratch, Socket, StreamLine, TurnResult},
    ready::{LineWaker, ReadyQueue},
    sync::{AtomicU8, AtomicUsize, Mutex},
};

/// Number of lines with much to send that have a turn before the next poll for events.
const LATER_TURNS: usize = 4;
/// Maximum number of readiness events per poll of the kernel.
const MAX_EVENTS: usize = 1024;
/// Number of bytes that are read at once of data that a client should not send.
const DISCARD_BYTES: usize = 4096;
/// The token of the wake-up; no line has it, because slots are smaller.
pub(crate) const WAKE: Token = Token(usize::MAX);

/// A stream that was taken from hyper.
pub(crate) struct NewStream {
    pub(crate) socket: TcpStream,
    pub(crate) source: Box<dyn StreamSource>,
    /// The stream's permit: it still counts as one of the listener's connections.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// State that a reactor shares with other threads.
pub(crate) struct ReactorShared {
    pub(crate) ready: Arc<ReadyQueue>,
    pub(crate) adopted: Mutex<Vec<NewStream>>,
    /// Number of streams that it has or is about to adopt.
    pub(crate) streams: AtomicUsize,
    /// A [`ReactorPhase`].
    pub(crate) phase: AtomicU8,
}

/// The phase of a reactor's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(crate) enum ReactorPhase {
    /// It runs until another phase begins.
    Runs,
    /// It runs as long as it has streams.
    Finishes,
    /// It ends at once.
    Stops,
}

impl ReactorShared {
    pub(crate) fn enter(&self, phase: ReactorPhase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
        self.ready.wake_thread();
    }

    fn is(&self, phase: ReactorPhase) -> bool {
        self.phase.load(Ordering::SeqCst) >= phase as u8
    }
}

impl Socket for TcpStream {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn discard(&mut self) -> io::Result<usize> {
        self.read(&mut [0; DISCARD_BYTES])
    }

    fn finish(&mut self) {
        // Unread data from the client would turn the end into a reset, and the last frames would be lost
        // with it.
        while matches!(self.discard(), Ok(1..)) {}
        if let Err(error) = self.shutdown(Shutdown::Write) {
            debug!(%error, "a stream's socket cannot be shut down");
        }
    }
}

struct Entry {
    line: StreamLine<TcpStream>,
    waker: Arc<LineWaker>,
    generation: u32,
    _permit: OwnedSemaphorePermit,
}

/// The state that only the thread uses.
pub(crate) struct Reactor {
    poll: Poll,
    shared: Arc<ReactorShared>,
    lines: Slab<Entry>,
    /// Rises with each stream, so that a wake-up for a slot's former stream is not taken for one of its
    /// current stream.
    generation: u32,
    /// Lines that are catching up or have more to send after their turn, and new lines: thousands of
    /// them must not delay a current event.
    later: VecDeque<usize>,
    behind: usize,
    scratch: Scratch,
}

impl Reactor {
    pub(crate) fn new(poll: Poll, shared: Arc<ReactorShared>) -> Self {
        Self {
            poll,
            shared,
            lines: Slab::new(),
            generation: 0,
            later: VecDeque::new(),
            behind: 0,
            scratch: Scratch::default(),
        }
    }

    /// Serves streams until its phase ends it.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(MAX_EVENTS);
        let (mut ready, mut adopted) = (Vec::new(), Vec::new());
        let mut swept = Instant::now();
        loop {
            if let Err(error) = self.wait(&mut events, swept) {
                error!(%error, "a reactor cannot wait for its sockets");
                return;
            }
            for event in &events {
                if event.token() != WAKE {
                    self.handle_event(event);
                }
            }
            std::mem::swap(&mut *self.shared.adopted.lock(), &mut adopted);
            for stream in adopted.drain(..) {
                self.adopt(stream);
            }
            self.shared.ready.take(&mut ready);
            for key in ready.drain(..) {
                match entry(&mut self.lines, key) {
                    Some(entry) if entry.line.is_catching_up() => self.later.push_back(key),
                    _ => self.turn(key),
                }
            }
            for _ in 0..LATER_TURNS.min(self.later.len()) {
                if let Some(key) = self.later.pop_front() {
                    self.turn(key);
                }
            }
            if self.behind > 0 && swept.elapsed() >= SWEEP_INTERVAL {
                swept = Instant::now();
                self.sweep();
            }
            if self.should_end() {
                return;
            }
        }
    }

    fn should_end(&self) -> bool {
        let is_empty = || self.lines.is_empty() && self.shared.adopted.lock().is_empty();
        self.shared.is(ReactorPhase::Stops)
            || (self.shared.is(ReactorPhase::Finishes) && is_empty())
    }

    fn wait(&mut self, events: &mut Events, swept: Instant) -> io::Result<()> {
        let may_sleep = self.later.is_empty()
            && self.shared.ready.prepare_to_sleep()
            && self.shared.adopted.lock().is_empty()
            && !self.should_end();
        let timeout = match (may_sleep, self.behind) {
            (false, _) => Some(Duration::ZERO),
            (true, 0) => None,
            (true, _) => Some(SWEEP_INTERVAL.saturating_sub(swept.elapsed())),
        };
        let waited = self.poll.poll(events, timeout);
        self.shared.ready.mark_awake();
        match waited {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            waited => waited,
        }
    }

    fn adopt(&mut self, adopted: NewStream) {
        let NewStream {
            mut socket,
            source,
            permit,
        } = adopted;
        self.generation = self.generation.wrapping_add(1);
        let slot = self.lines.vacant_entry();
        let key = key(slot.key(), self.generation);
        let waker = LineWaker::new(Arc::clone(&self.shared.ready), key);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry();
        if let Err(error) = registered.register(&mut socket, Token(key), interest) {
            warn!(%error, "a stream is closed: its socket cannot be watched");
            self.shared.streams.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        slot.insert(Entry {
            line: StreamLine::new(source, socket, Waker::from(Arc::clone(&waker))),
            waker,
            generation: self.generation,
            _permit: permit,
        });
        self.later.push_back(key);
    }

    fn handle_event(&mut self, event: &Event) {
        let key = event.token().0;
        let Some(entry) = entry(&mut self.lines, key) else {
            return;
        };
        let closed = if event.is_error() || event.is_write_closed() {
            Some(CloseReason::Disconnected)
        } else if event.is_readable() || event.is_read_closed() {
            entry.line.readable()
        } else {
            None
        };
        if let Some(closed) = closed {
            self.close(key, closed);
        } else if event.is_writable() && entry.line.writable() {
            self.turn(key);
        }
    }

    fn turn(&mut self, key: usize) {
        let scratch = &mut self.scratch;
        let Some(entry) = entry(&mut self.lines, key) else {
            return;
        };
        let was_behind = entry.line.is_behind();
        entry.waker.begin_turn();
        // A stream that panics is closed; its thread and the other streams on it continue.
        let turn = catch_unwind(AssertUnwindSafe(|| entry.line.turn(scratch)));
        let is_behind = entry.line.is_behind();
        self.behind = self.behind + usize::from(is_behind) - usize::from(was_behind);
        match turn {
            Ok(TurnResult::Idle) => {}
            Ok(TurnResult::More) => self.later.push_back(key),
            Ok(TurnResult::Closed(closed)) => self.close(key, closed),
            Err(_) => {
                error!("a stream panicked and is closed");
                self.close(key, CloseReason::Abandoned);
            }
        }
    }

    /// Blocked lines are not notified of anything, so they are checked from time to time.
    fn sweep(&mut self) {
        let mut closed = Vec::new();
        for (slot, entry) in &mut self.lines {
            if let TurnResult::Closed(why) = entry.line.sweep() {
                closed.push((key(slot, entry.generation), why));
            }
        }
        for (key, why) in closed {
            self.close(key, why);
        }
    }

    fn close(&mut self, key: usize, closed: CloseReason) {
        if entry(&mut self.lines, key).is_none() {
            return;
        }
        let (slot, generation) = slot(key);
        debug!(slot, generation, ?closed, "stream closed");
        let entry = self.lines.remove(slot);
        self.behind -= usize::from(entry.line.is_behind());
        self.shared.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The entry of the stream with this key; `None` once it is closed, even if another stream has its slot now.
fn entry(lines: &mut Slab<Entry>, key: usize) -> Option<&mut Entry> {
    let (slot, generation) = slot(key);
    let entry = lines.get_mut(slot);
    entry.filter(|entry| entry.generation == generation)
}

const SLOT_BITS: u32 = 32;

fn key(slot: usize, generation: u32) -> usize {
    // There are far fewer descriptors than possible slots, and no key equals the wake-up's token: a slot
    // with all bits set does not exist.
    slot | (generation as usize) << SLOT_BITS
}

fn slot(key: usize) -> (usize, u32) {
    let slot = key & ((1 << SLOT_BITS) - 1);
    let generation = u32::try_from(key >> SLOT_BITS).expect("the upper half");
    (slot, generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_slot_and_its_generation() {
        for (of_slot, generation) in [(0, 0), (7, 1), (19_999, u32::MAX)] {
            assert_eq!(slot(key(of_slot, generation)), (of_slot, generation));
        }
    }
}
