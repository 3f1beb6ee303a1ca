//! Reads of one resource through MCP: the rate, and the duration of a read at half that rate. In a cluster the edge has it from
//! the sync role over gRPC once, and then from its cache (crates/mirror-cache); embedded, from the sync role in its process.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    MeasurePlan, TAIL,
    calls::{self, CONNECTIONS},
};
use crate::{
    caller::FIRST_ID,
    connection::HttpConnection,
    helper_process::ReceiverProcess,
    load,
    opening::Opening,
    requests::{stateless, stateless_call},
    subject::{BenchSystem, Topology},
    table::Row,
};

/// Events before the reads: the mirror has their resources.
const EVENTS: u64 = 100;
/// What the issue asks for: reads in a second on two cores, and the duration of a read in microseconds at the 99th percentile.
const TARGET: (f64, u64) = (10_000.0, 5_000);

pub(super) fn run(plan: &MeasurePlan, topology: Topology, rows: &mut Vec<Row>) -> Result<()> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let edge = *subject.edges.first().context("there is no edge")?;
    {
        let mut streams = ReceiverProcess::open(&Opening::events(1, &[edge.address]))?;
        load::paced(&subject.ingest, EVENTS, 2_000_000)?;
        streams.expect(EVENTS, TAIL).context("filling the log")?;
    }
    let uri = newest(edge.address)?;
    let fields = format!("Mcp-Name: {uri}\r\n");
    let read = stateless(
        edge.address,
        FIRST_ID,
        "resources/read",
        &fields,
        json!({ "uri": uri }),
    );
    let (answer, json) = call(edge.address, &read)?;
    ensure!(
        json["result"]["contents"][0]["text"].is_string(),
        "a read was answered with {json}"
    );
    let bytes = answer.len();
    let measured = calls::measure(plan, edge, vec![read; CONNECTIONS], Some(answer))?;
    let (rate, p99) = (measured.per_second(), measured.half_p99_micros());
    rows.push(Row {
        what: format!(
            "reads of a resource, {}, {CONNECTIONS} at a time, {bytes} bytes",
            topology.name()
        ),
        figure: measured.text(),
        floor: None,
        ratio: None,
        target: Some("≥ 10,000/s, p99 < 5 ms at half of it".to_owned()),
        met: Some(rate >= TARGET.0 && p99 < TARGET.1),
        values: json!({
            "topology": topology.name(), "connections": CONNECTIONS, "answer_bytes": bytes,
            "ours": measured.values(),
        }),
    });
    Ok(())
}

/// The URI of the resource of the newest event.
fn newest(target: SocketAddr) -> Result<String> {
    let request = stateless_call(
        target,
        FIRST_ID,
        "get_recent_events",
        &json!({ "limit": 1 }),
    );
    let (_, json) = call(target, &request)?;
    let resource = &json["result"]["structuredContent"]["events"][0]["resource"];
    let text = |name: &str| resource[name].as_str().context("an event names its place");
    let (owner, repo) = (text("owner")?, text("repo")?);
    let number = resource["number"]
        .as_u64()
        .context("an issue has a number")?;
    Ok(format!("github://issues/{owner}/{repo}/{number}").to_ascii_lowercase())
}

fn call(target: SocketAddr, request: &[u8]) -> Result<(Vec<u8>, Value)> {
    let answer = HttpConnection::open(target)?.call(request)?;
    let text = || String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(
        answer.status == 200,
        "a request was answered with {}: {}",
        answer.status,
        text()
    );
    let json = serde_json::from_slice(&answer.body).with_context(text)?;
    Ok((answer.body, json))
}
