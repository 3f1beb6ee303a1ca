//! The floor of a tool call: a bare axum server, in its own process, that reads the request and
//! always answers with the same JSON. A protocol on top of HTTP cannot cost less than HTTP itself.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderValue, header},
    routing::post,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;

use crate::{floor::HelperPort, receiver::print_json};

/// Arguments of a bare server.
#[derive(Debug, clap::Args)]
pub(crate) struct AnswererArgs {
    /// Length of each answer.
    #[arg(long)]
    body_bytes: usize,
}

/// Runs until stdin ends.
pub(crate) fn run(args: &AnswererArgs) -> Result<()> {
    let body = Bytes::from(format!("\"{}\"", "x".repeat(args.body_bytes.max(2) - 2)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let listening = runtime.block_on(TcpListener::bind(SocketAddr::from((
        Ipv4Addr::LOCALHOST,
        0,
    ))))?;
    print_json(&HelperPort {
        port: listening.local_addr()?.port(),
    })?;
    runtime.spawn(serve(listening, body));
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    Ok(())
}

async fn serve(listener: TcpListener, body: Bytes) {
    let answer = move |_: Bytes| {
        let json = HeaderValue::from_static("application/json");
        let answer = ([(header::CONTENT_TYPE, json)], body.clone());
        async move { answer }
    };
    let router: Router = Router::new().route("/mcp", post(answer));
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(
                TokioIo::new(socket),
                TowerToHyperService::new(router.clone()),
            );
        tokio::spawn(async move {
            // A client that disconnects is not an error.
            let _ = connection.await;
        });
    }
}
