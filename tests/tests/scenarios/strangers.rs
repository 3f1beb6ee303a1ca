//! Strangers: somebody who reaches NATS without a key of the roles, and somebody who has seen a body that
//! GitHub signed; and how an installation gets and changes its key.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::{Clock, SessionId, SystemClock};
use reqwest::Url;
use serde_json::Value;
use testkit::{
    cluster::{FaultOutcome, System, SystemKind, SystemNode},
    fake_github::WebhookSender,
    mcp_client::McpClient,
};
use tests::{
    EventReader, ForgedRole, ReaderKind, both, both_with, every_node_is_ready, newer_event, settle,
    until,
};

use crate::{readiness::health, sending::GithubSender};

const STRANGERS_KEY: &str = "the key of somebody else, long enough";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_or_entry_that_no_role_wrote_reaches_nobody() -> Result<()> {
    both(async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        let mut github = GithubSender::of(system, 121);
        let edges = system.edges().to_vec();
        let readers = EventReader::on_every_edge(&edges, &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        let client = McpClient::connect(&edges[0]).await?;
        let session = SessionId::new(client.session_id().context("a session")?)?;
        github.events(3).await?;
        settle(&github.ledger, &names).await?;
        let opens: Vec<_> = readers.iter().map(EventReader::opens).collect();
        let mut strangers = Vec::new();
        for (n, key) in [None, Some(STRANGERS_KEY)].into_iter().enumerate() {
            let stranger = ForgedRole::connect(system, key).await?;
            stranger.hint(newer_event(n, SystemClock.now())).await?;
            stranger.end_session(session.clone()).await?;
            // The true event takes the place that the forged one was announced for.
            github.events(1).await?;
            settle(&github.ledger, &names).await?;
            strangers.push(stranger);
        }
        client
            .ping(&edges[1])
            .await
            .context("the session goes on")?;
        for (reader, before) in readers.iter().zip(opens) {
            ensure!(reader.opens() == before, "no stream ended");
        }
        for (n, stranger) in strangers.iter().enumerate() {
            stranger
                .append(newer_event(10 + n, SystemClock.now()))
                .await?;
            github.events(1).await?;
            settle(&github.ledger, &names).await?;
        }
        let metrics = system.admin(SystemNode::Edge(0))?.join("/metrics")?;
        let metrics = reqwest::get(metrics).await?.text().await?;
        ensure!(
            metrics.contains("\nforgewire_nats_slow_consumers_total "),
            "a flood would be counted"
        );
        for (channel, reason) in [
            ("bus", "unsigned"),
            ("bus", "unknown_key"),
            ("log", "unsigned"),
        ] {
            let refused = format!(
                "forgewire_roles_refused_total{{channel=\"{channel}\",reason=\"{reason}\"}}"
            );
            until(&refused, async || {
                metric(system, SystemNode::Edge(0), &refused)
                    .await
                    .is_ok_and(|count| count > 0)
            })
            .await?;
        }
        for edge in &edges {
            let recent = json(edge, "/events/recent?limit=50").await?;
            let events = recent["events"].as_array().context("a list of events")?;
            ensure!(events.len() == 7 && recent["truncated"] == true, "{recent}");
            ensure!(!recent.to_string().contains("newer-"), "{recent}");
        }
        every_node_is_ready(system).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_gets_its_first_key_and_a_new_one_without_losing_an_event() -> Result<()> {
    let none = |plan: testkit::cluster::ClusterPlan| plan.with_env(KEYS, "");
    both_with(none, async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        let mut github = GithubSender::of(system, 122);
        let edges = system.edges().to_vec();
        let readers = EventReader::on_every_edge(&edges, &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(5).await?;
        let until_then = SystemClock
            .now()
            .plus(Duration::from_secs(3600))
            .to_string();
        let steps = [
            format!("[\"{OLD_KEY}\"]"),
            format!("[\"{OLD_KEY}\", \"{NEW_KEY}\"]"),
            format!("[\"{NEW_KEY}\", \"{OLD_KEY}\"]"),
        ];
        for keys in steps {
            // One by one: for a while, every two neighbouring configurations run at once.
            for node in NODES {
                let process = system.cluster().process(&node.to_string())?;
                process.set_env(KEYS, &keys);
                process.set_env("FORGEWIRE_ROLES__UNSIGNED_UNTIL", &until_then);
                ensure!(system.restart(node).await? == FaultOutcome::Done);
                github.events(2).await?;
            }
            settle(&github.ledger, &names).await?;
            every_node_is_ready(system).await?;
            for node in NODES {
                let refused = metric(system, node, "forgewire_roles_refused_total").await?;
                ensure!(refused == 0, "{node} refused {refused} with {keys}");
            }
        }
        // What was stored without a stamp, and with the old key, is still there.
        let from = Some("2020-01-01T00:00:00Z".to_owned());
        let late = EventReader::start("late", ReaderKind::Events, &edges, 0, from, &github.ledger);
        settle(&github.ledger, &[late.await?.name()]).await
    })
    .await
}

/// An ingest would acknowledge deliveries whose events reach nobody.
#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_with_another_key_is_shown_by_every_role() -> Result<()> {
    let keyed =
        |plan: testkit::cluster::ClusterPlan| plan.with_env(KEYS, &format!("[\"{OLD_KEY}\"]"));
    both_with(keyed, async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        let mut github = GithubSender::of(system, 125);
        github.events(2).await?;
        let other = SystemNode::Ingest(1);
        let process = system.cluster().process(&other.to_string())?;
        process.set_env(KEYS, &format!("[\"{NEW_KEY}\"]"));
        ensure!(system.restart(other).await? == FaultOutcome::Done);
        for node in [
            other,
            SystemNode::Edge(0),
            SystemNode::Edge(1),
            SystemNode::Sync,
        ] {
            until(&format!("{node} shows it"), async || {
                let shown = health(system, node).await.ok();
                shown.is_some_and(|shown| {
                    let keys = &shown["dependencies"]["keys of the roles"];
                    keys["lastError"].to_string().contains("roles.keys")
                })
            })
            .await?;
            let refused = metric(system, node, "forgewire_roles_refused_total").await?;
            ensure!(refused > 0, "{node} counts it");
        }
        every_node_is_ready(system).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guid_and_an_event_name_are_one_event() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 123);
        let edges = system.edges().to_vec();
        let readers = EventReader::on_every_edge(&edges, &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        let story = github.fake.story();
        let of = |event: &str| {
            let found = story.iter().find(|delivery| delivery.event == event);
            found
                .cloned()
                .with_context(|| format!("the story has {event}"))
        };
        let first = of("issues")?;
        github.send(&first).await?;
        let (sender, ingests) = (WebhookSender::new(), system.ingests().to_vec());
        for (turn, event) in ["pull_request", "milestone"].into_iter().enumerate() {
            let mut second = of(event)?;
            second.guid = first.guid.clone();
            let id = format!("{}.{event}", first.guid);
            github.ledger.record_sending(&id, &id, event);
            let answer = sender.send(&ingests[turn % 2], &second).await?;
            ensure!(
                answer.status == 202 && answer.event_ids() == [id.clone()],
                "{answer:?}"
            );
            github.ledger.record_acknowledged(&id);
            for ingest in &ingests {
                let again = sender.send(ingest, &second).await?;
                ensure!(
                    again.is_deduplicated() && again.event_ids() == [id.clone()],
                    "{again:?}"
                );
            }
        }
        let again = sender.send(&ingests[1], &first).await?;
        ensure!(again.is_deduplicated() && again.event_ids() == [first.guid.to_string()]);
        settle(&github.ledger, &names).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_body_under_another_guid_is_an_event_that_says_so() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 124);
        let edges = system.edges().to_vec();
        let delivery = github.fake.about_one_issue(1).remove(0);
        // These go to one ingest, which remembers what it has received.
        let (sender, ingest) = (WebhookSender::new(), system.ingests()[0].clone());
        sender.send(&ingest, &delivery).await?;
        let mut repeated = delivery.clone();
        repeated.guid = model::DeliveryId::new("made-up")?;
        let answer = sender.send(&ingest, &repeated).await?;
        ensure!(answer.status == 202, "it may be a real event: {answer:?}");
        sender.send(&ingest, &delivery).await?;
        for edge in &edges {
            let recent = json(edge, "/events/recent?limit=5").await?;
            let events = recent["events"].as_array().context("a list of events")?;
            let marks: Vec<_> = events
                .iter()
                .map(|event| &event["metadata"]["repeatedBody"])
                .collect();
            ensure!(marks == [&Value::Bool(true), &Value::Null], "{recent}");
        }
        let counter = "forgewire_ingest_repeated_bodies_total";
        ensure!(metric(system, SystemNode::Ingest(0), counter).await? == 1);
        // One that remembers nothing of it stores what tells that it is the same body: another ingest, where
        // there is one, and the same one after a restart.
        ensure!(system.restart(SystemNode::Ingest(0)).await? == FaultOutcome::Done);
        let ingests = system.ingests().to_vec();
        for (n, ingest) in ingests.iter().rev().enumerate() {
            repeated.guid = model::DeliveryId::new(&format!("later-{n}"))?;
            sender.send(ingest, &repeated).await?;
        }
        for edge in system.edges() {
            let recent = json(edge, "/events/recent?limit=9").await?;
            let events = recent["events"].as_array().context("a list of events")?;
            let digest = &events[0]["metadata"]["bodyDigest"];
            ensure!(
                events.len() == 2 + ingests.len() && digest.is_string(),
                "{recent}"
            );
            for event in events {
                ensure!(event["metadata"]["bodyDigest"] == *digest, "{recent}");
            }
        }
        Ok(())
    })
    .await
}

const KEYS: &str = "FORGEWIRE_ROLES__KEYS";
const OLD_KEY: &str = "the old key, as long as a key has to be";
const NEW_KEY: &str = "the new key, as long as a key has to be";

/// Every process that runs Forgewire.
const NODES: [SystemNode; 6] = [
    SystemNode::Ingest(0),
    SystemNode::Edge(0),
    SystemNode::Sync,
    SystemNode::Edge(1),
    SystemNode::Ingest(1),
    SystemNode::Edge(2),
];

async fn json(edge: &Url, path: &str) -> Result<Value> {
    Ok(reqwest::get(edge.join(path)?).await?.json().await?)
}

/// The sum of all values of a metric whose line begins so.
async fn metric(system: &System, node: SystemNode, name: &str) -> Result<u64> {
    let url = system.admin(node)?.join("/metrics")?;
    let text = reqwest::get(url).await?.text().await?;
    let lines = text.lines().filter(|line| line.starts_with(name));
    let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    Ok(values.sum())
}
