//! Sessions of the handshake era over plain sockets.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    connection::HttpConnection,
    repositories::{OWNER, Repositories},
    requests::{HANDSHAKE, call_in_session, fields_of, post, post_to},
};

/// The tool that subscribes.
const SUBSCRIBE: &str = "subscribe_to_events";
/// Number of connections that create sessions concurrently.
const CLIENTS: usize = 64;

/// Creates sessions on one connection.
pub(crate) struct SessionOpener {
    connection: HttpConnection,
    target: SocketAddr,
    initialize: Vec<u8>,
}

impl SessionOpener {
    pub(crate) fn connect(target: SocketAddr) -> Result<Self> {
        Self::connect_as(target, "bench")
    }

    /// As a client with this name.
    pub(crate) fn connect_as(target: SocketAddr, client: &str) -> Result<Self> {
        let initialize = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {
                "protocolVersion": HANDSHAKE, "capabilities": {},
                "clientInfo": { "name": client, "version": "1" },
            },
        });
        Ok(Self {
            connection: HttpConnection::open(target)?,
            target,
            initialize: post(target, "", &initialize),
        })
    }

    /// Sends `initialize`, then `notifications/initialized`; gives the session's id.
    pub(crate) fn session(&mut self) -> Result<String> {
        let answer = self.connection.call(&self.initialize)?;
        let id = answer.session.filter(|_| answer.status == 200);
        let id = id.with_context(|| {
            let text = String::from_utf8_lossy(&answer.body);
            format!("initialize was answered with {}: {text}", answer.status)
        })?;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let fields = fields_of(&id);
        let answer = self
            .connection
            .call(&post(self.target, &fields, &initialized))?;
        ensure!(
            answer.status == 202,
            "initialized was answered with {}",
            answer.status
        );
        Ok(id)
    }

    /// Creates a session that subscribes to the events of these filters.
    pub(crate) fn subscribed(&mut self, arguments: &Value) -> Result<String> {
        let session = self.session()?;
        let call = call_in_session(self.target, &session, 1, SUBSCRIBE, arguments);
        let answer = self.connection.call(&call)?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(
            answer.status == 200 && !text.contains("\"isError\":true"),
            "subscribing was answered with {}: {text}",
            answer.status
        );
        Ok(session)
    }
}

/// Creates `count` sessions, each with one subscription: to the events of the repository that all
/// events are about. Works over [`CLIENTS`] connections.
pub(crate) fn create_subscribed(target: SocketAddr, count: usize) -> Result<Vec<String>> {
    let arguments = subscription();
    run_concurrently(count, || {
        let mut opener = SessionOpener::connect(target)?;
        let arguments = arguments.clone();
        Ok(move |_| opener.subscribed(&arguments))
    })
}

/// Subscribes each session of HTTP+SSE; `endpoints` holds the server and the endpoint of each
/// session. The answers arrive on the sessions' streams.
pub(crate) fn subscribe_endpoints(endpoints: &[(SocketAddr, String)]) -> Result<()> {
    let (target, _) = endpoints.first().context("there are no streams")?;
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": SUBSCRIBE, "arguments": subscription() },
    });
    let done = run_concurrently(endpoints.len(), || {
        let mut connection = HttpConnection::open(*target)?;
        let call = &call;
        Ok(move |index: usize| {
            let (_, path) = &endpoints[index];
            let answer = connection.call(&post_to(*target, path, "", call))?;
            let status = answer.status;
            ensure!(status == 202, "subscribing was answered with {status}");
            Ok(())
        })
    });
    done.map(drop)
}

fn subscription() -> Value {
    let repository = Repositories::one().name(0);
    json!({ "filters": [{ "owner": OWNER, "repo": repository }] })
}

/// Does `count` pieces of work, many at a time; `client` creates a worker that does them one after
/// another.
fn run_concurrently<T: Send, W: FnMut(usize) -> Result<T>>(
    count: usize,
    client: impl Fn() -> Result<W> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<T>> {
        let (mut work, mut done) = (client()?, Vec::new());
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(done);
            }
            done.push(work(index)?);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS.min(count))
            .map(|_| scope.spawn(worker))
            .collect();
        let mut all = Vec::with_capacity(count);
        for thread in threads {
            match thread.join() {
                Ok(done) => all.extend(done?),
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(all)
    })
}
