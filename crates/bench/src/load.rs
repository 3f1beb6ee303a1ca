//! The sending side: signed webhooks over plain sockets, paced by the clock and not by the answers.
//!
//! Open loop: each delivery has its moment beforehand and carries it. A server that stalls makes later
//! deliveries late, and that lateness counts (no coordinated omission).

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde_json::json;
use testkit::fake_github::signature;

use crate::{
    clock::{now_nanos, sleep_until},
    connection::Connection,
    frames::stamp,
};

/// Threads that send at a pace: so many deliveries may be under way before one has to wait.
const PACED_SENDERS: usize = 32;
/// Longer waits count as this, in microseconds.
const MAX_MICROS: u64 = 60_000_000;
/// Fills the issue so that its event is about 1 KiB on the wire.
const BODY: &str = "The quick brown fox jumps over the lazy dog. ";

/// Where deliveries go.
#[derive(Debug, Clone)]
pub(crate) struct Ingest {
    /// Taken in turn, one per sender.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The webhook's secret.
    pub(crate) secret: String,
}

/// How the deliveries of one load went.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Acknowledged with 202.
    pub(crate) accepted: u64,
    /// From the first send to the last acknowledgement.
    pub(crate) seconds: f64,
    /// From a delivery's moment (open loop) or its send (closed loop) to the acknowledgement,
    /// microseconds.
    pub(crate) acknowledged: Histogram<u64>,
}

/// Sends `count` deliveries, one each `interval_nanos`. Their events carry the numbers 1 to `count`.
pub(crate) fn paced(ingest: &Ingest, count: u64, interval_nanos: u64) -> Result<Sent> {
    let start = now_nanos() + 50_000_000;
    let senders = PACED_SENDERS.min(usize::try_from(count)?);
    send(ingest, senders, |number| {
        let intended = start + number * interval_nanos;
        (number < count).then_some(intended)
    })
}

/// Sends as fast as `senders` at a time get their acknowledgements, for `lasting`.
pub(crate) fn flat_out(ingest: &Ingest, senders: usize, lasting: Duration) -> Result<Sent> {
    let end = now_nanos() + u64::try_from(lasting.as_nanos())?;
    send(ingest, senders, |_| {
        let now = now_nanos();
        (now < end).then_some(now)
    })
}

/// `moment` gives each delivery its time, by number from 0, or ends the load.
fn send(
    ingest: &Ingest,
    senders: usize,
    moment: impl Fn(u64) -> Option<u64> + Sync,
) -> Result<Sent> {
    let run = format!(
        "{:08x}-{:04x}",
        now_nanos() >> 20 & 0xffff_ffff,
        std::process::id() & 0xffff
    );
    let (next, started) = (AtomicU64::new(0), now_nanos());
    let worker = |index: usize| -> Result<Histogram<u64>> {
        let address = ingest.addresses[index % ingest.addresses.len()];
        let mut connection = Connection::open(address)?;
        let mut acknowledged = Histogram::new_with_max(MAX_MICROS, 3)?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(intended) = moment(number) else {
                return Ok(acknowledged);
            };
            let request = delivery(address, &ingest.secret, &run, number + 1, intended);
            sleep_until(intended);
            let answer = connection.call(&request).context("sending a delivery")?;
            ensure!(
                answer.status == 202,
                "delivery {number} was answered with {}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            );
            acknowledged.saturating_record(now_nanos().saturating_sub(intended) / 1000);
        }
    };
    let mut all = Histogram::new_with_max(MAX_MICROS, 3)?;
    let worker = &worker;
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..senders)
            .map(|index| scope.spawn(move || worker(index)))
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(acknowledged) => all.add(acknowledged?)?,
                Err(_) => bail!("a sender panicked"),
            }
        }
        Ok(())
    })?;
    let nanos = Duration::from_nanos(now_nanos() - started);
    Ok(Sent {
        accepted: all.len(),
        seconds: nanos.as_secs_f64(),
        acknowledged: all,
    })
}

/// An `issues.edited` delivery whose title carries the stamp.
fn delivery(to: SocketAddr, secret: &str, run: &str, number: u64, intended: u64) -> Vec<u8> {
    let repository = json!({
        "id": 1, "node_id": "R_bench", "name": "bench", "full_name": "forgewire/bench",
        "private": false, "owner": { "login": "forgewire", "id": 2, "node_id": "O_bench" },
    });
    let body = json!({
        "action": "edited",
        "issue": {
            "id": 3, "node_id": "I_bench", "number": 7, "state": "open",
            "title": stamp(number, intended), "labels": [],
            "html_url": "https://github.com/forgewire/bench/issues/7",
            "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z",
            "body": BODY,
        },
        "repository": repository,
        "organization": { "login": "forgewire", "id": 2, "node_id": "O_bench" },
        "sender": { "login": "bench", "id": 4, "node_id": "U_bench" },
    });
    let body = body.to_string();
    let (length, signed) = (body.len(), signature(secret, body.as_bytes()));
    format!(
        "POST /webhooks/github HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\n\
         User-Agent: GitHub-Hookshot/bench\r\nX-GitHub-Event: issues\r\nX-GitHub-Hook-ID: 1\r\n\
         X-GitHub-Delivery: {run}-{number:012}\r\nX-Hub-Signature-256: {signed}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
