//! A client of `/events/stream`: reads, is cut, and comes back with its last event id.

use std::sync::Arc;

use fanout::feed::Feed;
use http_body_util::BodyExt;
use mcp::sse::{SseBlock, SseStreamParser};
use model::{Filter, FilterSet};
use parking_lot::Mutex;
use stream_driver::StreamBody;
use tokio::task::JoinHandle;

use crate::{edge::SimulatedEdge, ledger::Ledger};

/// A client. Its stream is on one edge at a time.
pub(crate) struct SimulatedClient {
    number: usize,
    repo: Option<&'static str>,
    ledger: Arc<Ledger>,
    last_id: Arc<Mutex<Option<String>>>,
    stream: Option<OpenStream>,
}

struct OpenStream {
    edge: usize,
    reading: JoinHandle<()>,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl SimulatedClient {
    /// A client that wants the events of one repository, or all.
    pub(crate) fn new(number: usize, repo: Option<&'static str>, ledger: Arc<Ledger>) -> Self {
        Self {
            number,
            repo,
            ledger,
            last_id: Arc::default(),
            stream: None,
        }
    }

    /// Whether the client has an open stream on this edge, or on any.
    pub(crate) fn is_on(&self, edge: Option<usize>) -> bool {
        let open = self.stream.as_ref();
        open.is_some_and(|stream| {
            !stream.reading.is_finished() && edge.is_none_or(|edge| edge == stream.edge)
        })
    }

    /// The connection breaks.
    pub(crate) fn cut(&mut self) {
        self.stream = None;
    }

    /// Opens a stream on an edge, after the last event id; the edge may refuse.
    pub(crate) async fn connect(&mut self, number: usize, edge: &SimulatedEdge) {
        self.cut();
        let last_id = self.last_id.lock().clone();
        let filter = Filter {
            repo: self.repo.map(ToOwned::to_owned),
            ..Filter::default()
        };
        let filters = FilterSet::new(vec![filter]).expect("a repository's name");
        let feed = match edge.open(filters, last_id.as_deref()).await {
            Ok(feed) => feed,
            Err(error) => {
                self.ledger
                    .tell(format!("client {} is refused: {error}", self.number));
                return;
            }
        };
        let (ledger, last_id) = (Arc::clone(&self.ledger), Arc::clone(&self.last_id));
        let account = (self.number, self.repo);
        self.stream = Some(OpenStream {
            edge: number,
            reading: tokio::spawn(read(account, feed, ledger, last_id)),
        });
    }
}

async fn read(
    (client, repo): (usize, Option<&'static str>),
    feed: Feed,
    ledger: Arc<Ledger>,
    last_id: Arc<Mutex<Option<String>>>,
) {
    let mut body = StreamBody::new(Box::new(feed));
    let mut parser = SseStreamParser::default();
    while let Some(Ok(frame)) = body.frame().await {
        let data = frame.into_data().expect("a body of data");
        let blocks = parser.feed(&data).expect("frames of our own");
        for block in blocks {
            let SseBlock::Frame(frame) = block else {
                continue;
            };
            match frame.event.as_deref() {
                Some("event") => {
                    let data = frame.data.unwrap_or_default();
                    let event: serde_json::Value =
                        serde_json::from_str(&data).expect("an event is JSON");
                    ledger.receive(client, event["id"].as_str().expect("an id"));
                }
                Some("truncated") => ledger.notice(client),
                _ => {}
            }
            if let Some(id) = frame.id {
                // From here on it can resume.
                ledger.join(client, repo);
                *last_id.lock() = Some(id);
            }
        }
    }
}
