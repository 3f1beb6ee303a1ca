//! The floor of a tool call: a bare axum server, in its own process, that reads the request and
//! always answers with the same JSON. A protocol on top of HTTP cannot cost less than HTTP itself.
//!
//! And the peer: rmcp's own server with one tool that always answers with the same text.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderValue, header},
    routing::{any_service, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock},
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use tokio::net::TcpListener;

use crate::{floor::HelperPort, receiver::print_json};

/// Arguments of a bare server.
#[derive(Debug, clap::Args)]
pub(crate) struct AnswererArgs {
    /// Length of each answer.
    #[arg(long)]
    body_bytes: usize,
    /// Serve MCP with the crate rmcp.
    #[arg(long)]
    rmcp: bool,
}

/// Runs until stdin ends.
pub(crate) fn run(args: &AnswererArgs) -> Result<()> {
    let router = match args.rmcp {
        true => rmcp_server(args.body_bytes),
        false => bare_server(args.body_bytes),
    };
    serve_until_stdin_ends(router)
}

/// Serves on a free port, which it prints.
pub(crate) fn serve_until_stdin_ends(router: Router) -> Result<()> {
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
    runtime.spawn(serve(listening, router));
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    Ok(())
}

fn bare_server(body_bytes: usize) -> Router {
    let body = Bytes::from(format!("\"{}\"", "x".repeat(body_bytes.max(2) - 2)));
    let answer = move |_: Bytes| {
        let json = HeaderValue::from_static("application/json");
        let answer = ([(header::CONTENT_TYPE, json)], body.clone());
        async move { answer }
    };
    Router::new().route("/mcp", post(answer))
}

/// Bytes of an answer of rmcp around the text of its tool.
const RMCP_ENVELOPE_BYTES: usize = 130;

fn rmcp_server(body_bytes: usize) -> Router {
    let text = "x".repeat(body_bytes.saturating_sub(RMCP_ENVELOPE_BYTES));
    let tool = ConstantTool { text };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let service = StreamableHttpService::new(
        move || Ok(tool.clone()),
        NeverSessionManager::default().into(),
        config,
    );
    Router::new().route("/mcp", any_service(service))
}

/// A server whose tools all answer with the same text.
#[derive(Clone)]
struct ConstantTool {
    text: String,
}

impl ServerHandler for ConstantTool {
    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = ContentBlock::text(self.text.clone());
        Ok(CallToolResult::success(vec![text]).into())
    }
}

async fn serve(listener: TcpListener, router: Router) {
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
