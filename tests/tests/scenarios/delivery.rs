//! Every event to every reader, once, in order; and after a disconnect exactly the missed events.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::Value;
use testkit::{fake_github::WebhookSender, ledger::DeliveryLedger};
use tests::{EventReader, ReaderKind, both, both_and_kept_sockets, settle, until};

use crate::sending::GithubSender;

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_reaches_every_client_of_every_edge_once_and_in_order() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let mut github = GithubSender::of(system, 1);
        let mut readers = Vec::new();
        for (at, edge) in system.edges().iter().enumerate() {
            let (edges, ledger) = (std::slice::from_ref(edge), &github.ledger);
            let events = format!("events on edge {at}");
            readers.push(
                EventReader::start(&events, ReaderKind::Events, edges, 0, None, ledger).await?,
            );
            let session = ReaderKind::session(edge).await?;
            let name = format!("session on edge {at}");
            readers.push(EventReader::start(&name, session, edges, 0, None, ledger).await?);
        }
        let story = github.fake.story();
        github.send_all(&story).await?;
        github.events(50).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        settle(&github.ledger, &names).await?;
        ensure!(
            readers.iter().all(|reader| reader.opens() == 1),
            "no stream broke"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_away_gets_exactly_what_it_missed_on_another_edge_and_then_live()
-> Result<()> {
    both_and_kept_sockets(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 2);
        let session = ReaderKind::session(&edges[0]).await?;
        let mut left = Vec::new();
        for (name, kind) in [("events", ReaderKind::Events), ("session", session)] {
            let ledger = &github.ledger;
            let reader =
                EventReader::start(name, kind.clone(), &edges[..1], 0, None, ledger).await?;
            left.push((name, kind, reader));
        }
        github.events(5).await?;
        settle(&github.ledger, &["events", "session"]).await?;
        let mut away = Vec::new();
        for (name, kind, reader) in left {
            away.push((name, kind, reader.stop().await));
        }
        github.events(100).await?;
        let mut back = Vec::new();
        for (name, kind, last) in away {
            let ledger = &github.ledger;
            back.push(EventReader::start(name, kind, &edges[1..], 0, last, ledger).await?);
        }
        settle(&github.ledger, &["events", "session"]).await?;
        github.events(5).await?;
        settle(&github.ledger, &["events", "session"]).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_sent_to_all_ingests_at_once_is_one_event() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 3);
        let ledger = Arc::clone(&github.ledger);
        let edges = system.edges();
        let reader = EventReader::start("r", ReaderKind::Events, edges, 0, None, &ledger).await?;
        let sender = WebhookSender::new();
        for delivery in github.fake.about_one_issue(10) {
            ledger.record_sending_delivery(&delivery);
            let ingests = system.ingests();
            let targets = [&ingests[0], &ingests[1], &ingests[0], &ingests[1]];
            let [a, b, c, d] = targets.map(|ingest| sender.send(ingest, &delivery));
            let answers = tokio::try_join!(a, b, c, d)?;
            let answers: [_; 4] = answers.into();
            ensure!(
                answers
                    .iter()
                    .all(testkit::fake_github::ReceiverAnswer::is_accepted)
            );
            ledger.record_acknowledged(delivery.guid.as_str());
            let again = sender.send(&ingests[1], &delivery).await?;
            ensure!(again.status == 200 && again.is_deduplicated(), "{again:?}");
        }
        settle(&ledger, &[reader.name()]).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn recent_and_replay_answer_the_same_on_every_edge() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 4);
        github.events(30).await?;
        let ids = async |path: &str, at: usize| -> Result<Vec<String>> {
            let url = system.edges()[at].join(path)?;
            let list: Value = reqwest::get(url).await?.json().await?;
            let events = list["events"].as_array().cloned().unwrap_or_default();
            Ok(events.iter().map(|event| event["id"].to_string()).collect())
        };
        let oldest_first = ids("/events/replay/2020-01-01T00:00:00Z", 0).await?;
        ensure!(oldest_first.len() == 30, "{} events", oldest_first.len());
        for at in 0..3 {
            ensure!(ids("/events/replay/2020-01-01T00:00:00Z", at).await? == oldest_first);
            let mut newest = ids("/events/recent?limit=10", at).await?;
            newest.reverse();
            ensure!(newest == oldest_first[20..]);
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_post_to_the_sse_write() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let mut github = GithubSender::of(system, 5);
        let ledger: Arc<DeliveryLedger> = Arc::clone(&github.ledger);
        let edges = system.edges();
        let reader = EventReader::start("r", ReaderKind::Events, edges, 0, None, &ledger).await?;
        let delivery = github.fake.about_one_issue(1).remove(0);
        ledger.record_sending_delivery(&delivery);
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let mut url = system.ingests()[0].clone();
        url.set_path("/webhooks/github");
        let answer = reqwest::Client::new()
            .post(url)
            .headers(delivery.headers())
            .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
            .body(delivery.body.clone())
            .send()
            .await?;
        ensure!(answer.status() == 202, "{}", answer.status());
        ledger.record_acknowledged(delivery.guid.as_str());
        settle(&ledger, &[reader.name()]).await?;
        let dir = system.cluster().dir().to_owned();
        let lines = async |what: &str| {
            let logs = tests::log_lines(&dir);
            logs.iter()
                .any(|line| line.contains(trace) && line.contains(what))
        };
        until("ingest logs the trace", async || lines("delivery").await).await?;
        until("the edge logs the trace", async || {
            lines("event goes to streams").await
        })
        .await
    })
    .await
}
