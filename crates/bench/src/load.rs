//! The sending side: signed webhooks over plain sockets, paced by the clock and not by the answers.
//!
//! Open loop: each delivery has a send time that is set in advance and that the delivery carries.
//! If a server stalls, later deliveries are late, and that lateness counts (no coordinated
//! omission).

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde_json::json;
use testkit::fake_github::SignedPrefix;

use crate::{
    clock::{now_nanos, sleep_until},
    closed_loop,
    connection::{HttpAnswer, HttpConnection},
    frames::stamp,
    repositories::{OWNER, Repositories},
};

/// Threads that send at a pace: the number of deliveries that may be in flight before one has to
/// wait.
pub(crate) const PACED_SENDERS: usize = 32;
/// The same where a delivery may take several milliseconds.
const MANY_SENDERS: usize = 128;
/// Time from the call to the first delivery.
const LEAD_NANOS: u64 = 50_000_000;
/// Upper end of the histogram in microseconds; longer waits count as this value.
pub(crate) const MAX_MICROS: u64 = 60_000_000;
/// Pads the issue so that its event is about 1 KiB on the wire.
const BODY: &str = "The quick brown fox jumps over the lazy dog. ";

/// Size of a body with that.
pub(crate) const SMALL_BODY_BYTES: usize = 800;

/// The target of deliveries.
#[derive(Debug, Clone)]
pub(crate) struct IngestTarget {
    /// Addresses of the ingests, assigned to the senders in turn.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The webhook's secret.
    pub(crate) secret: String,
}

/// The result of one load of deliveries.
#[derive(Debug)]
pub(crate) struct LoadResult {
    /// Acknowledged deliveries.
    pub(crate) accepted: u64,
    /// From the first send to the last acknowledgement.
    pub(crate) seconds: f64,
    /// From a delivery's set time (open loop) or its send (closed loop) to the acknowledgement,
    /// microseconds.
    pub(crate) acknowledged: Histogram<u64>,
}

impl LoadResult {
    /// The result of a load that began then and has ended now.
    pub(crate) fn since(started: u64, acknowledged: Histogram<u64>) -> Self {
        let nanos = Duration::from_nanos(now_nanos() - started);
        Self {
            accepted: acknowledged.len(),
            seconds: nanos.as_secs_f64(),
            acknowledged,
        }
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "figures for display, far below 2^52"
    )]
    pub(crate) fn per_second(&self) -> f64 {
        self.accepted as f64 / self.seconds
    }
}

/// The requests of a load and their targets.
pub(crate) trait LoadSource: Sync {
    /// Addresses of the servers, assigned to the senders in turn.
    fn addresses(&self) -> &[SocketAddr];
    /// Appends the request with a number, from 1, and its set time.
    fn request(&self, to: SocketAddr, number: u64, intended: u64, request: &mut Vec<u8>);
    /// Whether an answer with this status means success.
    fn is_accepted(&self, status: u16) -> bool;
}

/// Sends `count` deliveries about one repository, one every `interval_nanos`. Their events carry
/// the numbers 1 to `count`. With an interval of 0 they are sent as fast as ingest accepts them.
pub(crate) fn paced(ingest: &IngestTarget, count: u64, interval_nanos: u64) -> Result<LoadResult> {
    paced_over(&Repositories::one(), ingest, count, interval_nanos)
}

/// Like [`paced`], over several repositories in turn.
pub(crate) fn paced_over(
    repositories: &Repositories,
    ingest: &IngestTarget,
    count: u64,
    interval_nanos: u64,
) -> Result<LoadResult> {
    let source = Webhooks::new(ingest, repositories);
    paced_from(&source, PACED_SENDERS, count, interval_nanos)
}

/// Like [`paced_over`], with larger bodies, and with so many deliveries in flight that a slow one delays no other.
pub(crate) fn paced_large(
    repositories: &Repositories,
    ingest: &IngestTarget,
    body_bytes: usize,
    count: u64,
    interval_nanos: u64,
) -> Result<LoadResult> {
    let source = Webhooks::new(ingest, repositories).with_body(body_bytes);
    paced_from(&source, MANY_SENDERS, count, interval_nanos)
}

/// Like [`paced`], from another source.
pub(crate) fn paced_from(
    source: &dyn LoadSource,
    senders: usize,
    count: u64,
    interval_nanos: u64,
) -> Result<LoadResult> {
    let start = now_nanos() + LEAD_NANOS;
    send(source, senders.min(usize::try_from(count)?), |number| {
        (number <= count).then_some(start + (number - 1) * interval_nanos)
    })
}

/// A pace that runs until it is ended.
#[derive(Debug)]
pub(crate) struct OpenEndedPace {
    start: u64,
    interval_nanos: u64,
    /// The last number.
    last: AtomicU64,
}

impl OpenEndedPace {
    /// A pace that begins now.
    pub(crate) fn new(interval_nanos: u64) -> Self {
        Self {
            start: now_nanos() + LEAD_NANOS,
            interval_nanos,
            last: AtomicU64::new(u64::MAX),
        }
    }

    fn moment(&self, number: u64) -> Option<u64> {
        let intended = self.start + (number - 1) * self.interval_nanos;
        // Whether a number is still part of the load is decided no earlier than this, so that at the
        // end only deliveries in flight have been decided.
        sleep_until(intended.saturating_sub(self.interval_nanos));
        (number <= self.last.load(Ordering::SeqCst)).then_some(intended)
    }

    /// Ends the pace, a few deliveries later: beyond all that may be in flight, so that no number
    /// is left out.
    pub(crate) fn end(&self) {
        let elapsed = now_nanos().saturating_sub(self.start);
        self.last
            .store(elapsed / self.interval_nanos + 3, Ordering::SeqCst);
    }
}

/// Sends deliveries about one repository until the pace ends.
pub(crate) fn paced_until(
    pace: &OpenEndedPace,
    repositories: &Repositories,
    ingest: &IngestTarget,
) -> Result<LoadResult> {
    let source = Webhooks::new(ingest, repositories);
    send(&source, PACED_SENDERS, |number| pace.moment(number))
}

/// Sends with `senders` concurrent senders, each as fast as it gets its acknowledgements, for
/// `lasting`; bodies have about `body_bytes`.
pub(crate) fn flat_out(
    repositories: &Repositories,
    ingest: &IngestTarget,
    body_bytes: usize,
    senders: usize,
    lasting: Duration,
) -> Result<LoadResult> {
    let source = Webhooks::new(ingest, repositories).with_body(body_bytes);
    let end = now_nanos() + u64::try_from(lasting.as_nanos())?;
    closed_loop::send_until(&source, senders, end)
}

/// `moment` gives the set time of each delivery, by number from 1, or ends the load.
fn send(
    source: &dyn LoadSource,
    senders: usize,
    moment: impl Fn(u64) -> Option<u64> + Sync,
) -> Result<LoadResult> {
    let (next, started) = (AtomicU64::new(1), now_nanos());
    let worker = |index: usize| -> Result<Histogram<u64>> {
        let addresses = source.addresses();
        let address = addresses[index % addresses.len()];
        let mut connection = HttpConnection::open(address)?;
        let mut acknowledged = Histogram::new_with_max(MAX_MICROS, 3)?;
        let mut request = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(intended) = moment(number) else {
                return Ok(acknowledged);
            };
            request.clear();
            source.request(address, number, intended, &mut request);
            sleep_until(intended);
            let answer = connection.call(&request).context("sending a delivery")?;
            ensure_accepted(source, number, &answer)?;
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
    Ok(LoadResult::since(started, all))
}

/// Fails unless an answer means success.
pub(crate) fn ensure_accepted(
    source: &dyn LoadSource,
    number: u64,
    answer: &HttpAnswer,
) -> Result<()> {
    ensure!(
        source.is_accepted(answer.status),
        "delivery {number} was answered with {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    Ok(())
}

/// Signed webhooks in GitHub's format.
struct Webhooks<'a> {
    ingest: &'a IngestTarget,
    repositories: &'a Repositories,
    /// Makes the deliveries' ids unique.
    run: String,
    /// The text of the issue.
    text: String,
    /// What the deliveries about one repository have in common, by repository.
    prepared: Vec<OnceLock<PreparedBody>>,
}

/// Number of loads so far: two may begin at the same moment.
static LOADS: AtomicU64 = AtomicU64::new(0);

impl<'a> Webhooks<'a> {
    fn new(ingest: &'a IngestTarget, repositories: &'a Repositories) -> Self {
        let (moment, load) = (now_nanos() >> 20, LOADS.fetch_add(1, Ordering::Relaxed));
        let prepared = (0..repositories.count).map(|_| OnceLock::new()).collect();
        Self {
            ingest,
            repositories,
            run: format!("{:08x}-{:04x}", moment & 0xffff_ffff, load & 0xffff),
            text: BODY.to_owned(),
            prepared,
        }
    }

    /// With bodies of about so many bytes, and no fewer than without.
    fn with_body(self, body_bytes: usize) -> Self {
        let more = body_bytes.saturating_sub(SMALL_BODY_BYTES) / BODY.len();
        Self {
            text: BODY.repeat(1 + more),
            ..self
        }
    }

    fn prepare(&self, index: u64) -> PreparedBody {
        let repository = self.repositories.name(index);
        let sample = stamp(0, 0);
        let body = edited(&repository, index, &sample, &self.text);
        let parts = body.split_once(&sample);
        let (prefix, suffix) = parts.expect("the title is the stamp");
        PreparedBody {
            signed: SignedPrefix::new(&self.ingest.secret, prefix.as_bytes()),
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
        }
    }
}

/// The body of the deliveries about one repository without the stamp, which is near its end. It is made and hashed once:
/// the sender runs on the cores of what it measures.
struct PreparedBody {
    prefix: String,
    signed: SignedPrefix,
    suffix: String,
}

impl LoadSource for Webhooks<'_> {
    fn addresses(&self) -> &[SocketAddr] {
        &self.ingest.addresses
    }

    fn request(&self, to: SocketAddr, number: u64, intended: u64, request: &mut Vec<u8>) {
        let index = self.repositories.of_event(number);
        let place = usize::try_from(index).expect("a repository has an index");
        let prepared = self.prepared[place].get_or_init(|| self.prepare(index));
        let (run, prefix) = (&self.run, &prepared.prefix);
        let rest = stamp(number, intended) + &prepared.suffix;
        let signed = prepared.signed.signature(rest.as_bytes());
        let length = prefix.len() + rest.len();
        let written = write!(
            request,
            "POST /webhooks/github HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\n\
             User-Agent: GitHub-Hookshot/bench\r\nX-GitHub-Event: issues\r\nX-GitHub-Hook-ID: 1\r\n\
             X-GitHub-Delivery: {run}-{number:012}\r\nX-Hub-Signature-256: {signed}\r\n\
             Content-Length: {length}\r\n\r\n{prefix}{rest}"
        );
        written.expect("writing into a vector cannot fail");
    }

    fn is_accepted(&self, status: u16) -> bool {
        status == 202
    }
}

/// The body of an `issues.edited` delivery whose title is this stamp.
fn edited(repository: &str, index: u64, stamp: &str, text: &str) -> String {
    let full_name = format!("{OWNER}/{repository}");
    let body = json!({
        "action": "edited",
        "issue": {
            "id": 3 + index, "node_id": format!("I_bench{index:05}"), "number": 7, "state": "open",
            "title": stamp, "labels": [],
            "html_url": format!("https://github.com/{full_name}/issues/7"),
            "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z",
            "body": text,
        },
        "repository": {
            "id": 1 + index, "node_id": format!("R_bench{index:05}"), "name": repository,
            "full_name": full_name, "private": false,
            "owner": { "login": OWNER, "id": 2, "node_id": "O_bench" },
        },
        "organization": { "login": OWNER, "id": 2, "node_id": "O_bench" },
        "sender": { "login": "bench", "id": 4, "node_id": "U_bench" },
    });
    body.to_string()
}
