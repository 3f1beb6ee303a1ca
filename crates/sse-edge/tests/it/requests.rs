//! Paths, methods and headers as clients write them: understood where the meaning is certain, otherwise
//! refused with the fix.

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::sse;

use super::{
    inputs::{BOTH, answer, initialize, post},
    principals,
    raw::Raw,
    world::*,
};

#[tokio::test]
async fn a_slash_too_many_leads_to_the_same_place() {
    let world = EdgeWorld::new().await;
    for base_path in ["", "/fw"] {
        let config = EdgeConfig {
            base_path: base_path.to_owned(),
            ..EdgeConfig::default()
        };
        let node = world.node_with(&config, world.bus.clone()).await;
        let at = |path: &str| {
            format!(
                "{}{base_path}{path}",
                node.url.as_str().trim_end_matches('/')
            )
        };
        let http = reqwest::Client::new();
        for path in ["/mcp/", "//mcp", "/mcp//"] {
            let request = http.post(at(path)).header("accept", BOTH);
            let request = request.json(&initialize(&json!({})));
            assert_eq!(answer(request).await.0, StatusCode::OK, "{path}");
        }
        for path in [
            "/events/recent/?limit=1",
            "/events/replay/2020-01-01T00:00:00Z/",
            "//events//recent",
        ] {
            assert_eq!(answer(http.get(at(path))).await.0, StatusCode::OK, "{path}");
        }
        for path in ["/events/stream/?repo=cat", "/sse/"] {
            let mut stream = sse::open(&at(path).parse().unwrap(), HeaderMap::new())
                .await
                .unwrap();
            let first = stream.next_event(SOON).await.unwrap();
            if path == "/sse/" {
                let endpoint = first.data.unwrap().replace("/messages?", "/messages/?");
                let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
                let request = http.post(node.at(&endpoint)).json(&ping);
                assert_eq!(answer(request).await.0, StatusCode::ACCEPTED);
            }
        }
        let lines = http
            .post(at("/mcp/stream/"))
            .header("content-type", "application/jsonl; charset=utf-8")
            .body(format!("{}\n", initialize(&json!({}))));
        assert_eq!(answer(lines).await.1["id"], 1);
    }
}

#[tokio::test]
async fn what_does_not_exist_is_404_before_401_and_says_where_things_are() {
    let (_world, node, _tokens) = principals::world().await;
    let http = reqwest::Client::new();
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration/",
        "/mcp/.well-known/openid-configuration",
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let is_head = method == Method::HEAD;
            let (status, problem) = answer(http.request(method, node.at(path))).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert!(
                is_head || problem["detail"].as_str().unwrap().contains("OAuth"),
                "{problem}"
            );
        }
    }
    for (path, code, word) in [
        ("/register", "path-unknown", "/mcp"),
        ("/", "path-unknown", "/events/stream"),
    ] {
        let (status, problem) = answer(http.post(node.at(path))).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::NOT_FOUND, &json!(code)),
            "{path}"
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(word) && !detail.contains("moment"),
            "{detail}"
        );
    }
    for path in [
        "/mcp",
        "/sse",
        "/events/recent",
        "/events/subscribe",
        "/mcp/sse/stats",
    ] {
        let (status, _) = answer(http.get(node.at(path))).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn outside_and_inside_of_a_base_path_what_does_not_exist_is_named_with_it() {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        base_path: "/fw".to_owned(),
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    let http = reqwest::Client::new();
    for path in [
        "/mcp",
        "/fw/nothing",
        "/fw",
        "/.well-known/x/fw/mcp",
        "/fw/events/nothing",
    ] {
        let request = http
            .get(node.at(path))
            .header("origin", "http://localhost:5173");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        let allowed = &response.headers()["access-control-allow-origin"];
        assert_eq!(allowed, "http://localhost:5173", "{path}");
        let problem: Value = response.json().await.unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("/fw/") || path.contains("well-known"),
            "{path}: {detail}"
        );
    }
    let foreign = http
        .get(node.at("/x"))
        .header("origin", "https://evil.example");
    assert_eq!(answer(foreign).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_session_that_does_not_exist_is_said_to_be_missing() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/test" });
    let body = json!({ "sessionId": "0b6c-3a52", "message": note });
    let (status, problem) = answer(post(&a, "/mcp/sse/send", body.to_string())).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(problem["code"], "session-not-found");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("there is no such session"), "{detail}");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_told_with_those_that_it_has() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let http = reqwest::Client::new();
    for (method, path, allowed) in [
        (Method::POST, "/events/stream", "GET,HEAD"),
        (Method::DELETE, "/events/recent", "GET,HEAD"),
        (Method::OPTIONS, "/events/recent", "GET,HEAD"),
        (Method::GET, "/messages", "POST"),
        (Method::POST, "/sse", "GET,HEAD"),
        (Method::GET, "/mcp/sse/send", "POST"),
        (Method::OPTIONS, "/mcp", "POST, GET, DELETE"),
        (Method::HEAD, "/mcp", "POST, GET, DELETE"),
        (Method::GET, "/mcp/stream", "POST"),
    ] {
        let response = http
            .request(method.clone(), a.at(path))
            .send()
            .await
            .unwrap();
        assert_eq!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
        assert_eq!(response.headers()["allow"], allowed, "{method} {path}");
        let text = response.text().await.unwrap();
        assert!(
            method == Method::HEAD || text.contains("method") || text.contains("POST"),
            "{text}"
        );
    }
    for path in ["/events/recent", "/events/stream", "/sse"] {
        let response = http.head(a.at(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_its_name_on_every_path() {
    let (_world, a, _b) = EdgeWorld::two().await;
    for path in [
        "/mcp",
        "/messages?sessionId=x",
        "/mcp/stream",
        "/mcp/sse/send",
        "/mcp/sse/broadcast",
    ] {
        let request = post(&a, path, "\u{1f}".to_owned()).header("content-encoding", "gzip");
        let response = request.send().await.unwrap();
        assert_eq!(
            response.status(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{path}"
        );
        assert_eq!(response.headers()["accept-encoding"], "identity");
        let text = response.text().await.unwrap();
        assert!(text.contains("uncompressed"), "{path}: {text}");
    }
    let plain = post(&a, "/mcp", initialize(&json!({})).to_string());
    let plain = plain.header("content-encoding", "identity");
    assert_eq!(answer(plain).await.0, StatusCode::OK);
}

#[tokio::test]
async fn heads_of_every_kind_are_understood() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let body = initialize(&json!({})).to_string();
    let length = body.len();
    for (what, head, expected) in [
        (
            "lower case, no Accept",
            "host: localhost\r\ncontent-type: application/json",
            "200",
        ),
        (
            "upper case",
            "HOST: LOCALHOST\r\nCONTENT-TYPE: APPLICATION/JSON; CHARSET=UTF-8",
            "200",
        ),
        (
            "any type",
            "host: localhost.\r\ncontent-type: text/json\r\naccept: */*",
            "200",
        ),
        (
            "an empty Accept",
            "host: localhost\r\ncontent-type: application/json\r\naccept:",
            "200",
        ),
        (
            "two of the same",
            "host: localhost\r\ncontent-type: application/json\r\ncontent-type: application/json",
            "200",
        ),
        (
            "joined to itself",
            "host: localhost\r\ncontent-type: application/json, application/json",
            "200",
        ),
        ("none", "host: localhost", "415"),
        (
            "a form's",
            "host: localhost\r\ncontent-type: text/plain",
            "415",
        ),
    ] {
        for version in ["1.1", "1.0"] {
            let request = format!(
                "POST /mcp/ HTTP/{version}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            let mut raw = Raw::ask(&a, &request).await;
            raw.read_until("\r\n\r\n").await;
            let status = raw.text().split(' ').nth(1).map(str::to_owned);
            assert_eq!(
                status.as_deref(),
                Some(expected),
                "{what}, {version}: {}",
                raw.text()
            );
        }
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it_or_the_refusal() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let body = initialize(&json!({})).to_string();
    let head = |more: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{more}\
             expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
    };
    let mut raw = Raw::ask(&a, &head("")).await;
    raw.read_until("HTTP/1.1 100 Continue\r\n\r\n").await;
    raw.write(&body).await;
    raw.read_until("\"protocolVersion\":\"2025-06-18\"").await;
    let mut raw = Raw::ask(&a, &head("content-encoding: br\r\n")).await;
    raw.read_until("HTTP/1.1 415").await;
    assert!(!raw.text().contains("100 Continue"));
}
