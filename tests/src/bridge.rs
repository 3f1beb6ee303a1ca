//! `forgewire stdio`, run as a desktop client runs it.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use serde_json::{Value, json};
use testkit::cluster::forgewire_binary;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Time allowed for an expected line: an edge may be restarting.
const SOON: Duration = Duration::from_secs(30);
/// Time allowed for the process to end after its stdin is closed.
const END: Duration = Duration::from_secs(10);

/// A running bridge, and the client's ends of its pipes. Dropping it kills the process.
#[derive(Debug)]
pub struct BridgeProcess {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl BridgeProcess {
    /// Starts a bridge to the edge or balancer at `base`. Its logs go to the test's own stderr.
    ///
    /// # Errors
    /// The binary does not exist, or it does not start.
    pub fn start(base: &Url) -> Result<Self> {
        Self::spawn(base, None)
    }

    /// As [`BridgeProcess::start`], with the token of its client.
    ///
    /// # Errors
    /// As [`BridgeProcess::start`].
    pub fn start_with_token(base: &Url, token: &str) -> Result<Self> {
        Self::spawn(base, Some(token))
    }

    fn spawn(base: &Url, token: Option<&str>) -> Result<Self> {
        let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
        let mut command = Command::new(binary);
        command
            .args(["stdio", "--url", base.join("/mcp")?.as_str()])
            .env_remove("FORGEWIRE_TOKEN");
        if let Some(token) = token {
            command.env("FORGEWIRE_TOKEN", token);
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().context("stdout is piped")?;
        Ok(Self {
            input: process.stdin.take(),
            output: BufReader::new(output).lines(),
            process,
        })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The bridge has ended.
    pub async fn send(&mut self, message: &Value) -> Result<()> {
        self.send_text(&format!("{message}\n")).await
    }

    /// Writes any text to the bridge's stdin.
    ///
    /// # Errors
    /// The bridge has ended.
    pub async fn send_text(&mut self, text: &str) -> Result<()> {
        let input = self.input.as_mut().context("stdin is open")?;
        input.write_all(text.as_bytes()).await?;
        Ok(input.flush().await?)
    }

    /// Reads the next message.
    ///
    /// # Errors
    /// No message arrived within 30 s, or the bridge has ended.
    pub async fn receive(&mut self) -> Result<Value> {
        let line = timeout(SOON, self.output.next_line()).await;
        let line = line
            .context("no line arrived")??
            .context("stdout has ended")?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Sends a request and waits for its response; messages in between are dropped.
    ///
    /// # Errors
    /// As [`BridgeProcess::receive`].
    pub async fn request(&mut self, id: u64, method: &str, params: Value) -> Result<Value> {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(&message).await?;
        loop {
            let answer = self.receive().await?;
            if answer["id"] == id && answer.get("method").is_none() {
                return Ok(answer);
            }
        }
    }

    /// Opens a session with a given revision; gives the result of `initialize`.
    ///
    /// # Errors
    /// As [`BridgeProcess::receive`].
    pub async fn initialize(&mut self, version: &str) -> Result<Value> {
        self.initialize_as(version, "tests").await
    }

    /// As [`BridgeProcess::initialize`], under a name of a client.
    ///
    /// # Errors
    /// As [`BridgeProcess::receive`].
    pub async fn initialize_as(&mut self, version: &str, name: &str) -> Result<Value> {
        let params = json!({ "protocolVersion": version, "capabilities": {},
            "clientInfo": { "name": name, "version": "1" } });
        let answer = self.request(0, "initialize", params).await?;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.send(&initialized).await?;
        Ok(answer["result"].clone())
    }

    /// Closes stdin, and waits for the process to end.
    ///
    /// # Errors
    /// The process does not end successfully within 10 s.
    pub async fn close(mut self) -> Result<()> {
        self.input = None;
        let status = timeout(END, self.process.wait()).await;
        let status = status.context("the bridge does not end")??;
        ensure!(status.success(), "the bridge ended with {status}");
        Ok(())
    }
}
