//! The toolset needs no edge: a hub over a log, a reader of resources and sessions are enough.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use access::{Permission, Permissions, Principal, Visibility};
use async_trait::async_trait;
use event_tools::{
    EventToolDeps,
    sessions::{SessionChange, SessionEditor},
    toolset,
};
use fanout::{
    bounds::{MaxAge, StreamBounds},
    hub::{Hub, HubParts},
    lag::LagLimits,
    metrics::FanoutMetrics,
};
use http::HeaderMap;
use mcp::{
    ErrorCode, ProtocolVersion, RequestId,
    capability::{Capabilities, ClientCapabilities},
    extension::Extensions,
    method,
    profile::{ServerInfo, ServerProfile},
};
use mcp_server::{
    CallError, Caller, OfferRegistry, RateLimiter, RateLimits, output::CallOutput, tool::ToolCall,
};
use model::{
    Epoch, EventFacts, EventId, EventOrigin, EventType, LogPosition, PrincipalId, RandomIds,
    ResourceId, ResourceType, ResourceUri, Sequence, SessionId, StoredEvent, SystemClock,
    Timestamp, TraceContext,
};
use ports::{EventLog, ResourceError, ResourceReader, ResourceState, SyncStatus};
use serde_json::{Value, json, value::to_raw_value};
use service_kit::descriptors::Descriptors;
use store_memory::MemoryEventLog;
use tokio_util::sync::CancellationToken;

/// A sync role that knows nothing.
#[derive(Debug)]
struct NoResources;

#[async_trait]
impl ResourceReader for NoResources {
    async fn get_resource(
        &self,
        _: &ResourceUri,
        _: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        Ok(None)
    }

    async fn status(&self, _: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        Err(ResourceError::Unavailable {
            op: "status",
            source: "not here".into(),
        })
    }
}

/// No session is ever there.
#[derive(Debug)]
struct NoSessions;

#[async_trait]
impl SessionEditor for NoSessions {
    async fn edit(
        &self,
        _: &SessionId,
        _: &PrincipalId,
        _: SessionChange<'_>,
    ) -> Result<bool, CallError> {
        Ok(false)
    }
}

fn event(n: u64, owner: &str) -> StoredEvent {
    let id = EventId::new(&format!("e{n}")).unwrap();
    StoredEvent {
        json: json!({ "id": id.as_str() }).to_string().into(),
        facts: EventFacts {
            id,
            event_type: EventType::UPDATED,
            resource_type: ResourceType::ISSUE,
            resource_id: ResourceId::new("I_1").unwrap(),
            owner: Some(owner.to_owned()),
            repo: Some("repo".to_owned()),
            number: Some(n),
            actor: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
        },
        trace: None,
    }
}

/// A server that offers the toolset over a log with events of two owners.
async fn server() -> OfferRegistry {
    let log = MemoryEventLog::new(&RandomIds, NonZeroUsize::new(100).unwrap());
    let events = vec![event(1, "mine"), event(2, "theirs"), event(3, "mine")];
    log.append(events).await.unwrap();
    let mut metrics = service_kit::metrics::MetricsRegistry::default();
    let age = MaxAge::new(0, 15);
    let hub = Hub::new(HubParts {
        log: Arc::new(log),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        metrics: FanoutMetrics::new(&mut metrics),
        bounds: StreamBounds::new(10, Descriptors::UNLIMITED, age, LagLimits::default()),
        draining: CancellationToken::new(),
    });
    let deps = EventToolDeps {
        hub: Arc::new(hub),
        resources: Arc::new(NoResources),
        sessions: Arc::new(NoSessions),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
    };
    let profile = ServerProfile {
        info: ServerInfo::new("test", "0"),
        capabilities: Capabilities::default(),
        instructions: None,
    };
    OfferRegistry::new(profile, Extensions::none(), vec![toolset(&deps)]).unwrap()
}

fn caller(sees: Visibility) -> Caller {
    let permissions = Permissions::from_iter([Permission::Read]);
    let principal = Principal::new(PrincipalId::new("me").unwrap(), permissions, sees);
    let mut metrics = service_kit::metrics::MetricsRegistry::default();
    Caller {
        principal: Arc::new(principal),
        version: ProtocolVersion::V2026_07_28,
        session: None,
        client: ClientCapabilities::default(),
        trace: None,
        since: LogPosition {
            epoch: Epoch(1),
            sequence: Sequence::START,
        },
        param_headers: HeaderMap::new(),
        asking: None,
        output: CallOutput::new(None, None).0,
        is_task: false,
        server: Arc::new(ServerInfo::new("test", "0")),
        rates: Arc::new(RateLimiter::new(&RateLimits::default(), &mut metrics)),
    }
}

async fn call(server: &OfferRegistry, caller: &Caller, tool: &str, arguments: Value) -> Value {
    let params = to_raw_value(&json!({ "name": tool, "arguments": arguments })).unwrap();
    let called = server.tools().call(caller, Some(&params)).await.unwrap();
    let ToolCall::Done(outcome) = called else {
        panic!("a client without tasks gets its answer");
    };
    let answer = OfferRegistry::tool_answer(caller, &RequestId::Integer(1), outcome).unwrap();
    serde_json::from_slice::<Value>(&answer).unwrap()["result"].take()
}

fn ids(result: &Value) -> Vec<&str> {
    let events = result["structuredContent"]["events"].as_array();
    let events = events.into_iter().flatten();
    events.filter_map(|event| event["id"].as_str()).collect()
}

#[tokio::test]
async fn tools_answer_from_the_log_alone_and_show_what_the_caller_may_see() {
    let server = server().await;
    for (sees, newest) in [
        (Visibility::all(), vec!["e3", "e2", "e1"]),
        (Visibility::only(["mine"], []).unwrap(), vec!["e3", "e1"]),
        (Visibility::only([], ["mine/other"]).unwrap(), Vec::new()),
    ] {
        let caller = caller(sees);
        let recent = call(&server, &caller, "get_recent_events", json!({})).await;
        assert_eq!(ids(&recent), newest);
        let replayed = call(&server, &caller, "replay_events", json!({})).await;
        let oldest: Vec<_> = newest.iter().rev().copied().collect();
        assert_eq!(ids(&replayed), oldest);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_without_an_event_ends_with_a_cursor() {
    let server = server().await;
    let caller = caller(Visibility::only(["nobody"], []).unwrap());
    let began = tokio::time::Instant::now();
    let waited = call(
        &server,
        &caller,
        "replay_events",
        json!({ "waitSeconds": 20 }),
    )
    .await;
    assert!(ids(&waited).is_empty() && waited["structuredContent"]["cursor"].is_string());
    assert!(began.elapsed() >= Duration::from_secs(20));
}

#[tokio::test]
async fn an_unknown_kind_of_a_filter_is_refused_with_the_known_ones() {
    let server = server().await;
    let filters = json!({ "filters": [{ "resourceType": "wiki_page" }] });
    let refused = call(
        &server,
        &caller(Visibility::all()),
        "get_recent_events",
        filters,
    )
    .await;
    assert_eq!(refused["isError"], true);
    let text = refused["content"][0]["text"].as_str().unwrap();
    assert!(
        ["filters[0]", "wiki_page", "pull_request"]
            .iter()
            .all(|word| text.contains(word)),
        "{text}"
    );
}

#[tokio::test]
async fn a_method_that_no_toolset_brings_does_not_exist() {
    let server = server().await;
    let caller = caller(Visibility::all());
    let answer = server.call(&caller, &RequestId::Integer(1), method::TASKS_GET, None);
    assert_eq!(
        answer.await.unwrap_err().error.code,
        ErrorCode::MethodNotFound
    );
}
