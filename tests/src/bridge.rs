//! `forgewire stdio` as a client of a person's machine runs it.

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

/// How long a line may take that has to come: an edge may be restarting.
const SOON: Duration = Duration::from_secs(30);
/// How long the process may take to end after its stdin.
const END: Duration = Duration::from_secs(10);

/// A running bridge, and the client's side of its pipes. Dropping it kills it.
#[derive(Debug)]
pub struct Bridge {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Bridge {
    /// Starts it towards the edge or balancer at `base`. Its logs go to the test's own stderr.
    ///
    /// # Errors
    /// There is no binary, or it does not start.
    pub fn start(base: &Url) -> Result<Self> {
        let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
        let mut process = Command::new(binary)
            .args(["stdio", "--url", base.join("/mcp")?.as_str()])
            .env_remove("FORGEWIRE_TOKEN")
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

    /// Says a message.
    ///
    /// # Errors
    /// The bridge has gone.
    pub async fn says(&mut self, message: &Value) -> Result<()> {
        self.writes(&format!("{message}\n")).await
    }

    /// Writes anything.
    ///
    /// # Errors
    /// The bridge has gone.
    pub async fn writes(&mut self, text: &str) -> Result<()> {
        let input = self.input.as_mut().context("stdin is open")?;
        input.write_all(text.as_bytes()).await?;
        Ok(input.flush().await?)
    }

    /// The next message.
    ///
    /// # Errors
    /// None came within 30 s, or the bridge has gone.
    pub async fn hears(&mut self) -> Result<Value> {
        let line = timeout(SOON, self.output.next_line()).await;
        let line = line.context("no line came")??.context("stdout has ended")?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Asks and waits for the answer; what comes in between is dropped.
    ///
    /// # Errors
    /// As [`Bridge::hears`].
    pub async fn asks(&mut self, id: u64, method: &str, params: Value) -> Result<Value> {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.says(&message).await?;
        loop {
            let answer = self.hears().await?;
            if answer["id"] == id && answer.get("method").is_none() {
                return Ok(answer);
            }
        }
    }

    /// Opens a session of a revision; gives the result.
    ///
    /// # Errors
    /// As [`Bridge::hears`].
    pub async fn initialize(&mut self, version: &str) -> Result<Value> {
        let params = json!({ "protocolVersion": version, "capabilities": {},
            "clientInfo": { "name": "tests", "version": "1" } });
        let answer = self.asks(0, "initialize", params).await?;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.says(&initialized).await?;
        Ok(answer["result"].clone())
    }

    /// Closes stdin, and waits for the end.
    ///
    /// # Errors
    /// The process does not end well within 10 s.
    pub async fn ends(mut self) -> Result<()> {
        self.input = None;
        let status = timeout(END, self.process.wait()).await;
        let status = status.context("the bridge does not end")??;
        ensure!(status.success(), "the bridge ended with {status}");
        Ok(())
    }
}
