//! The tools need no edge and no GitHub: a mirror is enough.

#![recursion_limit = "256"] // The largest objects are one literal.
#![allow(clippy::needless_pass_by_value)] // Literals of JSON are passed as they are written.
#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

mod answers;
mod cursors;
mod described;
mod memory_mirror;
mod pages;
mod prompts_of_mirror;
mod refusals;
mod resources_of_mirror;
mod sprints;
mod visibility;

use std::{sync::Arc, time::Duration};

use access::{Permission, Permissions, PresentRights, Principal, Visibility};
use github_tools::{GithubToolDeps, PageKeys, resources, toolsets};
use mcp::{
    ProtocolVersion, RequestId,
    capability::Capabilities,
    extension::Extensions,
    profile::{ServerInfo, ServerProfile},
};
use mcp_server::{
    CallError, Caller, OfferRegistry, RateLimiter, RateLimits, caller::ClientSlot,
    offered_tools::OfferedTools, output::CallOutput, tool::ToolCall,
};
use model::{
    CursorKeys, Epoch, GithubIds, LogPosition, ManualClock, OwnerId, PrincipalId, RandomIds,
    RepositoryId, ResourceId, Sequence, SharedKey, Timestamp,
};
use ports::{MirrorAddress, MirroredKind, MirroredState};
use serde_json::{Value, json, value::to_raw_value};

use memory_mirror::MemoryMirror;

/// The time of all answers.
const NOW: &str = "2026-12-01T15:00:00Z";
/// Since when lists are whole.
const AS_OF: &str = "2026-12-01T14:00:00Z";

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// A state at `owner/repo`, or of an owner, with these ids of the owner and the repository.
fn state(
    (kind, place, number): (MirroredKind, &str, u64),
    ids: (u64, u64),
    object: Value,
) -> MirroredState {
    let (owner, repo) = place
        .split_once('/')
        .map_or((place, None), |(o, r)| (o, Some(r)));
    let updated = object["updated_at"]
        .as_str()
        .unwrap_or("2026-11-01T00:00:00Z");
    MirroredState {
        address: MirrorAddress {
            kind,
            owner: owner.to_owned(),
            repo: repo.map(ToOwned::to_owned),
            number,
        },
        node_id: ResourceId::new(&format!("N_{kind}_{number}_{}", ids.1)).unwrap(),
        ids: GithubIds {
            owner: Some(OwnerId(ids.0)),
            repository: repo.map(|_| RepositoryId(ids.1)),
            resource: Some(number),
        },
        updated_at: time(updated),
        json: object.to_string().into(),
        deleted: false,
    }
}

/// An issue of `acme/rocket`.
fn issue(number: u64, more: Value) -> MirroredState {
    let mut object = json!({
        "number": number, "title": format!("Issue {number}"), "state": "open", "user": {"login": "octocat"},
        "labels": [], "assignees": [], "body": "text", "updated_at": "2026-11-01T00:00:00Z",
        "html_url": format!("https://github.com/acme/rocket/issues/{number}"),
        "url": format!("https://api.github.com/repos/acme/rocket/issues/{number}"),
    });
    object
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap());
    state(
        (MirroredKind::Issue, "acme/rocket", number),
        (10, 1),
        object,
    )
}

/// A mirror of `acme/rocket` and of acme's projects, whole, with these states.
fn mirror(states: Vec<MirroredState>) -> Arc<MemoryMirror> {
    let mirror = MemoryMirror::default();
    *mirror.states.lock().unwrap() = states;
    for kind in MirroredKind::ALL {
        for place in ["acme/rocket", "acme"] {
            let key = (place.to_owned(), kind);
            mirror.as_of.lock().unwrap().insert(key, time(AS_OF));
        }
    }
    Arc::new(mirror)
}

/// The keys of an edge.
#[derive(Debug, Clone)]
struct TestKeys(Arc<CursorKeys>);

impl TestKeys {
    fn of(text: &str) -> Self {
        let key = SharedKey::of_text(text);
        Self(Arc::new(CursorKeys::new(&[key], Epoch(1), false)))
    }
}

impl PageKeys for TestKeys {
    fn keys(&self) -> Result<Arc<CursorKeys>, CallError> {
        Ok(Arc::clone(&self.0))
    }
}

fn server(mirror: &Arc<MemoryMirror>) -> OfferRegistry {
    server_with(mirror, &TestKeys::of("the key of all edges"))
}

/// A server with these keys.
fn server_with(mirror: &Arc<MemoryMirror>, keys: &TestKeys) -> OfferRegistry {
    let clock = ManualClock::at(time(NOW));
    let deps = GithubToolDeps {
        mirror: Arc::<MemoryMirror>::clone(mirror),
        clock: Arc::new(clock),
        page_keys: Arc::new(keys.clone()),
        ids: Arc::new(RandomIds),
    };
    let profile = ServerProfile {
        info: ServerInfo::new("test", "0"),
        capabilities: Capabilities::default(),
        instructions: None,
    };
    let mut sets = toolsets(&deps);
    sets.push(resources(&deps, &sets));
    OfferRegistry::new(profile, Extensions::none(), sets).unwrap()
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

fn all() -> Caller {
    caller(Visibility::all())
}

/// The result of a call.
async fn call(server: &OfferRegistry, caller: &Caller, tool: &str, arguments: Value) -> Value {
    let params = to_raw_value(&json!({ "name": tool, "arguments": arguments })).unwrap();
    let called = server.tools().call(caller, Some(params)).await.unwrap();
    let ToolCall::Done(outcome) = called else {
        panic!("a tool that only reads has its answer at once");
    };
    let answer = OfferRegistry::tool_answer(caller, &RequestId::Integer(1), outcome).unwrap();
    serde_json::from_slice::<Value>(&answer).unwrap()["result"].take()
}

/// The content of a resource; the error if there is none.
async fn resource(server: &OfferRegistry, caller: &Caller, uri: &str) -> Result<Value, Value> {
    let params = to_raw_value(&json!({ "uri": uri })).unwrap();
    let read = server.call(
        caller,
        &RequestId::Integer(1),
        "resources/read",
        Some(params),
    );
    let Ok(answer) = read.await else {
        return Err(Value::Null);
    };
    let mut answer: Value = serde_json::from_slice(&answer).unwrap();
    let text = answer["result"]["contents"][0]["text"].as_str();
    match text {
        Some(text) => {
            // As the revision of 2026-07-28 has it.
            assert_eq!(answer["result"]["cacheScope"], "private");
            assert_eq!(answer["result"]["ttlMs"], 0);
            Ok(serde_json::from_str(text).unwrap())
        }
        None => Err(answer["error"].take()),
    }
}

/// The structured answer of a call that succeeds.
async fn answer(server: &OfferRegistry, caller: &Caller, tool: &str, arguments: Value) -> Value {
    let result = call(server, caller, tool, arguments).await;
    assert_ne!(result["isError"], true, "{tool}: {result}");
    result["structuredContent"].clone()
}

/// The text with which a call is refused.
async fn refusal(server: &OfferRegistry, caller: &Caller, tool: &str, arguments: Value) -> String {
    let result = call(server, caller, tool, arguments).await;
    assert_eq!(result["isError"], true, "{tool}: {result}");
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

/// The numbers or ids of the items of an answer.
fn numbers(answer: &Value) -> Vec<u64> {
    let number = |item: &Value| item["number"].as_u64().or(item["id"].as_u64()).unwrap();
    answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(number)
        .collect()
}
