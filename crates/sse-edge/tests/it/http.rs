//! Bounds and behaviour of the HTTP side.

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use service_kit::descriptors::Descriptors;
use sse_edge::EdgeConfig;
use testkit::{mcp_client::ModernClient, sse};

use super::world::*;

#[tokio::test]
async fn pages_from_elsewhere_are_refused() {
    let world = EdgeWorld::new().await;
    let allowed = "https://app.example.com";
    let config = EdgeConfig {
        allowed_origins: vec![allowed.to_owned()],
        ..EdgeConfig::default()
    };
    let a = world.node_with(&config, world.bus.clone()).await;
    let http = reqwest::Client::new();
    for path in ["/mcp", "/events/recent", "/events/stream"] {
        for origin in [
            "https://evil.example",
            "null",
            "https://app.example.com.evil.example",
        ] {
            for method in [Method::GET, Method::POST, Method::OPTIONS] {
                let request = http.request(method, a.at(path)).header("origin", origin);
                let response = request.send().await.unwrap();
                assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path} {origin}");
                assert!(
                    !response
                        .headers()
                        .contains_key("access-control-allow-origin")
                );
            }
        }
    }
    let rebound = http
        .get(a.at("/events/recent"))
        .header("host", "evil.example");
    assert_eq!(
        rebound.send().await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    for origin in [allowed, "http://localhost:5173"] {
        let response = http
            .get(a.at("/events/recent"))
            .header("origin", origin)
            .send()
            .await;
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["access-control-allow-origin"], origin);
    }
}

#[tokio::test]
async fn a_host_that_a_proxy_passes_on_is_refused_with_the_key_until_it_is_named() {
    let world = EdgeWorld::new().await;
    let http = reqwest::Client::new();
    let named = EdgeConfig {
        allowed_hosts: vec!["edge.example.com".to_owned()],
        ..EdgeConfig::default()
    };
    let status = async |config: &EdgeConfig, host: &str, path: &str| {
        let node = world.node_with(config, world.bus.clone()).await;
        let request = http.get(node.at(path)).header("host", host);
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    for path in ["/mcp", "/events/recent"] {
        for (config, host) in [
            (&EdgeConfig::default(), "edge.example.com"),
            (&named, "evil.example"),
        ] {
            let (refused, text) = status(config, host, path).await;
            assert_eq!(refused, StatusCode::FORBIDDEN, "{path} {host}");
            assert!(text.contains("edge.allowed_hosts"), "{path}: {text}");
        }
    }
    for host in ["edge.example.com", "Edge.Example.com:443", "localhost"] {
        let (served, _) = status(&named, host, "/events/recent").await;
        assert_eq!(served, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn the_refusal_of_a_page_names_the_key_that_lets_it_in() {
    let (_world, a, _b) = EdgeWorld::two().await;
    for path in ["/mcp", "/events/recent"] {
        let request = reqwest::Client::new()
            .get(a.at(path))
            .header("origin", "https://app.example.com");
        let text = request.send().await.unwrap().text().await.unwrap();
        assert!(text.contains("edge.allowed_origins"), "{path}: {text}");
    }
}

#[test]
fn what_is_no_origin_or_no_proxy_is_refused_by_its_key() {
    for bad in [
        "*",
        "app.example.com",
        "https://",
        "://app.example.com",
        "https://app.example.com/page",
        "https://a.example,https://b.example",
        "null",
        "",
    ] {
        let config = EdgeConfig {
            allowed_origins: vec![bad.to_owned()],
            ..EdgeConfig::default()
        };
        let text = config.check().unwrap_err().to_string();
        assert!(text.contains("edge.allowed_origins"), "{bad}: {text}");
    }
    let good = [
        "https://app.example.com",
        "http://localhost:5173/",
        "https://[2001:db8::7]:8443",
        "chrome-extension://abcdefghijklmnop",
    ];
    let mut config = EdgeConfig {
        allowed_origins: good.map(str::to_owned).to_vec(),
        ..EdgeConfig::default()
    };
    config.check().unwrap();
    config.proxies.trusted = vec!["proxy.example.com".to_owned()];
    let text = config.check().unwrap_err().to_string();
    assert!(text.contains("edge.proxies.trusted"), "{text}");
}

#[test]
fn what_is_no_host_is_refused_by_its_key() {
    for bad in [
        "https://edge.example.com",
        "edge.example.com:443",
        "",
        "a/b",
        "*.example.com",
        "::1",
    ] {
        let config = EdgeConfig {
            allowed_hosts: vec![bad.to_owned()],
            ..EdgeConfig::default()
        };
        let text = config.check().unwrap_err().to_string();
        assert!(text.contains("edge.allowed_hosts"), "{bad}: {text}");
    }
    let good = ["edge.example.com", "10.0.0.7", "[2001:db8::7]", "edge"];
    let config = EdgeConfig {
        allowed_hosts: good.map(str::to_owned).to_vec(),
        ..EdgeConfig::default()
    };
    config.check().unwrap();
}

#[tokio::test]
async fn a_preflight_says_what_a_page_may_send_and_read() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let request = reqwest::Client::new()
        .request(Method::OPTIONS, a.at("/mcp"))
        .header("origin", "http://localhost:6274")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "mcp-session-id, last-event-id",
        );
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    for method in ["GET", "POST", "DELETE"] {
        assert!(header("access-control-allow-methods").contains(method));
    }
    for name in [
        "mcp-session-id",
        "last-event-id",
        "mcp-protocol-version",
        "content-type",
        "x-mcp-toolsets",
        "x-mcp-tools",
        "x-mcp-exclude-tools",
        "x-mcp-readonly",
        "cache-control",
        "pragma",
    ] {
        assert!(header("access-control-allow-headers").contains(name));
    }
    assert!(header("access-control-expose-headers").contains("mcp-session-id"));
}

#[tokio::test]
async fn one_stream_too_many_is_sent_away_with_retry_after() {
    let configured = EdgeConfig {
        max_streams: 1,
        ..EdgeConfig::default()
    };
    one_too_many(&configured, Descriptors::UNLIMITED, "edge.max_streams").await;
    // All descriptors but one are reserved for other uses.
    let few = Descriptors::of(65);
    one_too_many(&EdgeConfig::default(), few, "limit of file descriptors").await;
}

/// The edge has room for one stream; the second is refused with the reason.
async fn one_too_many(config: &EdgeConfig, descriptors: Descriptors, why: &str) {
    let mut world = EdgeWorld::new().await;
    world.descriptors = descriptors;
    let a = world.node_with(config, world.bus.clone()).await;
    let client = connect(&a).await;
    let first = sse::open(&a.at("/events/stream"), HeaderMap::new())
        .await
        .unwrap();
    let http = reqwest::Client::new();
    let request = http.get(a.at("/mcp")).headers(client.headers());
    let requests = [
        http.get(a.at("/events/stream")),
        request.header("accept", "text/event-stream"),
    ];
    for request in requests {
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "1");
        let text = refused.text().await.unwrap();
        assert!(
            text.contains("at most 1 streams") && text.contains(why),
            "{text}"
        );
    }
    let filter = json!({ "resourceSubscriptions": ["github://events"] });
    let refused = ModernClient::new()
        .listen(&a.url, filter)
        .await
        .unwrap_err();
    assert_eq!(refused.status(), Some(503));
    // Requests that open no stream are served.
    client.ping(&a.url).await.unwrap();
    drop(first);
    until("the place is free", || async {
        sse::open(&a.at("/events/stream"), HeaderMap::new())
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_in_json_rpc() {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        max_body_bytes: 2000,
        ..EdgeConfig::default()
    };
    let a = world.node_with(&config, world.bus.clone()).await;
    let padding = "x".repeat(2000);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": { "p": padding } });
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(body.to_string())]);
    let bodies = [
        reqwest::Body::from(body.to_string()),
        reqwest::Body::wrap_stream(chunks),
    ];
    for body in bodies {
        let request = reqwest::Client::new()
            .post(a.at("/mcp"))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let error: Value = response.json().await.unwrap();
        assert_eq!(
            (&error["jsonrpc"], &error["id"]),
            (&json!("2.0"), &Value::Null)
        );
        assert!(error["error"]["code"].is_i64());
    }
}

#[tokio::test]
async fn a_drain_ends_every_stream_with_a_farewell_and_the_life_cleanly() {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        drain_seconds: 2,
        ..EdgeConfig::default()
    };
    let a = world.node_with(&config, world.bus.clone()).await;
    let client = connect(&a).await;
    let mut session = client.open_stream(&a.url, None).await.unwrap();
    let mut plain = Vec::new();
    for _ in 0..100 {
        plain.push(
            sse::open(&a.at("/events/stream"), HeaderMap::new())
                .await
                .unwrap(),
        );
    }
    let life = a.life.clone();
    let outcome = tokio::spawn(async move { life.run(std::future::pending()).await });
    a.life.shut_down();
    assert_eq!(ended(&mut session).await, []);
    assert!(session.retry().is_some());
    for stream in &mut plain {
        let frames = ended(stream).await;
        assert_eq!(frames.len(), 1, "connected, and nothing else: {frames:?}");
    }
    let outcome = tokio::time::timeout(SOON, outcome).await.unwrap().unwrap();
    assert!(outcome.clean, "{outcome:?}");
}

/// The heads of answers, and nothing else: no session, no stream, no event that is lost.
#[tokio::test]
async fn head_gets_the_head_of_the_answer_and_changes_nothing() {
    let world = EdgeWorld::new().await;
    // A stream would be refused.
    let config = EdgeConfig {
        max_streams: 0,
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    let http = reqwest::Client::new();
    let head = async |path: &str, accept: &str| {
        let request = http.head(node.at(path)).header("accept", accept);
        let answer = request.send().await.unwrap();
        let kind = answer.headers().get("content-type");
        let kind = kind.map(|kind| kind.to_str().unwrap().to_owned());
        (answer.status().as_u16(), kind.unwrap_or_default())
    };
    let stream = (200, "text/event-stream".to_owned());
    assert_eq!(head("/sse", "text/event-stream").await, stream);
    assert_eq!(head("/events/stream", "*/*").await, stream);
    assert_eq!(head("/events/stream?repo=a/b/c/d", "*/*").await.0, 400);
    assert_eq!(head("/sse", "application/json").await.0, 406);
    for path in [
        "/mcp",
        "/mcp/stream",
        "/messages?sessionId=x",
        "/mcp/sse/send",
    ] {
        assert_eq!(head(path, "*/*").await.0, 405, "{path}");
    }
    for path in ["/events/recent", "/events/replay/2020-01-01T00:00:00Z"] {
        assert_eq!(
            head(path, "*/*").await,
            (200, "application/json".to_owned()),
            "{path}"
        );
    }
    assert_eq!(world.sessions().await, 0);
}
