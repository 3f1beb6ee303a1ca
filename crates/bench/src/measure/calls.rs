//! Tool calls: the rate, and the duration of a call at half that rate.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{MeasurePlan, TAIL, millis};
use crate::{
    caller::{CallLoadResult, Callers, FIRST_ID},
    connection::HttpConnection,
    helper_process::{AnswererProcess, ReceiverProcess},
    load,
    opening::Opening,
    process::cpu_micros,
    requests::{call_in_session, stateless_call},
    sessions::SessionOpener,
    subject::{BenchSystem, EdgeProcess, Topology},
    table::Row,
};

/// Connections, each with a call in flight. More would not raise the rate, only lengthen the waits.
const CONNECTIONS: usize = 32;
/// Calls per second, in each era.
const TARGET: f64 = 10_000.0;
/// A tool that answers from memory: the edge holds the newest events.
const TOOL: &str = "get_recent_events";
/// Number of events in the log before the calls begin.
const EVENTS: u64 = 100;

/// Creates the request of each connection.
type Requests = fn(SocketAddr) -> Result<Vec<Vec<u8>>>;

/// Results of one load flat out and one at half of that rate.
struct CallMeasurement {
    flat_out: CallLoadResult,
    half: CallLoadResult,
    /// CPU of the server per call, flat out.
    cpu_micros: f64,
}

impl CallMeasurement {
    fn per_second(&self) -> f64 {
        per_second(&self.flat_out)
    }

    fn text(&self) -> String {
        let (all, half) = (&self.flat_out.latency, &self.half.latency);
        let millis = |histogram: &hdrhistogram::Histogram<u64>, quantile| {
            millis(histogram.value_at_quantile(quantile))
        };
        format!(
            "{:.0}/s, p50 {} · p99 {} ms; at half p50 {} · p99 {} ms",
            self.per_second(),
            millis(all, 0.5),
            millis(all, 0.99),
            millis(half, 0.5),
            millis(half, 0.99)
        )
    }

    fn values(&self) -> Value {
        json!({
            "calls": self.flat_out.answered, "seconds": self.flat_out.seconds,
            "per_second": self.per_second(), "cpu_micros_per_call": self.cpu_micros,
            "p50_micros": self.flat_out.latency.value_at_quantile(0.5),
            "p99_micros": self.flat_out.latency.value_at_quantile(0.99),
            "half_load": {
                "per_second": per_second(&self.half), "calls": self.half.answered,
                "p50_micros": self.half.latency.value_at_quantile(0.5),
                "p99_micros": self.half.latency.value_at_quantile(0.99),
            },
        })
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
fn per_second(called: &CallLoadResult) -> f64 {
    called.answered as f64 / called.seconds
}

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let edge = *subject.edges.first().context("there is no edge")?;
    {
        let mut streams = ReceiverProcess::open(&Opening::events(1, &[edge.address]))?;
        load::paced(&subject.ingest, EVENTS, 2_000_000)?;
        streams.expect(EVENTS, TAIL).context("filling the log")?;
    }
    let eras: [(_, Requests); 2] = [
        ("2025-11-25, a session a connection", in_sessions),
        ("2026-07-28, stateless", stateless),
    ];
    for (era, requests) in eras {
        let requests = requests(edge.address)?;
        let sample = sample(edge.address, &requests[0])?;
        let bytes = sample.len();
        let ours = measure(plan, edge, requests.clone(), Some(sample))?;
        let floor = floor(plan, requests, bytes)?;
        rows.push(row(topology, era, bytes, &ours, &floor));
    }
    Ok(())
}

fn row(
    topology: Topology,
    era: &str,
    bytes: usize,
    ours: &CallMeasurement,
    floor: &CallMeasurement,
) -> Row {
    let rate = ours.per_second();
    Row {
        what: format!(
            "tool calls, {}, {era}, {CONNECTIONS} at a time, {bytes} bytes",
            topology.name()
        ),
        figure: ours.text(),
        floor: Some(format!("{:.0}/s", floor.per_second())),
        ratio: Some(rate / floor.per_second()),
        target: Some(format!("≥ {TARGET}/s")),
        met: Some(rate >= TARGET),
        values: json!({
            "topology": topology.name(), "era": era, "tool": TOOL, "connections": CONNECTIONS,
            "answer_bytes": bytes, "ours": ours.values(), "floor": floor.values(),
        }),
    }
}

fn arguments() -> Value {
    json!({ "limit": 1 })
}

/// One session per connection, since in practice every client has its own.
fn in_sessions(target: SocketAddr) -> Result<Vec<Vec<u8>>> {
    let mut opener = SessionOpener::connect(target)?;
    let request = |_| {
        let session = opener.session()?;
        Ok(call_in_session(
            target,
            &session,
            FIRST_ID,
            TOOL,
            &arguments(),
        ))
    };
    (0..CONNECTIONS).map(request).collect()
}

#[allow(clippy::unnecessary_wraps, reason = "the other era can fail")]
fn stateless(target: SocketAddr) -> Result<Vec<Vec<u8>>> {
    let request = stateless_call(target, FIRST_ID, TOOL, &arguments());
    Ok(vec![request; CONNECTIONS])
}

/// One verified answer; all later answers must equal it.
fn sample(target: SocketAddr, request: &[u8]) -> Result<Vec<u8>> {
    let answer = HttpConnection::open(target)?.call(request)?;
    let text = || String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(
        answer.status == 200,
        "a call was answered with {}: {}",
        answer.status,
        text()
    );
    let json: Value = serde_json::from_slice(&answer.body).with_context(text)?;
    let events = json["result"]["structuredContent"]["events"].as_array();
    ensure!(
        events.is_some_and(|events| events.len() == 1) && json["result"]["isError"] != true,
        "a call was answered with {}",
        text()
    );
    Ok(answer.body)
}

/// The same requests to a bare server.
fn floor(plan: &MeasurePlan, requests: Vec<Vec<u8>>, bytes: usize) -> Result<CallMeasurement> {
    let bare = AnswererProcess::start(bytes)?;
    let edge = EdgeProcess {
        address: bare.address,
        pid: bare.pid(),
    };
    measure(plan, edge, requests, None)
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for display, far below 2^52"
)]
fn measure(
    plan: &MeasurePlan,
    server: EdgeProcess,
    requests: Vec<Vec<u8>>,
    sample: Option<Vec<u8>>,
) -> Result<CallMeasurement> {
    let lasting = Duration::from_secs_f64(plan.calls_seconds);
    let mut callers = Callers::connect(server.address, requests)?;
    if let Some(sample) = sample {
        callers.expect(sample, FIRST_ID);
    }
    callers.flat_out(lasting / 3).context("warming up")?;
    let before = cpu_micros(server.pid)?;
    let flat_out = callers.flat_out(lasting)?;
    let used = cpu_micros(server.pid)? - before;
    let interval = 2e9 / per_second(&flat_out);
    let half = callers.paced(interval as u64, lasting)?;
    Ok(CallMeasurement {
        cpu_micros: used as f64 / flat_out.answered.max(1) as f64,
        flat_out,
        half,
    })
}
