//! Deliveries and requests at a pace, over many connections.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use reqwest::Url;
use serde_json::{Value, json};
use testkit::{
    fake_github::{Delivery, FakeGithub},
    ledger::DeliveryLedger,
    mcp_client::ModernClient,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use super::{
    connection::{KeptConnection, LoadAnswer},
    tally::AnswerTally,
};

/// Time allowed for one answer. GitHub gives ten seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Deliveries about one issue, before the next one. They are made at once, which must not keep a thread
/// from its connections for long.
const DELIVERIES_PER_ISSUE: usize = 10;

/// What all clients of a run share.
#[derive(Debug, Clone)]
pub(crate) struct LoadContext {
    pub(crate) ledger: Arc<DeliveryLedger>,
    /// What the run does at the moment, for descriptions of failures.
    pub(crate) during: watch::Receiver<String>,
    pub(crate) stopped: watch::Receiver<bool>,
}

/// The clients of one kind.
#[derive(Debug)]
pub(crate) struct LoadClients {
    tasks: JoinSet<()>,
    pub(crate) tally: Arc<AnswerTally>,
}

/// A pace: so many connections, and so many requests over all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadPace {
    pub(crate) connections: u32,
    pub(crate) per_second: u32,
}

impl LoadClients {
    /// Sends signed deliveries. Those of one connection are about one issue at a time, so that their
    /// order is known.
    pub(crate) fn deliver(
        to: &Url,
        secret: &str,
        pace: LoadPace,
        context: &LoadContext,
    ) -> Result<Self> {
        Self::start(to, pace, context, |at| {
            let mut github = FakeGithub::new(u64::from(at) + 1, secret);
            let ledger = Arc::clone(&context.ledger);
            let mut next = Vec::new();
            move || {
                if next.is_empty() {
                    next = github.about_one_issue(DELIVERIES_PER_ISSUE);
                    next.reverse();
                }
                let delivery = next.pop().expect("there are deliveries");
                ledger.record_sending_delivery(&delivery);
                (delivery_request(&delivery), Some(delivery))
            }
        })
    }

    /// Sends requests of REST and MCP in turn.
    pub(crate) fn ask(to: &Url, pace: LoadPace, context: &LoadContext) -> Result<Self> {
        Self::start(to, pace, context, |_| {
            let client = ModernClient::new();
            let mut number = 0_u64;
            move || {
                number += 1;
                let request = match number % 3 {
                    0 => mcp_request(&client, "tools/list", json!({})),
                    1 => {
                        let call =
                            json!({ "name": "get_recent_events", "arguments": { "limit": 1 } });
                        mcp_request(&client, "tools/call", call)
                    }
                    _ => Request::get("/events/recent?limit=1").body(Full::default()),
                };
                (request, None)
            }
        })
    }

    fn start<N>(
        to: &Url,
        pace: LoadPace,
        context: &LoadContext,
        source: impl Fn(u32) -> N,
    ) -> Result<Self>
    where
        N: FnMut() -> (hyper::http::Result<Request<Full<Bytes>>>, Option<Delivery>)
            + Send
            + 'static,
    {
        let to: SocketAddr = format!(
            "{}:{}",
            to.host_str().context("a balancer has a host")?,
            to.port().context("a balancer has a port")?
        )
        .parse()?;
        let (tally, mut tasks) = (Arc::<AnswerTally>::default(), JoinSet::new());
        let every = Duration::from_secs(1) * pace.connections / pace.per_second;
        let begin = Instant::now();
        for at in 0..pace.connections {
            let client = LoadClient {
                connection: KeptConnection::new(to),
                tally: Arc::clone(&tally),
                context: context.clone(),
            };
            // Spread over the interval.
            let first = begin + every * at / pace.connections;
            tasks.spawn(client.run(first, every, source(at)));
        }
        Ok(Self { tasks, tally })
    }

    /// Waits until every client has its last answer.
    pub(crate) async fn finish(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

struct LoadClient {
    connection: KeptConnection,
    tally: Arc<AnswerTally>,
    context: LoadContext,
}

impl LoadClient {
    async fn run(
        mut self,
        first: Instant,
        every: Duration,
        mut next: impl FnMut() -> (hyper::http::Result<Request<Full<Bytes>>>, Option<Delivery>),
    ) {
        let mut ticks = tokio::time::interval_at(first, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = self.context.stopped.wait_for(|stopped| *stopped) => return,
                _ = ticks.tick() => {}
            }
            let (request, delivery) = next();
            let outcome = self.send(request).await;
            let what = delivery.as_ref().map_or("request", |_| "delivery");
            let during = self.context.during.borrow().clone();
            self.tally.count(what, &during, &outcome);
            if let (Ok(answer), Some(delivery)) = (&outcome, &delivery)
                && (200..=299).contains(&answer.status)
            {
                self.context
                    .ledger
                    .record_acknowledged(delivery.guid.as_str());
            }
        }
    }

    async fn send(
        &mut self,
        request: hyper::http::Result<Request<Full<Bytes>>>,
    ) -> Result<LoadAnswer> {
        let mut request = request?;
        let host = hyper::header::HeaderValue::from_static("localhost");
        request.headers_mut().insert(hyper::header::HOST, host);
        self.connection.send(request, ANSWER_TIMEOUT).await
    }
}

fn delivery_request(delivery: &Delivery) -> hyper::http::Result<Request<Full<Bytes>>> {
    let mut request = Request::post("/webhooks/github").body(Full::new(delivery.body.clone()))?;
    *request.headers_mut() = delivery.headers();
    Ok(request)
}

fn mcp_request(
    client: &ModernClient,
    method: &str,
    params: Value,
) -> hyper::http::Result<Request<Full<Bytes>>> {
    let message = client.message(method, params);
    let mut request = Request::post("/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(Full::new(Bytes::from(message.to_string())))?;
    request
        .headers_mut()
        .extend(ModernClient::headers(&message));
    Ok(request)
}
