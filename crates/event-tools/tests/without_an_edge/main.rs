//! The toolset needs no edge: a hub over a log, a reader of resources and sessions are enough.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

mod budgets;
mod described;
mod subscribed;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use access::{Permission, Permissions, PresentRights, Principal, Visibility};
use async_trait::async_trait;
use event_flow::follow::Followed;
use event_tools::{
    EventToolDeps,
    sessions::{SessionChange, SessionEditor},
    subscriptions::{
        ClientSubscription, ClientSubscriptions, ListedSubscription, ListedSubscriptions,
        LoadedSubscriptions, SubscriptionScope,
    },
    toolset,
};
use fanout::{
    bounds::{MaxAge, StreamBounds},
    hub::{Hub, HubParts},
    lag::LagLimits,
    metrics::FanoutMetrics,
};
use mcp::{
    ErrorCode, ProtocolVersion, RequestId,
    capability::Capabilities,
    completion::{CompleteParams, CompleteResult},
    extension::Extensions,
    method,
    profile::{ServerInfo, ServerProfile},
    prompt::{GetPromptParams, GetPromptResult, PromptArgument, PromptDescriptor},
    resource::{ResourceContents, ResourceDescriptor, TemplateDescriptor},
};
use mcp_server::{
    CallError, Caller, OfferRegistry, Policy, RateClass, RateLimiter, RateLimits, Toolset,
    caller::{CallClient, ClientSlot},
    completion::Completer,
    offered_tools::OfferedTools,
    output::CallOutput,
    prompt::Prompt,
    resource::ResourceSource,
    tool::ToolCall,
};
use model::{
    CursorKeys, Epoch, EventFacts, EventId, EventOrigin, EventType, LogPosition, PrincipalId,
    RandomIds, ResourceId, ResourceType, ResourceUri, Sequence, SessionId, StoredEvent,
    SubscriptionId, SystemClock, Timestamp, TraceContext,
};
use ports::{EventLog, ResourceError, ResourceReader, ResourceState, Revision, SyncStatus};
use serde_json::{Value, json, value::to_raw_value};
use service_kit::descriptors::Descriptors;
use store_layers::StoredLog;
use store_memory::MemoryLogStore;
use subscriptions::{
    ClientId, Subscription, SubscriptionLife, SubscriptionTransport, VersionedSubscription,
};
use tokio_util::sync::CancellationToken;

/// A sync role that knows nothing.
#[derive(Debug)]
struct NoResources;

#[async_trait]
impl ResourceReader for NoResources {
    async fn get_resource(
        &self,
        _: &ResourceUri,
        _: Option<LogPosition>,
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

/// The subscriptions under a client's name, in memory.
#[derive(Debug, Default)]
struct KeptSubscriptions(std::sync::Mutex<Vec<(PrincipalId, ListedSubscription, LogPosition)>>);

/// Some of them.
#[derive(Debug)]
struct Loaded(Vec<VersionedSubscription>);

impl LoadedSubscriptions for Loaded {
    fn all(&self) -> &[VersionedSubscription] {
        &self.0
    }

    fn are_many(&self) -> bool {
        self.0.len() > 100
    }
}

fn versioned(
    (owner, listed, since): &(PrincipalId, ListedSubscription, LogPosition),
) -> VersionedSubscription {
    VersionedSubscription {
        subscription: Subscription {
            id: listed.id.clone(),
            owner: owner.clone(),
            client: listed.client.clone(),
            filters: listed.filters.clone(),
            transport: SubscriptionTransport::Sse,
            since: *since,
            cursor: *since,
            created_at: listed.created_at,
            life: SubscriptionLife::WhileUsed,
            fence: 0,
            session: None,
            named_at: None,
            metadata: serde_json::Map::new(),
        },
        revision: Revision(1),
        expires_at: listed.expires_at,
    }
}

#[async_trait]
impl ClientSubscriptions for KeptSubscriptions {
    async fn make(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
        new: ClientSubscription,
    ) -> Result<(), CallError> {
        let listed = ListedSubscription {
            id: id.clone(),
            client: Some(new.client),
            filters: new.filters,
            created_at: Timestamp::default(),
            expires_at: Timestamp::default(),
        };
        let new = (owner.clone(), listed, new.since);
        self.0.lock().unwrap().push(new);
        Ok(())
    }

    async fn load(
        &self,
        owner: &PrincipalId,
        scope: SubscriptionScope<'_>,
    ) -> Result<Option<Box<dyn LoadedSubscriptions>>, CallError> {
        let kept = self.0.lock().unwrap();
        let own = kept.iter().filter(|(of, listed, _)| {
            of == owner
                && match scope {
                    SubscriptionScope::All => true,
                    SubscriptionScope::Client(client) => listed.client.as_ref() == Some(client),
                    SubscriptionScope::One(id) => listed.id == *id,
                }
        });
        let own: Vec<_> = own.map(versioned).collect();
        let is_missing = own.is_empty() && matches!(scope, SubscriptionScope::One(_));
        Ok((!is_missing).then(|| Box::new(Loaded(own)) as Box<dyn LoadedSubscriptions>))
    }

    async fn delete(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
        _: Option<&SessionId>,
    ) -> Result<bool, CallError> {
        let mut kept = self.0.lock().unwrap();
        let before = kept.len();
        kept.retain(|(of, listed, _)| of != owner || listed.id != *id);
        Ok(kept.len() < before)
    }

    async fn list(
        &self,
        owner: &PrincipalId,
        client: Option<&ClientId>,
    ) -> Result<ListedSubscriptions, CallError> {
        let kept = self.0.lock().unwrap();
        let own = kept.iter().filter(|(of, listed, _)| {
            of == owner && client.is_none_or(|client| listed.client.as_ref() == Some(client))
        });
        let mut own = own.map(|(_, listed, _)| listed.clone());
        Ok(ListedSubscriptions {
            subscriptions: own.by_ref().take(100).collect(),
            has_more: own.next().is_some(),
        })
    }
}

fn event(n: u64, owner: &str) -> StoredEvent {
    let id = EventId::new(&format!("e{n}")).unwrap();
    StoredEvent {
        json: json!({ "id": id.as_str() }).to_string().into(),
        facts: Arc::new(EventFacts {
            id,
            event_type: EventType::UPDATED,
            action: None,
            resource_type: ResourceType::ISSUE,
            resource_id: ResourceId::new("I_1").unwrap(),
            owner: Some(owner.to_owned()),
            repo: Some("repo".to_owned()),
            number: Some(n),
            ids: model::GithubIds::default(),
            former: None,
            actor: None,
            author: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
        }),
        trace: None,
    }
}

/// A server that offers the toolset over a log with events of two owners.
async fn server() -> OfferRegistry {
    server_beside(Toolset::new("none")).await
}

/// The same, with another toolset after it.
async fn server_beside(other: Toolset) -> OfferRegistry {
    let events = vec![event(1, "mine"), event(2, "theirs"), event(3, "mine")];
    server_over(events, other).await
}

/// A server that offers the toolset over a log with these events.
async fn server_over(events: Vec<StoredEvent>, other: Toolset) -> OfferRegistry {
    following_server(events, other).await.0
}

/// The same with its log, which is not full, and the hub that follows it.
async fn following_server(
    events: Vec<StoredEvent>,
    other: Toolset,
) -> (OfferRegistry, Arc<StoredLog<MemoryLogStore>>, Arc<Hub>) {
    let log = StoredLog::new(MemoryLogStore::new(
        &RandomIds,
        NonZeroUsize::new(events.len() + 10_000).unwrap(),
    ));
    let log = Arc::new(log);
    log.append(events).await.unwrap();
    let head = log.head().await.unwrap();
    let mut metrics = service_kit::metrics::MetricsRegistry::default();
    let age = MaxAge::new(0, 15);
    let hub = Hub::new(HubParts {
        log: Arc::<StoredLog<MemoryLogStore>>::clone(&log),
        names: Arc::default(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        metrics: FanoutMetrics::new(&mut metrics),
        cursor_keys: CursorKeys::new(&[], Epoch(0), true),
        bounds: StreamBounds::new(10, Descriptors::UNLIMITED, age, LagLimits::default()),
        has_channels: true,
        draining: CancellationToken::new(),
    });
    hub.apply(Followed::Started {
        epoch: head.epoch,
        position: head.last,
        head: head.last,
        tag: None,
    });
    let hub = Arc::new(hub);
    let deps = EventToolDeps {
        hub: Arc::clone(&hub),
        resources: Arc::new(NoResources),
        sessions: Arc::new(NoSessions),
        subscriptions: Arc::new(KeptSubscriptions::default()),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        filter_defaults: model::FilterDefaults::default(),
        base_path: "/fw".to_owned(),
    };
    let profile = ServerProfile {
        info: ServerInfo::new("test", "0"),
        capabilities: Capabilities::default(),
        instructions: None,
    };
    let offers = vec![toolset(&deps), other];
    let server = OfferRegistry::new(profile, Extensions::none(), offers).unwrap();
    (server, log, hub)
}

fn caller(sees: Visibility) -> Caller {
    caller_named("me", sees)
}

fn caller_named(name: &str, sees: Visibility) -> Caller {
    let permissions = Permissions::from_iter([Permission::Read]);
    let principal = Principal::new(PrincipalId::new(name).unwrap(), permissions, sees);
    let principal = Arc::new(principal);
    let mut metrics = service_kit::metrics::MetricsRegistry::default();
    Caller {
        rights: PresentRights::new(Arc::clone(&principal)),
        principal,
        version: ProtocolVersion::V2026_07_28,
        client: ClientSlot::default(),
        trace: None,
        since: LogPosition {
            epoch: Epoch(1),
            sequence: Sequence::START,
            tag: None,
        },
        output: CallOutput::new(None, None).0,
        is_task: false,
        waits_until: None,
        began: Timestamp::default(),
        ran_before: Duration::ZERO,
        parks: false,
        earlier: None,
        server: Arc::new(ServerInfo::new("test", "0")),
        offered: OfferedTools::default(),
        rates: Arc::new(RateLimiter::new(&RateLimits::default(), &mut metrics)),
    }
}

async fn call(server: &OfferRegistry, caller: &Caller, tool: &str, arguments: Value) -> Value {
    let params = to_raw_value(&json!({ "name": tool, "arguments": arguments })).unwrap();
    let called = server.tools().call(caller, Some(params)).await.unwrap();
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

/// The longest wait is that which the client shows to be able to: most give up after a minute of silence.
#[tokio::test(start_paused = true)]
async fn a_wait_is_as_long_as_its_client_shows_and_says_where_it_is() {
    const HOURS: u64 = 3600;
    let server = server().await;
    for (has_token, asked, seconds) in [
        (false, None, 50),
        (false, Some(20), 20),
        (true, None, HOURS),
        (true, Some(3 * HOURS), 3 * HOURS),
        (true, Some(28 * HOURS), 28 * HOURS),
    ] {
        let token = has_token.then(|| RequestId::Text("how-far".into()));
        let (output, mut messages) = CallOutput::new(token, None);
        let caller = Caller {
            output,
            ..caller(Visibility::only(["nobody"], []).unwrap())
        };
        let told = tokio::spawn(async move {
            let mut told = Vec::new();
            while let Some(item) = messages.recv().await {
                let message = item.into_message().unwrap();
                let message: Value = serde_json::from_slice(&message).unwrap();
                told.push((tokio::time::Instant::now(), message["params"].clone()));
            }
            told
        });
        let began = tokio::time::Instant::now();
        let arguments = asked.map_or_else(|| json!({}), |asked| json!({ "maxWaitSeconds": asked }));
        let waited = call(&server, &caller, "wait_for_events", arguments).await;
        assert!(ids(&waited).is_empty() && waited["structuredContent"]["cursor"].is_string());
        assert_eq!(began.elapsed().as_secs(), seconds, "{has_token} {asked:?}");
        drop(caller);
        let (told, reports): (Vec<_>, Vec<_>) = told.await.unwrap().into_iter().unzip();
        let progress: Vec<_> = reports
            .iter()
            .map(|report| report["progress"].as_f64().unwrap())
            .collect();
        assert!(
            progress.is_sorted_by(|one, next| one < next),
            "{progress:?}"
        );
        for report in &reports {
            assert_eq!(report["total"].as_f64(), Some(seconds as f64), "{report}");
            assert!(
                report["progress"].as_f64() < report["total"].as_f64(),
                "{report}"
            );
        }
        let times = std::iter::once(began).chain(told.iter().copied());
        let silences = times
            .clone()
            .zip(times.skip(1))
            .map(|(one, next)| next - one);
        match has_token {
            true => assert!(told[0] == began && silences.max() <= Some(Duration::from_secs(30))),
            false => assert_eq!(told, []),
        }
    }
}

/// What is no time for a wait, or no number of events, is refused with the field, its bounds, and what was given.
#[tokio::test]
async fn a_number_out_of_its_bounds_is_refused_with_them() {
    let server = server().await;
    let caller = caller(Visibility::all());
    let fields = [
        ("wait_for_events", "maxWaitSeconds", 1, 28 * 3600),
        ("wait_for_events", "limit", 1, 1000),
        ("replay_events", "waitSeconds", 0, 50),
        ("replay_events", "limit", 1, 1000),
        ("get_recent_events", "limit", 1, 1000),
        ("get_subscribed_events", "limit", 1, 1000),
        ("get_recent_events", "maxBytes", 4096, 262_144),
        ("get_event", "maxBytes", 4096, 262_144),
    ];
    for (tool, field, least, most) in fields {
        let bounds = format!("{field}: must be a whole number from {least} to {most}, not ");
        for given in [
            json!(-1),
            json!(least - 1),
            json!(most + 1),
            json!(1.5),
            json!(1e300),
            json!("-1"),
            json!("for ever"),
            json!("1h"),
            json!(true),
            json!([1]),
            json!({}),
        ] {
            let arguments = json!({ field: given, "id": "e1" });
            let arguments = match tool {
                "get_event" => arguments,
                _ => json!({ field: given }),
            };
            let refused = call(&server, &caller, tool, arguments).await;
            let text = refused["content"][0]["text"].as_str().unwrap_or_default();
            assert_eq!(
                refused["isError"], true,
                "{tool} {field} {given}: {refused}"
            );
            assert!(text.contains(&bounds), "{tool} {field} {given}: {text}");
        }
    }
}

/// The calls of a batch share the time of one wait.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_time_of_its_batch() {
    let server = server().await;
    let began = tokio::time::Instant::now();
    let caller = Caller {
        waits_until: Some(began + Duration::from_secs(3)),
        ..caller(Visibility::only(["nobody"], []).unwrap())
    };
    for _ in 0..2 {
        let arguments = json!({ "waitSeconds": 20 });
        let waited = call(&server, &caller, "replay_events", arguments).await;
        assert!(
            waited["structuredContent"]["cursor"].is_string(),
            "{waited}"
        );
    }
    assert_eq!(began.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn a_client_without_a_session_subscribes_under_its_name() {
    let (server, caller) = (server().await, caller(Visibility::all()));
    let manage = |arguments| call(&server, &caller, "manage_events", arguments);
    let subscribe = json!({ "action": "subscribe", "clientId": " planner ", "transport": "sse" });
    let made = manage(subscribe).await["structuredContent"].take();
    assert_eq!(made["clientId"], "planner", "{made}");
    assert_eq!(made["listenUris"], json!(["github://events"]));
    for list in [
        json!({ "action": "list" }),
        json!({ "action": "list", "clientId": "planner" }),
    ] {
        let listed = manage(list).await["structuredContent"].take();
        let entry = &listed["subscriptions"][0];
        assert_eq!(
            (&listed["count"], &entry["clientId"]),
            (&json!(1), &json!("planner"))
        );
        assert_eq!(entry["subscriptionId"], made["subscriptionId"]);
    }
    let of_another = manage(json!({ "action": "list", "clientId": "another" })).await;
    assert_eq!(of_another["structuredContent"]["count"], 0, "{of_another}");
    let end = json!({ "action": "unsubscribe", "subscriptionId": made["subscriptionId"] });
    let ended = manage(end.clone()).await;
    assert_eq!(ended["structuredContent"]["success"], true, "{ended}");
    let again = manage(end).await;
    assert_eq!(again["isError"], true);
    let text = again["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("no such subscription"), "{text}");
    // Without a name there is nothing that could be kept.
    let unnamed = manage(json!({ "action": "subscribe" })).await;
    assert!(
        unnamed["structuredContent"]["subscriptionId"].is_null(),
        "{unnamed}"
    );
}

#[tokio::test]
async fn a_number_in_a_filter_is_read_in_every_notation() {
    let server = server().await;
    for number in [json!(7), json!("7"), json!(7.0), json!("7.0"), json!(null)] {
        let filters = json!({ "filters": [{ "number": number }] });
        let caller = caller(Visibility::all());
        let found = call(&server, &caller, "get_recent_events", filters).await;
        assert!(
            found["structuredContent"]["events"].is_array(),
            "{number}: {found}"
        );
    }
}

#[tokio::test]
async fn what_is_no_kind_is_refused_with_the_known_ones_and_a_new_kind_has_a_note() {
    let server = server().await;
    let filters = json!({ "filters": [{ "resourceType": "wiki page" }] });
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
        ["filters[0]", "wiki page", "pull_request"]
            .iter()
            .all(|word| text.contains(word)),
        "{text}"
    );
    let new = json!({ "resourceType": "QUANTUM_LEAP" });
    let caller = caller(Visibility::all());
    let found = call(&server, &caller, "get_recent_events", new).await;
    let note = found["structuredContent"]["notes"][0].as_str().unwrap();
    assert!(
        note.contains("quantum_leap: not a kind that this version knows"),
        "{note}"
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

/// A toolset from outside: a prompt, candidates for its argument, and a resource.
struct Greeting;

#[async_trait]
impl Prompt for Greeting {
    fn descriptor(&self) -> PromptDescriptor {
        PromptDescriptor {
            name: "greet",
            title: "Greet",
            description: "Greets an owner.",
            arguments: vec![PromptArgument {
                name: "owner",
                title: None,
                description: "The owner",
                required: true,
            }],
        }
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Store)
    }

    async fn get(&self, _: &Caller, _: &GetPromptParams) -> Result<GetPromptResult, CallError> {
        Err(CallError::SessionGone)
    }
}

#[async_trait]
impl Completer for Greeting {
    async fn complete(
        &self,
        _: &Caller,
        _: &CompleteParams,
    ) -> Result<Option<CompleteResult>, CallError> {
        Ok(Some(CompleteResult::of(vec!["ours".to_owned()])))
    }
}

#[async_trait]
impl ResourceSource for Greeting {
    fn resources(&self) -> Vec<ResourceDescriptor> {
        Vec::new()
    }

    fn templates(&self) -> Vec<TemplateDescriptor> {
        Vec::new()
    }

    async fn read(&self, _: &Caller, uri: &str) -> Result<Option<ResourceContents>, CallError> {
        Ok((uri == "greeting://all").then(|| ResourceContents::json(uri, "{}".to_owned())))
    }

    fn is_subscribable(&self, _: &Principal, _: &str) -> bool {
        false
    }
}

async fn answer(
    server: &OfferRegistry,
    caller: &Caller,
    method: &str,
    params: Value,
) -> Result<Value, ErrorCode> {
    let params = to_raw_value(&params).unwrap();
    let answer = server.call(caller, &RequestId::Integer(1), method, Some(params));
    let answer = answer.await.map_err(|refusal| refusal.error.code)?;
    Ok(serde_json::from_slice::<Value>(&answer).unwrap()["result"].take())
}

#[tokio::test]
async fn the_argument_of_another_toolsets_prompt_is_completed_by_that_toolset() {
    let other = Toolset::new("greeting")
        .with_prompt(Greeting)
        .with_completer(Greeting);
    let server = server_beside(other).await;
    let caller = caller(Visibility::all());
    for (prompt, expected) in [("greet", "ours"), ("triage_event", "mine")] {
        let params = json!({
            "ref": { "type": "ref/prompt", "name": prompt },
            "argument": { "name": "owner", "value": "" },
        });
        let completed = answer(&server, &caller, "completion/complete", params).await;
        let completed = completed.unwrap();
        assert_eq!(completed["completion"]["values"][0], expected, "{prompt}");
    }
}

#[tokio::test]
async fn a_resource_of_another_toolset_needs_the_permission_to_read() {
    let server = server_beside(Toolset::new("greeting").with_resources(Greeting)).await;
    let mut caller = caller(Visibility::all());
    let params = json!({ "uri": "greeting://all" });
    let read = answer(&server, &caller, "resources/read", params.clone()).await;
    assert_eq!(read.unwrap()["contents"][0]["text"], "{}");
    let id = PrincipalId::new("me").unwrap();
    let may_nothing = Principal::new(id, Permissions::from_iter([]), Visibility::all());
    caller.principal = Arc::new(may_nothing);
    let refused = answer(&server, &caller, "resources/read", params).await;
    assert_eq!(refused, Err(ErrorCode::InvalidRequest));
}
