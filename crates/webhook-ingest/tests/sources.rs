//! Senders that fail too often: what is refused, and what never is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod harness;

use axum::body::{Body, Bytes};
use futures_util::stream;
use harness::{Ingest, SECRET, issue, signature, signed};
use http::{HeaderValue, Request};
use serde_json::{Value, json};
use service_kit::http::RemoteAddr;

const STRANGER: &str = "203.0.113.7:4711";

fn ingest(more: &Value) -> Ingest {
    let mut config = json!({ "webhook_secrets": [SECRET], "failures_per_minute": 3 });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    Ingest::with(&config, 1000)
}

fn from(source: &str, mut request: Request<Body>) -> Request<Body> {
    let address = RemoteAddr(source.parse().unwrap());
    request.extensions_mut().insert(address);
    request
}

fn good(id: &str) -> Request<Body> {
    signed("issues", id, &issue(7, "opened").to_string())
}

fn bad() -> Request<Body> {
    let body = issue(7, "opened").to_string();
    let mut request = signed("issues", "a-guess", &body);
    let guess = signature("a guess", body.as_bytes()).parse().unwrap();
    request.headers_mut().insert("x-hub-signature-256", guess);
    request
}

/// A request whose body must not be read.
fn unread() -> Request<Body> {
    let body = stream::poll_fn(|_| -> std::task::Poll<Option<std::io::Result<Bytes>>> {
        panic!("the body is read")
    });
    let request = Request::post("/webhooks/github").header("content-type", "application/json");
    request.body(Body::from_stream(body)).unwrap()
}

fn metric(ingest: &Ingest, name: &str) -> u64 {
    let text = ingest.metrics();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name}: {text}"))
        .trim()
        .parse()
        .unwrap()
}

fn refusals(ingest: &Ingest, kind: &str) -> u64 {
    metric(
        ingest,
        &format!("forgewire_ingest_security_refusals_total{{kind=\"{kind}\"}}"),
    )
}

#[tokio::test(start_paused = true)]
async fn beyond_its_failures_a_source_is_refused_before_its_body_is_read() {
    let ingest = ingest(&json!({}));
    let mut compressed = good("1");
    let gzip = HeaderValue::from_static("gzip");
    compressed.headers_mut().insert("content-encoding", gzip);
    let mut text = good("1");
    let plain = HeaderValue::from_static("text/plain");
    text.headers_mut().insert("content-type", plain);
    for (request, status) in [(bad(), 401), (compressed, 415), (text, 415)] {
        let answer = ingest.send(from(STRANGER, request)).await;
        assert_eq!(answer.status, status);
    }
    let answer = ingest.send(from(STRANGER, unread())).await;
    let detail = answer.problem(429, "rate_limited");
    assert!(detail.contains("wait 20 s"), "{detail}");
    assert_eq!(answer.headers["retry-after"], "20");
    let kinds = ["signature", "type", "size", "rate"];
    assert_eq!(kinds.map(|kind| refusals(&ingest, kind)), [1, 2, 0, 1]);
    for other in ["203.0.113.8:1", "10.0.0.7:1", "140.82.115.9:1"] {
        let id = format!("good-{}", other.replace(['.', ':'], "-"));
        assert_eq!(
            ingest.send(from(other, good(&id))).await.status,
            202,
            "{other}"
        );
    }
    tokio::time::advance(std::time::Duration::from_secs(21)).await;
    assert_eq!(ingest.send(from(STRANGER, good("later"))).await.status, 202);
    for _ in 0..10 {
        let answer = ingest.send(from(STRANGER, bad())).await;
        assert_eq!(answer.status, 401, "GitHub is behind this address");
    }
}

/// Its sender hides behind no signature: of a body that breaks off, none can be checked.
#[tokio::test(start_paused = true)]
async fn bodies_that_do_not_end_are_refusals_of_a_source_like_any_other() {
    let ingest = ingest(&json!({}));
    let begun = |rest: Body| {
        let mut request = good("begun");
        *request.body_mut() = rest;
        from(STRANGER, request)
    };
    let broken = stream::iter([Ok(Bytes::from("{")), Err(std::io::Error::other("reset"))]);
    let answer = ingest.send(begun(Body::from_stream(broken))).await;
    answer.problem(400, "body_incomplete");
    for _ in 0..3 {
        let silent = stream::pending::<std::io::Result<Bytes>>();
        let answer = ingest.send(begun(Body::from_stream(silent))).await;
        answer.problem(408, "body_timeout");
    }
    assert_eq!(refusals(&ingest, "body"), 4);
    // Half a failure came back in each of the ten seconds that a body took.
    let answer = ingest.send(from(STRANGER, unread())).await;
    answer.problem(429, "rate_limited");
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_only_their_content_fails_do_not_count() {
    let ingest = ingest(&json!({}));
    for n in 0..10 {
        let request = signed("issues", &format!("id-{n}"), "not json");
        let answer = ingest.send(from(STRANGER, request)).await;
        answer.problem(400, "invalid_json");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trusted_proxy_names_the_source_and_nobody_else_does() {
    let proxies = json!({ "proxies": { "trusted": ["10.0.0.0/8"] } });
    let ingest = ingest(&proxies);
    let said = |request: Request<Body>, value: &str| {
        let mut request = request;
        let value = value.parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", value);
        request
    };
    let through =
        |request, source: &str| from("10.0.0.1:9", said(request, &format!("6.6.6.6, {source}")));
    for _ in 0..3 {
        ingest
            .send(through(bad(), "198.51.100.1"))
            .await
            .problem(401, "signature_invalid");
    }
    let refused = ingest.send(through(unread(), "198.51.100.1")).await;
    refused.problem(429, "rate_limited");
    assert_eq!(
        ingest
            .send(through(good("other"), "198.51.100.2"))
            .await
            .status,
        202
    );
    // A stranger's own word changes nothing about its address.
    for n in 0..3 {
        let request = said(bad(), &format!("192.0.2.{n}"));
        ingest
            .send(from(STRANGER, request))
            .await
            .problem(401, "signature_invalid");
    }
    let request = said(unread(), "192.0.2.77");
    ingest
        .send(from(STRANGER, request))
        .await
        .problem(429, "rate_limited");
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_zero_is_none() {
    let ingest = ingest(&json!({ "failures_per_minute": 0 }));
    for _ in 0..100 {
        let answer = ingest.send(from(STRANGER, bad())).await;
        answer.problem(401, "signature_invalid");
    }
    assert_eq!(refusals(&ingest, "signature"), 100);
    assert_eq!(
        metric(&ingest, "forgewire_ingest_audit_lines_left_out_total"),
        90
    );
}
