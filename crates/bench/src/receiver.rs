//! The receiving side: many streams on one thread with epoll, in a separate process.
//!
//! Commands are lines on stdin, answers are JSON lines on stdout: `reset` resets all counts,
//! `report N` reports on the events 1 to N since then, the end of stdin ends the process.

use std::{
    io::{BufRead, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{Receiver, TryRecvError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::epoll;
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockRef, Socket, Type};

use crate::{
    clock::now_nanos,
    frames::Frames,
    opening::{Opening, OpeningKind},
    sessions::subscribe_endpoints,
    tally::{ReceiverTally, StreamTally},
};

/// Maximum number of streams per process: 20,000 file descriptors is a common hard limit.
const MAX_STREAMS: usize = 19_500;
/// Time allowed for all streams together to open: those with sessions are as slow as the store.
const OPEN_TIMEOUT: Duration = Duration::from_secs(240);
/// Interval at which commands are polled while no data arrives.
const COMMAND_POLL: rustix::time::Timespec = rustix::time::Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

/// Printed once all streams are open.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OpenReport {
    /// Number of streams.
    pub(crate) opened: usize,
    /// From the first connect to the last stream's first frame.
    pub(crate) seconds: f64,
    /// Time of the first connect, nanoseconds of [`now_nanos`].
    pub(crate) started_nanos: u64,
}

struct Stream {
    socket: TcpStream,
    /// The request, until the connection is established.
    unsent: Option<Vec<u8>>,
    frames: Frames,
    ended: bool,
    got: StreamTally,
}

struct Pool<'a> {
    opening: &'a Opening,
    sessions: Vec<String>,
    streams: Vec<Stream>,
    epoll: rustix::fd::OwnedFd,
    buffer: Vec<u8>,
    tally: ReceiverTally,
}

/// Runs until stdin ends.
pub(crate) fn run(opening: &Opening) -> Result<()> {
    ensure!(
        opening.streams <= MAX_STREAMS,
        "at most {MAX_STREAMS} streams in one process"
    );
    let mut pool = Pool::new(opening)?;
    let (started, started_nanos) = (Instant::now(), now_nanos());
    pool.open(started)?;
    let seconds = started.elapsed().as_secs_f64();
    if opening.kind == OpeningKind::Sse {
        pool.subscribe(started)?;
    }
    print_json(&OpenReport {
        opened: pool.tally.opened,
        seconds,
        started_nanos,
    })?;
    let commands = commands();
    loop {
        match commands.try_recv() {
            Ok(command) => pool.execute(&command)?,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        pool.turn()?;
    }
}

fn commands() -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

/// Prints one JSON line on stdout.
pub(crate) fn print_json(message: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, message)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

impl<'a> Pool<'a> {
    fn new(opening: &'a Opening) -> Result<Self> {
        Ok(Self {
            opening,
            sessions: opening.read_sessions()?,
            streams: Vec::with_capacity(opening.streams),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            buffer: vec![0; 64 * 1024],
            tally: ReceiverTally::new()?,
        })
    }

    fn execute(&mut self, command: &str) -> Result<()> {
        if command == "reset" {
            for stream in &mut self.streams {
                stream.got = StreamTally::default();
            }
            self.tally.reset();
            return print_json(&serde_json::json!({ "reset": true }));
        }
        let events = command.strip_prefix("report ").map(str::parse::<u64>);
        let Some(Ok(events)) = events else {
            bail!("unknown command {command:?}");
        };
        let got = self.streams.iter().map(|stream| &stream.got);
        let mut report = self.tally.report(self.opening, events, got);
        let first = self.streams.first();
        report.sample = first.and_then(|s| s.frames.sample()).map(str::to_owned);
        print_json(&report)
    }

    /// Opens all streams, a limited number at a time: the next one starts when another has received
    /// its first frame.
    fn open(&mut self, started: Instant) -> Result<()> {
        let count = self.opening.streams;
        while self.tally.opened < count {
            let (open, under_way) = (self.tally.opened, self.opening.in_flight.max(1));
            while self.streams.len() < count.min(open + under_way) {
                self.start_next()?;
            }
            self.turn()?;
            self.ensure_time(started)?;
        }
        Ok(())
    }

    fn ensure_time(&self, started: Instant) -> Result<()> {
        let ReceiverTally {
            opened,
            ended,
            answers,
            ..
        } = self.tally;
        ensure!(
            started.elapsed() < OPEN_TIMEOUT,
            "{opened} of {} streams are open after {OPEN_TIMEOUT:?}, {answers} of them subscribed",
            self.opening.streams
        );
        ensure!(ended == 0, "a stream ended while others were opened");
        Ok(())
    }

    fn start_next(&mut self) -> Result<()> {
        let index = self.streams.len();
        let socket = connect(self.opening.target(index))?;
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &socket, data, flags)?;
        let mut frames = Frames::new();
        // The first frame of an HTTP+SSE stream names the endpoint for subscribing.
        if index == 0 || self.opening.kind == OpeningKind::Sse {
            frames.keep_sample();
        }
        self.streams.push(Stream {
            socket,
            unsent: Some(self.opening.request(index, &self.sessions)),
            frames,
            ended: false,
            got: StreamTally::default(),
        });
        Ok(())
    }

    /// Subscribes the sessions that were created by their streams, and waits for the answers.
    fn subscribe(&mut self, started: Instant) -> Result<()> {
        let mut endpoints = Vec::with_capacity(self.streams.len());
        for (index, stream) in self.streams.iter_mut().enumerate() {
            let first = stream.frames.take_sample().unwrap_or_default();
            let path = first.lines().find_map(|line| line.strip_prefix("data: "));
            let path = path.with_context(|| format!("no endpoint: {first:?}"))?;
            endpoints.push((self.opening.target(index), path.to_owned()));
        }
        subscribe_endpoints(&endpoints)?;
        while self.tally.answers < self.streams.len() {
            ensure!(self.tally.refusals == 0, "a subscription was refused");
            self.turn()?;
            self.ensure_time(started)?;
        }
        if let Some(first) = self.streams.first_mut() {
            first.frames.keep_sample();
        }
        Ok(())
    }

    /// Reads the available data, or waits a moment for it.
    fn turn(&mut self) -> Result<()> {
        let mut events = Vec::with_capacity(1024);
        let waited = epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&COMMAND_POLL),
        );
        match waited {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error).context("waiting for sockets"),
        }
        for event in events {
            let index = usize::try_from(event.data.u64())?;
            self.send_request(index)?;
            self.read(index)?;
        }
        Ok(())
    }

    /// Called when the socket is ready: if its request is still unsent, the connection is now
    /// established or has failed.
    fn send_request(&mut self, index: usize) -> Result<()> {
        let stream = &mut self.streams[index];
        let Some(request) = stream.unsent.take() else {
            return Ok(());
        };
        if let Some(error) = stream.socket.take_error()? {
            return Err(error).context("connecting");
        }
        // A new socket has room for some kilobytes, so a request is written whole or not at all.
        let sent = stream.socket.write(&request).context("sending a request")?;
        ensure!(sent == request.len(), "a request was sent only in part");
        Ok(())
    }

    /// Reads one socket until it is empty: registered edge-triggered, it would not be reported
    /// again.
    fn read(&mut self, index: usize) -> Result<()> {
        let stream = &mut self.streams[index];
        let (tally, got) = (&mut self.tally, &mut stream.got);
        while !stream.ended {
            let length = match stream.socket.read(&mut self.buffer) {
                Ok(0) => {
                    stream.ended = true;
                    tally.ended += 1;
                    break;
                }
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading a stream"),
            };
            let now = now_nanos();
            tally.bytes += length as u64;
            stream.frames.feed(&self.buffer[..length], &mut |arrived| {
                tally.count(arrived, now, got);
            })?;
            if stream.frames.has_ended() {
                stream.ended = true;
                tally.ended += 1;
            }
            if length < self.buffer.len() {
                // A short read has emptied the socket; later data triggers a new edge.
                break;
            }
        }
        Ok(())
    }
}

/// Starts to connect; the socket becomes writable once it is connected.
fn connect(target: SocketAddr) -> Result<TcpStream> {
    ensure!(target.ip().is_loopback(), "{target} is not on this machine");
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&target.into()) {
        Ok(()) => {}
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error).with_context(|| format!("connecting {target}")),
    }
    // Closed by a reset: thousands of ports in TIME_WAIT would distort the next run.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    Ok(socket.into())
}
