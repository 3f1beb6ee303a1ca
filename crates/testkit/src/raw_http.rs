//! A connection on which a test sends any bytes, and from which it reads whole HTTP/1.1 answers: for clients
//! that no HTTP library would be, because they send what is not HTTP or break off in the middle.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// Maximum size of a response head.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Bytes per read.
const READ_BYTES: usize = 16 * 1024;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The head in lower case, without the empty line.
    pub head: String,
    /// The first bytes of the body, as many as were to be kept; empty for a stream.
    pub body: Vec<u8>,
    /// Whether the body is a stream of events or lines, which was left unread.
    pub is_stream: bool,
    /// Whether the connection can take another request.
    pub stays_open: bool,
}

impl RawAnswer {
    /// The value of a header, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// The body's extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Length(usize),
    Chunks,
    UntilTheEnd,
}

/// A connection.
#[derive(Debug)]
pub struct RawConnection {
    socket: TcpStream,
    /// Received and not used yet.
    rest: Vec<u8>,
}

impl RawConnection {
    /// Connects.
    ///
    /// # Errors
    /// No connection.
    pub async fn open(to: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(to).await?;
        socket.set_nodelay(true)?;
        Ok(Self::over(socket))
    }

    /// Connects with a receive buffer of about this size: a client that takes little at a time.
    ///
    /// # Errors
    /// No connection.
    pub async fn open_narrow(to: SocketAddr, receive_buffer_bytes: u32) -> io::Result<Self> {
        let socket = match to {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_recv_buffer_size(receive_buffer_bytes)?;
        Ok(Self::over(socket.connect(to).await?))
    }

    fn over(socket: TcpStream) -> Self {
        Self {
            socket,
            rest: Vec::new(),
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The server has closed the connection.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await
    }

    /// Sends bytes and reads one answer, which may come before everything is sent: a server that refuses a
    /// request does not read its body.
    ///
    /// # Errors
    /// No whole answer.
    pub async fn ask(&mut self, bytes: &[u8], kept_bytes: usize) -> io::Result<RawAnswer> {
        let sent = self.socket.write_all(bytes).await;
        match self.answer(kept_bytes).await {
            Err(error) if sent.is_ok() => Err(error),
            Err(_) => Err(sent.err().unwrap_or_else(|| io::ErrorKind::Other.into())),
            answer => answer,
        }
    }

    /// Ends the sending direction.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.socket.shutdown().await
    }

    /// Closes it with a reset.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn reset(self) -> io::Result<()> {
        self.socket.set_zero_linger()
    }

    /// Reads and discards until the server closes the connection; gives the number of bytes.
    pub async fn drain(&mut self) -> usize {
        let (mut all, mut buffer) = (0, vec![0; READ_BYTES]);
        while let Ok(length @ 1..) = self.socket.read(&mut buffer).await {
            all += length;
        }
        all
    }

    /// The next bytes of a stream; empty at its end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.rest.is_empty() {
            self.fill().await?;
        }
        Ok(std::mem::take(&mut self.rest))
    }

    /// Reads one answer, of whose body up to `kept_bytes` are kept. Of a stream only the head is read.
    ///
    /// # Errors
    /// The connection ended before the answer did, or sent what is not HTTP/1.1.
    pub async fn answer(&mut self, kept_bytes: usize) -> io::Result<RawAnswer> {
        let mut answer = self.head().await?;
        if answer.is_stream || matches!(answer.status, 204 | 304) {
            return Ok(answer);
        }
        let extent = extent(&answer.head);
        self.body(extent, kept_bytes, &mut answer.body).await?;
        answer.stays_open &= extent != Extent::UntilTheEnd;
        Ok(answer)
    }

    /// Reads the head of an answer; a `100 Continue` before it is skipped. It is all there is of an answer
    /// to HEAD.
    ///
    /// # Errors
    /// As [`RawConnection::answer`].
    pub async fn head(&mut self) -> io::Result<RawAnswer> {
        loop {
            let end = loop {
                if let Some(at) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at;
                }
                if self.rest.len() > MAX_HEAD_BYTES {
                    return Err(malformed("the response head is too long"));
                }
                if !self.fill().await? {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            };
            let head = String::from_utf8_lossy(&self.rest[..end]).to_ascii_lowercase();
            self.rest.drain(..end + 4);
            let status = head.strip_prefix("http/1.").and_then(|rest| rest.get(2..5));
            let status = status.and_then(|status| status.parse().ok());
            let status = status.ok_or_else(|| malformed("not an HTTP/1.1 answer"))?;
            if status == 100 {
                continue;
            }
            let kind = header(&head, "content-type").unwrap_or_default();
            let is_endless =
                kind.starts_with("text/event-stream") || kind.starts_with("application/x-ndjson");
            return Ok(RawAnswer {
                status,
                is_stream: is_endless && header(&head, "content-length").is_none(),
                stays_open: header(&head, "connection") != Some("close"),
                head,
                body: Vec::new(),
            });
        }
    }

    async fn body(&mut self, extent: Extent, most: usize, kept: &mut Vec<u8>) -> io::Result<()> {
        match extent {
            Extent::Length(length) => self.bytes(length, most, kept).await,
            Extent::Chunks => loop {
                let line = self.line().await?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16);
                let size = size.map_err(|_| malformed("a chunk without a size"))?;
                self.bytes(size, most, kept).await?;
                self.line().await?;
                if size == 0 {
                    return Ok(());
                }
            },
            Extent::UntilTheEnd => loop {
                let kept_here = most.saturating_sub(kept.len()).min(self.rest.len());
                kept.extend_from_slice(&self.rest[..kept_here]);
                self.rest.clear();
                if !self.fill().await? {
                    return Ok(());
                }
            },
        }
    }

    /// Reads `length` bytes, of which those are kept that `most` leaves room for.
    async fn bytes(&mut self, length: usize, most: usize, kept: &mut Vec<u8>) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.rest.is_empty() && !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let here = left.min(self.rest.len());
            let kept_here = most.saturating_sub(kept.len()).min(here);
            kept.extend_from_slice(&self.rest[..kept_here]);
            self.rest.drain(..here);
            left -= here;
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.rest.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.rest.len() > MAX_HEAD_BYTES || !self.fill().await? {
                return Err(malformed("a chunk without an end"));
            }
        }
    }

    /// Reads once; gives whether there was anything.
    async fn fill(&mut self) -> io::Result<bool> {
        let known = self.rest.len();
        self.rest.resize(known + READ_BYTES, 0);
        let read = self.socket.read(&mut self.rest[known..]).await;
        self.rest.truncate(known + *read.as_ref().unwrap_or(&0));
        Ok(read? > 0)
    }
}

/// The value of a header in a head that is in lower case.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().skip(1);
    lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

fn extent(head: &str) -> Extent {
    if header(head, "transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        return Extent::Chunks;
    }
    let length = header(head, "content-length").and_then(|length| length.parse().ok());
    length.map_or(Extent::UntilTheEnd, Extent::Length)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The answers that a client reads from these bytes.
    async fn answers(wire: &'static str, count: usize, kept_bytes: usize) -> Vec<RawAnswer> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            for byte in wire.as_bytes() {
                socket.write_all(&[*byte]).await.unwrap();
            }
        });
        let mut connection = RawConnection::open(to).await.unwrap();
        let mut got = Vec::new();
        for _ in 0..count {
            got.push(connection.answer(kept_bytes).await.unwrap());
        }
        server.await.unwrap();
        got
    }

    #[tokio::test]
    async fn bodies_end_by_length_by_chunks_or_with_the_connection() {
        let wire = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
                    HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n\
                    HTTP/1.1 204 No\r\n\r\nHTTP/1.1 500 No\r\n\r\nhello";
        let got = answers(wire, 4, 4).await;
        let seen = got.iter().map(|answer| {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            (answer.status, body, answer.stays_open)
        });
        let expected = [
            (200, "hell", true),
            (404, "hell", true),
            (204, "", true),
            (500, "hell", false),
        ];
        let expected = expected.map(|(status, body, stays)| (status, body.to_owned(), stays));
        assert_eq!(seen.collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn of_a_stream_only_the_head_is_read() {
        let wire = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1";
        let got = answers(wire, 1, 100).await;
        assert!(got[0].is_stream && got[0].body.is_empty() && !got[0].stays_open);
        assert_eq!(got[0].header("content-type"), Some("text/event-stream"));
    }
}
