//! What is refused names the field and the fix, in the same words on every surface: REST, tools, `/mcp/sse`.

use std::{collections::BTreeSet, sync::Arc};

use access::Authenticator;
use model::{SystemClock, limits::MAX_ACTION_BYTES};
use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
    header::{HeaderMap, HeaderName},
};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::mcp_client::McpClient;

use super::{inputs::answer, principals::Tokens, world::*};

const OPERATES: &str = "token-of-an-operator-of-the-whole-edge--";

/// Words of Rust and of serde, and places in a text that its sender may never have seen as such.
const FOREIGN_WORDS: [&str; 11] = [
    "line ",
    "column",
    "struct ",
    "invalid type",
    "invalid value",
    "expected",
    "sequence",
    "`",
    "u32",
    "usize",
    "serde",
];

fn to(node: &Node, method: Method, path: &str) -> RequestBuilder {
    let request = reqwest::Client::new().request(method, node.at(path));
    request.header("content-type", "application/json")
}

async fn refusal(request: RequestBuilder) -> (StatusCode, String) {
    let (status, problem) = answer(request).await;
    let detail = problem["detail"].as_str().unwrap_or_default().to_owned();
    (status, detail)
}

/// The text of a tool's error; `None` if it succeeds.
async fn refused_by(
    client: &McpClient,
    node: &Node,
    tool: &str,
    arguments: &Value,
) -> Option<String> {
    let result = client.call_tool(&node.url, tool, arguments.clone()).await;
    let result = result.unwrap();
    let text = result["content"][0]["text"].as_str().unwrap().to_owned();
    (result["isError"] == true).then_some(text)
}

const SUBSCRIBE: &str = "/events/subscribe";
/// Stands for the path of a subscription, which takes a PATCH.
const RENEW: &str = "/events/subscribe/{id}";
const SEND: &str = "/mcp/sse/send";
const BROADCAST: &str = "/mcp/sse/broadcast";
/// Stands in a body for arrays that are nested too deeply.
const DEEP: &str = "\"DEEP\"";

/// Bodies that are refused in these words on every path.
const WRONG_ON_EVERY_PATH: [(&str, &str); 7] = [
    ("", "body: is empty; send a JSON object"),
    ("{", "body: is not JSON: it ends too early"),
    ("{'a':1}", "body: is not JSON; send a JSON object"),
    ("[]", "body: must be a JSON object"),
    ("null", "body: must be a JSON object"),
    ("7", "body: must be a JSON object"),
    (r#"{"nothing":1}"#, "nothing: unknown field; known: "),
];

/// Bodies of single paths, and how their refusals begin.
const WRONG_BODIES: [(&str, &str, &str); 29] = [
    (
        SUBSCRIBE,
        r#"{"clientId":7}"#,
        "clientId: must be a string, not the number 7",
    ),
    (
        SUBSCRIBE,
        r#"{"clientId":"a","clientId":"b"}"#,
        "clientId: given twice",
    ),
    (
        SUBSCRIBE,
        r#"{"metadata":[]}"#,
        "metadata: must be an object, not an array",
    ),
    (
        SUBSCRIBE,
        r#"{"metadata":""}"#,
        "metadata: must be an object, not the text",
    ),
    (
        SUBSCRIBE,
        r#"{"metadata":false}"#,
        "metadata: must be an object, not false",
    ),
    (
        SUBSCRIBE,
        r#"{"metadata":{"a":"DEEP"}}"#,
        "metadata: has arrays or objects nested more than 127 deep",
    ),
    (
        SUBSCRIBE,
        r#"{"filters":7}"#,
        "filters: must be a list of filters",
    ),
    (
        SUBSCRIBE,
        r#"{"filters":[[]]}"#,
        "filters[0]: must be a filter such as",
    ),
    (
        SUBSCRIBE,
        r#"{"filters":[{"ownr":"a"}]}"#,
        "filters[0].ownr: unknown field; known: resourceType",
    ),
    (
        SUBSCRIBE,
        r#"{"filters":[{"owner":7}]}"#,
        "filters[0].owner: must be a string",
    ),
    (
        SUBSCRIBE,
        r#"{"filters":[{"owner":"a b"}]}"#,
        "filters[0].owner: not a GitHub login",
    ),
    (
        SUBSCRIBE,
        r#"{"since":[]}"#,
        "since: use a cursor, or a time",
    ),
    (SUBSCRIBE, r#"{"expiresAt":[]}"#, "expiresAt: use RFC 3339"),
    (
        SUBSCRIBE,
        r#"{"endpoint":[]}"#,
        "endpoint: nothing is posted there",
    ),
    (RENEW, r#"{"expiresAt":{}}"#, "expiresAt: use RFC 3339"),
    (RENEW, "{}", "expiresAt: required"),
    (
        SEND,
        r#"{"sessionId":"a-1"}"#,
        "message: missing; it is required",
    ),
    (
        SEND,
        r#"{"sessionId":"a-1","message":{},"wait":"often"}"#,
        "wait: must be true or false",
    ),
    (
        SEND,
        r#"{"sessionId":7,"message":{}}"#,
        "sessionId: must be a string",
    ),
    (SEND, r#"{"message":{}}"#, "body: name connectionId"),
    (
        SEND,
        r#"{"sessionId":"a-1","message":{"jsonrpc":"2.0","method":"notifications/x","params":{"a":"\ud83d"}}}"#,
        "message: has half a character",
    ),
    (BROADCAST, "{}", "message: missing; it is required"),
    (
        BROADCAST,
        r#"{"message":7}"#,
        "message: must be one JSON-RPC notification",
    ),
    (
        BROADCAST,
        r#"{"message":{"result":1e400}}"#,
        "message: has a number beyond 1.8e308",
    ),
    (
        BROADCAST,
        r#"{"message":{},"filter":[]}"#,
        "filter: must be an object, not an array",
    ),
    (
        BROADCAST,
        r#"{"message":{},"filter":[["master"]]}"#,
        "filter: must be an object, not an array",
    ),
    (
        BROADCAST,
        r#"{"message":{},"filter":{"tokenTypes":["root"]}}"#,
        "filter.tokenTypes[0]: unknown name \"root\"; known: master, team, readonly",
    ),
    (
        BROADCAST,
        r#"{"message":{},"filter":{"tokenTypes":"team"}}"#,
        "filter.tokenTypes: must be an array, not the text",
    ),
    (
        BROADCAST,
        r#"{"message":{},"durable":1}"#,
        "durable: must be true or false, not the number 1",
    ),
];

#[tokio::test]
async fn a_body_is_refused_by_its_field_in_the_words_of_json_on_every_path() {
    let (world, tokens) = (EdgeWorld::new().await, Tokens::new());
    let permissions = "permissions = [\"read\", \"send\", \"admin\"]";
    tokens.write(&[(OPERATES, "ops", permissions)]);
    let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
    let config = EdgeConfig::default();
    let node = world.node_for(&config, world.bus.clone(), auth).await;
    let with_token = |method, path: &str| to(&node, method, path).bearer_auth(OPERATES);
    let made = answer(with_token(Method::POST, SUBSCRIBE).body("{}"))
        .await
        .1;
    let address = format!("{SUBSCRIBE}/{}", made["subscriptionId"].as_str().unwrap());
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let mut cases = WRONG_BODIES.to_vec();
    for path in [SUBSCRIBE, RENEW, SEND, BROADCAST] {
        cases.extend(WRONG_ON_EVERY_PATH.map(|(body, words)| (path, body, words)));
    }
    for (path, body, words) in cases {
        let (method, at) = match path {
            RENEW => (Method::PATCH, address.as_str()),
            path => (Method::POST, path),
        };
        let request = with_token(method, at).body(body.replace(DEEP, &deep));
        let (status, detail) = refusal(request).await;
        let told = format!("{path} {body}: {status} {detail}");
        assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
        assert!(detail.starts_with(words), "{told}");
        for foreign in FOREIGN_WORDS {
            assert!(!detail.contains(foreign), "{told}");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_no_list_is_refused_by_its_name_on_every_surface() {
    let (world, node, _b) = EdgeWorld::two().await;
    world.happens("cat").await;
    let since = "/events/replay/2020-01-01";
    for (path, name) in [
        ("/events/subscribe?cursor=zzz".to_owned(), "cursor"),
        ("/events/subscribe?cursor=%20x%20y".into(), "cursor"),
        ("/events/recent?before=zzz".into(), "before"),
        (format!("{since}?cursor=zzz"), "cursor"),
        (format!("{since}?order=desc&before=zzz"), "before"),
    ] {
        let (status, detail) = refusal(to(&node, Method::GET, &path)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {detail}");
        let is_named = detail.starts_with(&format!("{name}: "));
        assert!(
            is_named && detail.contains("leave it out"),
            "{path}: {detail}"
        );
    }
    let client = connect(&node).await;
    for (tool, name) in [
        ("get_recent_events", "before"),
        ("replay_events", "cursor"),
        ("wait_for_events", "cursor"),
        ("get_subscribed_events", "cursor"),
        ("get_subscribed_events", "before"),
    ] {
        let refused = refused_by(&client, &node, tool, &json!({ name: "zzz" })).await;
        let refused = refused.unwrap_or_default();
        assert!(
            refused.starts_with(&format!("{name}: ")),
            "{tool}: {refused}"
        );
    }
    for list in [
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
    ] {
        let message =
            json!({ "jsonrpc": "2.0", "id": 1, "method": list, "params": { "cursor": "zzz" } });
        let request = to(&node, Method::POST, "/mcp").headers(client.headers());
        let (_, answered) = answer(request.json(&message)).await;
        let text = answered["error"]["message"].as_str().unwrap_or_default();
        assert!(text.starts_with("cursor: "), "{list}: {answered}");
    }
    // The cursor that the list itself gives leads on.
    for _ in 0..3 {
        let made = to(&node, Method::POST, "/events/subscribe").body(r#"{"clientId":"c"}"#);
        assert_eq!(answer(made).await.0, StatusCode::CREATED);
    }
    let (mut path, mut count) = ("/events/subscribe?limit=2".to_owned(), 0);
    loop {
        let (status, page) = answer(to(&node, Method::GET, &path)).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        count += page["count"].as_u64().unwrap();
        match page["nextCursor"].as_str() {
            Some(next) => path = format!("/events/subscribe?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(count, 3);
}

/// The ways to give a filter: the surface, and its refusal or `None`.
async fn on_every_surface(
    (node, client): (&Node, &McpClient),
    field: &str,
    value: &str,
) -> Vec<(String, Option<String>)> {
    let mut answers = Vec::new();
    for path in [
        "/events/recent",
        "/events/replay/2020-01-01",
        "/events/stream",
    ] {
        let mut url = node.at(path);
        url.query_pairs_mut().append_pair(field, value);
        // Of a stream, the head of its answer.
        let method = match path {
            "/events/stream" => Method::HEAD,
            _ => Method::GET,
        };
        let (status, detail) = refusal(reqwest::Client::new().request(method, url)).await;
        let refused = status == StatusCode::BAD_REQUEST;
        answers.push((path.to_owned(), refused.then_some(detail)));
    }
    let filters = json!({ "filters": [{ field: value }] });
    let subscribe = to(node, Method::POST, "/events/subscribe").json(&filters);
    let (status, detail) = refusal(subscribe).await;
    let refused = status == StatusCode::BAD_REQUEST;
    answers.push(("subscribe".to_owned(), refused.then_some(detail)));
    for (tool, more) in [
        ("get_recent_events", json!({})),
        ("replay_events", json!({})),
        (
            "wait_for_events",
            json!({ "maxWaitSeconds": 1, "cursor": null }),
        ),
        ("subscribe_to_events", json!({})),
    ] {
        for mut arguments in [json!({ field: value }), filters.clone()] {
            for (name, value) in more.as_object().unwrap() {
                arguments[name] = value.clone();
            }
            let refused = refused_by(client, node, tool, &arguments).await;
            answers.push((format!("{tool} {arguments:.40}"), refused));
        }
    }
    answers
}

#[tokio::test]
async fn an_action_has_one_bound_on_every_surface() {
    let (_world, node, _b) = EdgeWorld::two().await;
    let client = connect(&node).await;
    for (length, fits) in [
        (64, true),
        (65, true),
        (MAX_ACTION_BYTES, true),
        (MAX_ACTION_BYTES + 1, false),
    ] {
        let action = "x".repeat(length);
        for (surface, refused) in on_every_surface((&node, &client), "action", &action).await {
            assert_eq!(refused.is_none(), fits, "{surface}, {length}: {refused:?}");
            if let Some(refused) = refused.filter(|text| !text.is_empty()) {
                let bound = format!("up to {MAX_ACTION_BYTES} bytes");
                let is_named = ["action: ", "filters[0].action: "];
                let is_named = is_named.iter().any(|name| refused.starts_with(name));
                assert!(is_named && refused.contains(&bound), "{surface}: {refused}");
            }
        }
    }
}

#[tokio::test]
async fn a_place_where_a_resource_is_meant_is_refused_with_where_it_goes() {
    let (_world, node, _b) = EdgeWorld::two().await;
    let client = connect(&node).await;
    for (given, fix) in [
        ("https://github.com/octo/cat", "put it into repo"),
        ("octo/cat", "put it into repo"),
        ("git@github.com:octo/cat.git", "put it into repo"),
        ("https://github.com/octo", "put it into owner"),
    ] {
        for (surface, refused) in on_every_surface((&node, &client), "resourceId", given).await {
            let refused = refused.unwrap_or_else(|| panic!("{surface} takes {given}"));
            // A HEAD has no body.
            assert!(
                refused.is_empty() || refused.contains(fix),
                "{surface}: {refused}"
            );
            assert!(!refused.contains("filters: "), "{surface}: {refused}");
        }
    }
}

#[tokio::test]
async fn too_many_filters_are_told_with_their_field_once() {
    let (_world, node, _b) = EdgeWorld::two().await;
    let client = connect(&node).await;
    let many = json!({ "filters": vec![json!({ "owner": "octo" }); 65] });
    let (_, detail) = refusal(to(&node, Method::POST, "/events/subscribe").json(&many)).await;
    let of_tool = refused_by(&client, &node, "replay_events", &many).await;
    for refused in [detail, of_tool.unwrap()] {
        assert_eq!(refused, "filters: at most 64 are allowed");
    }
    let tags = json!({ "filters": [{ "tags": vec!["a"; 33] }] });
    let (_, detail) = refusal(to(&node, Method::POST, "/events/subscribe").json(&tags)).await;
    assert_eq!(detail, "filters[0].tags: at most 32 are allowed");
}

#[tokio::test]
async fn without_authentication_nobody_is_sent_to_a_file_of_tokens() {
    let (_world, node, _b) = EdgeWorld::two().await;
    for (method, path) in [
        (Method::POST, "/mcp/sse/broadcast"),
        (Method::GET, "/mcp/sse/stats"),
    ] {
        let answered = to(&node, method, path).body("{}").send().await.unwrap();
        assert_eq!(answered.status(), StatusCode::FORBIDDEN, "{path}");
        // A client that gets a challenge asks for a token, and none would help.
        assert!(
            !answered.headers().contains_key("www-authenticate"),
            "{path}"
        );
        let problem: Value = answered.json().await.unwrap();
        assert_eq!(problem["code"], "permission-missing");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("auth.mode = \"tokens\"") && !detail.contains("token_file"),
            "{path}: {detail}"
        );
    }
}

#[tokio::test]
async fn addresses_in_answers_begin_with_the_base_path() {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        base_path: "/fw".to_owned(),
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    let made = to(&node, Method::POST, "/fw/events/subscribe").body("{}");
    let made = made.send().await.unwrap();
    let address = made.headers()["location"].to_str().unwrap().to_owned();
    assert!(address.starts_with("/fw/events/subscribe/"), "{address}");
    assert_eq!(
        answer(to(&node, Method::GET, &address)).await.0,
        StatusCode::OK
    );
    let posted = json!({ "endpoint": "https://example.org" });
    let (_, detail) = refusal(to(&node, Method::POST, "/fw/events/subscribe").json(&posted)).await;
    assert!(detail.contains("GET /fw/events/stream?"), "{detail}");
}

/// The headers of answers that a page may always read, and those that are not for it.
const NOT_EXPOSED: [&str; 11] = [
    "cache-control",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
    "date",
    "vary",
    "transfer-encoding",
    "connection",
    "content-encoding",
];

fn unreadable(answered: &Response) -> Vec<String> {
    let exposed = answered.headers()["access-control-expose-headers"]
        .to_str()
        .unwrap();
    let exposed: BTreeSet<_> = exposed.split(',').map(str::trim).collect();
    let names = answered.headers().keys().map(HeaderName::as_str);
    let hidden = names.filter(|name| {
        let is_own = name.starts_with("access-control-") || name.starts_with("x-");
        !is_own && !NOT_EXPOSED.contains(name) && !exposed.contains(name)
    });
    hidden.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_page_may_read_every_header_of_our_answers() {
    let (_world, node, _b) = EdgeWorld::two().await;
    let begin = super::inputs::initialize(&json!({})).to_string();
    let mut seen = BTreeSet::new();
    for (method, path, body, extra) in [
        (Method::POST, "/events/subscribe", "{}", None),
        (Method::POST, "/mcp", &*begin, None),
        (Method::GET, "/events/recent", "", None),
        (Method::DELETE, "/events/recent", "", None),
        (Method::POST, "/mcp/sse/broadcast", "{}", None),
        (
            Method::POST,
            "/mcp/sse/send",
            "{}",
            Some(("content-encoding", "br")),
        ),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("origin", "http://localhost:6274".parse().unwrap());
        headers.insert("accept", super::inputs::BOTH.parse().unwrap());
        if let Some((name, value)) = extra {
            headers.insert(name, value.parse().unwrap());
        }
        let request = to(&node, method, path)
            .headers(headers)
            .body(body.to_owned());
        let answered = request.send().await.unwrap();
        assert_eq!(unreadable(&answered), Vec::<String>::new(), "{path}");
        seen.extend(answered.headers().keys().map(ToString::to_string));
    }
    for name in ["location", "mcp-session-id", "allow", "accept-encoding"] {
        assert!(seen.contains(name), "{name} is among the answers: {seen:?}");
    }
    let preflight =
        to(&node, Method::OPTIONS, "/events/subscribe").header("origin", "http://localhost:6274");
    let preflight = preflight.send().await.unwrap();
    let exposed = preflight.headers()["access-control-expose-headers"]
        .to_str()
        .unwrap();
    for name in [
        "location",
        "retry-after",
        "www-authenticate",
        "mcp-session-id",
    ] {
        assert!(exposed.contains(name), "{exposed}");
    }
}
