//! A reader that behaves like an agent: it holds a stream, and resumes on another edge when the
//! stream breaks.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use reqwest::{Url, header::HeaderMap};
use serde_json::{Value, json};
use testkit::{
    ledger::DeliveryLedger,
    mcp_client::McpClient,
    sse::{self, ReceivedFrame, SseStream},
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

/// A stream that is silent for this long is dead; heartbeats are sent every 15 s.
const SILENCE: Duration = Duration::from_secs(40);
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// The stream that a reader holds.
#[derive(Debug, Clone)]
pub enum ReaderKind {
    /// `GET /events/stream`.
    Events,
    /// The GET stream of an MCP session that is subscribed to all events.
    Session(Arc<McpClient>),
}

impl ReaderKind {
    /// A session created on `edge`, subscribed to every event.
    ///
    /// # Errors
    /// The edge refuses a request.
    pub async fn session(edge: &Url) -> Result<Self> {
        Self::session_over(edge, edge).await
    }

    /// A session created on one edge and subscribed to every event by a call to another.
    ///
    /// # Errors
    /// An edge refuses a request.
    pub async fn session_over(first: &Url, second: &Url) -> Result<Self> {
        let client = McpClient::connect(first).await?;
        client
            .call_tool(second, "subscribe_to_events", json!({}))
            .await?;
        Ok(Self::Session(Arc::new(client)))
    }

    async fn open(&self, edge: &Url, last: Option<&str>) -> Result<SseStream> {
        Ok(match (self, last) {
            (Self::Session(client), last) => client.open_stream(edge, last).await?,
            (Self::Events, last) => {
                let url = edge.join("/events/stream")?;
                match last {
                    Some(last) => sse::resume(&url, HeaderMap::new(), last).await?,
                    None => sse::open(&url, HeaderMap::new()).await?,
                }
            }
        })
    }

    /// The id of the event in a frame.
    fn event_id(frame: &ReceivedFrame) -> Option<String> {
        let json = frame.json()?;
        let event = if frame.event.as_deref() == Some("event") {
            &json
        } else if json["params"]["logger"] == "github.events" {
            &json["params"]["data"]
        } else {
            &Value::Null
        };
        event["id"].as_str().map(ToOwned::to_owned)
    }
}

/// A running reader. It reads until it is stopped or dropped.
#[derive(Debug)]
pub struct EventReader {
    name: String,
    last_id: Arc<Mutex<Option<String>>>,
    opens: watch::Receiver<usize>,
    switches: Arc<Notify>,
    task: JoinHandle<()>,
}

impl EventReader {
    /// Opens the first stream on `edges[first]`, switches to the next edge whenever a stream
    /// breaks, and records the events received in the ledger. Returns once the first stream is
    /// open.
    ///
    /// # Errors
    /// The first stream cannot be opened.
    pub async fn start(
        name: &str,
        kind: ReaderKind,
        edges: &[Url],
        first: usize,
        last: Option<String>,
        ledger: &Arc<DeliveryLedger>,
    ) -> Result<Self> {
        let last_id = Arc::new(Mutex::new(last));
        let (opened, mut opens) = watch::channel(0);
        let switches = Arc::new(Notify::new());
        let reading = Reading {
            name: name.to_owned(),
            kind,
            edges: edges.to_vec(),
            at: first,
            last_id: Arc::clone(&last_id),
            ledger: Arc::clone(ledger),
            opened,
            switches: Arc::clone(&switches),
        };
        let task = tokio::spawn(reading.run());
        let first = opens.wait_for(|opens| *opens > 0);
        let first = tokio::time::timeout(Duration::from_secs(15), first).await;
        first.with_context(|| format!("{name} cannot open its first stream"))??;
        Ok(Self {
            name: name.to_owned(),
            last_id,
            opens,
            switches,
            task,
        })
    }

    /// Starts two readers on every edge, of events and of a session; each continues on another edge when its
    /// stream breaks.
    ///
    /// # Errors
    /// An edge refuses a request or the first stream.
    pub async fn on_every_edge(edges: &[Url], ledger: &Arc<DeliveryLedger>) -> Result<Vec<Self>> {
        let mut readers = Vec::new();
        for at in 0..edges.len() {
            let name = format!("events {at}");
            readers.push(Self::start(&name, ReaderKind::Events, edges, at, None, ledger).await?);
            let session = ReaderKind::session(&edges[at]).await?;
            let name = format!("session {at}");
            readers.push(Self::start(&name, session, edges, at, None, ledger).await?);
        }
        Ok(readers)
    }

    /// Its name in the ledger.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of streams opened so far.
    #[must_use]
    pub fn opens(&self) -> usize {
        *self.opens.borrow()
    }

    /// Disconnects at once, whatever is being received, and continues on the next edge. Returns
    /// once the new stream is open.
    ///
    /// # Errors
    /// No edge opens a stream within 15 s.
    pub async fn switch_edge(&self) -> Result<()> {
        let mut opens = self.opens.clone();
        let before = *opens.borrow_and_update();
        self.switches.notify_one();
        let opened = opens.wait_for(|opens| *opens > before);
        let opened = tokio::time::timeout(Duration::from_secs(15), opened).await;
        opened.with_context(|| format!("{} finds no edge", self.name))??;
        Ok(())
    }

    /// Disconnects, and gives the last id received, after which to resume.
    pub async fn stop(self) -> Option<String> {
        self.task.abort();
        // The error of an aborted task only reports the abort.
        let _ = self.task.await;
        self.last_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

struct Reading {
    name: String,
    kind: ReaderKind,
    edges: Vec<Url>,
    at: usize,
    last_id: Arc<Mutex<Option<String>>>,
    ledger: Arc<DeliveryLedger>,
    opened: watch::Sender<usize>,
    switches: Arc<Notify>,
}

impl Reading {
    async fn run(mut self) {
        loop {
            let last = self
                .last_id
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let edge = self.edges[self.at % self.edges.len()].clone();
            let mut pause = RECONNECT_PAUSE;
            if let Ok(mut stream) = self.kind.open(&edge, last.as_deref()).await {
                loop {
                    tokio::select! {
                        () = self.switches.notified() => {
                            pause = Duration::ZERO;
                            break;
                        }
                        frame = stream.next(SILENCE) => match frame {
                            Ok(Some(frame)) => self.take(&frame),
                            _ => break,
                        },
                    }
                }
            }
            self.at += 1;
            tokio::time::sleep(pause).await;
        }
    }

    fn take(&self, frame: &ReceivedFrame) {
        if let Some(event) = ReaderKind::event_id(frame) {
            self.ledger.record_received(&self.name, &event);
        } else if !frame.is_comment() {
            self.opened.send_modify(|opens| *opens += 1);
        }
        if let Some(id) = &frame.id {
            *self.last_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
        }
    }
}
