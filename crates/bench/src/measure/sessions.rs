//! Sessions: `initialize` and `notifications/initialized`; each session is in the store before its
//! id is sent.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde_json::json;

use super::{MeasurePlan, millis};
use crate::{
    clock::now_nanos,
    connection::HttpConnection,
    sessions::SessionOpener,
    subject::{BenchSystem, Topology},
    table::Row,
};

/// Number of clients, each of which creates one session after another.
const CLIENTS: usize = 64;
/// Upper end of the histogram in microseconds; longer waits count as this value.
const MAX_MICROS: u64 = 60_000_000;
/// Approximate size of a session in the store.
const VALUE_BYTES: usize = 400;

/// The result of concurrent work by many clients.
struct SessionRate {
    count: u64,
    seconds: f64,
    latency: Histogram<u64>,
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for display, far below 2^52"
)]
impl SessionRate {
    fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    fn values(&self) -> serde_json::Value {
        json!({
            "count": self.count, "seconds": self.seconds, "per_second": self.per_second(),
            "p50_micros": self.latency.value_at_quantile(0.5),
            "p99_micros": self.latency.value_at_quantile(0.99),
        })
    }
}

pub(super) fn run(plan: &MeasurePlan, topology: Topology) -> Result<Row> {
    let subject = BenchSystem::start(topology, &plan.scratch)?;
    let edge = subject.edges.first().context("there is no edge")?.address;
    let open = || -> Result<_> {
        let mut opener = SessionOpener::connect(edge)?;
        Ok(move || opener.session().map(drop))
    };
    let lasting = Duration::from_secs_f64(plan.sessions_seconds);
    flat_out(lasting / 4, open).context("warming up")?;
    let ours = flat_out(lasting, open)?;
    let floor = match subject.redis {
        Some(redis) => Some(flat_out(lasting / 2, || set(redis)).context("the floor")?),
        None => None,
    };
    let store = match topology {
        Topology::Embedded => "SQLite",
        Topology::Cluster => "Redis",
    };
    let [p50, p99] = [0.5, 0.99].map(|quantile| millis(ours.latency.value_at_quantile(quantile)));
    Ok(Row {
        what: format!("sessions made, {store}, one edge, {CLIENTS} at a time"),
        figure: format!("{:.0}/s, p50 {p50} · p99 {p99} ms", ours.per_second()),
        floor: floor
            .as_ref()
            .map(|floor| format!("{:.0} SET/s", floor.per_second())),
        ratio: floor
            .as_ref()
            .map(|floor| ours.per_second() / floor.per_second()),
        target: None,
        met: None,
        values: json!({
            "topology": topology.name(), "store": store, "clients": CLIENTS,
            "ours": ours.values(), "floor": floor.map(|floor| floor.values()),
        }),
    })
}

/// One `SET` per session and no other work, with the same durability.
fn set(redis: SocketAddr) -> Result<impl FnMut() -> Result<()>> {
    let mut connection = HttpConnection::open(redis)?;
    let value = "x".repeat(VALUE_BYTES);
    let (client, mut number) = (now_nanos(), 0_u64);
    Ok(move || {
        number += 1;
        let key = format!("bench:{client:020}:{number:010}");
        let command = format!(
            "*5\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${VALUE_BYTES}\r\n{value}\r\n$2\r\nEX\r\n$2\r\n60\r\n",
            key.len()
        );
        connection.send(command.as_bytes())?;
        let answer = connection.line()?;
        ensure!(answer == "+OK", "Redis answered {answer:?}");
        Ok(())
    })
}

/// Every client repeats its work until the time is up; `client` creates one client.
fn flat_out<W: FnMut() -> Result<()>>(
    lasting: Duration,
    client: impl Fn() -> Result<W> + Sync,
) -> Result<SessionRate> {
    let started = Instant::now();
    let worker = || -> Result<Histogram<u64>> {
        let mut work = client()?;
        let mut latency = Histogram::new_with_max(MAX_MICROS, 3)?;
        while started.elapsed() < lasting {
            let begun = now_nanos();
            work()?;
            latency.saturating_record((now_nanos() - begun) / 1000);
        }
        Ok(latency)
    };
    let mut all = Histogram::new_with_max(MAX_MICROS, 3)?;
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            match thread.join() {
                Ok(latency) => all.add(latency?)?,
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(())
    })?;
    Ok(SessionRate {
        count: all.len(),
        seconds: started.elapsed().as_secs_f64(),
        latency: all,
    })
}
