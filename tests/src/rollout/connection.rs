//! A kept-alive connection to the balancer. Nothing is sent twice.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

/// Characters of an answer's body that are kept for the report.
const SHOWN_BODY: usize = 300;

/// An answer.
#[derive(Debug)]
pub(crate) struct LoadAnswer {
    pub(crate) status: u16,
    /// The beginning of the body, if it is not an answer with 2xx.
    pub(crate) told: String,
}

/// A connection that is opened when it is needed.
#[derive(Debug)]
pub(crate) struct KeptConnection {
    to: SocketAddr,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl KeptConnection {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self { to, open: None }
    }

    /// Sends a request once, and gives the answer once it is there whole. A connection that was
    /// closed before the first byte was written is replaced: that request was not sent.
    ///
    /// # Errors
    /// No connection, or no whole answer in time. The next request uses a new connection.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        within: Duration,
    ) -> Result<LoadAnswer> {
        let answered = timeout(within, self.try_send(request)).await;
        let answered = answered.context("no answer in time").flatten();
        if answered.is_err() {
            self.open = None;
        }
        answered
    }

    async fn try_send(&mut self, mut request: Request<Full<Bytes>>) -> Result<LoadAnswer> {
        let answer = loop {
            let open = self.opened().await?;
            match open.sender.try_send_request(request).await {
                Ok(answer) => break answer,
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => {
                        request = unsent;
                        self.open = None;
                    }
                    None => return Err(failed.into_error()).context("cut before the answer"),
                },
            }
        };
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await;
        let body = body.context("cut in the middle of the answer")?.to_bytes();
        let told = match status {
            200..=299 => String::new(),
            _ => String::from_utf8_lossy(&body)
                .chars()
                .take(SHOWN_BODY)
                .collect(),
        };
        Ok(LoadAnswer { status, told })
    }

    /// The connection if it still accepts a request, or a new one.
    async fn opened(&mut self) -> Result<&mut Open> {
        let usable = match &mut self.open {
            Some(open) => open.sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let socket = TcpStream::connect(self.to).await.context("no connection")?;
            socket.set_nodelay(true).context("no connection")?;
            let shaken = handshake(TokioIo::new(socket)).await;
            let (sender, driver) = shaken.context("no connection")?;
            let driver = tokio::spawn(async move {
                // The error is reported by the request.
                let _ = driver.await;
            });
            self.open = Some(Open { sender, driver });
        }
        self.open.as_mut().context("a connection was opened")
    }
}
