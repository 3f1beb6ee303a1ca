//! Principals: none can read, find or resume what belongs to another.

use std::{path::PathBuf, sync::Arc};

use access::{Authenticator, TokenDigest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::SystemClock;
use reqwest::{
    StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::sse::{self, SseStream};

use super::world::*;

pub(crate) const SEES_ALL: &str = "token-of-somebody-who-may-see-everything";
pub(crate) const SEES_CATS: &str = "token-of-somebody-who-may-see-cats-only-";

/// A token file whose tokens can be changed.
pub(crate) struct Tokens {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        let tokens = Self {
            _folder: folder,
            path,
        };
        tokens.write(&[
            (SEES_ALL, "all", ""),
            (SEES_CATS, "cats", "repositories = [\"octo/cat\"]"),
        ]);
        tokens
    }

    pub(crate) fn write(&self, entries: &[(&str, &str, &str)]) {
        let entry = |(token, name, more): &(&str, &str, &str)| {
            let sha256 = TokenDigest::of_new(token).unwrap().to_hex();
            format!(
                "[[token]]\nid = \"{token}\"\nsha256 = \"{sha256}\"\nprincipal = \"{name}\"\n{more}\n"
            )
        };
        let text: String = entries.iter().map(entry).collect();
        std::fs::write(&self.path, text).unwrap();
    }
}

#[tokio::test]
async fn refused_hosts_origins_and_tokens_are_counted_and_their_lines_are_bounded() {
    let (_world, node, _tokens) = world().await;
    let http = reqwest::Client::new();
    for n in 0..40 {
        let unknown = format!("a-token-of-nobody-{n}-{}", "x".repeat(32));
        let requests = [
            http.get(node.at("/events/recent")).bearer_auth(&unknown),
            http.get(node.at("/mcp")).header("host", "evil.example"),
            http.get(node.at("/events/recent"))
                .header("origin", "https://evil.example"),
        ];
        for request in requests {
            let status = request.send().await.unwrap().status().as_u16();
            assert!(status == 401 || status == 403, "{status}");
        }
    }
    for kind in ["host", "origin", "token"] {
        let series = format!("forgewire_edge_security_refusals_total{{kind=\"{kind}\"}}");
        assert_eq!(node.metric(&series), 40, "{kind}");
    }
    // Ten lines of a kind have room in each of up to three intervals.
    let left_out = node.metric("forgewire_edge_audit_lines_left_out_total");
    assert!((30..=90).contains(&left_out), "{left_out}");
    let served = http.get(node.at("/events/recent")).bearer_auth(SEES_ALL);
    assert_eq!(served.send().await.unwrap().status(), 200);
}

pub(crate) async fn world() -> (EdgeWorld, Node, Tokens) {
    let (world, tokens) = (EdgeWorld::new().await, Tokens::new());
    let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
    let node = world
        .node_for(&EdgeConfig::default(), world.bus.clone(), auth)
        .await;
    (world, node, tokens)
}

pub(crate) fn headers(token: &str, session: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let bearer = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(AUTHORIZATION, bearer);
    let accept = HeaderValue::from_static("application/json, text/event-stream");
    headers.insert("accept", accept);
    if let Some(session) = session {
        headers.insert("mcp-session-id", HeaderValue::from_str(session).unwrap());
    }
    headers
}

pub(crate) async fn post(
    url: &Url,
    headers: HeaderMap,
    method: &str,
    params: Value,
) -> reqwest::Response {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let request = reqwest::Client::new()
        .post(url.clone())
        .headers(headers)
        .json(&message);
    request.send().await.unwrap()
}

/// A session of `token` that is subscribed to everything that its principal may see, and its
/// stream.
pub(crate) async fn session(node: &Node, token: &str) -> (String, SseStream) {
    let url = node.at("/mcp");
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } });
    let answer = post(&url, headers(token, None), "initialize", params).await;
    let id = answer.headers()["mcp-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let call = json!({ "name": "subscribe_to_events", "arguments": {} });
    let answer = post(&url, headers(token, Some(&id)), "tools/call", call).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut stream = headers(token, Some(&id));
    stream.insert("accept", HeaderValue::from_static("text/event-stream"));
    let stream = sse::open(&url, stream).await.unwrap();
    (id, stream)
}

/// The repository of the next event on a session's stream.
async fn next_repo(stream: &mut SseStream) -> String {
    loop {
        let frame = stream.next_event(SOON).await.unwrap();
        let Some(message) = frame.json() else {
            continue;
        };
        if message["params"]["logger"] == "github.events" {
            return message["params"]["data"]["resource"]["repo"]
                .as_str()
                .unwrap()
                .to_owned();
        }
    }
}

#[tokio::test]
async fn a_session_stream_carries_only_what_its_principal_may_see() {
    let (world, node, _tokens) = world().await;
    let (_, mut cats) = session(&node, SEES_CATS).await;
    let (_, mut all) = session(&node, SEES_ALL).await;
    for repo in ["dog", "cat", "bird", "cat"] {
        world.happens(repo).await;
    }
    for repo in ["cat", "cat"] {
        assert_eq!(next_repo(&mut cats).await, repo);
    }
    for repo in ["dog", "cat", "bird", "cat"] {
        assert_eq!(next_repo(&mut all).await, repo);
    }
}

#[tokio::test]
async fn tools_and_resources_answer_only_what_the_principal_may_see() {
    let (world, node, _tokens) = world().await;
    for repo in ["dog", "cat", "bird"] {
        world.happens(repo).await;
    }
    let url = node.at("/mcp");
    let (id, _stream) = session(&node, SEES_CATS).await;
    for tool in ["get_recent_events", "replay_events"] {
        let call = json!({ "name": tool, "arguments": {} });
        let answer = post(&url, headers(SEES_CATS, Some(&id)), "tools/call", call).await;
        let answer: Value = answer.json().await.unwrap();
        let found = &answer["result"]["structuredContent"];
        assert_eq!(found["count"], 1, "{tool}: {answer}");
        assert_eq!(found["events"][0]["resource"]["repo"], "cat");
    }
    for (uri, visible) in [
        ("github://events/octo/cat", true),
        ("github://events/octo/dog", false),
        ("github://issues/octo/dog/7", false),
    ] {
        for method in ["resources/read", "resources/subscribe"] {
            let params = json!({ "uri": uri });
            let answer = post(&url, headers(SEES_CATS, Some(&id)), method, params).await;
            let answer: Value = answer.json().await.unwrap();
            assert_eq!(
                answer.get("result").is_some(),
                visible,
                "{method} {uri}: {answer}"
            );
        }
    }
    // What exists is refused as what does not; the form is right, and not named as the mistake.
    let refusal = async |uri: &str| {
        let params = json!({ "uri": uri });
        let headers = headers(SEES_CATS, Some(&id));
        let answer = post(&url, headers, "resources/subscribe", params).await;
        let answer: Value = answer.json().await.unwrap();
        answer["error"]["message"].as_str().unwrap().to_owned()
    };
    let hidden = refusal("github://issues/octo/dog/7").await;
    assert!(hidden.contains("this token may see"), "{hidden}");
    for uri in ["github://issues/octo/dog/99", "github://events/nobody"] {
        assert_eq!(refusal(uri).await, hidden, "{uri}");
    }
    let malformed = refusal("github://issues/octo/dog").await;
    assert!(malformed.contains("github://issues|"), "{malformed}");
}

#[tokio::test]
async fn no_cache_keeps_an_answer_that_depends_on_the_token() {
    let (_world, node, _tokens) = world().await;
    let http = reqwest::Client::new();
    for path in [
        "/events/recent",
        "/events/recent?limit=x",
        "/events/replay/2026-11-20T10:00:00Z",
        "/events/subscribe",
        "/events/subscribe/none",
        "/mcp/sse/stats",
        "/mcp",
    ] {
        for token in [SEES_CATS, "a-token-of-nobody-at-all-1234567890-abc"] {
            let answer = http.get(node.at(path)).bearer_auth(token);
            let answer = answer.send().await.unwrap();
            let kept = answer.headers().get("cache-control");
            let kept = kept.map(|value| value.to_str().unwrap());
            assert!(
                kept.is_some_and(|value| value.contains("no-store")),
                "{path} {}: {kept:?}",
                answer.status()
            );
        }
    }
    let listed = post(
        &node.at("/mcp"),
        headers(SEES_CATS, None),
        "ping",
        json!({}),
    )
    .await;
    assert_eq!(listed.headers()["cache-control"], "private, no-store");
}

#[tokio::test]
async fn a_token_whose_rights_change_is_told_so_and_not_that_it_fell() {
    let (_world, node, tokens) = world().await;
    let mut plain = sse::open(&node.at("/events/stream"), headers(SEES_ALL, None))
        .await
        .unwrap();
    tokens.write(&[(SEES_ALL, "all", "repositories = [\"octo/cat\"]")]);
    let mut said = String::new();
    while let Some(frame) = plain.next(SOON).await.unwrap() {
        said = frame.comments.last().cloned().unwrap_or(said);
    }
    assert!(said.contains("rights of the token have changed"), "{said}");
    let ended = "forgewire_edge_ended_streams_total{reason=\"rights_changed\"}";
    // The client reads the end before the stream is gone.
    until("its end is counted", || async { node.metric(ended) == 1 }).await;
}

#[tokio::test]
async fn somebody_elses_session_is_not_found() {
    let (_world, node, _tokens) = world().await;
    let (id, _stream) = session(&node, SEES_ALL).await;
    let url = node.at("/mcp");
    let foreign = post(&url, headers(SEES_CATS, Some(&id)), "ping", json!({})).await;
    assert_eq!(foreign.status(), StatusCode::NOT_FOUND);
    let own = post(&url, headers(SEES_ALL, Some(&id)), "ping", json!({})).await;
    assert_eq!(own.status(), StatusCode::OK);
    let request = reqwest::Client::new()
        .delete(url)
        .headers(headers(SEES_CATS, Some(&id)));
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn without_a_good_token_there_is_a_challenge_in_json_rpc() {
    let (_world, node, _tokens) = world().await;
    let url = node.at("/mcp");
    let answer = post(
        &url,
        headers("nobody-knows-this-token-at-all-12345", None),
        "ping",
        json!({}),
    );
    let answer = answer.await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers().contains_key("www-authenticate"));
    let body: Value = answer.json().await.unwrap();
    assert!(body["error"]["code"].is_i64(), "{body}");
}

#[tokio::test]
async fn a_token_that_falls_ends_its_streams_and_no_others() {
    let (world, node, tokens) = world().await;
    let (_, mut cats) = session(&node, SEES_CATS).await;
    let (_, mut all) = session(&node, SEES_ALL).await;
    let mut plain = sse::open(&node.at("/events/stream"), headers(SEES_CATS, None))
        .await
        .unwrap();
    tokens.write(&[(SEES_ALL, "all", "")]);
    while cats.next(SOON).await.unwrap().is_some() {}
    while plain.next(SOON).await.unwrap().is_some() {}
    world.happens("cat").await;
    assert_eq!(next_repo(&mut all).await, "cat");
}

/// The cursor of `GET /events/recent`.
async fn cursor_of(node: &Node, token: &str) -> String {
    let request = reqwest::Client::new().get(node.at("/events/recent"));
    let answer = request.headers(headers(token, None)).send().await.unwrap();
    let list: Value = answer.json().await.unwrap();
    list["nextCursor"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_sees_nothing_cannot_count_what_others_see() {
    let (world, node, _tokens) = world().await;
    let mut cursors = Vec::new();
    for round in 0..20 {
        if round % 2 == 0 {
            world.happens("dog").await;
        }
        cursors.push(cursor_of(&node, SEES_CATS).await);
    }
    // Of two cursors, nothing tells whether an event came in between: they are always different, in
    // no order, and no byte of them behaves like a number.
    let read = |text: &String| URL_SAFE_NO_PAD.decode(text).unwrap();
    let read: Vec<_> = cursors.iter().map(read).collect();
    for (at, one) in read.iter().enumerate() {
        for other in &read[..at] {
            let pairs = one[5..].iter().zip(&other[5..]);
            assert!(pairs.filter(|(a, b)| a == b).count() < 8);
        }
    }
    let rises = cursors.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!((1..19).contains(&rises), "{rises} of 19 rise");
    // They lead on all the same.
    let cat = world.happens("cat").await;
    for cursor in [&cursors[0], &cursors[19]] {
        let path = format!("/events/replay/2020-01-01T00:00:00Z?cursor={cursor}");
        let request = reqwest::Client::new().get(node.at(&path));
        let answer = request.headers(headers(SEES_CATS, None)).send();
        let list: Value = answer.await.unwrap().json().await.unwrap();
        assert_eq!(list["events"][0]["id"], cat, "{list}");
        assert_eq!(
            (&list["count"], &list["truncated"]),
            (&json!(1), &json!(false))
        );
    }
}

#[tokio::test]
async fn an_id_that_was_tampered_with_or_is_anothers_is_told() {
    let (world, node, _tokens) = world().await;
    world.happens("cat").await;
    let own = cursor_of(&node, SEES_CATS).await;
    let tampered = format!("{}AAAAAA", &own[..own.len() - 6]);
    let foreign = cursor_of(&node, SEES_ALL).await;
    for id in [&tampered, &foreign] {
        let mut headers = headers(SEES_CATS, None);
        headers.insert("last-event-id", HeaderValue::from_str(id).unwrap());
        let mut stream = sse::open(&node.at("/events/stream"), headers)
            .await
            .unwrap();
        let frame = loop {
            let frame = stream.next_event(SOON).await.unwrap();
            if frame.event.as_deref() != Some("connected") {
                break frame;
            }
        };
        assert_eq!(frame.event.as_deref(), Some("truncated"), "{frame:?}");
    }
}
