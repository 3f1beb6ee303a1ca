//! A fault: one process alone loses a server that the others keep.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// The fate of the connections through a [`ServerLink`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Bytes pass.
    Open,
    /// Connections are closed, and new ones too, at once.
    Cut,
    /// Connections stay open, and no byte passes.
    Silent,
}

/// The way of one process to one server, through a proxy on a port of its own.
#[derive(Debug)]
pub struct ServerLink {
    address: SocketAddr,
    state: watch::Sender<LinkState>,
    accepting: JoinHandle<()>,
}

impl ServerLink {
    /// An open link to a port of this machine.
    pub(super) fn to(port: u16) -> Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.context("cannot listen for a link")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let (state, watched) = watch::channel(LinkState::Open);
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let accepting = tokio::spawn(accept(listener, server, watched));
        Ok(Self {
            address,
            state,
            accepting,
        })
    }

    /// The address at which the process finds it.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the state, also for open connections.
    pub fn set(&self, state: LinkState) {
        self.state.send_replace(state);
    }
}

impl Drop for ServerLink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, state: watch::Receiver<LinkState>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(carry(client, server, state.clone()));
    }
}

/// Carries one connection, until one side ends it or the link is cut.
async fn carry(mut client: TcpStream, server: SocketAddr, mut state: watch::Receiver<LinkState>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let mut copying = std::pin::pin!(copy_bidirectional(&mut client, &mut server));
    loop {
        let now = *state.borrow_and_update();
        let changed = match now {
            LinkState::Cut => return,
            LinkState::Silent => state.changed().await,
            LinkState::Open => tokio::select! {
                _ = &mut copying => return,
                changed = state.changed() => changed,
            },
        };
        if changed.is_err() {
            return;
        }
    }
}
