//! Tool calls: the rate, and the duration of a call at half that rate, beside rmcp's own server and a bare one.

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
pub(super) const CONNECTIONS: usize = 32;
/// The part of a bare server's rate that an edge has to reach, in each era.
const TARGET_OF_FLOOR: f64 = 0.5;
/// A tool that answers from memory: the edge holds the newest events.
const TOOL: &str = "get_recent_events";
/// Number of events in the log before the calls begin.
const EVENTS: u64 = 100;

/// Creates the request of each connection.
type Requests = fn(SocketAddr) -> Result<Vec<Vec<u8>>>;

/// Results of one load flat out and one at half of that rate.
pub(super) struct CallMeasurement {
    flat_out: CallLoadResult,
    half: CallLoadResult,
    /// CPU of the server per call, flat out.
    cpu_micros: f64,
}

impl CallMeasurement {
    pub(super) fn per_second(&self) -> f64 {
        per_second(&self.flat_out)
    }

    /// Microseconds of a call at half of the rate, at the 99th percentile.
    pub(super) fn half_p99_micros(&self) -> u64 {
        self.half.latency.value_at_quantile(0.99)
    }

    pub(super) fn text(&self) -> String {
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

    pub(super) fn values(&self) -> Value {
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

/// Our edge warm and just after its start, beside rmcp's server with a constant answer and a bare server.
struct CallComparison {
    warm: CallMeasurement,
    just_started: CallMeasurement,
    peer: CallMeasurement,
    floor: CallMeasurement,
    answer_bytes: usize,
}

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    let mut subject = BenchSystem::start(topology, &plan.scratch)?;
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
        let compared = compare(plan, &mut subject, requests)?;
        rows.extend(compared.rows(topology, era));
    }
    Ok(())
}

fn compare(
    plan: &MeasurePlan,
    subject: &mut BenchSystem,
    requests: Requests,
) -> Result<CallComparison> {
    let edge = *subject.edges.first().context("there is no edge")?;
    let of_edge = |edge: EdgeProcess| -> Result<_> {
        let requests = requests(edge.address)?;
        let sample = sample(edge.address, &requests[0])?;
        Ok((requests, sample))
    };
    let (calls, answer) = of_edge(edge)?;
    let answer_bytes = answer.len();
    let warm = measure(plan, edge, calls.clone(), Some(answer))?;
    let floor = of_helper(plan, &AnswererProcess::start(answer_bytes)?, calls)?;
    let peer = AnswererProcess::start_rmcp(answer_bytes)?;
    // A server without sessions, whichever era the edge is called in: rmcp is slower with them.
    let calls = stateless(peer.address)?;
    let text = HttpConnection::open(peer.address)?.call(&calls[0])?.body;
    ensure!(
        text.len().abs_diff(answer_bytes) < answer_bytes / 10,
        "rmcp answered {}",
        String::from_utf8_lossy(&text)
    );
    let peer = of_helper(plan, &peer, calls)?;
    let edge = subject.restart_edge()?;
    let (calls, answer) = of_edge(edge)?;
    Ok(CallComparison {
        warm,
        just_started: measure_at_once(plan, edge, calls, answer)?,
        peer,
        floor,
        answer_bytes,
    })
}

impl CallComparison {
    fn rows(&self, topology: Topology, era: &str) -> [Row; 2] {
        let state = [("", &self.warm), (", just started", &self.just_started)];
        state.map(|(state, ours)| self.row(topology, era, state, ours))
    }

    fn row(&self, topology: Topology, era: &str, state: &str, ours: &CallMeasurement) -> Row {
        let rate = ours.per_second();
        let (peer, floor) = (self.peer.per_second(), self.floor.per_second());
        let bytes = self.answer_bytes;
        Row {
            what: format!(
                "tool calls, {}, {era}{state}, {CONNECTIONS} at a time, {bytes} bytes",
                topology.name()
            ),
            figure: ours.text(),
            floor: Some(format!("{floor:.0}/s · rmcp {peer:.0}/s")),
            ratio: Some(rate / floor),
            target: Some("≥ rmcp, ≥ 0.5 of the floor".to_owned()),
            met: Some(rate >= peer && rate >= TARGET_OF_FLOOR * floor),
            values: json!({
                "topology": topology.name(), "era": era, "tool": TOOL, "connections": CONNECTIONS,
                "just_started": !state.is_empty(), "answer_bytes": bytes, "ours": ours.values(),
                "floor": self.floor.values(), "rmcp": self.peer.values(),
            }),
        }
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

/// The requests to a server of this program.
fn of_helper(
    plan: &MeasurePlan,
    server: &AnswererProcess,
    requests: Vec<Vec<u8>>,
) -> Result<CallMeasurement> {
    let server = EdgeProcess {
        address: server.address,
        pid: server.pid(),
    };
    measure(plan, server, requests, None)
}

/// The rate with a warm-up before it, and the duration of calls at half of it.
pub(super) fn measure(
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
    load_twice(server, &mut callers, lasting)
}

/// The same without a warm-up: what the first clients of an edge find.
fn measure_at_once(
    plan: &MeasurePlan,
    server: EdgeProcess,
    requests: Vec<Vec<u8>>,
    sample: Vec<u8>,
) -> Result<CallMeasurement> {
    let lasting = Duration::from_secs_f64(plan.calls_seconds);
    let mut callers = Callers::connect(server.address, requests)?;
    callers.expect(sample, FIRST_ID);
    load_twice(server, &mut callers, lasting)
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for display, far below 2^52"
)]
fn load_twice(
    server: EdgeProcess,
    callers: &mut Callers,
    lasting: Duration,
) -> Result<CallMeasurement> {
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
