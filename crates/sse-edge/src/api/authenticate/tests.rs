use std::{fs, num::NonZeroUsize, path::PathBuf, time::Duration};

use async_trait::async_trait;
use axum::{Router, body::Body};
use http::{StatusCode, header};
use http_body_util::BodyExt;
use model::{
    Clock, EventFacts, EventId, EventOrigin, EventType, LogPosition, ManualClock, RandomIds,
    ResourceId, ResourceType, ResourceUri, Sequence, Sequenced, StoredEvent, SystemClock,
    Timestamp, TraceContext,
};
use ports::{
    Bus, BusMessage, EventHint, EventLog, ResourceError, ResourceReader, ResourceState, SyncStatus,
    Topic,
};
use serde_json::Value;
use service_kit::{lifecycle::Lifecycle, metrics::MetricsRegistry};
use store_layers::StoredLog;
use store_memory::{InProcessBus, MemoryLogStore, MemorySessionStore};
use tokio::time::timeout;
use tower::ServiceExt;

use super::*;
use access::TokenDigest;

use crate::{EdgeConfig, EdgeDeps, EdgeService};

const SOON: Duration = Duration::from_secs(10);
const NOON: &str = "2026-11-20T12:00:00Z";

/// A sync role that knows nothing.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl ResourceReader for Nothing {
    async fn get_resource(
        &self,
        _: &ResourceUri,
        _: Option<LogPosition>,
        _: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        Ok(None)
    }

    async fn status(&self, _: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        Ok(SyncStatus {
            position: Sequence::START,
            head: Sequence::START,
            resources: 0,
            caught_up: true,
        })
    }
}

/// A running edge without a socket; its tokens are `all`, `acme` (sees acme/tool), `ops` (may not
/// read) and `old` (expired).
struct Stage {
    router: Router,
    life: Lifecycle,
    log: Arc<StoredLog<MemoryLogStore>>,
    bus: Arc<InProcessBus>,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.life.hard_stop();
    }
}

fn block(token: &str, more: &str) -> String {
    let sha256 = TokenDigest::of(token).unwrap().to_hex();
    format!(
        "[[token]]\nid = \"{token}\"\nsha256 = \"{sha256}\"\nprincipal = \"{token}-p\"\n{more}\n"
    )
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.toml");
        let blocks = [
            block("all", ""),
            block("acme", "repositories = [\"Acme/Tool\"]"),
            block("ops", "permissions = [\"admin\"]"),
            block("old", "expires_at = 2026-11-20T11:00:00Z"),
        ];
        fs::write(&file, blocks.concat()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::parse(NOON).unwrap()));
        let auth = Authenticator::tokens(&file, clock).unwrap();
        let many = NonZeroUsize::new(1000).unwrap();
        let log = Arc::new(StoredLog::new(MemoryLogStore::new(&RandomIds, many)));
        let bus = Arc::new(InProcessBus::new(many));
        let sessions = Arc::new(MemorySessionStore::new(Arc::new(SystemClock), 1000));
        let deps = EdgeDeps {
            log: log.clone(),
            pages: log.clone(),
            records: sessions.clone(),
            mailboxes: sessions.clone(),
            leases: sessions,
            call_lease: EdgeDeps::CALL_LEASE,
            bus: bus.clone(),
            resources: Arc::new(Nothing),
            mirror: None,
            mirror_cache: None,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            auth: Arc::new(auth),
            descriptors: service_kit::descriptors::Descriptors::UNLIMITED,
            role_keys: Vec::new(),
            bodies: service_kit::bodies::BodyBudget::new(&mut MetricsRegistry::default()),
            toolsets: Vec::new(),
        };
        let service = EdgeService::build(
            &EdgeConfig::default(),
            deps,
            &mut MetricsRegistry::default(),
        )
        .unwrap();
        let life = Lifecycle::new(Duration::from_secs(1));
        let service = service.spawn(&life).unwrap();
        let ready = async {
            while !life.readiness().ready {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(SOON, ready).await.unwrap();
        let router = service.router();
        Self {
            router,
            life,
            log,
            bus,
            file,
            _folder: folder,
        }
    }

    async fn send(&self, path: &str, authorization: Option<&str>) -> Response {
        let mut request = Request::get(path).header("host", "localhost");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        let response = self.send(path, Some(&format!("Bearer {token}"))).await;
        (response.status(), json(response).await)
    }

    async fn happens(&self, id: &str, owner: &str, repo: &str) {
        let event = event(id, owner, repo);
        let appended = self.log.append(vec![event.clone()]).await.unwrap();
        let epoch = self.log.head().await.unwrap().epoch;
        let events = vec![Sequenced {
            sequence: appended[0].sequence,
            item: event,
        }];
        let hint = BusMessage::Events(Arc::new(EventHint { epoch, events }));
        self.bus
            .publish(&Topic::Broadcast, hint, None)
            .await
            .unwrap();
    }
}

fn event(id: &str, owner: &str, repo: &str) -> StoredEvent {
    let facts = EventFacts {
        id: EventId::new(id).unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new("I_1").unwrap(),
        owner: Some(owner.to_owned()),
        repo: Some(repo.to_owned()),
        number: Some(1),
        ids: model::GithubIds::default(),
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    };
    let json = serde_json::json!({ "id": id }).to_string().into();
    StoredEvent {
        facts: facts.into(),
        json,
        trace: None,
    }
}

async fn json(response: Response) -> Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or(Value::Null)
}

/// Reads a stream until the event `shown` has come.
async fn read_until_shown(body: &mut Body) -> String {
    let reading = async {
        let mut text = String::new();
        while !text.contains("\"shown\"") {
            let frame = body.frame().await.expect("the stream goes on").unwrap();
            text.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
        }
        text
    };
    timeout(SOON, reading).await.unwrap()
}

fn ids(list: &Value) -> Vec<&str> {
    let events = list["events"].as_array().expect("a list of events");
    events
        .iter()
        .map(|event| event["id"].as_str().unwrap_or("none"))
        .collect()
}

#[tokio::test]
async fn nobody_gets_anywhere_without_a_good_token() {
    let stage = Stage::new().await;
    let paths = [
        "/events/recent",
        "/events/recent?token=all",
        "/events/recent?access_token=all",
        "/events/replay/2026-11-20T10:00:00Z",
        "/events/stream",
        "/mcp",
        "/mcp/sse/send",
    ];
    for path in paths {
        for (authorization, challenge, code) in [
            (None, "Bearer", "token-missing"),
            (Some("Basic YWxsOg=="), "Bearer", "token-missing"),
            (
                Some("Bearer a b"),
                "Bearer error=\"invalid_token\"",
                "token-malformed",
            ),
            (
                Some("Bearer nobody"),
                "Bearer error=\"invalid_token\"",
                "token-unknown",
            ),
            (
                Some("Bearer old"),
                "Bearer error=\"invalid_token\", error_desc",
                "token-expired",
            ),
        ] {
            let response = stage.send(path, authorization).await;
            assert_eq!(
                response.status(),
                StatusCode::UNAUTHORIZED,
                "{path} {authorization:?}"
            );
            let headers = response.headers().clone();
            let said = headers[header::WWW_AUTHENTICATE].to_str().unwrap();
            assert!(said.starts_with(challenge), "{said}");
            assert!(authorization.is_some() || said == "Bearer");
            let body = json(response).await;
            if path == "/mcp" {
                assert_eq!(headers[header::CONTENT_TYPE], "application/json");
                assert_eq!(
                    (&body["jsonrpc"], &body["id"]),
                    (&"2.0".into(), &Value::Null)
                );
                assert_eq!(body["error"]["data"]["code"], code, "{body}");
            } else {
                assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
                assert_eq!(
                    (&body["code"], &body["status"]),
                    (&code.into(), &401.into())
                );
            }
            assert!(!body.to_string().contains("nobody"), "{body}");
        }
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_there_for_everybody_alike() {
    let stage = Stage::new().await;
    for path in ["/no/such/path", "/.well-known/oauth-protected-resource/mcp"] {
        let mut answers = Vec::new();
        for authorization in [None, Some("Bearer nobody"), Some("Bearer all")] {
            let response = stage.send(path, authorization).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
            answers.push(json(response).await);
        }
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{answers:?}"
        );
    }
}

#[tokio::test]
async fn a_page_may_ask_what_it_may_send_without_a_token() {
    let stage = Stage::new().await;
    let request = Request::options("/events/recent")
        .header("host", "localhost")
        .header("origin", "http://localhost:1");
    let request = request.body(Body::empty()).unwrap();
    let response = stage.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn who_may_not_read_is_told_which_permission_is_missing() {
    let stage = Stage::new().await;
    for path in [
        "/events/recent",
        "/events/replay/2026-11-20T10:00:00Z",
        "/events/stream",
    ] {
        let response = stage.send(path, Some("Bearer ops")).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
        let said = response.headers()[header::WWW_AUTHENTICATE]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(said, r#"Bearer error="insufficient_scope", scope="read""#);
        assert_eq!(json(response).await["code"], "permission-missing");
    }
}

#[tokio::test]
async fn history_holds_what_is_visible_and_the_limit_counts_only_that() {
    let stage = Stage::new().await;
    for (id, owner, repo) in [
        ("e1", "acme", "tool"),
        ("e2", "octo", "cat"),
        ("e3", "ACME", "TOOL"),
        ("e4", "acme", "other"),
        ("e5", "octo", "cat"),
    ] {
        stage.happens(id, owner, repo).await;
    }
    let recent = stage.get("/events/recent?limit=2", "acme").await.1;
    assert_eq!(ids(&recent), ["e3", "e1"]);
    let recent = stage.get("/events/recent?owner=octo", "acme").await.1;
    assert_eq!(ids(&recent), [""; 0]);
    let recent = stage.get("/events/recent?limit=2", "all").await.1;
    assert_eq!(ids(&recent), ["e5", "e4"]);
    let from = "/events/replay/1970-01-01T00:00:00Z";
    let replay = stage.get(&format!("{from}?limit=1"), "acme").await.1;
    assert_eq!(ids(&replay), ["e1"]);
    let cursor = replay["nextCursor"].as_str().unwrap();
    let next = stage
        .get(&format!("{from}?cursor={cursor}"), "acme")
        .await
        .1;
    assert_eq!(ids(&next), ["e3"]);
    // A cursor is for who got it.
    let (status, foreign) = stage.get(&format!("{from}?cursor={cursor}"), "all").await;
    assert_eq!(
        (status, &foreign["code"]),
        (StatusCode::BAD_REQUEST, &"cursor-foreign".into())
    );
}

#[tokio::test]
async fn a_stream_brings_what_is_visible() {
    let stage = Stage::new().await;
    let mut body = stage
        .send("/events/stream", Some("Bearer acme"))
        .await
        .into_body();
    stage.happens("hidden-1", "octo", "cat").await;
    stage.happens("hidden-2", "acme", "other").await;
    stage.happens("shown", "acme", "tool").await;
    let text = read_until_shown(&mut body).await;
    assert!(!text.contains("hidden"), "{text}");
    // What was read from the log is filtered like what came live.
    let id = text
        .split("id: ")
        .nth(1)
        .and_then(|rest| rest.lines().next())
        .unwrap();
    let path = format!("/events/stream?lastEventId={id}");
    let mut body = stage.send(&path, Some("Bearer acme")).await.into_body();
    let text = read_until_shown(&mut body).await;
    assert!(!text.contains("hidden"), "{text}");
}

#[tokio::test]
async fn the_look_at_tokens_does_not_hold_up_the_drain() {
    let stage = Stage::new().await;
    let outcome = stage.life.run(std::future::ready(())).await;
    assert!(outcome.clean, "{outcome:?}");
}

#[tokio::test]
async fn a_token_that_leaves_the_file_is_refused_while_the_edge_runs() {
    let stage = Stage::new().await;
    assert_eq!(stage.get("/events/recent", "all").await.0, StatusCode::OK);
    fs::write(&stage.file, "[[token]\n").unwrap();
    let text = block("new", "");
    let new = stage.file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, &stage.file).unwrap();
    let waiting = async {
        while stage.get("/events/recent", "new").await.0 != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, waiting).await.unwrap();
    assert_eq!(
        stage.get("/events/recent", "all").await.0,
        StatusCode::UNAUTHORIZED
    );
}
