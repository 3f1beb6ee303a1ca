//! One reusable HTTP/1.1 connection for a thread that waits for each answer.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// Time allowed for one request; GitHub itself gives up after ten seconds.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    /// `Mcp-Session-Id`.
    pub(crate) session: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// A reusable connection.
pub(crate) struct HttpConnection {
    reader: BufReader<TcpStream>,
    /// The line that was read last.
    line: String,
}

impl HttpConnection {
    /// Connects; only to this machine.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        ensure!(
            address.ip().is_loopback(),
            "{address} is not on this machine"
        );
        let socket =
            TcpStream::connect(address).with_context(|| format!("connecting {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self {
            reader: BufReader::new(socket),
            line: String::new(),
        })
    }

    /// Sends a request and reads the whole answer, which must state its length.
    pub(crate) fn call(&mut self, request: &[u8]) -> Result<HttpAnswer> {
        self.send(request)?;
        self.answer()
    }

    /// Reads the answer to the last request.
    pub(crate) fn answer(&mut self) -> Result<HttpAnswer> {
        let line = self.line()?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("the answer begins with {line:?}"))?;
        let (mut length, mut session) = (0, None);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            } else if name.eq_ignore_ascii_case("mcp-session-id") {
                session = Some(value.trim().to_owned());
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok(HttpAnswer {
            status,
            session,
            body,
        })
    }

    /// The socket, to wait for an answer.
    pub(crate) fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Sends any bytes; [`Self::line`] reads the answer.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let socket = self.reader.get_mut();
        socket.write_all(bytes).context("sending a request")
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self) -> Result<&str> {
        self.line.clear();
        let read = self.reader.read_line(&mut self.line);
        ensure!(
            read.context("waiting for an answer")? > 0,
            "the connection was closed"
        );
        Ok(self.line.trim_end())
    }
}
