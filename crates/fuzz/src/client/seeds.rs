//! The valid requests: every route, and every method of MCP in both eras.

use serde_json::{Value, json};

use super::request::{FuzzListener, FuzzRequest};

const MODERN: &str = "2026-07-28";
const HANDSHAKE: &str = "2025-11-25";
const BATCHES: &str = "2025-03-26";
const NDJSON: &str = "application/x-ndjson";

/// What a server gave out: requests name it.
#[derive(Debug, Clone, Default)]
pub struct GivenOut {
    /// A session of the newest revision with sessions.
    pub session: String,
    /// A session of 2025-03-26.
    pub batch_session: String,
    /// The path to which the client of an HTTP+SSE session posts.
    pub messages_path: String,
    /// A cursor.
    pub cursor: String,
    /// A task.
    pub task: String,
    /// A subscription.
    pub subscription: String,
}

/// The methods of both eras, with their parameters.
fn calls(given: &GivenOut) -> Vec<(&'static str, Value)> {
    let filter = json!({ "owner": "acme", "repo": "rocket", "tags": ["bug", "needs review, urgent"],
        "number": 7, "resourceType": "issue", "eventType": "updated", "actor": "@mona" });
    let call = |name: &str, arguments: Value| json!({ "name": name, "arguments": arguments });
    let uri = json!({ "uri": "github://issues/acme/rocket/7" });
    let prompt = json!({ "type": "ref/prompt", "name": "triage_event" });
    vec![
        ("ping", json!({})),
        ("tools/list", json!({ "cursor": null })),
        ("prompts/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", uri.clone()),
        ("resources/subscribe", uri.clone()),
        ("resources/unsubscribe", uri),
        ("logging/setLevel", json!({ "level": "debug" })),
        (
            "prompts/get",
            call(
                "triage_event",
                json!({ "owner": "acme", "repo": "rocket", "number": "7" }),
            ),
        ),
        (
            "completion/complete",
            json!({ "ref": prompt, "argument": { "name": "repo", "value": "ro" },
                "context": { "arguments": { "owner": "acme" } } }),
        ),
        (
            "tools/call",
            call(
                "get_recent_events",
                json!({ "limit": 3, "filters": [filter], "before": given.cursor }),
            ),
        ),
        (
            "tools/call",
            call(
                "replay_events",
                json!({ "cursor": given.cursor, "limit": 3, "waitSeconds": 0,
                "from": "2026-11-20T10:00:00Z", "to": "2036-11-20T10:00:00Z" }),
            ),
        ),
        (
            "tools/call",
            call(
                "wait_for_events",
                json!({ "cursor": given.cursor, "maxWaitSeconds": 1 }),
            ),
        ),
        (
            "tools/call",
            call("subscribe_to_events", json!({ "filters": [filter] })),
        ),
        (
            "tools/call",
            call(
                "get_subscribed_events",
                json!({ "clientId": "fuzz", "cursor": given.cursor, "limit": 3 }),
            ),
        ),
        (
            "tools/call",
            call("manage_events", json!({ "action": "list" })),
        ),
        ("tasks/get", json!({ "taskId": given.task })),
        ("tasks/cancel", json!({ "taskId": "no-such-task" })),
        (
            "tasks/update",
            json!({ "taskId": given.task, "inputResponses": {} }),
        ),
    ]
}

fn message(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })
}

fn mcp() -> FuzzRequest {
    let request = FuzzRequest::new("POST", "/mcp");
    request.header("Accept", "application/json, text/event-stream")
}

/// A request of the stateless era.
fn modern(method: &str, mut params: Value) -> FuzzRequest {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities":
            { "extensions": { "io.modelcontextprotocol/tasks": {} }, "elicitation": {} },
        "io.modelcontextprotocol/clientInfo": { "name": "fuzz", "version": "1" },
        "progressToken": "p",
    });
    let name = ["name", "uri", "taskId"]
        .iter()
        .find_map(|name| params[name].as_str());
    let name = name.map(ToOwned::to_owned);
    let request = mcp()
        .header("MCP-Protocol-Version", MODERN)
        .header("Mcp-Method", method);
    let request = match name {
        Some(name) => request.header("Mcp-Name", &name),
        None => request,
    };
    request.json(&message(method, &params).to_string())
}

fn of_session(session: &str, version: &str) -> FuzzRequest {
    mcp()
        .header("Mcp-Session-Id", session)
        .header("MCP-Protocol-Version", version)
}

fn initialize(version: &str) -> Value {
    let client = json!({ "name": "fuzz", "title": "Fuzz", "version": "1", "icons": [] });
    let capabilities =
        json!({ "roots": { "listChanged": true }, "sampling": {}, "elicitation": {} });
    message(
        "initialize",
        &json!({ "protocolVersion": version, "capabilities": capabilities, "clientInfo": client }),
    )
}

fn of_mcp(given: &GivenOut) -> Vec<FuzzRequest> {
    let session = || of_session(&given.session, HANDSHAKE);
    let listen = json!({ "notifications": { "toolsListChanged": true, "taskIds": [given.task],
        "resourceSubscriptions": ["github://events/acme", "github://issues/acme/rocket/7"] } });
    let mut all = vec![
        modern("server/discover", json!({})),
        modern("subscriptions/listen", listen),
        session().json(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
        session().json(
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"reason":"x"}}"#,
        ),
        session().json(r#"{"jsonrpc":"2.0","id":"ask-1","result":{"action":"accept","content":{}}}"#),
    ];
    for version in ["2024-11-05", BATCHES, "2025-06-18", HANDSHAKE] {
        all.push(mcp().json(&initialize(version).to_string()));
    }
    let calls = calls(given);
    let few = calls
        .iter()
        .take(5)
        .map(|(method, params)| message(method, params));
    let batch = Value::Array(few.collect()).to_string();
    all.push(of_session(&given.batch_session, BATCHES).json(&batch));
    for (method, params) in calls {
        all.push(session().json(&message(method, &params).to_string()));
        all.push(modern(method, params));
    }
    let stream = |id: &str| {
        FuzzRequest::new("GET", "/mcp")
            .header("Accept", "text/event-stream")
            .header("Mcp-Session-Id", &given.session)
            .header("Last-Event-ID", id)
    };
    all.extend([
        stream(&given.cursor),
        stream("0"),
        FuzzRequest::new("DELETE", "/mcp").header("Mcp-Session-Id", "no-such-session"),
    ]);
    all
}

fn of_lines(given: &GivenOut) -> Vec<FuzzRequest> {
    let mut lines = initialize(HANDSHAKE).to_string() + "\n";
    for (method, params) in calls(given).into_iter().take(6) {
        lines += &(message(method, &params).to_string() + "\n");
    }
    let mut request = FuzzRequest::new("POST", "/mcp/stream")
        .header("Accept", NDJSON)
        .json(&lines);
    request.set_header("Content-Type", NDJSON);
    vec![request]
}

fn of_rest(given: &GivenOut) -> Vec<FuzzRequest> {
    let filter = "resourceType=issue&eventType=updated&owner=acme&repo=rocket&number=7&actor=mona\
                  &source=webhook&tags=bug,%22a,b%22&tags=docs&resourceId=I_7";
    let get = |path: String| FuzzRequest::new("GET", &path);
    let cursor = &given.cursor;
    let subscription = json!({ "clientId": "fuzz", "transport": "sse", "since": cursor,
        "expiresAt": "2027-01-01T00:00:00Z", "metadata": { "a": [1] },
        "filters": [{ "owner": "acme", "tags": ["bug"], "number": "#7", "resourceType": "ISSUE" }] });
    vec![
        get(format!("/events/recent?limit=3&before={cursor}&{filter}")),
        get("/events/recent".to_owned()),
        get(format!(
            "/events/replay/2026-11-20T10:00:00Z?limit=3&cursor={cursor}&{filter}"
        )),
        get(format!("/events/replay/1763632800?{filter}")),
        get(format!("/events/stream?{filter}")).header("Accept", "text/event-stream"),
        get("/events/stream".to_owned()).header("Last-Event-ID", cursor),
        get(format!(
            "/events/stream?subscription={}&clientId=c",
            given.subscription
        )),
        get("/events/stream?clientId=fuzz&lastEventId=2026-11-20".to_owned()),
        get("/events/subscribe?limit=3&cursor=a-b_c".to_owned()),
        get(format!("/events/subscribe/{}", given.subscription)),
        FuzzRequest::new("POST", "/events/subscribe").json(&subscription.to_string()),
        FuzzRequest::new(
            "PATCH",
            &format!("/events/subscribe/{}", given.subscription),
        )
        .json(r#"{"expiresAt":"2027-01-01T00:00:00Z"}"#),
        FuzzRequest::new("DELETE", "/events/subscribe/no-such-subscription"),
        get("/mcp/sse/stats".to_owned()),
        get("/.well-known/oauth-protected-resource/mcp".to_owned()),
        get("/mcp/sse?lastEventId=a:b".to_owned()).header("Accept", "text/event-stream"),
        get("/mcp/sse?token=x".to_owned()).header("Last-Event-ID", cursor),
        get("/demo".to_owned()),
        FuzzRequest::new("OPTIONS", "/mcp")
            .header("Origin", "http://localhost:5173")
            .header("Access-Control-Request-Method", "POST"),
        get("/events/recent?limit=1".to_owned())
            .header("Origin", "http://localhost")
            .header(
                "Authorization",
                "Bearer fw_0123456789abcdef0123456789abcdef",
            ),
    ]
}

fn of_messages(given: &GivenOut) -> Vec<FuzzRequest> {
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/test", "params": { "n": 1 } });
    let send = json!({ "sessionId": given.session, "message": note, "wait": false });
    let filter = json!({ "principal": "nobody", "subscribed": true, "clientName": "fuzz" });
    let broadcast = json!({ "message": note, "filter": filter, "durable": true });
    let documented = json!({ "type": "mcp-notification", "result": { "message": "soon" } });
    let of_types = json!({ "message": documented, "filter": { "tokenTypes": ["team"], "permissions": ["read"] } });
    let by_connection =
        json!({ "connectionId": given.session, "message": { "method": "tools/list" } });
    let post = |path: &str, body: &Value| FuzzRequest::new("POST", path).json(&body.to_string());
    let mut all = vec![
        post("/mcp/sse/send", &send),
        post("/mcp/sse/send", &by_connection),
        post("/mcp/sse/broadcast", &broadcast),
        post("/mcp/sse/broadcast", &of_types),
        FuzzRequest::new("GET", "/sse").header("Accept", "text/event-stream"),
    ];
    for (method, params) in calls(given).into_iter().take(6) {
        all.push(post(&given.messages_path, &message(method, &params)));
    }
    all
}

fn of_ingest() -> Vec<FuzzRequest> {
    let repository = json!({ "id": 1, "node_id": "R_1", "name": "rocket", "private": false,
        "full_name": "acme/rocket", "owner": { "login": "acme", "id": 2, "node_id": "O_2" } });
    let issue = json!({ "id": 3, "node_id": "I_7", "number": 7, "state": "open", "title": "Title",
        "labels": [{ "id": 4, "name": "bug" }], "html_url": "https://github.com/acme/rocket/issues/7",
        "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z", "body": null });
    let sender = json!({ "login": "mona", "id": 5, "node_id": "U_5" });
    let mut pull_request = issue.clone();
    pull_request["merged"] = json!(false);
    let deliveries = [
        (
            "issues",
            json!({ "action": "edited", "issue": issue, "changes": { "title": { "from": "x" } } }),
        ),
        (
            "issues",
            json!({ "action": "labeled", "issue": issue, "label": { "name": "bug" } }),
        ),
        (
            "pull_request",
            json!({ "action": "opened", "number": 7, "pull_request": pull_request }),
        ),
        (
            "milestone",
            json!({ "action": "created", "milestone": issue }),
        ),
        (
            "projects_v2_item",
            json!({ "action": "edited", "projects_v2_item": { "id": 1, "node_id": "PVTI_1",
                "project_node_id": "PVT_1", "content_type": "Issue", "content_node_id": "I_7" },
                "organization": { "login": "acme", "id": 2 } }),
        ),
        ("ping", json!({ "zen": "x", "hook_id": 1 })),
    ];
    let request = |(event, mut payload): (&str, Value)| {
        payload["repository"] = repository.clone();
        payload["sender"] = sender.clone();
        let request = FuzzRequest::new("POST", "/webhooks/github")
            .header("User-Agent", "GitHub-Hookshot/7f2c1a9")
            .header("X-GitHub-Event", event)
            .header("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
            .header("X-GitHub-Hook-ID", "1")
            .json(&payload.to_string());
        FuzzRequest {
            listener: FuzzListener::Ingest,
            is_signed: true,
            ..request
        }
    };
    deliveries.into_iter().map(request).collect()
}

/// One valid request for each route and method.
#[must_use]
pub fn valid_requests(given: &GivenOut) -> Vec<FuzzRequest> {
    let parts = [
        of_mcp(given),
        of_lines(given),
        of_rest(given),
        of_messages(given),
        of_ingest(),
    ];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;
    use http::Uri;
    use sse_edge::parameters::{
        ParameterError, RecentParameters, ReplayParameters, StreamParameters,
    };

    use super::*;

    /// Changes of a request that is refused anyway reach nothing behind its refusal.
    #[test]
    fn the_requests_of_rest_are_valid() {
        let given = GivenOut {
            cursor: "c".to_owned(),
            subscription: "s".to_owned(),
            ..GivenOut::default()
        };
        let (mut routes, defaults) = ([0, 0, 0], model::FilterDefaults::default());
        for request in of_rest(&given) {
            let path = std::str::from_utf8(&request.path).unwrap();
            let uri: Uri = path.parse().unwrap();
            let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri).unwrap();
            let route = uri.path().strip_prefix("/events/").unwrap_or_default();
            let read: Result<(), ParameterError> = match route.split_once('/') {
                Some(("replay", time)) => {
                    routes[0] += 1;
                    ReplayParameters::read(time, pairs, defaults).map(drop)
                }
                _ if route == "recent" => {
                    routes[1] += 1;
                    RecentParameters::read(pairs, defaults).map(drop)
                }
                _ if route == "stream" => {
                    routes[2] += 1;
                    StreamParameters::read(pairs, defaults).map(drop)
                }
                _ => continue,
            };
            assert_eq!(read, Ok(()), "{path}");
        }
        assert!(routes.iter().all(|count| *count > 0), "{routes:?}");
    }
}
