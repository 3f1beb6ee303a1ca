//! The floor: a bare loop, in its own process, that sends the same frame to the same number of
//! sockets at the same pace, with one `send` each. No server can need less than the kernel takes
//! for that.

use std::{
    io::{BufRead, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use crate::{
    clock::{now_nanos, sleep_until},
    frames::{stamp, with_stamp},
    receiver::print_json,
    repositories::Repositories,
};

/// Maximum number of connections waiting to be accepted.
const BACKLOG: i32 = 4096;
/// Time allowed for a receiver to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that a receiver may leave its socket full in a burst.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Transfer-Encoding: chunked\r\n\r\n1d\r\nevent: connected\ndata: \"ok\"\n\n\r\n";

/// Arguments of a floor.
#[derive(Debug, clap::Args)]
pub(crate) struct FloorArgs {
    /// Number of streams it waits for.
    #[arg(long)]
    streams: usize,
}

/// The first line that it prints.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HelperPort {
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
}

/// A load to send; one JSON line on stdin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FloorLoad {
    /// Number of events sent to every stream.
    pub(crate) rounds: u64,
    /// Interval between events; 0 sends flat out, and then waits for full sockets.
    pub(crate) interval_nanos: u64,
    /// Number of repositories: events concern one of them in turn, and are sent to the streams that
    /// asked for it.
    pub(crate) repositories: u64,
    /// The event in the form in which the server under test sends it.
    pub(crate) sample: String,
}

/// The result of one load.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FloorResult {
    /// Complete frames.
    pub(crate) frames: u64,
    /// Frames that a full socket refused, or accepted only in part.
    pub(crate) refused: u64,
}

/// A stream and the number of the repository that it asked for.
type Open = (TcpStream, u64);

/// Runs until stdin ends.
pub(crate) fn run(args: &FloorArgs) -> Result<()> {
    let listener = listen().context("binding the floor")?;
    print_json(&HelperPort {
        port: listener.local_addr()?.port(),
    })?;
    let mut sockets = Vec::with_capacity(args.streams);
    while sockets.len() < args.streams {
        let (socket, _) = listener.accept().context("accepting a stream")?;
        sockets.push(open(socket)?);
    }
    for line in std::io::stdin().lock().lines() {
        let send: FloorLoad = serde_json::from_str(&line?)?;
        print_json(&rounds(&mut sockets, &send)?)?;
    }
    Ok(())
}

/// Binds with a long backlog: std's is so short that connects of thousands of streams are dropped
/// and retried.
fn listen() -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn open(mut socket: TcpStream) -> Result<Open> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        let length = socket.read(&mut buffer).context("reading a request")?;
        ensure!(length > 0, "a receiver left before its request was read");
        request.extend_from_slice(&buffer[..length]);
    }
    socket.write_all(HEAD)?;
    socket.set_nonblocking(true)?;
    Ok((socket, requested_repository(&request)))
}

/// The number at the end of the repository's name; 0 if the request names none.
fn requested_repository(request: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(request);
    let path = text.split(' ').nth(1).unwrap_or_default();
    let number = path.rsplit_once("&repo=").and_then(|(_, name)| {
        let (_, number) = name.rsplit_once('-')?;
        number.parse().ok()
    });
    number.unwrap_or(0)
}

fn rounds(streams: &mut [Open], send: &FloorLoad) -> Result<FloorResult> {
    let mut sent = FloorResult {
        frames: 0,
        refused: 0,
    };
    let repositories = Repositories::of("", send.repositories);
    let start = now_nanos() + send.interval_nanos;
    for number in 1..=send.rounds {
        let intended = start + (number - 1) * send.interval_nanos;
        let frame = chunk(&with_stamp(&send.sample, &stamp(number, intended))?);
        let repository = repositories.of_event(number);
        sleep_until(intended);
        for (socket, wants) in &mut *streams {
            if *wants != repository {
                continue;
            }
            match socket.write(&frame) {
                Ok(length) if length == frame.len() => sent.frames += 1,
                Ok(length) if send.interval_nanos == 0 => {
                    wait_and_write(socket, &frame[length..])?;
                    sent.frames += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if send.interval_nanos == 0 {
                        wait_and_write(socket, &frame)?;
                        sent.frames += 1;
                    } else {
                        sent.refused += 1;
                    }
                }
                Ok(_) => bail!("a socket took a part of a frame: its receiver does not keep up"),
                Err(error) => return Err(error).context("sending a frame"),
            }
        }
    }
    Ok(sent)
}

fn wait_and_write(socket: &mut TcpStream, rest: &[u8]) -> Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
    socket.write_all(rest).context("sending the rest")?;
    Ok(socket.set_nonblocking(true)?)
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{Frames, Stamp, StreamItem};

    #[test]
    fn what_the_floor_sends_is_what_the_receiver_reads() {
        let sample = format!(
            "event: event\ndata: {{\"a\":\"{0}\",\"b\":\"{0}\"}}\n\n",
            stamp(1, 2)
        );
        let frame = chunk(&with_stamp(&sample, &stamp(8, 9)).unwrap());
        let (mut frames, mut arrived) = (Frames::new(), Vec::new());
        frames.feed(HEAD, &mut |one| arrived.push(one)).unwrap();
        frames.feed(&frame, &mut |one| arrived.push(one)).unwrap();
        let event = StreamItem::Event(Stamp {
            number: 8,
            intended_nanos: 9,
        });
        assert_eq!(arrived, [StreamItem::Opened, event]);
        assert_eq!(frame.len(), chunk(&sample).len());
    }

    #[test]
    fn a_stream_says_which_repository_it_wants() {
        let asked =
            |path: &str| requested_repository(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes());
        assert_eq!(asked("/events/stream?owner=forgewire&repo=bench-00042"), 42);
        assert_eq!(asked("/events/stream"), 0);
    }
}
