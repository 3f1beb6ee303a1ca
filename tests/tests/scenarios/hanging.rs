//! A process is stopped (SIGSTOP): its connections stay open and nothing is answered, until it goes on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::json;
use testkit::{
    cluster::{System, SystemKind},
    mcp_client::McpClient,
};
use tests::{EventReader, both, only, settle, until};
use tokio::time::timeout;

use crate::{
    readiness::{ROLES, only_these_wait},
    sending::GithubSender,
};

/// GitHub gives up on a delivery after this time.
const GITHUB: Duration = Duration::from_secs(10);

async fn on_the_cluster(scenario: impl AsyncFn(&mut System) -> Result<()>) -> Result<()> {
    only(SystemKind::Cluster, |plan| plan, scenario).await
}

/// Runs `meanwhile` while the process is stopped.
async fn while_stopped(
    system: &mut System,
    process: &str,
    meanwhile: impl AsyncFnOnce(&mut System) -> Result<()>,
) -> Result<()> {
    system.cluster().process(process)?.signal(Signal::STOP)?;
    let outcome = meanwhile(system).await;
    system.cluster().process(process)?.signal(Signal::CONT)?;
    outcome.with_context(|| format!("while {process} is stopped"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_that_hangs_shows_like_one_that_is_gone_and_nothing_is_missing() -> Result<()> {
    on_the_cluster(async |system| {
        let mut github = GithubSender::of(system, 111);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(4).await?;
        let delivery = github.fake.about_one_issue(1).remove(0);
        while_stopped(system, "nats", async |system| {
            let answer = timeout(GITHUB, github.try_once(&system.ingests()[0], &delivery)).await;
            ensure!(
                answer == Ok(Some(503)),
                "before GitHub gives up: {answer:?}"
            );
            only_these_wait(system, &ROLES, "event log").await
        })
        .await?;
        only_these_wait(system, &[], "event log").await?;
        github.send(&delivery).await?;
        github.events(4).await?;
        settle(&github.ledger, &names).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_hangs_delays_no_other_and_continues_without_a_gap() -> Result<()> {
    on_the_cluster(async |system| {
        let mut github = GithubSender::of(system, 112);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        let late = EventReader::start(
            "late",
            tests::ReaderKind::Events,
            &system.edges()[1..],
            0,
            None,
            &github.ledger,
        );
        let late = late.await?;
        github.events(4).await?;
        while_stopped(system, "edge-1", async |system| {
            github.events(4).await?;
            until("the other edges deliver", async || {
                github.ledger.is_settled(&[late.name()])
            })
            .await?;
            // As many in a row as reach each edge once: one may have reached another by chance.
            let mut in_a_row = 0;
            until("the balancer sends clients to the others", async || {
                let recent = system.balancer().join("/events/recent");
                let asked = reqwest::get(recent.expect("a URL"));
                let answer = timeout(Duration::from_secs(1), asked).await;
                let is_answered = matches!(answer, Ok(Ok(answer)) if answer.status() == 200);
                in_a_row = if is_answered { in_a_row + 1 } else { 0 };
                in_a_row >= 2 * system.edges().len()
            })
            .await?;
            let client = McpClient::connect(system.balancer()).await?;
            client
                .call_tool(system.balancer(), "subscribe_to_events", json!({}))
                .await?;
            Ok(())
        })
        .await?;
        settle(&github.ledger, &names).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_hangs_is_left_out_by_the_balancer() -> Result<()> {
    on_the_cluster(async |system| {
        let mut github = GithubSender::of(system, 113).through_balancer(system);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(4).await?;
        while_stopped(system, "ingest-1", async |_| github.events(8).await).await?;
        settle(&github.ledger, &names).await?;
        github.events(8).await?;
        settle(&github.ledger, &names).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_hangs_costs_reads_of_resources_their_deadline_and_nothing_else() -> Result<()>
{
    on_the_cluster(async |system| {
        let mut github = GithubSender::of(system, 114);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(4).await?;
        let (edge, other) = (system.edges()[0].clone(), system.edges()[1].clone());
        let client = McpClient::connect(&edge).await?;
        let uri = crate::together::a_resource(&mut github, &client, &edge).await?;
        while_stopped(system, "sync", async |_| {
            // An edge that has not read it before: one that has may know that nothing has changed it since.
            let refused = client.read_resource(&other, &uri).await;
            ensure!(refused.is_err(), "{refused:?}");
            client.read_resource(&edge, "github://events").await?;
            github.events(4).await?;
            settle(&github.ledger, &names).await
        })
        .await?;
        until("resources can be read again", async || {
            client.read_resource(&other, &uri).await.is_ok()
        })
        .await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_stood_still_goes_on_without_a_gap() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 115);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(4).await?;
        let processes: &[&str] = match system.kind() {
            SystemKind::Embedded => &["forgewire"],
            SystemKind::Cluster => &["nats", "redis", "sync", "ingest-1", "ingest-2", "edge-1"],
        };
        for process in processes {
            system.cluster().process(process)?.signal(Signal::STOP)?;
        }
        let delivery = github.fake.about_one_issue(1).remove(0);
        let ingest = system.ingests()[0].clone();
        let waiting = github.try_once(&ingest, &delivery);
        // As long as a sender waits: nobody answers.
        let nobody = timeout(Duration::from_secs(2), waiting).await;
        for process in processes {
            system.cluster().process(process)?.signal(Signal::CONT)?;
        }
        ensure!(nobody.is_err(), "{nobody:?}");
        github.send(&delivery).await?;
        github.events(4).await?;
        settle(&github.ledger, &names).await
    })
    .await
}
