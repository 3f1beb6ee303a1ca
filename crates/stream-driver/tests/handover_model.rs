//! Whatever the order in which threads run, a stream on a reactor is never forgotten and never sends
//! anything twice.
//!
//! The reactors are the real ones, on a kernel and under a scheduler of the model: a wait for something
//! that never happens is found as a deadlock.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::BufMut;
use stream_driver::{
    FillResult, Handover, OutgoingFrames, Reactors, SendProgress, StreamSource,
    model::{
        AbruptEnd, ModelClient, connection, explore,
        shuttle::{future::block_on, thread},
    },
    sync::{AtomicBool, AtomicU64, AtomicWaker},
};

/// Number of places at which the order is changed on purpose; most races need one or two.
const DEPTH: usize = 3;

/// The commands to a stream that counts.
#[derive(Default)]
struct Commands {
    last: AtomicU64,
    ends: AtomicBool,
    waker: AtomicWaker,
}

impl Commands {
    fn count(&self) {
        self.last.fetch_add(1, Ordering::SeqCst);
        self.waker.wake();
    }

    fn end(&self) {
        self.ends.store(true, Ordering::SeqCst);
        self.waker.wake();
    }
}

/// Counts to the number that it was given.
struct Counter {
    commands: Arc<Commands>,
    position: u64,
}

impl StreamSource for Counter {
    fn poll_fill(&mut self, cx: &mut Context<'_>, out: &mut OutgoingFrames) -> Poll<FillResult> {
        self.commands.waker.register(cx.waker());
        let ends = self.commands.ends.load(Ordering::SeqCst);
        let last = self.commands.last.load(Ordering::SeqCst);
        for number in self.position + 1..=last {
            out.push_event(number, |out| {
                out.put_slice(format!("<{number}>").as_bytes());
            });
        }
        match (out.is_empty(), ends) {
            (false, _) => Poll::Ready(FillResult::Frames),
            (true, true) => Poll::Ready(FillResult::Last),
            (true, false) => Poll::Pending,
        }
    }

    fn record_progress(&mut self, progress: SendProgress) {
        self.position = progress.position.unwrap_or(self.position);
    }

    fn should_give_up(&self, _: Duration) -> bool {
        false
    }
}

fn counter() -> (Arc<Commands>, Box<Counter>) {
    let commands = Arc::<Commands>::default();
    let position = 0;
    let source = Counter {
        commands: Arc::clone(&commands),
        position,
    };
    (commands, Box::new(source))
}

/// The numbers that arrived whole; the framing of the chunks contains none.
fn numbers(bytes: &[u8]) -> Vec<u64> {
    let text = std::str::from_utf8(bytes).unwrap();
    let frames = text.split('<').skip(1);
    let whole = frames.filter_map(|frame| frame.split_once('>'));
    whole.map(|(number, _)| number.parse().unwrap()).collect()
}

/// Reads until `count` numbers have arrived.
fn read_numbers(client: &ModelClient, bytes: &mut Vec<u8>, count: u64) {
    while numbers(bytes).len() < usize::try_from(count).unwrap() {
        bytes.extend(client.read().unwrap().expect("it has not ended"));
    }
}

/// Reads until the server ends the connection.
fn read_to_end(client: &ModelClient, bytes: &mut Vec<u8>) {
    while let Some(more) = client.read().unwrap() {
        bytes.extend(more);
    }
}

#[test]
fn what_two_threads_tell_a_stream_is_sent_once_though_its_client_takes_little() {
    // A room that holds less than a frame, and one that holds all.
    for room in [7, 1000] {
        explore(DEPTH, move || {
            let reactors = Reactors::start(1).unwrap();
            let (commands, source) = counter();
            let (socket, client) = connection(room);
            let tellers: Vec<_> = (0..2)
                .map(|_| {
                    let commands = Arc::clone(&commands);
                    thread::spawn(move || (0..2).for_each(|_| commands.count()))
                })
                .collect();
            reactors.adopt_modelled(socket, source);
            let mut bytes = Vec::new();
            read_numbers(&client, &mut bytes, 4);
            tellers
                .into_iter()
                .for_each(|teller| teller.join().unwrap());
            commands.end();
            read_to_end(&client, &mut bytes);
            assert_eq!(numbers(&bytes), [1, 2, 3, 4]);
            assert!(bytes.ends_with(b"0\r\n\r\n"), "a good end");
            block_on(reactors.finish());
            assert_eq!(reactors.streams(), 0);
        });
    }
}

#[test]
fn streams_that_come_while_others_speak_or_go_have_their_turn() {
    explore(DEPTH, || {
        let reactors = Arc::new(Reactors::start(1).unwrap());
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let reactors = Arc::clone(&reactors);
                thread::spawn(move || {
                    // Slots are reused: a wake-up of the first stream must not reach the second.
                    for leaves in [true, false] {
                        let (commands, source) = counter();
                        let (socket, client) = connection(1000);
                        let handover = Handover::new(source);
                        let teller = {
                            let commands = Arc::clone(&commands);
                            thread::spawn(move || commands.count())
                        };
                        // As the server does it: the first frames are sent with the head.
                        let (first, source) = handover.take().unwrap();
                        let mut bytes = first.to_vec();
                        reactors.adopt_modelled(socket, source);
                        read_numbers(&client, &mut bytes, 1);
                        if leaves {
                            drop(client);
                            teller.join().unwrap();
                            continue;
                        }
                        commands.end();
                        read_to_end(&client, &mut bytes);
                        assert_eq!(numbers(&bytes), [1]);
                        teller.join().unwrap();
                    }
                })
            })
            .collect();
        clients
            .into_iter()
            .for_each(|client| client.join().unwrap());
        block_on(reactors.finish());
        assert_eq!(reactors.streams(), 0);
    });
}

#[test]
fn reactors_that_finish_serve_what_they_were_given_and_then_end() {
    explore(DEPTH, || {
        let reactors = Reactors::start(1).unwrap();
        // A stream that ends at once: the reactor has none for a moment, while the other is being
        // handed over.
        let (commands, source) = counter();
        commands.end();
        let (socket, short) = connection(1000);
        reactors.adopt_modelled(socket, source);
        let (commands, source) = counter();
        let (socket, client) = connection(1000);
        reactors.adopt_modelled(socket, source);
        let teller = thread::spawn(move || {
            commands.count();
            commands.end();
        });
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            read_to_end(&client, &mut bytes);
            assert_eq!(numbers(&bytes), [1]);
        });
        block_on(reactors.finish());
        assert_eq!(reactors.streams(), 0);
        read_to_end(&short, &mut Vec::new());
        teller.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn reactors_that_are_dropped_close_what_they_have() {
    explore(DEPTH, || {
        let reactors = Reactors::start(1).unwrap();
        let (commands, source) = counter();
        let (socket, client) = connection(1000);
        let teller = thread::spawn(move || commands.count());
        reactors.adopt_modelled(socket, source);
        drop(reactors);
        let cut = loop {
            match client.read() {
                Ok(more) => assert!(more.is_some(), "nobody ended it"),
                Err(cut) => break cut,
            }
        };
        assert_eq!(cut, AbruptEnd);
        teller.join().unwrap();
    });
}
