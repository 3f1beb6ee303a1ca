//! A stream gets what it asked for, once, in order, whatever else happens.

mod client;
mod directed;
mod property;
mod set_back;
mod traced;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body::Body;
use model::{Cursor, Sequence, SessionId};
use parking_lot::Mutex;

use self::client::{FeedClient, Over};
use super::super::{
    fixture::{self, GatedLog},
    format::StreamFormat,
    hub::{Hub, StreamRequest, StreamStart},
    interest::StreamInterest,
    news::NewsSelection,
    stream::OpenStream,
};
use crate::{error::HubError, metrics::StreamKind};
use access::Principal;

/// A frame as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// The frames of one event: the notified resources, and whether the whole event was sent.
    Event {
        sequence: u64,
        whole: bool,
        uris: Vec<String>,
    },
    Truncated {
        cursor: u64,
    },
    /// An id without a message.
    Named {
        cursor: u64,
    },
    Heartbeat,
    Farewell,
}

/// Parses the frames of a session's stream. Every piece holds whole frames, of whole events.
fn read(bytes: &[u8]) -> Vec<Seen> {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut rest = text
        .strip_suffix("\n\n")
        .expect("whole frames")
        .split("\n\n");
    let (mut seen, mut uris) = (Vec::new(), Vec::new());
    for frame in &mut rest {
        let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
        let id = field("id: ").map(|id| fixture::opened(id).sequence.0);
        let data = field("data: ").filter(|data| !data.is_empty());
        if let (Some(cursor), None) = (id, data) {
            seen.push(Seen::Named { cursor });
            continue;
        }
        let Some(data) = data else {
            let farewell = field("retry: ").is_some();
            seen.push(if farewell {
                Seen::Farewell
            } else {
                Seen::Heartbeat
            });
            continue;
        };
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

/// Appends an event to the log and publishes it in the hub.
fn happen(log: &GatedLog, hub: &Hub, sequence: u64, repo: &str) {
    let event = fixture::event(sequence, repo, 0);
    log.push(event.clone());
    hub.apply(event_flow::follow::Followed::Events(vec![event]));
}

fn after(sequence: u64) -> StreamStart {
    let (epoch, scope) = (fixture::EPOCH, fixture::scope());
    StreamStart::After(Cursor {
        is_sealed: true,
        inbox: Sequence::START,
        newest_subscription: 0,
        tag: None,
        told: None,
        epoch,
        sequence: Sequence(sequence),
        scope,
    })
}

fn paused() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}
