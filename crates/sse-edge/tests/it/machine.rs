//! Sessions on two edges against a model: whatever a client does, in any order, on any edge, every
//! status, every event and every end of a stream matches the model.
//!
//! The model is the promise without the machinery: a session has an owner, a state (open or ended),
//! and subscriptions with the time since when they apply; an event reaches its stream if a matching
//! subscription existed before. Before each change of a stream's subscriptions, the test awaits a
//! marker event on the stream, so nothing depends on time.

#[path = "machine/ops.rs"] // `tests/it_hyper` includes this file from elsewhere.
mod ops;
#[path = "machine/session.rs"]
mod session;

use std::{sync::Arc, time::Duration};

use access::{Authenticator, TokenDigest};
use model::{Clock, CursorScope, ManualClock, PrincipalId, SessionId, SystemClock};
use ports::Stores;
use proptest::{prelude::*, test_runner::RngSeed};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use store_memory::MemorySessionStore;
use store_sqlite::Database;
use testkit::sse::{self, SseError, SseStream};

use super::world::*;
use ops::{Op, REPOS, VERSIONS, any_op};
use session::{Asked, Modelled};

/// Idle sessions end after this time, by the clock that the test advances.
const IDLE_SECONDS: u64 = 1;
/// Attempts to open a stream while no periodic check changes its session.
const ATTEMPTS: usize = 20;
/// Every session subscribes to these; only [`Machine::mark`] makes such events happen.
const MARKER: &str = "marker";
const TOKENS: [&str; 2] = [
    "token-of-alice-who-may-see-everything-----",
    "token-of-bob-who-may-see-everything-too----",
];

struct Machine {
    world: EdgeWorld,
    edges: [Node; 2],
    clock: Arc<ManualClock>,
    http: reqwest::Client,
    sessions: Vec<Modelled>,
    /// Every event that happened: id and repository.
    events: Vec<(String, String)>,
    _tokens: tempfile::TempDir,
}

impl Machine {
    async fn new(clock: Arc<ManualClock>, stores: Stores) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.toml");
        let entry = |(token, name): (&str, &str)| {
            let sha256 = TokenDigest::of_new(token).unwrap().to_hex();
            format!("[[token]]\nid = \"{name}\"\nsha256 = \"{sha256}\"\nprincipal = \"{name}\"\n")
        };
        let entries: String = TOKENS
            .into_iter()
            .zip(["alice", "bob"])
            .map(entry)
            .collect();
        std::fs::write(&file, entries).unwrap();
        let world = EdgeWorld::on(stores).await;
        let config = EdgeConfig {
            session_idle_seconds: IDLE_SECONDS,
            ..EdgeConfig::default()
        };
        let auth = || Authenticator::tokens(&file, Arc::new(SystemClock)).unwrap();
        let edges = [
            world.node_for(&config, world.bus.clone(), auth()).await,
            world.node_for(&config, world.bus.clone(), auth()).await,
        ];
        Self {
            world,
            edges,
            clock,
            http: reqwest::Client::new(),
            sessions: Vec::new(),
            events: Vec::new(),
            _tokens: folder,
        }
    }

    fn headers(who: usize, session: Option<&Modelled>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut insert = |name: HeaderName, value: &str| {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        };
        insert(AUTHORIZATION, &format!("Bearer {}", TOKENS[who]));
        insert(ACCEPT, "application/json, text/event-stream");
        if let Some(session) = session {
            insert(HeaderName::from_static("mcp-session-id"), &session.id);
            insert(
                HeaderName::from_static("mcp-protocol-version"),
                session.version,
            );
        }
        headers
    }

    async fn post(
        &self,
        edge: usize,
        headers: HeaderMap,
        method: &str,
        params: Value,
    ) -> reqwest::Response {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let url = self.edges[edge].at("/mcp");
        let request = self.http.post(url).headers(headers).json(&message);
        request.timeout(SOON).send().await.unwrap()
    }

    async fn tool(
        &self,
        edge: usize,
        session: usize,
        name: &str,
        arguments: Value,
    ) -> Option<Value> {
        let session = &self.sessions[session];
        let headers = Self::headers(session.owner, Some(session));
        let params = json!({ "name": name, "arguments": arguments });
        let answer = self.post(edge, headers, "tools/call", params).await;
        assert_eq!(answer.status(), if session.lives { 200 } else { 404 });
        let answer: Value = answer.json().await.unwrap();
        session.lives.then(|| answer["result"].clone())
    }

    async fn step(&mut self, op: &Op) {
        if let Op::Initialize {
            edge,
            owner,
            version,
        } = *op
        {
            return self.initialize(edge, owner, VERSIONS[version]).await;
        }
        if self.sessions.is_empty() {
            return;
        }
        let count = self.sessions.len();
        match *op {
            Op::Initialize { .. } => {}
            Op::Ping {
                edge,
                session,
                foreign,
            } => {
                let status = if foreign {
                    404
                } else {
                    self.expected(session % count, 200)
                };
                assert_eq!(self.ping(edge, session % count, foreign).await, status);
            }
            Op::Open {
                edge,
                session,
                foreign: true,
            } => {
                let refused = self.stream(edge, session % count, true, None).await;
                assert_eq!(refused.unwrap_err(), 404);
            }
            Op::Open { edge, session, .. } => self.open(edge, session % count, false).await,
            Op::Resume { edge, session } => self.open(edge, session % count, true).await,
            Op::HangUp { session } => {
                self.mark().await;
                self.sessions[session % count].stream = None;
            }
            Op::Subscribe {
                edge,
                session,
                repo,
            } => {
                self.subscribe(edge, session % count, REPOS[repo]).await;
                self.arrived(edge, session % count).await;
            }
            Op::Unsubscribe {
                edge,
                session,
                which,
            } => {
                self.unsubscribe(edge, session % count, which).await;
            }
            Op::Happen { repo } => self.happen(REPOS[repo]).await,
            Op::End {
                edge,
                session,
                foreign,
            } => self.end(edge, session % count, foreign).await,
            Op::Expire => {
                self.mark().await;
                self.clock.advance(Duration::from_secs(IDLE_SECONDS + 1));
                for session in 0..count {
                    self.is_over(session).await;
                }
            }
        }
    }

    fn expected(&self, session: usize, living: u16) -> u16 {
        if self.sessions[session].lives {
            living
        } else {
            404
        }
    }

    async fn initialize(&mut self, edge: usize, owner: usize, version: &'static str) {
        let params = json!({ "protocolVersion": version, "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" } });
        let headers = Self::headers(owner, None);
        let answer = self.post(edge, headers, "initialize", params).await;
        assert_eq!(answer.status(), 200);
        let id = answer.headers()["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["result"]["protocolVersion"], version);
        self.sessions.push(Modelled {
            id,
            owner,
            version,
            lives: true,
            asked: Vec::new(),
            stream: None,
            last: None,
            due: Vec::new(),
        });
        // On the other edge, immediately.
        self.subscribe(1 - edge, self.sessions.len() - 1, MARKER)
            .await;
    }

    async fn ping(&self, edge: usize, session: usize, foreign: bool) -> u16 {
        let session = &self.sessions[session];
        let who = session.owner ^ usize::from(foreign);
        let headers = Self::headers(who, Some(session));
        self.post(edge, headers, "ping", json!({}))
            .await
            .status()
            .as_u16()
    }

    async fn subscribe(&mut self, edge: usize, session: usize, repo: &str) {
        let since = self.events.len();
        let arguments = json!({ "filters": [{ "repo": repo }] });
        let answer = self
            .tool(edge, session, "subscribe_to_events", arguments)
            .await;
        if let Some(answer) = answer {
            // As text in every revision; the older ones have no structured content.
            let answer: Value =
                serde_json::from_str(answer["content"][0]["text"].as_str().unwrap()).unwrap();
            let id = answer["subscriptionId"].as_str().unwrap().to_owned();
            let repo = repo.to_owned();
            self.sessions[session].asked.push(Asked { id, repo, since });
        }
    }

    async fn unsubscribe(&mut self, edge: usize, session: usize, which: usize) {
        self.mark().await;
        let asked = self.sessions[session].asked.iter().enumerate();
        let asked: Vec<_> = asked.filter(|(_, a)| REPOS.contains(&&*a.repo)).collect();
        let Some((at, Asked { id, .. })) = asked.get(which % asked.len().max(1)) else {
            return;
        };
        let (at, id) = (*at, id.clone());
        let arguments = json!({ "action": "unsubscribe", "subscriptionId": id });
        if self
            .tool(edge, session, "manage_events", arguments)
            .await
            .is_some()
        {
            self.sessions[session].asked.remove(at);
        }
        self.arrived(edge, session).await;
    }

    /// Waits until the session's stream has all current subscriptions of its session: once events
    /// of a newer subscription arrive, all earlier ones apply too. No other event may happen until
    /// then: if the stream's edge learns of a subscription late, an event of it arrives after the
    /// events that were due by then.
    async fn arrived(&mut self, edge: usize, session: usize) {
        if self.sessions[session].stream.is_none() {
            return;
        }
        let repo = format!("marker-{}", self.events.len());
        self.subscribe(edge, session, &repo).await;
        self.happen(&repo).await;
        self.brings_what_is_due(session).await;
    }

    /// An event happens, and both edges have received it.
    async fn happen(&mut self, repo: &str) {
        let at = self.events.len();
        let id = self.world.happens(repo).await;
        self.events.push((id.clone(), repo.to_owned()));
        for session in &mut self.sessions {
            if session.stream.is_some() && session.wants(at, repo) {
                session.due.push(id.clone());
            }
        }
        let last = self.world.log.head().await.unwrap().last;
        let keys = &self.world.keys();
        let scope = CursorScope::events(&PrincipalId::new("alice").unwrap());
        for edge in &self.edges {
            until("the edge has caught up", || async {
                let url = edge.at("/events/stream");
                let mut stream = sse::open(&url, Self::headers(0, None)).await.unwrap();
                let id = stream.next_event(SOON).await.unwrap().id.unwrap();
                keys.open(&id, scope).unwrap().sequence >= last
            })
            .await;
        }
    }

    /// Every open stream delivers the events that are due, once, in order, and nothing else before
    /// the marker.
    async fn mark(&mut self) {
        self.happen(MARKER).await;
        for session in 0..self.sessions.len() {
            self.brings_what_is_due(session).await;
        }
    }

    async fn brings_what_is_due(&mut self, session: usize) {
        let session = &mut self.sessions[session];
        if let Some(stream) = &mut session.stream {
            let due = std::mem::take(&mut session.due);
            assert_eq!(next_events(stream, due.len()).await, due, "{}", session.id);
            let last = stream.last_id().unwrap().to_owned();
            session.last = Some((last, self.events.len()));
        }
    }

    /// Opens a stream; returns the status if it is refused.
    async fn stream(
        &self,
        edge: usize,
        session: usize,
        foreign: bool,
        after: Option<&str>,
    ) -> Result<SseStream, u16> {
        let session = &self.sessions[session];
        let headers = Self::headers(session.owner ^ usize::from(foreign), Some(session));
        let url = self.edges[edge].at("/mcp");
        let opened = match after {
            Some(id) => sse::resume(&url, headers, id).await,
            None => sse::open(&url, headers).await,
        };
        opened.map_err(|error| match error {
            SseError::NotAStream { status, .. } => status,
            error => panic!("{error}"),
        })
    }

    async fn open(&mut self, edge: usize, session: usize, resume: bool) {
        self.mark().await;
        // The periodic check of an edge may have recorded the older stream at that very moment.
        for _ in 0..ATTEMPTS {
            if self.open_stream(edge, session, resume).await {
                return self.mark().await;
            }
        }
        panic!("another record of the session between any two reads of it");
    }

    /// The newest stream of a session wins. One that names an event begins after it. For any other, each
    /// subscription begins where it was made, until a stream that covers it is known to have reached the
    /// client, and from then on with the next event. Returns whether that was certain when it was opened.
    async fn open_stream(&mut self, edge: usize, session: usize, resume: bool) -> bool {
        let id = SessionId::new(&self.sessions[session].id).unwrap();
        let before = self.world.sessions_in_store().load(&id).await.unwrap();
        let last = self.sessions[session].last.clone().filter(|_| resume);
        let after = last.as_ref().map(|(id, _)| id.as_str());
        let opened = self.stream(edge, session, false, after).await;
        if !self.sessions[session].lives {
            assert_eq!(opened.unwrap_err(), 404);
            return true;
        }
        let (before, opened) = (before.unwrap(), opened.unwrap());
        let now = self.world.sessions_in_store().load(&id).await.unwrap();
        let changes = now.unwrap().revision.0 - before.revision.0;
        // The stream's own number is one change.
        if last.is_none() && changes != 1 {
            return false;
        }
        let modelled = &mut self.sessions[session];
        if let Some(mut older) = modelled.stream.replace(opened) {
            assert_eq!(
                ended(&mut older).await,
                [],
                "the older stream is taken over"
            );
        }
        let is_due = |at: usize, repo: &str| match &last {
            Some((_, happened)) => at >= *happened && modelled.wants(at, repo),
            None => modelled.wants_uncovered(at, repo, &before.session),
        };
        let missed = self.events.iter().enumerate();
        let missed = missed.filter(|(at, (_, repo))| is_due(*at, repo));
        modelled.due = missed.map(|(_, (id, _))| id.clone()).collect();
        true
    }

    async fn end(&mut self, edge: usize, session: usize, foreign: bool) {
        self.mark().await;
        let modelled = &self.sessions[session];
        let who = modelled.owner ^ usize::from(foreign);
        let request = self.http.delete(self.edges[edge].at("/mcp"));
        let request = request.headers(Self::headers(who, Some(modelled)));
        let status = request.timeout(SOON).send().await.unwrap().status();
        let expected = if foreign {
            404
        } else {
            self.expected(session, 204)
        };
        assert_eq!(status, expected);
        if !foreign {
            self.is_over(session).await;
        }
    }

    /// The session's stream ends, and every edge answers every request as for an unknown session.
    async fn is_over(&mut self, session: usize) {
        self.sessions[session].lives = false;
        if let Some(mut stream) = self.sessions[session].stream.take() {
            assert_eq!(ended(&mut stream).await, []);
        }
        for edge in [0, 1] {
            assert_eq!(self.ping(edge, session, false).await, 404);
            let refused = self.stream(edge, session, false, None).await;
            assert_eq!(refused.unwrap_err(), 404);
        }
    }
}

fn run(cases: u32, ops: usize, stores: impl Fn(Arc<ManualClock>) -> Stores) {
    let default = ProptestConfig::default();
    // The same steps in every run, unless PROPTEST_RNG_SEED requests others.
    let rng_seed = match default.rng_seed {
        RngSeed::Random => RngSeed::Fixed(4),
        asked_for => asked_for,
    };
    let config = ProptestConfig {
        cases,
        rng_seed,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..default
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Without two sessions from the start most steps would have no effect.
    let begin = |owner| Op::Initialize {
        edge: owner,
        owner,
        version: 2,
    };
    let any_ops = prop::collection::vec(any_op(), 1..ops);
    proptest!(config, |(ops in any_ops)| {
        runtime.block_on(async {
            let clock = Arc::new(ManualClock::at(SystemClock.now()));
            let mut machine = Machine::new(Arc::clone(&clock), stores(clock)).await;
            for op in [begin(0), begin(1)].iter().chain(&ops) {
                machine.step(op).await;
            }
            machine.mark().await;
        });
    });
}

#[test]
fn two_edges_do_what_the_model_says() {
    run(64, 40, |clock| {
        stores_on(Arc::new(MemorySessionStore::new(clock, 1000)))
    });
}

#[test]
fn two_edges_do_what_the_model_says_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    run(10, 30, |clock| {
        count.set(count.get() + 1);
        let database = Database::open(&folder.path().join(format!("{}.db", count.get()))).unwrap();
        stores_on(Arc::new(database.session_store(clock)))
    });
}

#[test]
fn a_stream_after_one_that_knew_some_of_the_subscriptions_begins_as_the_model_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let store = MemorySessionStore::new(clock.clone(), 1000);
        let mut machine = Machine::new(clock, stores_on(Arc::new(store))).await;
        let (edge, session) = (0, 0);
        let begin = Op::Initialize {
            edge,
            owner: 0,
            version: 2,
        };
        machine.step(&begin).await;
        machine.open(edge, session, false).await;
        let id = SessionId::new(&machine.sessions[session].id).unwrap();
        until("the stream is known to have reached its client", || {
            machine.world.has_streamed(&id)
        })
        .await;
        // At the next check of the edge, this subscription would be known to have reached it as well.
        machine.subscribe(edge, session, REPOS[0]).await;
        machine.sessions[session].stream = None;
        machine.happen(MARKER).await;
        machine.happen(REPOS[0]).await;
        machine.open(1 - edge, session, false).await;
        machine.mark().await;
    });
}
