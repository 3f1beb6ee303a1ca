//! One process alone loses its way to a server that the others keep.

use anyhow::{Result, ensure};
use testkit::cluster::{ClusterPlan, LinkState, System, SystemKind, SystemNode};
use tests::{EventReader, only, settle, until};

use crate::{
    readiness::{only_these_wait, waiting_for},
    sending::GithubSender,
};

/// Runs the scenario on a cluster in which these processes have links of their own.
async fn with_links(
    links: &[(&str, &str)],
    scenario: impl AsyncFn(&mut System) -> Result<()>,
) -> Result<()> {
    let linked = |plan: ClusterPlan| {
        let link =
            |plan: ClusterPlan, (process, server): &(&str, &str)| plan.with_link(process, server);
        links.iter().fold(plan, link)
    };
    only(SystemKind::Cluster, linked, scenario).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_alone_lost_nats_is_left_out_and_comes_back() -> Result<()> {
    with_links(&[("ingest-1", "nats")], async |system| {
        let mut github = GithubSender::of(system, 101).through_balancer(system);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(4).await?;
        let alone = system.ingests()[0].clone();
        for state in [LinkState::Cut, LinkState::Silent] {
            system.cluster().server_link("ingest-1")?.set(state);
            let delivery = github.fake.about_one_issue(1).remove(0);
            let answer = github.try_once(&alone, &delivery).await;
            ensure!(answer == Some(503), "before GitHub gives up: {answer:?}");
            only_these_wait(system, &[SystemNode::Ingest(0)], "event log").await?;
            until("the balancer leaves it out", async || {
                let (admin, delivery) = (system.admin(SystemNode::Ingest(1)), &delivery);
                admin.is_ok()
                    && github
                        .try_once(system.ingest_balancer(), delivery)
                        .await
                        .is_some_and(|status| status < 300)
            })
            .await?;
            github.send(&delivery).await?;
            github.events(4).await?;
            settle(&github.ledger, &names).await?;
            system
                .cluster()
                .server_link("ingest-1")?
                .set(LinkState::Open);
            only_these_wait(system, &[], "event log").await?;
            let delivery = github.fake.about_one_issue(1).remove(0);
            let answer = github.try_once(&alone, &delivery).await;
            ensure!(answer == Some(202), "it takes deliveries again: {answer:?}");
            github.send(&delivery).await?;
            settle(&github.ledger, &names).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_and_sync_that_alone_lost_nats_say_so_and_miss_nothing() -> Result<()> {
    let links = [("edge-1", "nats"), ("sync", "nats")];
    with_links(&links, async |system| {
        let mut github = GithubSender::of(system, 102);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        let opens: Vec<_> = readers.iter().map(EventReader::opens).collect();
        github.events(4).await?;
        settle(&github.ledger, &names).await?;
        for (process, node) in [("edge-1", SystemNode::Edge(0)), ("sync", SystemNode::Sync)] {
            for state in [LinkState::Cut, LinkState::Silent] {
                system.cluster().server_link(process)?.set(state);
                only_these_wait(system, &[node], "event log").await?;
                github.events(4).await?;
                let sync = waiting_for(system, SystemNode::Edge(1)).await?;
                ensure!(sync.is_none(), "the other edges are ready: {sync:?}");
                system.cluster().server_link(process)?.set(LinkState::Open);
                only_these_wait(system, &[], "event log").await?;
                settle(&github.ledger, &names).await?;
            }
        }
        let after: Vec<_> = readers.iter().map(EventReader::opens).collect();
        ensure!(
            after == opens,
            "every stream stayed open: {opens:?}, {after:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_alone_lost_redis_says_so_and_its_streams_stay() -> Result<()> {
    with_links(&[("edge-1", "redis")], async |system| {
        let mut github = GithubSender::of(system, 103);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        for state in [LinkState::Cut, LinkState::Silent] {
            system.cluster().server_link("edge-1")?.set(state);
            only_these_wait(system, &[SystemNode::Edge(0)], "session store").await?;
            let other = waiting_for(system, SystemNode::Edge(1)).await?;
            ensure!(other.is_none(), "the other edges are ready: {other:?}");
            github.events(4).await?;
            settle(&github.ledger, &names).await?;
            system.cluster().server_link("edge-1")?.set(LinkState::Open);
            only_these_wait(system, &[], "session store").await?;
        }
        Ok(())
    })
    .await
}
