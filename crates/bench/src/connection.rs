//! One reusable HTTP/1.1 connection for a thread that waits for each answer.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// Time allowed for one request; GitHub itself gives up after ten seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

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
        })
    }

    /// Sends a request and reads the whole answer, which must state its length.
    pub(crate) fn call(&mut self, request: &[u8]) -> Result<HttpAnswer> {
        self.send(request)?;
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
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "mcp-session-id" => session = Some(value.trim().to_owned()),
                _ => {}
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

    /// Sends any bytes; [`Self::line`] reads the answer.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let socket = self.reader.get_mut();
        socket.write_all(bytes).context("sending a request")
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line);
        ensure!(
            read.context("waiting for an answer")? > 0,
            "the connection was closed"
        );
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}
