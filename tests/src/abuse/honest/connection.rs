//! Reading a stream that must never be silent.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use testkit::raw_http::RawConnection;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    abuse::requests::KEPT_BYTES,
    soak::wire::{SoakFrame, StreamDefect, Wire},
};

/// A stream without any frame for this time is dead: it has missed three heartbeats.
const SILENCE: Duration = Duration::from_secs(50);
/// Time allowed for a request to be answered.
const ANSWER: Duration = Duration::from_secs(15);

/// Sends the request of a stream and reads the next bytes.
pub(super) struct HonestConnection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl HonestConnection {
    pub(super) async fn open(edge: SocketAddr, request: &[u8]) -> Result<Self> {
        let opening = async {
            let mut socket = TcpStream::connect(edge).await?;
            socket.set_nodelay(true)?;
            socket.write_all(request).await?;
            Ok::<_, io::Error>(socket)
        };
        let socket = timeout(ANSWER, opening).await.context("no connection")??;
        Ok(Self {
            socket,
            buffer: vec![0; KEPT_BYTES],
        })
    }

    /// Reads once; empty at the end of the stream.
    ///
    /// # Errors
    /// The connection broke, or nothing came for three heartbeats.
    pub(super) async fn next(&mut self) -> Result<&[u8]> {
        let read = timeout(SILENCE, self.socket.read(&mut self.buffer)).await;
        let length = read.context("the stream is silent")??;
        Ok(&self.buffer[..length])
    }

    /// Reads the frames of an event stream until it ends.
    ///
    /// # Errors
    /// The connection broke, or is no stream.
    pub(super) async fn frames(&mut self, mut take: impl FnMut(&SoakFrame)) -> Result<()> {
        let mut wire = Wire::new();
        loop {
            let bytes = self.next().await?;
            if bytes.is_empty() {
                bail!("the connection was closed");
            }
            wire.feed(bytes, &mut take).map_err(refusal)?;
            if wire.has_ended() {
                return Ok(());
            }
        }
    }
}

fn refusal(defect: StreamDefect) -> anyhow::Error {
    match defect {
        StreamDefect::Status(status) => anyhow::anyhow!("refused with {status}"),
        StreamDefect::Malformed => anyhow::anyhow!("what came is no stream"),
    }
}

/// Sends one request on a connection of its own; gives the status and the first bytes of the body.
pub(super) async fn ask(edge: SocketAddr, request: &[u8]) -> Result<(u16, String)> {
    let asking = async {
        let mut connection = RawConnection::open(edge).await?;
        connection.ask(request, KEPT_BYTES).await
    };
    let answer = timeout(ANSWER, asking).await.context("no answer")??;
    Ok((
        answer.status,
        String::from_utf8_lossy(&answer.body).into_owned(),
    ))
}
