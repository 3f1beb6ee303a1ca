//! The answers to the sender, the content of the log, and the hints on the bus.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod harness;

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::body::Body;
use harness::{Ingest, SECRET, StuckBus, delivery, eventually, issue, signature, signed};
use http::Request;
use model::{Clock, EventType, SystemClock};
use serde_json::{Value, json};
use service_kit::lifecycle::Lifecycle;
use tower::ServiceExt;
use webhook_ingest::limits::DEFAULT_ORDER_WINDOW_MILLISECONDS;

const GUID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

#[tokio::test]
async fn a_delivery_is_durable_before_it_is_acknowledged_and_then_told() {
    let ingest = Ingest::new();
    let mut hints = ingest.subscribe().await;
    let answer = ingest.post("issues", GUID, &issue(7, "opened")).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json, json!({"accepted": true, "events": [GUID]}));
    let all = ingest.log.all().await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].item.facts.event_type, EventType::CREATED);
    assert_eq!(hints.next().await, all);
}

#[tokio::test]
async fn the_trace_of_the_post_is_stored_with_the_event() {
    let ingest = Ingest::new();
    let body = issue(7, "opened").to_string();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = delivery("issues", GUID, &body).header("traceparent", parent);
    let answer = ingest.send(request.body(Body::from(body)).unwrap()).await;
    assert_eq!(answer.status, 202);
    let trace = ingest.log.all().await[0].item.trace.unwrap();
    assert_eq!(trace.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[tokio::test]
async fn a_redelivery_is_one_event_also_when_many_arrive_at_once() {
    let ingest = Ingest::new();
    let mut hints = ingest.subscribe().await;
    let payload = issue(7, "opened");
    let sends = (0..20).map(|_| ingest.post("issues", GUID, &payload));
    let answers = futures_util::future::join_all(sends).await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(accepted, 1);
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json, json!({"deduplicated": true, "events": [GUID]}));
    }
    assert_eq!(ingest.log.all().await.len(), 1);
    assert_eq!(hints.next().await.len(), 1);
    // The next hint is for another delivery: the duplicates caused no hint.
    ingest.post("issues", "another", &issue(8, "opened")).await;
    assert_eq!(hints.next().await[0].item.facts.id.as_str(), "another");
}

#[tokio::test]
async fn one_guid_under_two_event_names_is_two_events_and_each_is_recognised() {
    let ingest = Ingest::new();
    let (issue, milestone) = (issue(7, "opened"), milestone());
    let own_id = format!("{GUID}.milestone");
    for (event, payload, id) in [("issues", &issue, GUID), ("milestone", &milestone, &own_id)] {
        let answer = ingest.post(event, GUID, payload).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.json, json!({"accepted": true, "events": [id]}));
    }
    for (event, payload, id) in [
        ("milestone", &milestone, own_id.as_str()),
        ("issues", &issue, GUID),
    ] {
        let answer = ingest.post(event, GUID, payload).await;
        assert_eq!(answer.json, json!({"deduplicated": true, "events": [id]}));
    }
    let all = ingest.log.all().await;
    assert_eq!(all.len(), 2);
    for (event, id) in all.iter().zip([GUID, &own_id]) {
        let json: Value = serde_json::from_slice(&event.item.json).unwrap();
        assert_eq!(json["id"], id, "the id in the JSON is that of the event");
        assert_eq!(json["metadata"]["delivery"], GUID);
    }
}

#[tokio::test]
async fn a_body_that_comes_again_under_another_guid_is_marked_and_kept() {
    let ingest = Ingest::new();
    let body = issue(7, "labeled").to_string();
    for id in ["first", "first", "made-up", "another", "first"] {
        ingest.send(signed("issues", id, &body)).await;
    }
    // Another body, and the same content signed with another secret: the hook of an organisation.
    ingest
        .post("issues", "other-body", &issue(8, "labeled"))
        .await;
    let mut other_hook = signed("issues", "other-hook", &body);
    let signed_with = signature("older", body.as_bytes()).parse().unwrap();
    other_hook
        .headers_mut()
        .insert("x-hub-signature-256", signed_with);
    ingest.send(other_hook).await;
    let marks: Vec<_> = ingest
        .log
        .all()
        .await
        .iter()
        .map(|event| {
            let json: Value = serde_json::from_slice(&event.item.json).unwrap();
            (
                event.item.facts.id.to_string(),
                json["metadata"]["repeatedBody"] == true,
            )
        })
        .collect();
    let expected = [
        ("first", false),
        ("made-up", true),
        ("another", true),
        ("other-body", false),
        ("other-hook", false),
    ];
    assert_eq!(marks, expected.map(|(id, mark)| (id.to_owned(), mark)));
    let metrics = ingest.metrics();
    assert!(
        metrics.contains("forgewire_ingest_repeated_bodies_total 2"),
        "{metrics}"
    );
}

/// What the log holds tells which events come from one body, whichever ingest received them, and when.
#[tokio::test]
async fn events_of_one_body_have_one_digest_through_every_ingest() {
    let first = Ingest::new();
    let second = first.beside();
    let body = issue(7, "labeled").to_string();
    first.send(signed("issues", "first", &body)).await;
    second.send(signed("issues", "made-up", &body)).await;
    second
        .post("issues", "other-body", &issue(8, "labeled"))
        .await;
    let mut other_hook = signed("issues", "other-hook", &body);
    let signed_with = signature("older", body.as_bytes());
    let value = signed_with.parse().unwrap();
    other_hook
        .headers_mut()
        .insert("x-hub-signature-256", value);
    first.send(other_hook).await;
    let all = first.log.all().await;
    let digests: Vec<_> = all
        .iter()
        .map(|event| {
            let json: Value = serde_json::from_slice(&event.item.json).unwrap();
            json["metadata"]["bodyDigest"].as_str().unwrap().to_owned()
        })
        .collect();
    let [one, again, other_body, other_hook] = digests.as_slice() else {
        panic!("four events: {digests:?}");
    };
    assert_eq!((one, one.len()), (again, 32));
    assert!(one != other_body && one != other_hook && other_body != other_hook);
    let secret = [signature(SECRET, body.as_bytes()), signed_with].concat();
    assert!(digests.iter().all(|digest| !secret.contains(digest)));
}

/// A `milestone` payload.
fn milestone() -> Value {
    json!({
        "action": "created",
        "milestone": {
            "id": 9, "node_id": "MI_9", "number": 9, "title": "T",
            "html_url": "https://github.com/o/r/milestone/9",
            "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z",
        },
        "repository": {"name": "r", "owner": {"login": "o"}},
        "sender": {"login": "octocat"},
    })
}

#[tokio::test]
async fn a_wrong_signature_is_refused_even_for_a_known_delivery_and_a_broken_body() {
    let ingest = Ingest::new();
    let body = issue(7, "opened").to_string();
    ingest.send(signed("issues", GUID, &body)).await;
    for (value, code) in [
        (signature("wrong", body.as_bytes()), "signature_invalid"),
        (signature(SECRET, b"other"), "signature_invalid"),
        ("sha1=abc".to_owned(), "signature_malformed"),
    ] {
        let mut request = signed("issues", GUID, &body);
        request
            .headers_mut()
            .insert("x-hub-signature-256", value.parse().unwrap());
        ingest.send(request).await.problem(401, code);
    }
    let mut unsigned = signed("issues", GUID, "not json");
    unsigned.headers_mut().clear();
    let json = http::HeaderValue::from_static("application/json");
    unsigned.headers_mut().insert("content-type", json);
    ingest
        .send(unsigned)
        .await
        .problem(401, "signature_missing");
    assert_eq!(ingest.log.appends.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn every_secret_in_use_is_good() {
    let ingest = Ingest::new();
    let body = issue(7, "opened").to_string();
    for secret in ["older", SECRET] {
        let mut request = signed("issues", secret.split(' ').next().unwrap(), &body);
        let value = signature(secret, body.as_bytes()).parse().unwrap();
        request.headers_mut().insert("x-hub-signature-256", value);
        assert_eq!(ingest.send(request).await.status, 202);
    }
}

#[tokio::test]
async fn a_log_that_takes_less_gets_the_event_without_its_data() {
    let ingest = Ingest::new();
    let mut payload = issue(7, "opened");
    payload["issue"]["body"] = "x".repeat(100_000).into();
    assert_eq!(ingest.post("issues", "whole", &payload).await.status, 202);
    ingest.log.max_event_bytes.store(90_000, Ordering::SeqCst);
    assert_eq!(ingest.post("issues", "bare", &payload).await.status, 202);
    let all = ingest.log.all().await;
    let stored = |n: usize| -> Value { serde_json::from_slice(&all[n].item.json).unwrap() };
    assert_eq!(
        stored(0)["data"]["body"].as_str().map(str::len),
        Some(100_000)
    );
    let bare = stored(1);
    assert_eq!(
        (&bare["data"], &bare["metadata"]["dataOmitted"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(bare["resource"], stored(0)["resource"]);
}

#[tokio::test]
async fn a_byte_order_mark_before_a_signed_body_is_no_syntax_error() {
    let ingest = Ingest::new();
    let body = format!("\u{feff}{}", issue(7, "opened"));
    assert_eq!(ingest.send(signed("issues", GUID, &body)).await.status, 202);
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_its_name() {
    let ingest = Ingest::new();
    let mut request = signed("issues", GUID, "{}");
    let gzip = http::HeaderValue::from_static("gzip");
    request.headers_mut().insert("content-encoding", gzip);
    let answer = ingest.send(request).await;
    assert!(answer.problem(415, "body_encoded").contains("uncompressed"));
    let mut request = signed("issues", GUID, &issue(7, "opened").to_string());
    let identity = http::HeaderValue::from_static("identity");
    request.headers_mut().insert("content-encoding", identity);
    assert_eq!(ingest.send(request).await.status, 202);
}

#[tokio::test]
async fn githubs_headers_are_required_by_name() {
    let ingest = Ingest::new();
    for name in ["X-GitHub-Event", "X-GitHub-Delivery"] {
        let mut request = signed("issues", GUID, "{}");
        request.headers_mut().remove(name);
        let detail = ingest.send(request).await.problem(400, "header_missing");
        assert!(detail.contains(name), "{detail}");
        for bad in ["", "a b", "a.b", &"x".repeat(300)] {
            let mut request = signed("issues", GUID, "{}");
            let header: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(header, bad.parse().unwrap());
            let detail = ingest.send(request).await.problem(400, "header_invalid");
            assert!(detail.contains(name), "{detail}");
        }
    }
}

#[tokio::test]
async fn content_type_route_method_and_json_are_checked() {
    let ingest = Ingest::new();
    let with_type = |value: &'static str| {
        let mut request = signed("issues", GUID, "{}");
        let value = http::HeaderValue::from_static(value);
        request.headers_mut().insert("content-type", value);
        request
    };
    let form = ingest
        .send(with_type("application/x-www-form-urlencoded"))
        .await;
    assert!(form.problem(400, "invalid_form").contains("payload"));
    for other in ["text/plain", "application/jsonp", "multipart/form-data", ""] {
        ingest
            .send(with_type(other))
            .await
            .problem(415, "unsupported_content_type");
    }
    let charset = ingest
        .send(with_type("Application/JSON; charset=utf-8"))
        .await;
    assert_eq!(charset.status, 202);
    let get = Request::get("/webhooks/github")
        .body(Body::empty())
        .unwrap();
    let answer = ingest.send(get).await;
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.headers["allow"], "POST");
    let elsewhere = Request::post("/").body(Body::empty()).unwrap();
    ingest.send(elsewhere).await.problem(404, "no_such_route");
    for body in ["", "{", "{\"a\":1}x"] {
        ingest
            .send(signed("issues", GUID, body))
            .await
            .problem(400, "invalid_json");
    }
}

#[tokio::test]
async fn a_payload_beyond_a_limit_is_told_the_limit_and_not_that_it_is_no_json() {
    let ingest = Ingest::new();
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for (body, limit) in [
        (deep.as_str(), "more than 127 deep"),
        (&"[".repeat(100_000), "more than 127 deep"),
        (r#"{"number":1e400}"#, "1.8e308"),
        (r#"{"title":"\ud83d"}"#, "half a character"),
    ] {
        let answer = ingest.send(signed("issues", GUID, body)).await;
        let detail = answer.problem(400, "unreadable_json");
        assert!(
            detail.contains(limit) && !detail.contains("not JSON"),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn a_body_above_the_bound_is_refused_and_one_at_the_bound_is_taken() {
    let config = json!({"webhook_secrets": [SECRET], "max_body_bytes": 2000});
    let ingest = Ingest::with(&config, 10);
    let padded = |bytes: usize| format!("{{\"zen\":\"{}\"}}", "x".repeat(bytes - 10));
    let answer = ingest.send(signed("ping", GUID, &padded(2000))).await;
    assert_eq!(answer.status, 202);
    let answer = ingest.send(signed("ping", GUID, &padded(2001))).await;
    assert!(
        answer
            .problem(413, "body_too_large")
            .contains("ingest.max_body_bytes")
    );
    let mut unannounced = signed("ping", GUID, &padded(2001));
    unannounced.headers_mut().remove("content-length");
    ingest
        .send(unannounced)
        .await
        .problem(413, "body_too_large");
}

#[tokio::test]
async fn a_large_body_is_taken_up_to_githubs_cap() {
    let ingest = Ingest::new();
    let mut payload = issue(7, "edited");
    payload["issue"]["body"] = "x".repeat(24 * 1024 * 1024).into();
    let answer = ingest.post("issues", GUID, &payload).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let stored = &ingest.log.all().await[0].item;
    let event: Value = serde_json::from_slice(&stored.json).unwrap();
    assert_eq!(event["data"], Value::Null);
    assert_eq!(event["metadata"]["dataOmitted"], true);
}

fn form_of(payload: &Value) -> String {
    let bytes = payload.to_string().into_bytes();
    let encoded = bytes.iter().map(|byte| match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    format!("payload={}", encoded.collect::<String>())
}

/// A form, signed as it is sent.
fn signed_form(event: &str, guid: &str, body: &str) -> Request<Body> {
    let mut request = signed(event, guid, body);
    let form = http::HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert("content-type", form);
    request
}

#[tokio::test]
async fn a_form_is_the_same_event_as_json_and_is_signed_as_it_is_sent() {
    let ingest = Ingest::new();
    let mut payload = issue(7, "opened");
    payload["issue"]["title"] = "für 100 % & mehr = +1".into();
    let answer = ingest
        .send(signed_form("issues", GUID, &form_of(&payload)))
        .await;
    assert_eq!(answer.json, json!({"accepted": true, "events": [GUID]}));
    ingest.post("issues", "as-json", &payload).await;
    let all = ingest.log.all().await;
    let [form, json] = [0, 1].map(|at| {
        let event: Value = serde_json::from_slice(&all[at].item.json).unwrap();
        event["data"].clone()
    });
    assert_eq!(form, json);
    // The signature of the payload alone is not that of the form.
    let mut request = signed("issues", "other", &payload.to_string());
    *request.body_mut() = Body::from(form_of(&payload));
    request.headers_mut().remove("content-length");
    let content_type = http::HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert("content-type", content_type);
    ingest.send(request).await.problem(401, "signature_invalid");
    for (body, code) in [
        ("payload=%7B", "invalid_json"),
        ("payload=%", "invalid_form"),
        ("other=1", "invalid_form"),
    ] {
        let answer = ingest.send(signed_form("issues", "x", body)).await;
        answer.problem(400, code);
    }
}

#[tokio::test]
async fn a_large_form_is_bounded_like_any_body() {
    let config = json!({"webhook_secrets": [SECRET], "max_body_bytes": 2_000_000});
    let ingest = Ingest::with(&config, 10);
    let padded = |bytes: usize| form_of(&json!({"zen": "x".repeat(bytes)}));
    let answer = ingest
        .send(signed_form("ping", GUID, &padded(1_900_000)))
        .await;
    assert_eq!(answer.json, json!({"skipped": true, "reason": "ping"}));
    ingest
        .send(signed_form("ping", GUID, &padded(2_000_000)))
        .await
        .problem(413, "body_too_large");
}

#[tokio::test]
async fn what_is_not_for_us_is_fine_and_skipped() {
    let ingest = Ingest::new();
    for (event, payload, reason) in [
        ("ping", json!({"zen": "x"}), "ping"),
        ("push", json!({}), "push payload has no usable /ref"),
        (
            "news_of_tomorrow",
            json!({}),
            "the payload of event news_of_tomorrow names no resource",
        ),
        (
            "issues",
            json!({"action": "opened"}),
            "issues payload has no usable /issue",
        ),
        ("issues", json!([]), "issues payload has no usable /issue"),
    ] {
        let answer = ingest.post(event, GUID, &payload).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.json, json!({"skipped": true, "reason": reason}));
    }
    assert_eq!(ingest.log.appends.load(Ordering::SeqCst), 0);
}

/// The signature covers the body, and not the name of the event.
#[tokio::test]
async fn a_body_under_the_name_of_another_event_is_skipped() {
    let ingest = Ingest::new();
    let mut deleted = issue(7, "deleted");
    deleted["comment"] = json!({ "id": 4, "node_id": "IC_4", "body": "x" });
    for event in ["repository", "public", "issues", "member", "release"] {
        let answer = ingest.post(event, GUID, &deleted).await;
        assert_eq!(answer.status, 202, "{event}");
        let reason = answer.json["reason"].as_str().unwrap();
        assert!(
            reason.contains("of another event") || reason.contains("no usable"),
            "{event}: {reason}"
        );
    }
    assert_eq!(ingest.log.appends.load(Ordering::SeqCst), 0);
    let own = ingest.post("issue_comment", GUID, &deleted).await;
    assert_eq!(own.json["skipped"], json!(null), "{}", own.json);
}

#[tokio::test]
async fn a_log_that_fails_is_a_503_and_the_redelivery_succeeds() {
    let ingest = Ingest::new();
    let mut hints = ingest.subscribe().await;
    ingest.log.broken.store(true, Ordering::SeqCst);
    let answer = ingest.post("issues", GUID, &issue(7, "opened")).await;
    let detail = answer.problem(503, "event_log_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!detail.contains("10.0.0.7"), "{detail}");
    ingest.log.broken.store(false, Ordering::SeqCst);
    let answer = ingest.post("issues", GUID, &issue(7, "opened")).await;
    assert_eq!(answer.json, json!({"accepted": true, "events": [GUID]}));
    assert_eq!(hints.next().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_answer_is_a_503_before_github_gives_up() {
    let ingest = Ingest::with(&json!({"webhook_secrets": [SECRET]}), 0);
    let started = tokio::time::Instant::now();
    let answer = ingest.post("issues", GUID, &issue(7, "opened")).await;
    answer.problem(503, "event_log_unavailable");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_sender_that_hangs_up_does_not_cut_append_from_hint() {
    let ingest = Ingest::with(&json!({"webhook_secrets": [SECRET]}), 0);
    let mut hints = ingest.subscribe().await;
    let request = signed("issues", GUID, &issue(7, "opened").to_string());
    let sending = tokio::spawn(ingest.router.clone().oneshot(request));
    let log = &ingest.log;
    eventually("the append begins", async || {
        log.appends.load(Ordering::SeqCst) == 1
    })
    .await;
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    ingest.log.open.add_permits(1);
    assert_eq!(hints.next().await[0].item.facts.id.as_str(), GUID);
    assert_eq!(ingest.log.all().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_is_stuck_delays_one_answer_by_the_window_and_is_counted() {
    let window = Duration::from_millis(DEFAULT_ORDER_WINDOW_MILLISECONDS);
    let config = json!({"webhook_secrets": [SECRET]});
    let ingest = Ingest::on(&config, 10, Arc::new(StuckBus));
    // It listens to the others before the first delivery.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    for (guid, number, longest) in [(GUID, 7, window), ("another", 8, Duration::ZERO)] {
        let started = tokio::time::Instant::now();
        let answer = ingest.post("issues", guid, &issue(number, "opened")).await;
        assert_eq!(answer.status, 202);
        assert!(started.elapsed() <= longest, "{:?}", started.elapsed());
    }
    let failed = "forgewire_ingest_hint_failures_total 2";
    eventually("counted", async || ingest.metrics().contains(failed)).await;
}

#[tokio::test]
async fn deliveries_events_and_appends_are_counted() {
    let ingest = Ingest::new();
    ingest.post("issues", GUID, &issue(7, "opened")).await;
    ingest.post("issues", GUID, &issue(7, "opened")).await;
    ingest.post("ping", GUID, &json!({})).await;
    ingest.send(signed("issues", GUID, "{")).await;
    let text = ingest.metrics();
    for line in [
        "forgewire_ingest_deliveries_total{outcome=\"accepted\"} 1",
        "forgewire_ingest_deliveries_total{outcome=\"deduplicated\"} 1",
        "forgewire_ingest_deliveries_total{outcome=\"skipped\"} 1",
        "forgewire_ingest_deliveries_total{outcome=\"invalid_json\"} 1",
        "forgewire_ingest_events_total{resource_type=\"issue\"} 1",
        "forgewire_ingest_append_seconds_count 2",
        "forgewire_ingest_hint_failures_total 0",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

/// A log that answers and takes nothing, as on a full disk.
#[tokio::test(start_paused = true)]
async fn an_ingest_whose_appends_fail_is_not_ready_until_one_may_be_tried_again() {
    let ingest = Ingest::new();
    let pass = async |seconds| tokio::time::sleep(Duration::from_secs(seconds)).await;
    let post = async |delivery: &str| ingest.post("issues", delivery, &issue(7, "opened")).await;
    pass(1).await;
    assert!(ingest.lifecycle.readiness().ready);

    ingest.log.refuses_appends.store(true, Ordering::SeqCst);
    post("00000000-0000-4000-8000-000000000001")
        .await
        .problem(503, "event_log_unavailable");
    pass(4).await;
    assert!(
        ingest.lifecycle.readiness().ready,
        "one failed append is not enough"
    );
    post("00000000-0000-4000-8000-000000000002")
        .await
        .problem(503, "event_log_unavailable");
    pass(4).await;
    let waiting = ingest.lifecycle.readiness().waiting_for;
    let [("ingest: event log", reason)] = &waiting[..] else {
        panic!("{waiting:?}");
    };
    assert_eq!(reason, "the event log failed the last 2 appends");

    // A role that is not ready gets no deliveries, so time has to end it: the next one is the trial.
    ingest.log.refuses_appends.store(false, Ordering::SeqCst);
    pass(5).await;
    assert!(ingest.lifecycle.readiness().ready);
    assert_eq!(
        post("00000000-0000-4000-8000-000000000003").await.status,
        202
    );
    pass(10).await;
    assert!(ingest.lifecycle.readiness().ready);
}

#[tokio::test]
async fn readiness_waits_for_the_log_and_the_drain_for_deliveries() {
    let ingest = Ingest::with(&json!({"webhook_secrets": [SECRET]}), 0);
    let lifecycle = ingest.lifecycle.clone();
    // The role's tasks run from the first await on.
    ingest.log.broken.store(true, Ordering::SeqCst);
    assert!(!lifecycle.readiness().ready);
    ingest.log.broken.store(false, Ordering::SeqCst);
    eventually("ready", async || lifecycle.readiness().ready).await;

    let request = signed("issues", GUID, &issue(7, "opened").to_string());
    let sending = tokio::spawn(ingest.router.clone().oneshot(request));
    let log = &ingest.log;
    eventually("the append begins", async || {
        log.appends.load(Ordering::SeqCst) == 1
    })
    .await;
    sending.abort();
    let stopping = lifecycle.clone();
    let stopped = tokio::spawn(async move { stopping.run(std::future::ready(())).await });
    lifecycle.draining().cancelled().await;
    assert!(!stopped.is_finished());
    ingest.log.open.add_permits(1);
    assert!(stopped.await.unwrap().clean);
    assert_eq!(ingest.log.all().await.len(), 1);
}

/// One exchange over a real socket, returned as text.
fn exchange(address: std::net::SocketAddr, parts: &[&str]) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    for part in parts {
        socket.write_all(part.as_bytes()).unwrap();
    }
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(start_paused = true)]
async fn deliveries_are_stamped_by_the_clock_of_the_log_and_a_difference_shows() {
    const HOUR: Duration = Duration::from_secs(3600);
    let ingest = Ingest::new();
    let hour_ago = SystemClock.now().minus(HOUR);
    *ingest.log.time.lock().unwrap() = Some(hour_ago);
    // Longer than the interval of the measurements; this process is an hour ahead of its log.
    tokio::time::sleep(Duration::from_secs(60)).await;
    ingest.post("issues", GUID, &issue(7, "opened")).await;
    let received = ingest.log.all().await[0].item.facts.received_at;
    assert!(received >= hour_ago && received < SystemClock.now().minus(HOUR / 2));
    let metrics = ingest.metrics();
    let gauge = "forgewire_ingest_clock_skew_seconds 360";
    assert!(metrics.contains(gauge), "{metrics}");
}

/// The time of an event is kept for good, so the first delivery after the clock was set has the right one.
#[tokio::test]
async fn a_clock_that_is_set_stamps_no_delivery() {
    let ingest = Ingest::new();
    for (n, seconds) in [0, -3600, 365 * 24 * 3600].into_iter().enumerate() {
        let before = SystemClock.now();
        *ingest.log.time.lock().unwrap() = Some(before);
        let wrong = &ingest.clock.wrong_millis;
        wrong.store(seconds * 1000, Ordering::SeqCst);
        let guid = format!("{n}-{GUID}");
        ingest.post("issues", &guid, &issue(7, "opened")).await;
        let stored = ingest.log.all().await;
        let received = stored[n].item.facts.received_at;
        let minute = Duration::from_secs(60);
        let right = before.minus(minute)..SystemClock.now().plus(minute);
        assert!(right.contains(&received), "{seconds}: {received}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_socket_a_delivery_is_taken_and_a_stalled_body_is_given_up() {
    let config = json!({"webhook_secrets": [SECRET], "body_timeout_seconds": 1});
    let ingest = Ingest::with(&config, 10);
    let lifecycle = Lifecycle::new(Duration::from_secs(1));
    let listener = service_kit::http::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let limits = service_kit::http::HttpLimits::default();
    let serving =
        service_kit::http::serve(listener, ingest.router.clone(), limits, lifecycle.clone());
    let serving = tokio::spawn(serving);

    let body = issue(7, "opened").to_string();
    let head = format!(
        "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nX-GitHub-Event: issues\r\n\
         X-GitHub-Delivery: {GUID}\r\nX-Hub-Signature-256: {}\r\n\r\n",
        body.len(),
        signature(SECRET, body.as_bytes())
    );
    let (half, rest) = body.split_at(body.len() / 2);
    let ask = |parts: Vec<String>| {
        tokio::task::spawn_blocking(move || {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            exchange(address, &parts)
        })
    };
    let whole = ask(vec![head.clone(), half.to_owned(), rest.to_owned()])
        .await
        .unwrap();
    assert!(whole.starts_with("HTTP/1.1 202"), "{whole}");
    let stalled = ask(vec![head, half.to_owned()]).await.unwrap();
    assert!(stalled.starts_with("HTTP/1.1 408"), "{stalled}");
    assert!(stalled.contains("body_timeout"), "{stalled}");

    lifecycle.hard_stop();
    tokio::time::timeout(harness::PATIENCE, serving)
        .await
        .unwrap()
        .unwrap();
}
