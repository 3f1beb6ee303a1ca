//! Proxies that compress what passes through: every stream arrives while it is open.

use std::{net::TcpListener, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::{RequestBuilder, Response, Url};
use serde_json::json;
use tests::{both, until};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

use crate::sending::GithubSender;

/// Time within which bytes of an open stream have to arrive, on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// A proxy that compresses event streams and lines for clients that accept it.
struct Proxy {
    name: &'static str,
    configuration: fn(folder: &Path, port: u16, edge: &str) -> String,
    arguments: fn(configuration: &str) -> Vec<String>,
    /// Whether it leaves a response alone that says `no-transform`. nginx compresses it all the same, but
    /// sends each part at once because of `X-Accel-Buffering: no`.
    honours_no_transform: bool,
}

const HAPROXY: Proxy = Proxy {
    name: "haproxy",
    configuration: |_, port, edge| {
        format!(
            "defaults\n mode http\n timeout connect 1s\n timeout client 1m\n timeout server 1m\n\
             frontend all\n bind 127.0.0.1:{port}\n compression algo gzip\n\
             compression type text/event-stream application/x-ndjson\n default_backend edge\n\
             backend edge\n server edge {edge}\n"
        )
    },
    arguments: |configuration| words(&["-db", "-f", configuration]),
    honours_no_transform: true,
};

/// One process, because workers would outlive a master that is killed.
const NGINX: Proxy = Proxy {
    name: "nginx",
    configuration: |folder, port, edge| {
        let folder = folder.display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder}/{kind};"));
        format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr error; events {{}}\n\
             http {{ access_log off; {}\n\
             gzip on; gzip_types text/event-stream application/x-ndjson; gzip_proxied any;\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{edge};\n\
             proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}\n",
            temporary.concat()
        )
    },
    arguments: |configuration| words(&["-e", "stderr", "-c", configuration]),
    honours_no_transform: false,
};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A running proxy; it ends with this value.
struct RunningProxy {
    url: Url,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Proxy {
    async fn start(&self, edge: &Url) -> Result<RunningProxy> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = edge.socket_addrs(|| None)?[0].to_string();
        let path = folder.path().join("proxy.conf");
        std::fs::write(&path, (self.configuration)(folder.path(), port, &address))?;
        let path = path.display().to_string();
        let search = std::env::var("PATH").unwrap_or_default();
        let process = Command::new("env")
            .arg(format!("PATH={search}:/usr/sbin:/sbin"))
            .arg(self.name)
            .args((self.arguments)(&path))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        until("the proxy listens", async || {
            TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await?;
        Ok(RunningProxy {
            url: format!("http://127.0.0.1:{port}").parse()?,
            _process: process,
            _folder: folder,
        })
    }

    /// Sends a request that accepts compressed answers; checks that the first bytes of the answer arrive.
    async fn open(&self, request: RequestBuilder) -> Result<Response> {
        let request = request.header("accept-encoding", "gzip");
        let mut response = timeout(SOON, request.send()).await.context("no head")??;
        ensure!(response.status() == 200, "{}", response.status());
        let said = &response.headers()["cache-control"];
        ensure!(said == "no-cache, no-transform", "{said:?}");
        let is_compressed = response.headers().contains_key("content-encoding");
        ensure!(
            !(is_compressed && self.honours_no_transform),
            "{} compresses the stream",
            self.name
        );
        let first = timeout(SOON, response.chunk()).await;
        let first = first.with_context(|| format!("nothing arrives through {}", self.name))??;
        ensure!(first.is_some_and(|bytes| !bytes.is_empty()));
        Ok(response)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stream_arrives_through_a_proxy_that_compresses() -> Result<()> {
    both(async |system| {
        for proxy in [HAPROXY, NGINX] {
            let running = proxy.start(&system.edges()[0]).await?;
            let at = |path: &str| running.url.join(path);
            let http = reqwest::Client::new();
            let mut events = proxy.open(http.get(at("/events/stream")?)).await?;
            let mut github = GithubSender::of(system, 91);
            github.events(1).await?;
            let event = timeout(SOON, events.chunk()).await.context("no event")??;
            ensure!(event.is_some_and(|bytes| !bytes.is_empty()));
            proxy.open(http.get(at("/sse")?)).await?;
            let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": "2025-11-25", "capabilities": {} } });
            let lines = http
                .post(at("/mcp/stream")?)
                .header("content-type", "application/x-ndjson");
            proxy.open(lines.body(format!("{message}\n"))).await?;
        }
        Ok(())
    })
    .await
}
