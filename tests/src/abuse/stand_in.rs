//! A server that does nothing, for the same attackers. What honest clients of the product notice of that is the
//! machine: attackers, product and honest clients share its cores, the loopback and the kernel.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpListener,
    process::{Child, ChildStdin},
    runtime::Builder,
    time::timeout,
};

use super::{attack::own_process, target::AbuseTarget};

/// Time allowed for the process to say where it listens.
const START_WAIT: Duration = Duration::from_secs(30);
/// Threads, as the product has on two cores.
const THREADS: usize = 2;
/// Bytes of a request's body that are looked at; the others are only read.
const LOOKED_AT_BYTES: usize = 4096;
/// A notification is answered without a body.
const NOTIFICATION: &str = "\"method\":\"notifications/";
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const SESSION: &str = "00000000000000000000000000000000";

/// A running stand-in; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct StandIn {
    address: SocketAddr,
    _child: Child,
    _stdin: ChildStdin,
}

impl StandIn {
    /// Starts one, in a process of its own as the product is.
    ///
    /// # Errors
    /// The process does not start, or does not say where it listens.
    pub(crate) async fn start() -> Result<Self> {
        let mut child = own_process("stand-in")?;
        let stdin = child.stdin.take().context("the stand-in has no stdin")?;
        let stdout = child.stdout.take().context("the stand-in has no stdout")?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let reading = timeout(START_WAIT, stdout.read_line(&mut line)).await;
        reading.context("the stand-in does not start")??;
        let address = line.trim().parse().context("the stand-in's address")?;
        Ok(Self {
            address,
            _child: child,
            _stdin: stdin,
        })
    }

    /// The target of attackers who attack this instead.
    pub(crate) fn instead_of(&self, target: &AbuseTarget) -> AbuseTarget {
        AbuseTarget {
            edges: vec![self.address],
            ingests: vec![self.address],
            sync: self.address,
            admins: vec![self.address],
            nats: None,
            ..target.clone()
        }
    }
}

/// The process of the stand-in: prints its address, and serves until its standard input ends.
///
/// # Errors
/// It cannot listen.
pub fn run_stand_in() -> Result<()> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("starting the threads of the stand-in")?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?);
        tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
        let mut end = Vec::new();
        tokio::io::stdin().read_to_end(&mut end).await?;
        Ok::<_, anyhow::Error>(())
    })?;
    runtime.shutdown_background();
    Ok(())
}

/// Reads a request to its end, and answers with next to nothing, or with a stream on which nothing comes.
async fn answer(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (mut body, mut looked_at) = (body.into_data_stream(), Vec::new());
    while let Some(Ok(piece)) = body.next().await {
        let rest = LOOKED_AT_BYTES - looked_at.len();
        looked_at.extend_from_slice(&piece[..piece.len().min(rest)]);
    }
    let accept = head.headers.get(header::ACCEPT);
    let wants_stream = accept.is_some_and(|accept| {
        let accept = accept.to_str().unwrap_or_default();
        accept.contains("text/event-stream")
    });
    if head.method == Method::GET && wants_stream {
        let first = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(
            b": ok\n\n",
        ))]);
        let body = Body::from_stream(first.chain(stream::pending()));
        return ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response();
    }
    if String::from_utf8_lossy(&looked_at).contains(NOTIFICATION) {
        return StatusCode::ACCEPTED.into_response();
    }
    let session = HeaderValue::from_static(SESSION);
    let fields = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (header::HeaderName::from_static("mcp-session-id"), session),
    ];
    (fields, ANSWER).into_response()
}
