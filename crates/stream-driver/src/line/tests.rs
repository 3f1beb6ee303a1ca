//! One line, its socket and its source both played by the test.

use std::{collections::VecDeque, sync::Arc};

use bytes::BufMut;
use parking_lot::Mutex;

use super::*;
use crate::SendProgress;

#[derive(Default)]
struct World {
    /// Frames that the source has; a position each, from 1 on.
    frames: Vec<&'static str>,
    position: u64,
    events: usize,
    ends: bool,
    patience: Option<Duration>,
    room: usize,
    /// Bytes that the source lets its driver hold, and those that it holds.
    may_hold: Option<usize>,
    held: usize,
    sent: Vec<u8>,
    client_sends: VecDeque<io::Result<usize>>,
    finished: bool,
}

#[derive(Clone, Default)]
struct Played(Arc<Mutex<World>>);

impl StreamSource for Played {
    fn poll_fill(&mut self, _: &mut Context<'_>, out: &mut OutgoingFrames) -> Poll<FillResult> {
        let world = self.0.lock();
        let rest = world.frames.iter().zip(1..);
        for (frame, position) in rest.filter(|(_, position)| *position > world.position) {
            out.push_event(position, |buffer| buffer.put_slice(frame.as_bytes()));
        }
        match (out.is_empty(), world.ends) {
            (false, _) => Poll::Ready(FillResult::Frames),
            (true, true) => Poll::Ready(FillResult::Last),
            (true, false) => Poll::Pending,
        }
    }

    fn record_progress(&mut self, progress: SendProgress) {
        let mut world = self.0.lock();
        world.position = progress.position.unwrap_or(world.position);
        world.events += progress.events;
    }

    fn hold(&mut self, bytes: usize, _: bool) -> bool {
        let mut world = self.0.lock();
        world.held = bytes;
        world.may_hold.is_none_or(|most| bytes <= most)
    }

    fn should_give_up(&self, behind: Duration) -> bool {
        self.0.lock().patience.is_some_and(|most| behind >= most)
    }
}

impl Socket for Played {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.0.lock();
        let sent = bytes.len().min(world.room);
        if sent == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        world.room -= sent;
        world.sent.extend_from_slice(&bytes[..sent]);
        Ok(sent)
    }

    fn discard(&mut self) -> io::Result<usize> {
        let next = self.0.lock().client_sends.pop_front();
        next.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    fn finish(&mut self) {
        self.0.lock().finished = true;
    }
}

fn line(frames: &[&'static str], room: usize) -> (StreamLine<Played>, Played) {
    let world = Played::default();
    world.0.lock().frames = frames.to_vec();
    world.0.lock().room = room;
    let waker = Waker::noop().clone();
    let line = StreamLine::new(Box::new(world.clone()), world.clone(), waker);
    (line, world)
}

#[test]
fn what_a_socket_does_not_take_is_offered_again_and_nothing_is_kept_but_a_frames_end() {
    let (mut line, world) = line(&["one", "two", "three"], 10);
    let scratch = &mut Scratch::default();
    assert_eq!(line.turn(scratch), TurnResult::Idle);
    // "3\r\none\r\n" are 8 bytes: the second frame has begun, and counts.
    let moved = |world: &World| (world.position, world.events);
    assert_eq!(moved(&world.0.lock()), (2, 2));
    assert_eq!(line.rest, "\ntwo\r\n"[..].as_bytes());
    world.0.lock().room = usize::MAX;
    assert!(line.writable() && !line.writable());
    assert_eq!(line.turn(scratch), TurnResult::Idle);
    let world = world.0.lock();
    assert_eq!(world.sent, b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n");
    assert_eq!(moved(&world), (3, 3));
    assert!(line.rest.is_empty() && !line.is_behind());
}

#[test]
fn a_line_asks_for_room_for_the_rest_of_a_frame_and_gives_it_back() {
    let (mut line, world) = line(&["one", "two"], 10);
    world.0.lock().may_hold = Some(6);
    let scratch = &mut Scratch::default();
    assert_eq!(line.turn(scratch), TurnResult::Idle);
    assert_eq!(world.0.lock().held, "\ntwo\r\n".len());
    world.0.lock().room = 100;
    assert!(line.writable());
    assert_eq!(line.turn(scratch), TurnResult::Idle);
    assert_eq!(world.0.lock().held, 0);
}

#[test]
fn a_line_without_room_for_the_rest_of_a_frame_is_closed_then_and_later() {
    let closed = TurnResult::Closed(CloseReason::Abandoned);
    let scratch = &mut Scratch::default();
    let (mut line_without, world) = line(&["one", "two"], 10);
    world.0.lock().may_hold = Some(5);
    assert_eq!(line_without.turn(scratch), closed);
    // Room that it had and no longer has: what it shares with others may have become its own.
    let (mut line, world) = line(&["one", "two"], 10);
    assert_eq!(line.turn(scratch), TurnResult::Idle);
    assert_eq!(line.sweep(), TurnResult::Idle);
    world.0.lock().may_hold = Some(5);
    assert_eq!(line.sweep(), closed);
}

#[test]
fn a_stream_that_ends_says_so_and_closes_when_all_is_out() {
    let (mut line, world) = line(&["bye"], 9);
    world.0.lock().ends = true;
    let scratch = &mut Scratch::default();
    assert_eq!(line.turn(scratch), TurnResult::Idle);
    assert!(!world.0.lock().finished, "the last chunk is not out yet");
    world.0.lock().room = 100;
    assert!(line.writable());
    assert_eq!(line.turn(scratch), TurnResult::Closed(CloseReason::Ended));
    assert!(world.0.lock().finished);
    assert_eq!(world.0.lock().sent, b"3\r\nbye\r\n0\r\n\r\n");
}

#[test]
fn patience_counts_from_the_first_frame_that_did_not_fit_and_begins_anew_when_all_is_out() {
    let (mut line, world) = line(&["one"], 0);
    world.0.lock().patience = Some(3 * SWEEP_INTERVAL);
    let scratch = &mut Scratch::default();
    assert_eq!(line.sweep(), TurnResult::Idle);
    assert_eq!(line.turn(scratch), TurnResult::Idle);
    assert!(line.is_behind());
    assert_eq!(line.sweep(), TurnResult::Idle);
    assert_eq!(line.sweep(), TurnResult::Idle);
    // The client takes a little now and then, which is not catching up.
    world.0.lock().room = 1;
    assert!(line.writable());
    assert_eq!(line.turn(scratch), TurnResult::Idle);
    assert_eq!(line.sweep(), TurnResult::Closed(CloseReason::Abandoned));
    world.0.lock().room = 100;
    assert!(line.writable());
    assert_eq!(line.turn(scratch), TurnResult::Idle);
    assert!(!line.is_behind());
    assert_eq!(line.sweep(), TurnResult::Idle);
}

#[test]
fn a_blocked_stream_that_is_woken_is_asked_whether_it_gives_up() {
    let (mut line, world) = line(&["one"], 0);
    let scratch = &mut Scratch::default();
    assert_eq!(line.turn(scratch), TurnResult::Idle);
    assert_eq!(line.turn(scratch), TurnResult::Idle);
    world.0.lock().patience = Some(Duration::ZERO);
    assert_eq!(
        line.turn(scratch),
        TurnResult::Closed(CloseReason::Abandoned)
    );
}

#[test]
fn what_a_client_sends_is_dropped_until_it_is_too_much() {
    let (mut line, world) = line(&[], 100);
    let (some, nothing) = (|| Ok(4096), || Err(io::ErrorKind::WouldBlock.into()));
    world.0.lock().client_sends = VecDeque::from([some(), nothing()]);
    assert_eq!(line.readable(), None);
    world.0.lock().client_sends = VecDeque::from([Ok(0)]);
    assert_eq!(line.readable(), Some(CloseReason::Disconnected));
    world.0.lock().client_sends = (0..20).map(|_| some()).collect();
    assert_eq!(line.readable(), Some(CloseReason::UnexpectedData));
}

#[test]
fn a_client_that_reset_the_connection_is_gone() {
    let (mut line, world) = line(&[], 100);
    let reset = || Err(io::ErrorKind::ConnectionReset.into());
    world.0.lock().client_sends = VecDeque::from([reset()]);
    assert_eq!(line.readable(), Some(CloseReason::Disconnected));
}
