//! A client with a session (MCP 2025-11-25): subscribes, reads its stream, gets messages, is cut, and comes back.

use std::{sync::Arc, time::Duration};

use edge_records::SessionRecords;
use mcp::sse::ParsedFrame;
use model::{Cursor, CursorScope, PrincipalId, Sequence, SessionId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use store_memory::MemorySessionStore;
use tokio::time::Instant;

use crate::{
    client::{ClientWork, read_frames},
    edge::{EdgeAnswer, EdgeConnection, cursor_keys},
    ledger::{Ledger, Moment},
    link::Outages,
    post::Post,
};

const VERSION: (&str, &str) = ("mcp-protocol-version", "2025-11-25");

/// Longer than a stream takes to read again what it has moved back over, unless the log does not answer.
const WAY_BACK: Duration = Duration::from_millis(200);
/// Longer than a stream may wait for a log that does not answer.
const LOG_OUTAGE: Duration = Duration::from_secs(20);

/// A client that has one session at a time.
pub(crate) struct SessionClient {
    state: SessionReader,
    stream: Option<ClientWork>,
    sending: Option<ClientWork>,
    subscribing: Option<ClientWork>,
}

#[derive(Clone)]
struct SessionReader {
    ledger: Arc<Ledger>,
    post: Arc<Post>,
    number: usize,
    session: Arc<Mutex<ClientSession>>,
    /// Tells the numbers of subscriptions.
    store: Arc<MemorySessionStore>,
    log_outages: Arc<Outages>,
}

#[derive(Debug, Default)]
struct ClientSession {
    /// Its id, and its name in the story.
    id: Option<(String, String)>,
    last_id: Option<String>,
    /// When that came, and until when the client could have got another one.
    last_id_at: Option<(Instant, Instant)>,
    /// The highest position that one of its ids named.
    reached: Sequence,
    repos: Vec<&'static str>,
    count: usize,
    letters: u64,
}

impl SessionClient {
    pub(crate) fn new(
        number: usize,
        (ledger, post): (&Arc<Ledger>, &Arc<Post>),
        (store, log_outages): (&Arc<MemorySessionStore>, &Arc<Outages>),
    ) -> Self {
        Self {
            state: SessionReader {
                ledger: Arc::clone(ledger),
                post: Arc::clone(post),
                number,
                session: Arc::default(),
                store: Arc::clone(store),
                log_outages: Arc::clone(log_outages),
            },
            stream: None,
            sending: None,
            subscribing: None,
        }
    }

    /// Whether it has an open stream, or is about to.
    pub(crate) fn is_open(&self) -> bool {
        self.stream.as_ref().is_some_and(|work| work.is_on(None))
    }

    /// Whether this is its session, and its client has an event id that covers a subscription.
    pub(crate) fn covers(&self, name: &str, subscription: u64) -> bool {
        let session = self.state.session.lock();
        if session.id.as_ref().is_none_or(|(_, own)| own != name) {
            return false;
        }
        let cursor = session.last_id.as_ref().and_then(|id| session.opened(id));
        cursor.is_some_and(|cursor| cursor.newest_subscription >= subscription)
    }

    /// The store may have lost a subscription: the client makes it again.
    pub(crate) fn forget(&self, name: &str, repo: &'static str) {
        let mut session = self.state.session.lock();
        if session.id.as_ref().is_some_and(|(_, own)| own == name) {
            session.repos.retain(|known| *known != repo);
        }
    }

    /// Whether a subscription is missing.
    pub(crate) fn lacks(&self, repo: &'static str) -> bool {
        !self.state.session.lock().repos.contains(&repo)
    }

    /// The connection of the stream breaks.
    pub(crate) fn cut(&mut self) {
        if self.stream.take_if(|work| work.is_on(None)).is_some() {
            self.state.session.lock().leave();
        }
        self.stream = None;
    }

    /// An edge is gone, with all connections to it.
    pub(crate) fn lose(&mut self, edge: usize) {
        if self
            .stream
            .as_ref()
            .is_some_and(|work| work.is_on(Some(edge)))
        {
            self.cut();
        }
        for work in [&mut self.sending, &mut self.subscribing] {
            work.take_if(|work| work.is_on(Some(edge)));
        }
    }

    /// Opens the stream at an edge, with a new session if there is none; the edge may refuse.
    pub(crate) fn connect(&mut self, edge: usize, connection: EdgeConnection) {
        self.cut();
        let state = self.state.clone();
        let reading = async move { state.read(connection).await };
        self.stream = Some(ClientWork::begin(edge, reading));
    }

    /// Somebody sends the session a message at an edge, unless the last one is still on its way.
    pub(crate) fn send(&mut self, edge: usize, connection: EdgeConnection, wait: bool) {
        if self.sending.as_ref().is_some_and(|work| work.is_on(None)) {
            return;
        }
        let state = self.state.clone();
        let sending = async move { state.send(connection, wait).await };
        self.sending = Some(ClientWork::begin(edge, sending));
    }

    /// Subscribes at an edge.
    pub(crate) fn subscribe(
        &mut self,
        edge: usize,
        connection: EdgeConnection,
        repo: &'static str,
    ) {
        let is_busy = self
            .subscribing
            .as_ref()
            .is_some_and(|work| work.is_on(None));
        if is_busy || self.state.session.lock().last_id.is_none() {
            return;
        }
        let state = self.state.clone();
        let subscribing = async move { state.subscribe(&connection, repo).await };
        self.subscribing = Some(ClientWork::begin(edge, subscribing));
    }
}

impl ClientSession {
    /// One of the session's event ids.
    fn opened(&self, id: &str) -> Option<Cursor> {
        let session = SessionId::new(&self.id.as_ref()?.0).expect("the edge gave it");
        let scope = CursorScope::session(&PrincipalId::anonymous(), &session);
        let cursor = cursor_keys().open(id, scope);
        Some(cursor.expect("of this session"))
    }

    fn take_id(&mut self, id: String) {
        let named = self.opened(&id).map_or(Sequence::START, |id| id.sequence);
        self.reached = self.reached.max(named);
        (self.last_id, self.last_id_at) = (Some(id), Some((Instant::now(), Instant::now())));
    }

    /// The stream is gone.
    fn leave(&mut self) {
        if let Some((_, until)) = &mut self.last_id_at {
            *until = Instant::now();
        }
    }

    /// The client comes back with its last id. If that names less than an earlier one: how long it had that id
    /// without getting another one.
    fn come_back(&mut self) -> Option<Duration> {
        let named = self.opened(self.last_id.as_ref()?)?.sequence;
        let reached = std::mem::replace(&mut self.reached, named);
        let (at, until) = self.last_id_at?;
        (named < reached).then(|| until.duration_since(at))
    }
}

impl SessionReader {
    fn id(&self) -> Option<(String, String)> {
        self.session.lock().id.clone()
    }

    /// There is no such session any more; the client begins a new one with its next stream.
    fn end(&self, name: &str) {
        let mut session = self.session.lock();
        // Only the first of two requests that learn it.
        if session.id.as_ref().is_some_and(|(_, own)| own == name) {
            session.id = None;
            session.last_id = None;
            session.reached = Sequence::START;
            session.repos.clear();
            self.post.end(name);
        }
    }

    async fn read(self, edge: EdgeConnection) {
        if self.id().is_none() {
            self.initialize(&edge).await;
        }
        let Some((id, name)) = self.id() else {
            return;
        };
        if self.session.lock().repos.is_empty() {
            self.subscribe(&edge, "cat").await;
        }
        let (last_id, behind_for) = {
            let mut session = self.session.lock();
            (session.last_id.clone(), session.come_back())
        };
        if let Some(time) = behind_for {
            let waits = self.log_outages.recent(LOG_OUTAGE) > 0;
            self.ledger.come_back(&name, time > WAY_BACK && !waits);
        }
        let mut headers = vec![VERSION, ("mcp-session-id", id.as_str())];
        headers.extend(last_id.iter().map(|id| ("last-event-id", id.as_str())));
        let answer = edge.get("/mcp", &headers).await;
        match answer.status().as_u16() {
            200 => {
                self.ledger
                    .tell(format!("{name} opens its stream after {last_id:?}"));
                read_frames(answer, |frame| self.take(&name, frame)).await;
                self.session.lock().leave();
                self.ledger.tell(format!("the stream of {name} ends"));
            }
            404 => self.end(&name),
            status => self.ledger.tell(format!("{name} is refused: {status}")),
        }
    }

    async fn initialize(&self, edge: &EdgeConnection) {
        let began = self.ledger.tick();
        let params = json!({
            "protocolVersion": VERSION.1, "capabilities": {},
            "clientInfo": { "name": "simulated", "version": "1" },
        });
        let answer = edge
            .post("/mcp", &[], &request("initialize", &params))
            .await;
        let EdgeAnswer {
            status: 200,
            session: Some(id),
            ..
        } = answer
        else {
            self.ledger
                .tell(format!("a session is refused: {}", answer.status));
            return;
        };
        let name = {
            let mut session = self.session.lock();
            session.count += 1;
            let name = format!("session {}.{}", self.number, session.count);
            session.id = Some((id.clone(), name.clone()));
            name
        };
        self.post.create(&name, began);
        let headers = [VERSION, ("mcp-session-id", id.as_str())];
        let notification = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let answer = edge.post("/mcp", &headers, &notification).await;
        self.check_session(&name, answer.status);
    }

    async fn subscribe(&self, edge: &EdgeConnection, repo: &'static str) {
        let Some((id, name)) = self.id() else {
            return;
        };
        let began = self.ledger.tick();
        let arguments = json!({ "filters": [{ "repo": repo }] });
        let params = json!({ "name": "subscribe_to_events", "arguments": arguments });
        let headers = [VERSION, ("mcp-session-id", id.as_str())];
        let answer = edge
            .post("/mcp", &headers, &request("tools/call", &params))
            .await;
        self.check_session(&name, answer.status);
        let is_done = answer.body["result"]["structuredContent"]["subscriptionId"].is_string();
        if is_done && self.id().is_some_and(|(_, own)| own == name) {
            let id = SessionId::new(&id).expect("the edge gave it");
            let found = SessionRecords::new(self.store.clone())
                .load(&id)
                .await
                .expect("memory answers");
            let number = found.map_or(0, |found| found.session.newest_subscription);
            if self.post.subscribe(&name, (repo, number), began) {
                self.session.lock().repos.push(repo);
            }
        } else {
            let text = format!("{name} cannot subscribe: {} {}", answer.status, answer.body);
            self.ledger.tell(text);
        }
    }

    async fn send(self, edge: EdgeConnection, wait: bool) {
        let Some((id, name)) = self.id() else {
            return;
        };
        let number = {
            let mut session = self.session.lock();
            session.letters += 1;
            session.letters
        };
        let began: Moment = self.post.send(&name, number);
        let message =
            json!({ "jsonrpc": "2.0", "method": "notifications/test", "params": { "n": number } });
        let body = json!({ "sessionId": id, "message": message, "wait": wait });
        let answer = edge.post("/mcp/sse/send", &[], &body).await;
        match answer.status {
            200 => self.post.acknowledge(&name, number, began),
            404 => self.end(&name),
            status => {
                let text = format!(
                    "message {number} to {name} is refused: {status} {}",
                    answer.body
                );
                self.ledger.tell(text);
            }
        }
    }

    fn check_session(&self, name: &str, status: u16) {
        if status == 404 {
            self.end(name);
        }
    }

    fn take(&self, name: &str, frame: ParsedFrame) {
        {
            let mut session = self.session.lock();
            if session.id.as_ref().is_none_or(|(_, own)| own != name) {
                // Frames that were on their way while another request learnt the session's end.
                return;
            }
            if let Some(id) = frame.id {
                session.take_id(id);
            }
        }
        let data = frame.data.unwrap_or_default();
        let Ok(message) = serde_json::from_str::<Value>(&data) else {
            return;
        };
        let params = &message["params"];
        let logger = params["logger"].as_str().unwrap_or_default();
        match (message["method"].as_str(), logger) {
            (Some("notifications/test"), _) => {
                self.post
                    .deliver(name, params["n"].as_u64().expect("a number"));
            }
            (_, "forgewire.gap" | "forgewire.messages") => self.post.notice(name),
            (Some("notifications/message"), _) => match params["data"]["id"].as_str() {
                Some(id) => self.ledger.deliver(name, id),
                None => self.ledger.notice(name),
            },
            _ => self.ledger.accuse(format!("{name} got {message}")),
        }
    }
}

fn request(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}
