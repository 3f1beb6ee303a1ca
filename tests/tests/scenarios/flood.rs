//! A flood of deliveries with bad signatures: it keeps no good delivery out, costs a bounded number of bodies, and
//! leaves a bounded number of lines in the log.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, stream};
use reqwest::{Client, StatusCode, Url};
use testkit::{
    cluster::{ClusterPlan, System, SystemNode},
    fake_github::{Delivery, FakeGithub},
    raw_http::RawConnection,
};
use tests::{both_with, log_lines, until};

/// Failures that the ingests of these scenarios let one source have.
const FAILURES: u64 = 30;
/// Bad deliveries to each ingest, from [`STRANGERS`].
const FLOOD: usize = 3000;
const AT_ONCE: usize = 32;
const STRANGERS: [&str; 3] = ["203.0.113.1", "203.0.113.2", "2001:db8::1"];
/// A sender of good deliveries that nothing exempts.
const FORWARDER: &str = "198.51.100.9";
/// One of GitHub's addresses.
const GITHUB: &str = "140.82.115.1";
const GOOD: usize = 60;
/// Lines of the audit log about one kind in ten seconds.
const LINES_OF_A_KIND: usize = 10;

fn behind_a_proxy(plan: ClusterPlan) -> ClusterPlan {
    plan.with_env("FORGEWIRE_INGEST__PROXIES__TRUSTED", "[\"127.0.0.1\"]")
        .with_env(
            "FORGEWIRE_INGEST__FAILURES_PER_MINUTE",
            &FAILURES.to_string(),
        )
}

/// Sends a delivery that a proxy on this machine passes on from `source`; returns the status and `Retry-After`.
async fn post(
    http: &Client,
    ingest: &Url,
    delivery: &Delivery,
    source: Option<&str>,
) -> Result<(StatusCode, Option<u64>)> {
    let mut request = http
        .post(ingest.join("/webhooks/github")?)
        .headers(delivery.headers())
        .body(delivery.body.clone());
    if let Some(source) = source {
        request = request.header("x-forwarded-for", format!("192.0.2.77, {source}"));
    }
    let answer = request.send().await?;
    let after = answer.headers().get("retry-after");
    let after = after.map(|seconds| Ok::<_, anyhow::Error>(seconds.to_str()?.parse()?));
    Ok((answer.status(), after.transpose()?))
}

/// Sends bad deliveries to an ingest; returns how many got which status.
async fn flood(
    ingest: &Url,
    bad: &[Delivery],
    sources: &[Option<&str>],
) -> Result<BTreeMap<u16, u64>> {
    let http = Client::new();
    let requests = (0..FLOOD).map(|n| {
        let (delivery, source) = (&bad[n % bad.len()], sources[n % sources.len()]);
        post(&http, ingest, delivery, source)
    });
    let mut answers = stream::iter(requests).buffer_unordered(AT_ONCE);
    let mut counts = BTreeMap::new();
    while let Some(answer) = answers.next().await {
        let (status, after) = answer?;
        *counts.entry(status.as_u16()).or_default() += 1;
        if status == StatusCode::TOO_MANY_REQUESTS {
            let after = after.context("429 has Retry-After")?;
            ensure!((1..=60).contains(&after), "Retry-After: {after}");
        }
    }
    Ok(counts)
}

/// Sends good deliveries, each once: GitHub does not send again what was refused. Returns the longest wait.
async fn send_good(ingests: &[Url], good: &[Delivery], source: Option<&str>) -> Result<Duration> {
    let http = Client::new();
    let mut longest = Duration::ZERO;
    for (delivery, ingest) in good.iter().zip(ingests.iter().cycle()) {
        let began = Instant::now();
        let (status, _) = post(&http, ingest, delivery, source).await?;
        ensure!(
            status.is_success(),
            "{status} for a good delivery of {source:?}"
        );
        longest = longest.max(began.elapsed());
    }
    Ok(longest)
}

/// The ingests, each once: embedded, all of them are one.
fn ingests(system: &System) -> Vec<Url> {
    let mut ingests = system.ingests().to_vec();
    ingests.dedup();
    ingests
}

/// The ingests' counters with this name and these labels, summed up.
async fn counted(system: &System, ingests: usize, name: &str) -> Result<u64> {
    let mut sum = 0;
    for n in 0..ingests {
        let url = system.admin(SystemNode::Ingest(n))?.join("/metrics")?;
        let text = reqwest::get(url).await?.text().await?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.with_context(|| format!("{name} is missing in:\n{text}"))?;
        sum += value.trim().parse::<u64>()?;
    }
    Ok(sum)
}

/// What the audit log says about a kind: lines about one refusal, and the sum of those without a line.
fn audited(system: &mut System, kind: &str) -> (usize, u64) {
    let lines = log_lines(system.cluster().dir());
    let of_kind = |line: &&String| {
        line.contains("forgewire::audit") && line.contains(&format!("kind=\"{kind}\""))
    };
    let lines: Vec<_> = lines.iter().filter(of_kind).collect();
    let left_out = lines.iter().filter_map(|line| {
        let (_, rest) = line.split_once("left_out=")?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u64>().ok()
    });
    let left_out: Vec<_> = left_out.collect();
    (lines.len() - left_out.len(), left_out.iter().sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_bad_signatures_keeps_no_delivery_out_and_does_not_fill_the_log() -> Result<()> {
    both_with(behind_a_proxy, async |system| {
        let ingests = ingests(system);
        let mut fake = FakeGithub::new(151, system.secret());
        let bad = fake.about_one_issue(50).into_iter();
        let bad: Vec<_> = bad.map(|delivery| delivery.signed_with("a guess")).collect();
        let mut good = fake.about_one_issue(3 * GOOD);
        let (from_github, from_forwarder) = (good.split_off(2 * GOOD), good.split_off(GOOD));
        let strangers = STRANGERS.map(Some);
        let began = Instant::now();
        let floods = async {
            let floods = ingests.iter().map(|ingest| flood(ingest, &bad, &strangers));
            futures_util::future::try_join_all(floods).await
        };
        let (floods, github, forwarder) = tokio::try_join!(
            floods,
            send_good(&ingests, &from_github, Some(GITHUB)),
            send_good(&ingests, &from_forwarder, Some(FORWARDER)),
        )?;
        let minutes = began.elapsed().as_secs() / 60 + 1;
        println!("{}: {floods:?}; good within {github:?} and {forwarder:?}", system.kind());
        for counts in &floods {
            ensure!(counts.keys().all(|status| [401, 429].contains(status)), "{counts:?}");
            // Those that were under way when the limit was reached come on top.
            let most = STRANGERS.len() as u64 * FAILURES * (minutes + 1) + AT_ONCE as u64;
            ensure!(counts[&401] <= most, "{counts:?}, at most {most}");
        }

        // The body of a refused source is not waited for. The flood of the other ingest may have lasted for longer, and
        // a source may fail again every two seconds.
        let stranger = Some(STRANGERS[0]);
        while post(&Client::new(), &ingests[0], &bad[0], stranger).await?.0 != 429 {}
        let address = ingests[0].socket_addrs(|| None)?[0];
        let mut connection = RawConnection::open(address).await?;
        let head = format!(
            "POST /webhooks/github HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             X-Forwarded-For: {}\r\nContent-Length: 20000000\r\n\r\n",
            STRANGERS[0]
        );
        let asked = Instant::now();
        let answer = connection.ask(head.as_bytes(), 10_000).await?;
        ensure!(answer.status == 429 && !answer.stays_open, "{answer:?}");
        ensure!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());

        // An address with a good delivery stays good, whatever else comes from it.
        let shared = flood(&ingests[0], &bad, &[Some(FORWARDER)]).await?;
        ensure!(shared.keys().all(|status| *status == 401), "{shared:?}");
        send_good(&ingests[..1], &good, Some(FORWARDER)).await?;

        for kind in ["signature", "rate"] {
            let name = format!("forgewire_ingest_security_refusals_total{{kind=\"{kind}\"}}");
            let refused = counted(system, ingests.len(), &name).await?;
            ensure!(refused > 0, "no refusal of the kind {kind}");
            until("the audit log accounts for every refusal", async || {
                let (lines, left_out) = audited(system, kind);
                lines as u64 + left_out == refused
            })
            .await?;
            let (lines, _) = audited(system, kind);
            let intervals = began.elapsed().as_secs() / 10 + 2;
            let most = usize::try_from(intervals)? * LINES_OF_A_KIND * ingests.len();
            ensure!(lines <= most, "{lines} lines about {refused} refusals, at most {most}");
        }
        let lines = log_lines(system.cluster().dir());
        let ordinary = lines.iter().filter(|line| {
            line.contains("webhook delivery") && line.contains("signature_invalid")
        });
        ensure!(ordinary.count() == 0, "bad signatures have lines of their own");
        Ok(())
    })
    .await
}

/// Without a trusted proxy, all senders of these scenarios are one address, which is not public.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_that_nobody_named_good_deliveries_pass_a_flood() -> Result<()> {
    let limited = |plan: ClusterPlan| plan.with_env("FORGEWIRE_INGEST__FAILURES_PER_MINUTE", "1");
    both_with(limited, async |system| {
        let ingests = system.ingests()[..1].to_vec();
        let mut fake = FakeGithub::new(152, system.secret());
        let bad = fake.about_one_issue(50).into_iter();
        let bad: Vec<_> = bad
            .map(|delivery| delivery.signed_with("a guess"))
            .collect();
        let good = fake.about_one_issue(GOOD);
        // What strangers say of themselves is not read.
        let said = [None, Some("203.0.113.1")];
        let (counts, longest) = tokio::try_join!(
            flood(&ingests[0], &bad, &said),
            send_good(&ingests, &good, None),
        )?;
        println!("{}: {counts:?}; good within {longest:?}", system.kind());
        ensure!(counts.keys().all(|status| *status == 401), "{counts:?}");
        Ok(())
    })
    .await
}
