//! A collector with a fault.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// The fault of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectorFault {
    /// It accepts connections and reads, and never answers.
    Silent,
    /// It answers with bytes of no protocol.
    Garbage,
    /// It answers HTTP with a body without an end, as fast as it is read.
    Endless,
    /// It closes every connection at once.
    Closing,
}

impl CollectorFault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Silent, Self::Garbage, Self::Endless, Self::Closing];
}

/// A collector that takes nothing. Dropping it ends it.
#[derive(Debug)]
pub struct BrokenCollector {
    endpoint: String,
    connections: watch::Sender<usize>,
    server: JoinHandle<()>,
}

impl BrokenCollector {
    /// Starts one on a free port of this machine.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(fault: CollectorFault) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let connections = watch::Sender::default();
        let counting = connections.clone();
        let server = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                counting.send_modify(|count| *count += 1);
                tokio::spawn(serve(connection, fault));
            }
        });
        Ok(Self {
            endpoint,
            connections,
            server,
        })
    }

    /// Its address, for either protocol.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The number of connections that it has accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.connections.borrow()
    }
}

impl Drop for BrokenCollector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Until the client is gone.
async fn serve(mut connection: TcpStream, fault: CollectorFault) {
    let mut bytes = [0; 4096];
    let nonsense: &[u8] = match fault {
        CollectorFault::Closing => return,
        CollectorFault::Silent => b"",
        CollectorFault::Garbage => &[0xff; 64],
        CollectorFault::Endless => {
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n\r\n"
        }
    };
    while let Ok(1..) = connection.read(&mut bytes).await {
        if fault != CollectorFault::Silent && connection.write_all(nonsense).await.is_err() {
            return;
        }
        if fault == CollectorFault::Endless {
            while connection.write_all(&bytes).await.is_ok() {}
            return;
        }
    }
}
