//! A stream gets what it asked for, once, in order, whatever happens around it.

mod directed;
mod property;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http_body::Body;
use model::{Cursor, Sequence, SessionId};

use super::{
    super::{
        fixture::{self, GatedLog},
        format::Format,
        hub::{Begin, Hub, OpenStream},
        interest::Interest,
        notices::Wants,
    },
    StreamBody,
};
use crate::{auth::Principal, error::EdgeError, metrics::StreamKind};

/// What a client sees.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// The frames of one event: the resources told of, and whether it came whole.
    Event {
        sequence: u64,
        whole: bool,
        uris: Vec<String>,
    },
    Truncated {
        cursor: u64,
    },
    Heartbeat,
    Farewell,
}

/// Reads the frames of a session's stream. Every piece holds whole frames, of whole events.
fn read(bytes: &[u8]) -> Vec<Seen> {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut rest = text
        .strip_suffix("\n\n")
        .expect("whole frames")
        .split("\n\n");
    let (mut seen, mut uris) = (Vec::new(), Vec::new());
    for frame in &mut rest {
        let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
        let Some(data) = field("data: ") else {
            let farewell = field("retry: ").is_some();
            seen.push(if farewell {
                Seen::Farewell
            } else {
                Seen::Heartbeat
            });
            continue;
        };
        let id = field("id: ").map(|id| Cursor::parse(id, fixture::scope()).unwrap().sequence.0);
        let message: serde_json::Value = serde_json::from_str(data).unwrap();
        let params = &message["params"];
        if params["data"]["truncated"] == true {
            seen.push(Seen::Truncated {
                cursor: id.unwrap(),
            });
            continue;
        }
        uris.extend(params["uri"].as_str().map(ToOwned::to_owned));
        let whole = message["method"] == "notifications/message";
        if let Some(sequence) = id {
            if whole {
                assert_eq!(params["data"]["id"], format!("e{sequence}"));
            }
            let uris = std::mem::take(&mut uris);
            seen.push(Seen::Event {
                sequence,
                whole,
                uris,
            });
        }
    }
    assert!(uris.is_empty(), "an event's last frame has the id");
    seen
}

#[derive(Debug, Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A client that polls as hyper does: after data, and when it was woken, never else.
struct Client {
    body: StreamBody,
    wakes: Arc<Wakes>,
    polled_at: Option<usize>,
    seen: Vec<Seen>,
    ended: bool,
}

impl Client {
    async fn open(hub: &Arc<Hub>, interest: Interest, begin: Begin) -> Self {
        Self::try_open(hub, None, interest, begin).await.unwrap()
    }

    async fn try_open(
        hub: &Arc<Hub>,
        session: Option<(SessionId, u64)>,
        interest: Interest,
        begin: Begin,
    ) -> Result<Self, EdgeError> {
        let open = OpenStream {
            wants: Wants::all_lists(),
            kind: StreamKind::Session,
            format: Format::Session,
            scope: fixture::scope(),
            session,
            principal: Arc::new(Principal::anonymous()),
            interest,
            begin,
            ages: true,
        };
        let body = hub.open(open, |_, _| Bytes::new()).await?;
        Ok(Self {
            body,
            wakes: Arc::default(),
            polled_at: None,
            seen: Vec::new(),
            ended: false,
        })
    }

    fn may_be_polled(&self) -> bool {
        !self.ended && self.polled_at != Some(self.wakes.0.load(Ordering::SeqCst))
    }

    /// Polls once if it may; whether something came.
    fn poll(&mut self) -> bool {
        if !self.may_be_polled() {
            return false;
        }
        let polled_at = self.wakes.0.load(Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.wakes));
        match Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.into_data().unwrap();
                self.seen.extend(read(&bytes));
                self.polled_at = None;
                true
            }
            Poll::Ready(None) => {
                self.ended = true;
                false
            }
            Poll::Pending => {
                self.polled_at = Some(polled_at);
                false
            }
        }
    }

    /// Polls until nothing comes any more.
    async fn drain(&mut self) {
        loop {
            while self.may_be_polled() {
                self.poll();
                tokio::task::yield_now().await;
            }
            // Paused time: a retry of the log comes now or never.
            tokio::time::sleep(2 * crate::limits::CATCH_UP_PAUSE).await;
            if !self.may_be_polled() {
                return;
            }
        }
    }

    /// Sequences of the events that came, in the order in which they came.
    fn sequences(&self) -> Vec<u64> {
        let sequence = |seen: &Seen| match seen {
            Seen::Event { sequence, .. } => Some(*sequence),
            _ => None,
        };
        self.seen.iter().filter_map(sequence).collect()
    }
}

/// Puts an event into the log and into the hub.
fn happen(log: &GatedLog, hub: &Hub, sequence: u64, repo: &str) {
    let event = fixture::event(sequence, repo, 0);
    log.push(event.clone());
    hub.take(service_kit::follow::Followed::Events(vec![event]));
}

fn after(sequence: u64) -> Begin {
    let (epoch, scope) = (fixture::EPOCH, fixture::scope());
    Begin::After(Cursor {
        inbox: Sequence::START,
        wishes: 0,
        epoch,
        sequence: Sequence(sequence),
        scope,
    })
}

fn paused() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}
