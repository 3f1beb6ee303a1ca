//! Sends deliveries, one attempt each, as GitHub does.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::Client;

use super::shared::Shared;
use crate::hooks::{ANSWER_WITHIN, FakeAttempt, FakeDelivery, FakeHook};

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// The most of a receiver's answer that is kept.
const MAX_ANSWER: usize = 4096;

/// Sends what is to be sent, in order, until the server ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let client = Client::builder()
        .no_proxy()
        .connect_timeout(CONNECT_WITHIN)
        .build();
    let client = client.expect("a client without TLS and proxies has nothing that can fail");
    let mut changed = shared.changed.subscribe();
    loop {
        let next = next(&shared);
        let Some((delivery, hook, headers)) = next else {
            if changed.changed().await.is_err() {
                return;
            }
            continue;
        };
        let attempt = attempt(&client, &delivery, &hook, headers).await;
        shared.github().world.attempted(delivery.id, attempt);
        shared.tell();
    }
}

type ToSend = (FakeDelivery, FakeHook, Vec<(&'static str, String)>);

fn next(shared: &Shared) -> Option<ToSend> {
    let world = &mut shared.github().world;
    let (delivery, hook) = world.next_to_send()?;
    let headers = world.render().delivery_headers(&delivery);
    Some((delivery, hook, headers))
}

async fn attempt(
    client: &Client,
    delivery: &FakeDelivery,
    hook: &FakeHook,
    headers: Vec<(&'static str, String)>,
) -> FakeAttempt {
    let started = Instant::now();
    let mut request = client.post(&hook.url).timeout(ANSWER_WITHIN);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let sent = request.body(delivery.payload.to_string()).send().await;
    let failed = |status_code, status: &str| FakeAttempt {
        status_code,
        status: status.to_owned(),
        duration: started.elapsed(),
        headers: BTreeMap::new(),
        body: String::new(),
    };
    match sent {
        Err(error) if error.is_timeout() && !error.is_connect() => failed(504, "timed out"),
        Err(_) => failed(0, "failed to connect"),
        Ok(answer) => {
            let status_code = answer.status().as_u16();
            let headers = answer.headers().iter();
            let headers = headers.map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            });
            let headers = headers.collect();
            let mut body = answer.text().await.unwrap_or_default();
            let end = body.floor_char_boundary(MAX_ANSWER);
            body.truncate(end);
            let is_ok = (200..300).contains(&status_code);
            let status = if is_ok {
                "OK".to_owned()
            } else {
                format!("Invalid HTTP Response: {status_code}")
            };
            FakeAttempt {
                status_code,
                status,
                duration: started.elapsed(),
                headers,
                body,
            }
        }
    }
}
