//! Stdout: one task writes whole lines that the other tasks hand over.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};
use tracing::debug;

use crate::limits::OUTPUT_LINES;

/// The queue of lines for stdout.
#[derive(Debug, Clone)]
pub(crate) struct Output(mpsc::Sender<Bytes>);

impl Output {
    /// Starts the task. It ends when all clones of the output are dropped, or when the reader of
    /// stdout is gone.
    pub(crate) fn start<W>(writer: W) -> (Self, JoinHandle<()>)
    where
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let (lines, queue) = mpsc::channel(OUTPUT_LINES);
        (Self(lines), tokio::spawn(write(writer, queue)))
    }

    /// Queues a message; waits while the client does not read. Messages for a client that is gone
    /// are dropped.
    pub(crate) async fn line(&self, message: Bytes) {
        let _ = self.0.send(message).await;
    }

    /// Waits until the reader of stdout is gone.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }
}

async fn write<W: AsyncWrite + Unpin>(mut writer: W, mut queue: mpsc::Receiver<Bytes>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, OUTPUT_LINES).await > 0 {
        let mut bytes = BytesMut::with_capacity(batch.iter().map(|line| line.len() + 1).sum());
        for line in batch.drain(..) {
            bytes.put_slice(&line);
            bytes.put_u8(b'\n');
        }
        let written = match writer.write_all(&bytes).await {
            Ok(()) => writer.flush().await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            debug!(%error, "the client has stopped reading");
            return;
        }
    }
}
