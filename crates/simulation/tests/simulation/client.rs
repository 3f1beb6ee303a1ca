//! A client of `/events/stream`: reads, is cut, and comes back with its last event id.

use std::sync::Arc;

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::Response;
use mcp::sse::{ParsedFrame, SseBlock, SseStreamParser};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::{edge::EdgeConnection, ledger::Ledger};

/// Work that a client does at one edge; dropping it breaks the connection.
pub(crate) struct ClientWork {
    edge: usize,
    task: JoinHandle<()>,
}

impl Drop for ClientWork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ClientWork {
    pub(crate) fn begin(edge: usize, work: impl Future<Output = ()> + Send + 'static) -> Self {
        let task = tokio::spawn(work);
        Self { edge, task }
    }

    /// Whether it goes on, at this edge or at any.
    pub(crate) fn is_on(&self, edge: Option<usize>) -> bool {
        !self.task.is_finished() && edge.is_none_or(|edge| edge == self.edge)
    }
}

/// A client. Its stream is on one edge at a time.
pub(crate) struct SimulatedClient {
    reader: EventReader,
    stream: Option<ClientWork>,
}

#[derive(Clone)]
struct EventReader {
    name: String,
    repo: Option<&'static str>,
    ledger: Arc<Ledger>,
    last_id: Arc<Mutex<Option<String>>>,
}

impl SimulatedClient {
    /// A client that wants the events of one repository, or all.
    pub(crate) fn new(number: usize, repo: Option<&'static str>, ledger: &Arc<Ledger>) -> Self {
        let reader = EventReader {
            name: format!("client {number}"),
            repo,
            ledger: Arc::clone(ledger),
            last_id: Arc::default(),
        };
        let stream = None;
        Self { reader, stream }
    }

    /// Whether the client has an open stream on this edge, or on any.
    pub(crate) fn is_on(&self, edge: Option<usize>) -> bool {
        self.stream.as_ref().is_some_and(|work| work.is_on(edge))
    }

    /// The connection breaks.
    pub(crate) fn cut(&mut self) {
        self.stream = None;
    }

    /// Opens a stream on an edge, after the last event id; the edge may refuse.
    pub(crate) fn connect(&mut self, edge: usize, connection: EdgeConnection) {
        self.cut();
        let reader = self.reader.clone();
        let reading = async move { reader.read(connection).await };
        self.stream = Some(ClientWork::begin(edge, reading));
    }
}

impl EventReader {
    async fn read(self, edge: EdgeConnection) {
        let last_id = self.last_id.lock().clone();
        let headers = last_id.iter().map(|id| ("last-event-id", id.as_str()));
        let path = match self.repo {
            Some(repo) => format!("/events/stream?repo={repo}"),
            None => "/events/stream".to_owned(),
        };
        let answer = edge.get(&path, &headers.collect::<Vec<_>>()).await;
        if !answer.status().is_success() {
            let status = answer.status();
            self.ledger
                .tell(format!("{} is refused: {status}", self.name));
            return;
        }
        read_frames(answer, |frame| self.take(frame)).await;
        self.ledger
            .tell(format!("the stream of {} ends", self.name));
    }

    fn take(&self, frame: ParsedFrame) {
        match frame.event.as_deref() {
            Some("event") => {
                let data = frame.data.unwrap_or_default();
                let event: serde_json::Value =
                    serde_json::from_str(&data).expect("an event is JSON");
                let id = event["id"].as_str().expect("an id");
                self.ledger.deliver(&self.name, id);
            }
            Some("truncated") => self.ledger.notice(&self.name),
            _ => {}
        }
        if let Some(id) = frame.id {
            // From here on it can resume.
            self.ledger.owe(&self.name, self.repo);
            *self.last_id.lock() = Some(id);
        }
    }
}

/// Reads a stream to its end.
pub(crate) async fn read_frames(answer: Response<Body>, mut take: impl FnMut(ParsedFrame)) {
    let mut body = answer.into_body();
    let mut parser = SseStreamParser::default();
    while let Some(Ok(frame)) = body.frame().await {
        let data = frame.into_data().expect("a body of data");
        for block in parser.feed(&data).expect("frames of our own") {
            if let SseBlock::Frame(frame) = block {
                take(frame);
            }
        }
    }
}
