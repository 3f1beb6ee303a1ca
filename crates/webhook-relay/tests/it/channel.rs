//! Messages of a channel: nobody but GitHub makes events, and nothing vanishes.

use std::{convert::Infallible, net::TcpListener as StdListener};

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::{HeaderValue, header};
use serde_json::{Value, json as value};
use tokio::net::TcpListener;

use crate::world::{Ingest, Logs, Relay, SECRET, Server, channel, json, sign};

/// A channel that sends these messages to each of its readers, and then stays open.
async fn sending(messages: Vec<String>) -> Server {
    Server::start(move |_, _| {
        let mut frames = vec![Bytes::from("event: ready\ndata: {}\n\n")];
        frames.extend(
            messages
                .iter()
                .map(|data| Bytes::from(format!("data: {data}\n\n"))),
        );
        let open = stream::unfold(frames.into_iter(), async |mut frames| match frames.next() {
            Some(frame) => Some((Ok::<_, Infallible>(frame), frames)),
            None => std::future::pending().await,
        });
        let mut response = json(200, Body::from_stream(open));
        let kind = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    })
    .await
}

/// A message as smee.io makes it.
fn message(guid: &str, body: &Value, signature: Option<String>) -> Value {
    let mut message = value!({"host": "smee.io", "x-github-event": "issues", "x-github-delivery": guid,
        "x-github-hook-id": "7", "content-type": "application/json", "query": {}, "timestamp": 1, "body": body});
    if let Some(signature) = signature {
        message["x-hub-signature-256"] = signature.into();
    }
    message
}

fn signed(guid: &str, body: &Value) -> String {
    let signature = sign(SECRET, body.to_string().as_bytes());
    message(guid, body, Some(signature)).to_string()
}

#[tokio::test]
async fn only_what_github_has_signed_is_passed_on_and_the_rest_is_counted() {
    let logs = Logs::start();
    let ingest = Ingest::start().await;
    let body = value!({"action": "opened", "title": "é\u{1b}"});
    let mut messages: Vec<String> = (0..50)
        .map(|n| message(&format!("unsigned-{n}"), &body, None).to_string())
        .collect();
    let strangers = sign("a stranger's", body.to_string().as_bytes());
    messages.push(message("strangers", &body, Some(strangers)).to_string());
    messages.push(signed("githubs", &body));
    let smee = sending(messages).await;
    let relay = Relay::start(channel(&smee.url(), false), &ingest.server.url());
    let got = ingest.until(1).await;
    assert_eq!(
        (got[0].guid.as_str(), got[0].is_signed()),
        ("githubs", true)
    );
    relay.finish().await;
    // One line at first, and what was not said then at the end.
    let text = logs.text();
    assert_eq!(logs.count("are refused"), 2, "{text}");
    assert!(
        text.contains("refused=1 total=1") && text.contains("refused=50 total=51"),
        "{text}"
    );
    assert!(
        text.contains("WEBHOOK_SECRET") && !text.contains(SECRET),
        "{text}"
    );
    ingest.until_guids(&["githubs"]).await;
}

#[tokio::test]
async fn what_is_not_verified_is_passed_on_only_if_the_operator_says_so() {
    let logs = Logs::start();
    let ingest = Ingest::start().await;
    let body = value!({"action": "opened"});
    let wrong = Some("sha256=00".to_owned());
    let smee = sending(vec![
        message("wrong", &body, wrong).to_string(),
        message("none", &body, None).to_string(),
        signed("githubs", &body),
    ])
    .await;
    let relay = Relay::start(channel(&smee.url(), true), &ingest.server.url());
    ingest.until_guids(&["wrong", "none", "githubs"]).await;
    assert!(
        ingest
            .until(3)
            .await
            .iter()
            .all(|got| got.is_signed() && got.event == "issues")
    );
    assert_eq!(logs.count("--accept-unverified"), 1);
    relay.finish().await;
}

#[tokio::test]
async fn what_is_no_delivery_is_said_and_the_next_one_arrives() {
    let logs = Logs::start();
    let ingest = Ingest::start().await;
    let body = value!({"action": "opened"});
    let mut numeric: Value = serde_json::from_str(&signed("numeric", &body)).unwrap();
    numeric["x-github-hook-id"] = 7.into();
    let mut list = numeric.clone();
    list["x-github-event"] = value!(["a", "b"]);
    let smee = sending(vec![
        "{oops".to_owned(),
        list.to_string(),
        "[]".to_owned(),
        numeric.to_string(),
    ])
    .await;
    let relay = Relay::start(channel(&smee.url(), false), &ingest.server.url());
    ingest.until_guids(&["numeric"]).await;
    relay.finish().await;
    let text = logs.text();
    assert!(
        text.contains("no deliveries of GitHub") && text.contains("total=3"),
        "{text}"
    );
}

#[tokio::test]
async fn the_largest_delivery_that_github_sends_arrives() {
    let ingest = Ingest::start().await;
    let body = value!({"action": "opened", "pad": "x".repeat(25_000_000 - 60)});
    let smee = sending(vec![signed("large", &body), signed("next", &value!({}))]).await;
    let relay = Relay::start(channel(&smee.url(), false), &ingest.server.url());
    ingest.until_guids(&["large", "next"]).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_delivery_waits_for_an_ingest_that_is_away_with_one_line() {
    let logs = Logs::start();
    let port = StdListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let smee = sending(vec![
        signed("first", &value!({})),
        signed("second", &value!({})),
    ])
    .await;
    let relay = Relay::start(channel(&smee.url(), false), &format!("http://{address}"));
    logs.until("waiting for the ingest").await;
    let ingest = Ingest::start_at(TcpListener::bind(address).await.unwrap());
    // Far more refusals than a message of a channel had attempts.
    ingest.refuse([503, 502, 504, 429].into_iter().cycle().take(40));
    ingest.until_guids(&["first", "second"]).await;
    relay.finish().await;
    let text = logs.text();
    assert_eq!(logs.count("waiting for the ingest"), 1, "{text}");
    assert_eq!(logs.count("the ingest answers again"), 1, "{text}");
}

#[tokio::test]
async fn a_delivery_with_which_the_ingest_has_a_fault_does_not_hold_up_the_others_for_ever() {
    let logs = Logs::start();
    let ingest = Ingest::start().await;
    ingest.refuse([400, 500, 500, 500, 500, 500, 500, 500, 500]);
    let guids = ["refused", "faulty", "good"];
    let smee = sending(guids.map(|guid| signed(guid, &value!({}))).to_vec()).await;
    let relay = Relay::start(channel(&smee.url(), false), &ingest.server.url());
    ingest.until_guids(&["good"]).await;
    relay.finish().await;
    let text = logs.text();
    for (guid, reason) in [("refused", "400"), ("faulty", "500")] {
        let said = text.lines().any(|line| {
            line.contains("makes nothing of a delivery")
                && line.contains(guid)
                && line.contains(reason)
        });
        assert!(said, "{text}");
    }
}
