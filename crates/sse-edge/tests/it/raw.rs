//! A client on a bare socket: it reads as much as the test requests, and sees every byte.

use std::time::Duration;

use testkit::sse::{ReceivedFrame, SseParser};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::world::*;

/// The receive buffer that a client with little memory requests from the kernel.
const SMALL_RECEIVE_BUFFER_BYTES: u32 = 4096;

pub(crate) struct Raw {
    socket: TcpStream,
    /// All bytes received.
    pub(crate) bytes: Vec<u8>,
}

/// An SSE answer, as far as it was received.
pub(crate) struct Got {
    pub(crate) head: String,
    pub(crate) frames: Vec<ReceivedFrame>,
    /// The last chunk arrived, so the stream ended and was not cut.
    pub(crate) is_whole: bool,
}

impl Got {
    /// The ids of the events, in the order in which they arrived.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = self.frames.iter();
        let events = events.filter(|frame| frame.event.as_deref() == Some("event"));
        let id = |frame: &ReceivedFrame| frame.json().unwrap()["id"].as_str().unwrap().to_owned();
        events.map(id).collect()
    }

    /// The id with which the client would reconnect.
    pub(crate) fn last_id(&self) -> &str {
        let mut ids = self.frames.iter().rev();
        ids.find_map(|frame| frame.id.as_deref()).unwrap()
    }
}

impl Raw {
    /// A connection on which `request` was sent.
    pub(crate) async fn ask(node: &Node, request: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        Self::send(socket, node, request).await
    }

    /// As [`Raw::ask`], with a small receive buffer.
    pub(crate) async fn ask_small(node: &Node, request: &str) -> Self {
        Self::ask_with(SMALL_RECEIVE_BUFFER_BYTES, node, request).await
    }

    /// As [`Raw::ask`], with a receive buffer of about this size.
    pub(crate) async fn ask_with(buffer_bytes: u32, node: &Node, request: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(buffer_bytes).unwrap();
        Self::send(socket, node, request).await
    }

    async fn send(socket: TcpSocket, node: &Node, request: &str) -> Self {
        let address = node.url.socket_addrs(|| None).unwrap()[0];
        let socket = socket.connect(address).await.unwrap();
        let mut raw = Self {
            socket,
            bytes: Vec::new(),
        };
        raw.write(request).await;
        raw
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    /// Closes the sending side.
    pub(crate) async fn finish_writing(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// Reads up to `most` bytes and returns their number; 0 at the end, whether closed or reset.
    pub(crate) async fn read(&mut self, most: usize) -> usize {
        let mut part = vec![0; most];
        let read = timeout(SOON, self.socket.read(&mut part)).await;
        let read = read.expect("bytes, or the end").unwrap_or(0);
        self.bytes.extend_from_slice(&part[..read]);
        read
    }

    /// Reads until the text `wanted` has arrived.
    pub(crate) async fn read_until(&mut self, wanted: &str) {
        let wanted = wanted.as_bytes();
        let mut looked = 0;
        loop {
            let mut parts = self.bytes[looked..].windows(wanted.len());
            if parts.any(|part| part == wanted) {
                return;
            }
            looked = self.bytes.len().saturating_sub(wanted.len());
            assert!(self.read(64 << 10).await > 0, "closed: {}", self.text());
        }
    }

    /// Reads to the end.
    pub(crate) async fn read_to_end(&mut self) {
        while self.read(64 << 10).await > 0 {}
    }

    /// No byte arrives, and the connection stays open.
    pub(crate) async fn is_quiet(&mut self) {
        let read = timeout(QUIET, self.read(1)).await;
        assert!(read.is_err(), "{:?}", self.text());
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Forgets the received bytes.
    pub(crate) fn forget(&mut self) {
        self.bytes.clear();
    }

    /// Parses the received bytes as one SSE answer, in chunks or without.
    pub(crate) fn got(&self) -> Got {
        let end = self.bytes.windows(4).position(|part| part == b"\r\n\r\n");
        let end = end.expect("a head") + 4;
        let head = String::from_utf8(self.bytes[..end].to_vec()).unwrap();
        let body = &self.bytes[end..];
        let (payload, is_whole) = match head.contains("transfer-encoding: chunked") {
            true => unchunked(body),
            false => (body.to_vec(), false),
        };
        let mut parser = SseParser::new();
        parser.push(&payload).unwrap();
        let frames = std::iter::from_fn(|| parser.next_frame()).collect();
        Got {
            head,
            frames,
            is_whole,
        }
    }
}

/// The content of the chunks, the last one as far as it was received, and whether they end
/// properly.
fn unchunked(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut payload = Vec::new();
    while let Some(end) = body.windows(2).position(|pair| pair == b"\r\n") {
        let digits = std::str::from_utf8(&body[..end]).expect("digits");
        let size =
            usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("no chunk: {digits:?}"));
        let rest = &body[end + 2..];
        if size == 0 {
            assert_eq!(rest, b"\r\n", "the end comes last");
            return (payload, true);
        }
        payload.extend_from_slice(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            break;
        }
        assert_eq!(&rest[size..size + 2], b"\r\n", "a chunk's end");
        body = &rest[size + 2..];
    }
    (payload, false)
}

/// The request for a stream of all events.
pub(crate) const EVENTS: &str = "GET /events/stream HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Time that events published at once may take to arrive, on a busy machine.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(2);
