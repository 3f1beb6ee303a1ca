//! The receiving side: many streams on one thread with epoll, in a process of its own.
//!
//! Commands come as lines on stdin, answers go as JSON lines to stdout: `reset` starts counting anew,
//! `report` tells what came since, the end of stdin ends the process.

use std::{
    collections::BTreeSet,
    io::{BufRead, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{Receiver, TryRecvError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use rustix::event::epoll;
use serde::{Deserialize, Serialize};
use socket2::SockRef;

use crate::{
    clock::now_nanos,
    frames::{Arrived, Frames, spread},
};

/// Most streams of one process: 20,000 file descriptors is a common hard limit.
const MAX_STREAMS: usize = 19_500;
/// How long all streams together may take to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
/// Latencies above this count as this, in microseconds.
const MAX_LATENCY_MICROS: u64 = 60_000_000;
/// How often commands are looked at while nothing comes in.
const COMMAND_POLL: rustix::time::Timespec = rustix::time::Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

/// What a receiver is told to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many streams.
    #[arg(long)]
    streams: usize,
    /// Servers, taken in turn.
    #[arg(long, value_delimiter = ',', required = true)]
    targets: Vec<SocketAddr>,
    /// What to ask for.
    #[arg(long, default_value = "/events/stream")]
    path: String,
}

/// Said once all streams are open.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// How many.
    pub(crate) opened: usize,
    /// How long that took.
    pub(crate) seconds: f64,
}

/// What came in since the last `reset`, over all streams.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Events.
    pub(crate) frames: u64,
    /// Bytes off the sockets.
    pub(crate) bytes: u64,
    /// Events of the stream that got the fewest.
    pub(crate) fewest: u64,
    /// Events of the stream that got the most.
    pub(crate) most: u64,
    /// What the events of each stream add up to (see [`crate::frames::whole_set`]), if it is the same
    /// for all streams.
    pub(crate) set: Option<u64>,
    /// In how many different orders streams got their events. Deliveries overtake each other on their
    /// way to the log; what the log's order is, it is for all.
    pub(crate) orders: usize,
    /// Streams that ended.
    pub(crate) ended: usize,
    /// From the intended send time to the read, microseconds.
    pub(crate) p50_micros: u64,
    /// The same, 99 of 100 were faster.
    pub(crate) p99_micros: u64,
    /// The same, the slowest.
    pub(crate) max_micros: u64,
    /// One event as it came.
    pub(crate) sample: Option<String>,
}

struct Stream {
    socket: TcpStream,
    frames: Frames,
    connected: bool,
    ended: bool,
    count: u64,
    set: u64,
    order: u64,
}

struct Pool {
    streams: Vec<Stream>,
    epoll: rustix::fd::OwnedFd,
    buffer: Vec<u8>,
    connected: usize,
    ended: usize,
    bytes: u64,
    latency: Histogram<u64>,
}

/// Runs until stdin ends.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        args.streams <= MAX_STREAMS,
        "at most {MAX_STREAMS} streams in one process"
    );
    let started = Instant::now();
    let mut pool = Pool::open(args)?;
    while pool.connected < args.streams {
        ensure!(
            started.elapsed() < OPEN_TIMEOUT,
            "{} of {} streams are open after {OPEN_TIMEOUT:?}",
            pool.connected,
            args.streams
        );
        pool.turn()?;
        ensure!(pool.ended == 0, "a stream ended while others were opened");
    }
    say(&Opened {
        opened: pool.connected,
        seconds: started.elapsed().as_secs_f64(),
    })?;
    let commands = commands();
    loop {
        match commands.try_recv() {
            Ok(command) if command == "reset" => {
                pool.reset();
                say(&serde_json::json!({ "reset": true }))?;
            }
            Ok(command) if command == "report" => say(&pool.report())?,
            Ok(command) => bail!("unknown command {command:?}"),
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

/// One JSON line on stdout.
pub(crate) fn say(message: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, message)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

impl Pool {
    fn open(args: &Args) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut streams = Vec::with_capacity(args.streams);
        for (index, target) in args.targets.iter().cycle().take(args.streams).enumerate() {
            let socket = connect(*target, &args.path)?;
            let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
            epoll::add(
                &epoll,
                &socket,
                epoll::EventData::new_u64(index as u64),
                flags,
            )?;
            let mut frames = Frames::new();
            if index == 0 {
                frames.keep_sample();
            }
            streams.push(Stream {
                socket,
                frames,
                connected: false,
                ended: false,
                count: 0,
                set: 0,
                order: 0,
            });
        }
        Ok(Self {
            streams,
            epoll,
            buffer: vec![0; 64 * 1024],
            connected: 0,
            ended: 0,
            bytes: 0,
            latency: Histogram::new_with_max(MAX_LATENCY_MICROS, 3)?,
        })
    }

    /// Reads what is there, or waits a moment for it.
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
            self.read(index)?;
        }
        Ok(())
    }

    /// Reads one socket until it is empty: registered edge-triggered, it would not be reported again.
    fn read(&mut self, index: usize) -> Result<()> {
        let stream = &mut self.streams[index];
        while !stream.ended {
            let length = match stream.socket.read(&mut self.buffer) {
                Ok(0) => {
                    stream.ended = true;
                    self.ended += 1;
                    break;
                }
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading a stream"),
            };
            let now = now_nanos();
            self.bytes += length as u64;
            let (count, set, order) = (&mut stream.count, &mut stream.set, &mut stream.order);
            let (connected, latency) = (&mut stream.connected, &mut self.latency);
            stream
                .frames
                .feed(&self.buffer[..length], &mut |arrived| match arrived {
                    Arrived::Connected => *connected = true,
                    Arrived::Event(None) => {}
                    Arrived::Event(Some(stamp)) => {
                        *count += 1;
                        *set = set.wrapping_add(spread(stamp.number));
                        *order = spread(order.wrapping_add(stamp.number));
                        let micros = now.saturating_sub(stamp.intended_nanos) / 1000;
                        latency.saturating_record(micros);
                    }
                })?;
            if std::mem::take(&mut stream.connected) {
                self.connected += 1;
            }
            if stream.frames.has_ended() {
                stream.ended = true;
                self.ended += 1;
            }
            if length < self.buffer.len() {
                // A short read has emptied the socket; what comes later is a new edge.
                break;
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        for stream in &mut self.streams {
            stream.count = 0;
            (stream.set, stream.order) = (0, 0);
        }
        self.bytes = 0;
        self.latency.reset();
    }

    fn report(&self) -> Report {
        let sets: Vec<u64> = distinct(self.streams.iter().map(|stream| stream.set));
        let orders = distinct(self.streams.iter().map(|stream| stream.order));
        let counts = || self.streams.iter().map(|stream| stream.count);
        Report {
            frames: counts().sum(),
            bytes: self.bytes,
            fewest: counts().min().unwrap_or(0),
            most: counts().max().unwrap_or(0),
            set: sets.first().filter(|_| sets.len() == 1).copied(),
            orders: orders.len(),
            ended: self.ended,
            p50_micros: self.latency.value_at_quantile(0.5),
            p99_micros: self.latency.value_at_quantile(0.99),
            max_micros: self.latency.max(),
            sample: self
                .streams
                .first()
                .and_then(|s| s.frames.sample())
                .map(str::to_owned),
        }
    }
}

fn distinct(values: impl Iterator<Item = u64>) -> Vec<u64> {
    values.collect::<BTreeSet<_>>().into_iter().collect()
}

fn connect(target: SocketAddr, path: &str) -> Result<TcpStream> {
    ensure!(target.ip().is_loopback(), "{target} is not on this machine");
    let mut socket = TcpStream::connect(target).with_context(|| format!("connecting {target}"))?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {target}\r\nAccept: text/event-stream\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    socket.set_nonblocking(true)?;
    // Closed by a reset: thousands of ports in TIME_WAIT would make the next run measure themselves.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    Ok(socket)
}
