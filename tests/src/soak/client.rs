//! One stream from its client's point of view: its request, how it interprets frames, and the
//! position after which it resumes.

use std::sync::LazyLock;

use model::{CursorKeys, CursorScope, Epoch, PrincipalId, SessionId, SharedKey};
use serde_json::json;
use testkit::mcp_client::{HANDSHAKE_VERSION, MODERN_VERSION, ModernClient};

use super::{
    faults::Fault,
    ledger::{StreamAccount, StreamLedger},
    wire::{FrameName, SoakFrame},
    world::{Mark, SoakFilter},
};

/// The kind of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SoakStreamKind {
    /// `GET /events/stream`.
    Events,
    /// The GET stream of a session that is subscribed to the wanted events; the session's id.
    Session(String),
    /// `subscriptions/listen`: reports only that something changed, and cannot be resumed.
    Listen,
}

/// The meaning of a frame to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameEffect {
    /// The stream is open.
    Opening,
    /// An event.
    Event(Mark),
    /// A change on a listen stream.
    Update,
    /// A frame that does not count.
    Other,
}

/// The key of the edges, with which the clients look into their cursors.
pub(crate) const STATE_KEY: &str = "the state key of the edges under a soak";

static KEYS: LazyLock<CursorKeys> =
    LazyLock::new(|| CursorKeys::new(&[SharedKey::of_text(STATE_KEY)], Epoch(0), false));

/// A stream across all its connections.
#[derive(Debug)]
pub(crate) struct SoakClient {
    pub(crate) kind: SoakStreamKind,
    pub(crate) account: StreamAccount,
    name: u64,
    scope: CursorScope,
    /// The header line with its token; empty without one.
    authorization: String,
    /// The id to resume after; empty before the first frame.
    last_id: Vec<u8>,
    /// Number of updates since the stream was opened (listen).
    updates: u64,
    /// The numbers already sent when it was opened, per wanted repository (listen).
    sent_before: Vec<u32>,
}

impl SoakClient {
    /// A client that has no connection yet.
    pub(crate) fn new(name: u64, kind: SoakStreamKind, filter: SoakFilter) -> Self {
        Self::of(&PrincipalId::anonymous(), name, kind, filter)
    }

    /// As [`Self::new`], with a token of a principal.
    pub(crate) fn with_token(
        principal: &PrincipalId,
        token: &str,
        name: u64,
        kind: SoakStreamKind,
        filter: SoakFilter,
    ) -> Self {
        Self {
            authorization: format!("Authorization: Bearer {token}\r\n"),
            ..Self::of(principal, name, kind, filter)
        }
    }

    fn of(principal: &PrincipalId, name: u64, kind: SoakStreamKind, filter: SoakFilter) -> Self {
        let scope = match &kind {
            SoakStreamKind::Session(id) => SessionId::new(id)
                .map(|id| CursorScope::session(principal, &id))
                .unwrap_or(CursorScope::events(principal)),
            SoakStreamKind::Events | SoakStreamKind::Listen => CursorScope::events(principal),
        };
        Self {
            kind,
            account: StreamAccount::new(name, filter),
            name,
            scope,
            authorization: String::new(),
            last_id: Vec::new(),
            updates: 0,
            sent_before: Vec::new(),
        }
    }

    /// The request that opens the stream, or resumes it.
    pub(crate) fn request(&self) -> String {
        let resume = match std::str::from_utf8(&self.last_id) {
            Ok(id) if !id.is_empty() => format!("Last-Event-ID: {id}\r\n"),
            _ => String::new(),
        };
        let authorization = &self.authorization;
        let get = format!("Host: localhost\r\n{authorization}Accept: text/event-stream\r\n");
        match &self.kind {
            SoakStreamKind::Events => {
                let query = self.account.filter.query();
                format!("GET /events/stream{query} HTTP/1.1\r\n{get}{resume}\r\n")
            }
            SoakStreamKind::Session(id) => format!(
                "GET /mcp HTTP/1.1\r\n{get}Mcp-Session-Id: {id}\r\n\
                 Mcp-Protocol-Version: {HANDSHAKE_VERSION}\r\n{resume}\r\n"
            ),
            SoakStreamKind::Listen => {
                let params = json!({
                    "notifications": { "resourceSubscriptions": [self.account.filter.uri()] },
                    "_meta": ModernClient::meta(),
                });
                let body = json!({ "jsonrpc": "2.0", "id": self.name,
                    "method": "subscriptions/listen", "params": params })
                .to_string();
                format!(
                    "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{authorization}\
                     Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
                     Mcp-Protocol-Version: {MODERN_VERSION}\r\nMcp-Method: subscriptions/listen\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
        }
    }

    /// Records a frame in the ledger.
    pub(crate) fn record(&mut self, frame: &SoakFrame, ledger: &mut StreamLedger) -> FrameEffect {
        let took = match self.kind {
            SoakStreamKind::Listen => return self.take_change(frame, ledger),
            SoakStreamKind::Events => match frame.name {
                FrameName::Connected => self.take_opening(frame, ledger),
                FrameName::Event => self.take_event(frame, ledger),
                FrameName::Truncated => self.bad(Fault::Truncated, frame, ledger),
                _ => self.bad(Fault::BadFrame, frame, ledger),
            },
            SoakStreamKind::Session(_) => match frame.name {
                FrameName::None if frame.data.is_empty() && frame.mark.is_none() => {
                    self.take_opening(frame, ledger)
                }
                FrameName::Message if frame.mark.is_some() => self.take_event(frame, ledger),
                FrameName::Message if contains(&frame.data, b"\"truncated\":true") => {
                    self.bad(Fault::Truncated, frame, ledger)
                }
                FrameName::Message => FrameEffect::Other,
                _ => self.bad(Fault::BadFrame, frame, ledger),
            },
        };
        if !frame.id.is_empty() {
            self.last_id.clear();
            self.last_id.extend_from_slice(&frame.id);
        }
        took
    }

    /// The position in the log that a frame's id names.
    fn place(&self, frame: &SoakFrame) -> Option<u64> {
        let text = std::str::from_utf8(&frame.id).ok()?;
        let cursor = KEYS.open(text, self.scope).ok()?;
        Some(cursor.sequence.0)
    }

    fn take_opening(&mut self, frame: &SoakFrame, ledger: &mut StreamLedger) -> FrameEffect {
        let Some(place) = self.place(frame) else {
            return self.bad(Fault::BadFrame, frame, ledger);
        };
        self.account.record_connected(ledger, place);
        FrameEffect::Opening
    }

    fn take_event(&mut self, frame: &SoakFrame, ledger: &mut StreamLedger) -> FrameEffect {
        let (Some(place), Some(mark)) = (self.place(frame), frame.mark) else {
            return self.bad(Fault::BadFrame, frame, ledger);
        };
        self.account.record_event(ledger, place, mark);
        FrameEffect::Event(mark)
    }

    fn bad(&self, fault: Fault, frame: &SoakFrame, ledger: &mut StreamLedger) -> FrameEffect {
        let (name, kind) = (self.name, &self.kind);
        ledger.faults.add(fault, || {
            let (id, data) = (
                String::from_utf8_lossy(&frame.id),
                String::from_utf8_lossy(&frame.data),
            );
            let (event, mark) = (frame.name, frame.mark);
            format!("stream {name} ({kind:?}) got {event:?}, id {id:?}, mark {mark:?}, data {data}")
        });
        FrameEffect::Other
    }

    fn take_change(&mut self, frame: &SoakFrame, ledger: &mut StreamLedger) -> FrameEffect {
        let filter = self.account.filter;
        if contains(&frame.data, b"subscriptions/acknowledged") {
            let sent = filter.repositories().map(|at| ledger.books.newest_sent(at));
            self.sent_before = sent.collect();
            self.updates = 0;
            return FrameEffect::Opening;
        }
        if !contains(&frame.data, b"notifications/resources/updated") {
            // For instance the result with which a draining edge ends the stream.
            return FrameEffect::Other;
        }
        let uri = format!("\"uri\":\"{}\"", filter.uri());
        if !contains(&frame.data, uri.as_bytes()) {
            return self.bad(Fault::Foreign, frame, ledger);
        }
        self.updates += 1;
        FrameEffect::Update
    }

    /// Whether it has received everything owed to it by now.
    pub(crate) fn is_settled(&self, ledger: &StreamLedger) -> bool {
        self.has_all(ledger, |repository| {
            ledger.books.newest_acknowledged(repository)
        })
    }

    /// Whether it has received everything owed to it of each repository, up to a number.
    pub(crate) fn has_all(&self, ledger: &StreamLedger, newest: impl Fn(usize) -> u32) -> bool {
        if self.kind != SoakStreamKind::Listen {
            return self.account.has_all(ledger, newest);
        }
        let filter = self.account.filter;
        let owed = filter
            .repositories()
            .zip(&self.sent_before)
            .map(|(repository, before)| {
                let now = filter.count(newest(repository));
                u64::from(now.saturating_sub(filter.count(*before)))
            });
        !self.sent_before.is_empty() && self.updates >= owed.sum()
    }

    /// An event that has been owed since before `millis` (of the run) and was not received.
    pub(crate) fn overdue(&self, ledger: &StreamLedger, millis: u32) -> Option<(usize, u32)> {
        match self.kind {
            SoakStreamKind::Listen => None,
            _ => self.account.overdue(ledger, millis),
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|here| here == part)
}
