//! Traces through the whole system, as a collector receives them; and collectors that are a burden to nobody.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, Response, Url};
use serde_json::{Value, json};
use testkit::{
    cluster::{ClusterPlan, FaultOutcome, System, SystemKind, SystemNode},
    fake_github::{Delivery, FakeGithub},
    mcp_client::{McpClient, ModernClient},
    otlp::{BrokenCollector, CollectorFault, OtlpCollector, ReceivedSpan, draw_trace},
};
use tests::{EventReader, ReaderKind, both_with, only, settle, until};

use crate::sending::GithubSender;

/// Only requests whose client asks for it are recorded: the test knows their traces.
fn records_on_request(plan: ClusterPlan, endpoint: &str) -> ClusterPlan {
    plan.with_env("FORGEWIRE_TELEMETRY__ENDPOINT", endpoint)
        .with_env("FORGEWIRE_TELEMETRY__SAMPLING_RATIO", "0")
        .with_env("FORGEWIRE_TELEMETRY__FOLLOW_CLIENT_SAMPLING", "true")
        .with_env("FORGEWIRE_TELEMETRY__METRICS_INTERVAL_SECONDS", "1")
}

/// A trace of a client outside.
struct ClientTrace {
    id: String,
    header: String,
}

impl ClientTrace {
    fn new() -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        Self {
            header: format!("00-{id}-00f067aa0ba902b7-01"),
            id,
        }
    }
}

/// The names from a span up to the client's, with the roles of their processes.
fn way_up(spans: &[ReceivedSpan], from: &ReceivedSpan) -> Vec<String> {
    let mut way = vec![from];
    while let Some(parent) = spans.iter().find(|span| {
        way.last()
            .is_some_and(|last| last.parent_id == span.span_id)
    }) {
        way.push(parent);
    }
    way.iter().map(|span| span.name.clone()).collect()
}

fn named<'a>(spans: &'a [ReceivedSpan], trace: &str, name: &str) -> Vec<&'a ReceivedSpan> {
    let of_trace = spans.iter().filter(|span| span.trace_id == trace);
    of_trace.filter(|span| span.name == name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_one_trace_from_the_webhook_to_the_stream() -> Result<()> {
    let collector = OtlpCollector::start().await?;
    for kind in SystemKind::ALL {
        // Both protocols, over the topologies.
        let (endpoint, protocol) = match kind {
            SystemKind::Embedded => (collector.http(), "http"),
            SystemKind::Cluster => (collector.grpc(), "grpc"),
        };
        let plan = |plan| {
            records_on_request(plan, endpoint).with_env("FORGEWIRE_TELEMETRY__PROTOCOL", protocol)
        };
        only(kind, plan, async |system| {
            let opened = ClientTrace::new();
            let url = system.edges()[0].join("/events/stream")?;
            let opening = reqwest::Client::new().get(url);
            let stream = opening.header("traceparent", &opened.header).send().await?;
            ensure!(stream.status() == 200, "{}", stream.status());
            let mut github = FakeGithub::new(71, system.secret());
            // A hint may come while the edge reads the log; then the event follows from the delivery itself.
            for delivery in github.about_one_issue(8) {
                let trace = deliver(system, &delivery).await?;
                if drawn(&collector, kind, &trace, &opened).await? {
                    return Ok(());
                }
            }
            anyhow::bail!("no event came by its hint")
        })
        .await?;
    }
    Ok(())
}

/// Sends a delivery in a trace of its own.
async fn deliver(system: &System, delivery: &Delivery) -> Result<ClientTrace> {
    let trace = ClientTrace::new();
    let url = system.ingests()[0].join("/webhooks/github")?;
    let sending = reqwest::Client::new()
        .post(url)
        .headers(delivery.headers())
        .header("traceparent", &trace.header)
        .body(delivery.body.clone());
    let answer = sending.send().await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    Ok(trace)
}

/// Waits for the trace of a delivery and checks it; whether the streams' edge had the event from its hint.
async fn drawn(
    collector: &OtlpCollector,
    kind: SystemKind,
    trace: &ClientTrace,
    opened: &ClientTrace,
) -> Result<bool> {
    // Each process that follows has a span: three edges and sync, or the two roles of one process.
    let followers = match kind {
        SystemKind::Cluster => 4,
        SystemKind::Embedded => 2,
    };
    let has = |spans: &[ReceivedSpan], name: &str, count: usize| {
        named(spans, &trace.id, name).len() >= count
    };
    let whole = collector
        .until(|found| {
            let spans = found.spans();
            has(&spans, "POST /webhooks/github", 1)
                && has(&spans, "delivery", 1)
                && has(&spans, "append", 1)
                && has(&spans, "log.append", 1)
                && has(&spans, "hint", 1)
                && has(&spans, "sse write", 1)
                && has(&spans, "follow", followers)
        })
        .await;
    let spans = collector.spans();
    let drawing = draw_trace(&spans, &trace.id);
    ensure!(whole, "on {kind}, the trace is not whole:\n{drawing}");
    let write = named(&spans, &trace.id, "sse write");
    ensure!(write.len() == 1, "one stream is open:\n{drawing}");
    let links: Vec<_> = write[0].links.iter().map(|(trace, _)| trace).collect();
    ensure!(links == [&opened.id], "the stream's request is not linked");
    let way = way_up(&spans, write[0]);
    let has_hint = way.contains(&"hint".to_owned());
    let mut expected = vec!["sse write", "follow", "delivery", "POST /webhooks/github"];
    if has_hint {
        expected.insert(2, "hint");
    }
    ensure!(way == expected, "on {kind}: {way:?}\n{drawing}");
    for store in named(&spans, &trace.id, "log.append") {
        let way = way_up(&spans, store);
        let expected = ["log.append", "append", "delivery", "POST /webhooks/github"];
        ensure!(way == expected, "{way:?}\n{drawing}");
    }
    let root = named(&spans, &trace.id, "POST /webhooks/github")[0];
    ensure!(root.parent_id == "00f067aa0ba902b7", "the client's span");
    ensure!(
        root.attributes["http.response.status_code"] == "202",
        "{root:?}"
    );
    if has_hint {
        println!("on {kind}:\n{drawing}");
    }
    Ok(has_hint)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_one_trace_from_the_client_over_grpc_to_the_store() -> Result<()> {
    let collector = OtlpCollector::start().await?;
    let endpoint = collector.grpc().to_owned();
    both_with(
        |plan| records_on_request(plan, &endpoint),
        async |system| {
            let mut github = GithubSender::of(system, 72);
            let deliveries = github.fake.about_one_issue(1);
            github.send_all(&deliveries).await?;
            let expected = deliveries[0].expected.as_ref().context("an event")?;
            let repo = expected.repo.as_deref().context("a repository")?;
            let number = expected.number.context("a number")?;
            let uri = format!("github://issues/{}/{repo}/{number}", expected.owner);
            let edge = &system.edges()[0];
            handshake_read(&collector, system.kind(), edge, &uri).await?;
            modern_replay(&collector, edge).await
        },
    )
    .await
}

/// A session is loaded from the store, and the state comes from the sync role.
async fn handshake_read(
    collector: &OtlpCollector,
    kind: SystemKind,
    edge: &Url,
    uri: &str,
) -> Result<()> {
    let client = McpClient::connect(edge).await?;
    let trace = ClientTrace::new();
    let message =
        json!({"jsonrpc": "2.0", "id": 7, "method": "resources/read", "params": {"uri": uri}});
    let answer = post(edge, client.headers(), &trace, &message).await?;
    ensure!(answer.status() == 200, "{}", answer.text().await?);
    let expected: &[&str] = match kind {
        SystemKind::Cluster => &[
            "POST /mcp",
            "records.load",
            "resources/read",
            "forgewire.v1.Sync/GetResource",
        ],
        SystemKind::Embedded => &["POST /mcp", "records.load", "resources/read"],
    };
    let spans = with_all(collector, &trace, expected).await?;
    if kind == SystemKind::Cluster {
        let grpc = "forgewire.v1.Sync/GetResource";
        let served = |spans: &[ReceivedSpan]| {
            let mut of_grpc = named(spans, &trace.id, grpc).into_iter();
            of_grpc.find(|span| span.kind == "server").cloned()
        };
        // Every process exports at its own pace.
        let both = |found: &OtlpCollector| named(&found.spans(), &trace.id, grpc).len() == 2;
        ensure!(collector.until(both).await, "the sync role's span");
        let spans = collector.spans();
        let served = served(&spans).context("the sync role's span")?;
        ensure!(served.roles() == "sync", "{served:?}");
        let way = way_up(&spans, &served);
        ensure!(
            way == [grpc, grpc, "resources/read", "POST /mcp"],
            "{way:?}"
        );
    }
    let load = named(&spans, &trace.id, "records.load")[0];
    ensure!(way_up(&spans, load).contains(&"POST /mcp".to_owned()));
    println!("on {kind}:\n{}", draw_trace(&spans, &trace.id));
    Ok(())
}

/// The call names its trace in `_meta`, as MCP's revision 2026-07-28 has it, and reads the log.
async fn modern_replay(collector: &OtlpCollector, edge: &Url) -> Result<()> {
    let (carrier, trace) = (ClientTrace::new(), ClientTrace::new());
    let client = ModernClient::new();
    let arguments = json!({"from": "2026-01-01T00:00:00Z"});
    let params = json!({"name": "replay_events", "arguments": arguments});
    let mut message = client.message("tools/call", params);
    message["params"]["_meta"]["traceparent"] = Value::from(trace.header.as_str());
    let headers = ModernClient::headers(&message);
    let answer = post(edge, headers, &carrier, &message).await?;
    ensure!(answer.status() == 200, "{}", answer.text().await?);
    let spans = with_all(collector, &trace, &["tools/call replay_events", "log.head"]).await?;
    let call = named(&spans, &trace.id, "tools/call replay_events")[0];
    ensure!(
        call.attributes["mcp.method.name"] == "tools/call",
        "{call:?}"
    );
    ensure!(call.parent_id == "00f067aa0ba902b7", "{call:?}");
    ensure!(
        call.links.len() == 1 && call.links[0].0 == carrier.id,
        "{call:?}"
    );
    let head = named(&spans, &trace.id, "log.head")[0];
    let way = way_up(&spans, head);
    ensure!(way == ["log.head", "tools/call replay_events"], "{way:?}");
    Ok(())
}

async fn post(
    edge: &Url,
    headers: reqwest::header::HeaderMap,
    trace: &ClientTrace,
    message: &Value,
) -> Result<Response> {
    let request = reqwest::Client::new().request(Method::POST, edge.join("/mcp")?);
    let request = request
        .headers(headers)
        .header("traceparent", &trace.header);
    Ok(request.json(message).send().await?)
}

/// Waits until a trace has spans of all these names.
async fn with_all(
    collector: &OtlpCollector,
    trace: &ClientTrace,
    names: &[&str],
) -> Result<Vec<ReceivedSpan>> {
    let whole = collector
        .until(|found| {
            let spans = found.spans();
            let has = |name: &&str| !named(&spans, &trace.id, name).is_empty();
            names.iter().all(has)
        })
        .await;
    let spans = collector.spans();
    ensure!(whole, "{names:?}:\n{}", draw_trace(&spans, &trace.id));
    Ok(spans)
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_reach_the_collector_and_exemplars_the_scrape() -> Result<()> {
    let collector = OtlpCollector::start().await?;
    let endpoint = collector.grpc().to_owned();
    both_with(
        |plan| records_on_request(plan, &endpoint),
        async |system| {
            let delivery = &FakeGithub::new(73, system.secret()).about_one_issue(1)[0];
            let trace = deliver(system, delivery).await?;
            let name = "forgewire_ingest_append_seconds";
            let metrics_of = |found: &OtlpCollector| {
                let metrics = found.metrics().into_iter();
                let of_trace = metrics.filter(|metric| metric.exemplars.contains(&trace.id));
                let of_trace = of_trace.map(|metric| (metric.name.clone(), metric));
                of_trace.collect::<BTreeMap<_, _>>()
            };
            let came = collector.until(|found| metrics_of(found).contains_key(name));
            ensure!(came.await, "{name} does not reach the collector");
            ensure!(metrics_of(&collector)[name].unit == "s");
            let scrape = |accept| {
                let admin = system.admin(SystemNode::Ingest(0));
                async move {
                    let request = reqwest::Client::new().get(admin?.join("/metrics")?);
                    Ok::<_, anyhow::Error>(
                        request
                            .header("accept", accept)
                            .send()
                            .await?
                            .text()
                            .await?,
                    )
                }
            };
            let open = scrape("application/openmetrics-text;version=1.0.0").await?;
            let exemplar = format!("# {{trace_id=\"{}\"}}", trace.id);
            ensure!(open.contains(&exemplar), "no exemplar in:\n{open}");
            let plain = scrape("text/plain").await?;
            ensure!(!plain.contains("trace_id") && plain.contains(name));
            let route = "route=\"/webhooks/github\",method=\"POST\",status=\"2xx\"";
            ensure!(plain.contains(route), "{plain}");
            Ok(())
        },
    )
    .await
}

/// Everything is recorded, and the collector takes nothing: deliveries, streams, calls and the end go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_collector_costs_its_spans_and_nothing_else() -> Result<()> {
    for fault in [CollectorFault::Silent, CollectorFault::Garbage] {
        let collector = BrokenCollector::start(fault).await?;
        let plan = |plan: ClusterPlan| {
            plan.with_env("FORGEWIRE_TELEMETRY__ENDPOINT", collector.endpoint())
                .with_env("FORGEWIRE_TELEMETRY__SAMPLING_RATIO", "1")
                .with_env("FORGEWIRE_TELEMETRY__QUEUE_SPANS", "1")
                .with_env("FORGEWIRE_TELEMETRY__EXPORT_TIMEOUT_SECONDS", "1")
        };
        only(SystemKind::Embedded, plan, async |system| {
            let mut github = GithubSender::of(system, 74);
            let edges = system.edges().to_vec();
            let reader =
                EventReader::start("r", ReaderKind::Events, &edges, 0, None, &github.ledger);
            let reader = reader.await?;
            github.events(40).await?;
            settle(&github.ledger, &[reader.name()]).await?;
            ensure!(reader.opens() == 1, "the stream went on");
            let client = McpClient::connect(&edges[0]).await?;
            client.ping(&edges[0]).await?;
            let admin = system.admin(SystemNode::Edge(0))?.join("/metrics")?;
            // Only an export that waits leaves spans in the queue.
            let outcomes: &[&str] = match fault {
                CollectorFault::Silent => &["failed", "queue_full"],
                _ => &["failed"],
            };
            let counts = async |github: &mut GithubSender| {
                github.events(1).await?;
                let text = reqwest::get(admin.clone()).await?.text().await?;
                let is_counted = |outcome: &&str| {
                    let name = format!("forgewire_otlp_spans_total{{outcome=\"{outcome}\"}} ");
                    let sample = text.lines().find_map(|line| line.strip_prefix(&name));
                    sample.is_some_and(|count| count != "0")
                };
                Ok::<_, anyhow::Error>(outcomes.iter().all(is_counted))
            };
            let what = format!("{outcomes:?} are counted");
            until(&what, async || counts(&mut github).await.unwrap_or(false)).await?;
            ensure!(collector.connections() > 0);
            // It drains in time, which this fails to do otherwise.
            ensure!(system.terminate(SystemNode::Edge(0)).await? == FaultOutcome::Done);
            Ok(())
        })
        .await?;
    }
    Ok(())
}
