//! From replay to live, from edge to edge: no gap, no duplicate, no reorder.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use testkit::{
    cluster::{FaultOutcome, SystemKind, SystemNode},
    fake_github::{FakeGithub, WebhookSender},
    ledger::DeliveryLedger,
};
use tests::{EventReader, ReaderKind, both_and_kept_sockets, settle};
use tokio::{sync::Semaphore, task::JoinSet, time::MissedTickBehavior};

use crate::sending::GithubSender;

/// Events that are sent while readers switch edges, one every millisecond as far as the machine
/// keeps up.
const EVENTS: usize = 3000;
/// Deliveries in flight at the same time.
const IN_FLIGHT: usize = 16;
/// Reconnects of each reader while the sender sends.
const HOPS: usize = 100;

/// Sends in an open loop: one per millisecond, regardless of the answers.
async fn send_at_one_khz(
    ingests: Vec<reqwest::Url>,
    mut fake: FakeGithub,
    ledger: Arc<DeliveryLedger>,
) -> Result<()> {
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let sender = WebhookSender::new();
    let mut sending = JoinSet::new();
    for delivery in fake.about_one_issue(EVENTS) {
        ticks.tick().await;
        let permit = Arc::clone(&room).acquire_owned().await?;
        let (sender, ingests, ledger) = (sender.clone(), ingests.clone(), Arc::clone(&ledger));
        sending.spawn(async move {
            ledger.record_sending_delivery(&delivery);
            let within = Duration::from_secs(30);
            sender
                .send_until_accepted(&ingests, &delivery, within)
                .await?;
            ledger.record_acknowledged(delivery.guid.as_str());
            drop(permit);
            anyhow::Ok(())
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_at_one_khz_during_a_hundred_reconnects_equals_the_readers_log() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let ledger = Arc::new(DeliveryLedger::new());
        let edges = system.edges().to_vec();
        let session = ReaderKind::session(&edges[0]).await?;
        let events = EventReader::start("e", ReaderKind::Events, &edges, 0, None, &ledger).await?;
        let session = EventReader::start("s", session, &edges, 1, None, &ledger).await?;
        let fake = FakeGithub::new(41, system.secret());
        let sending = tokio::spawn(send_at_one_khz(
            system.ingests().to_vec(),
            fake,
            Arc::clone(&ledger),
        ));
        for hop in 0..HOPS {
            events.switch_edge().await?;
            session.switch_edge().await?;
            // An edge dies from time to time; embedded, that would end the ingest too.
            if hop % 40 == 20 && system.kind() == SystemKind::Cluster {
                let edge = SystemNode::Edge(hop / 40);
                ensure!(system.kill(edge)? == FaultOutcome::Done);
                ensure!(system.restart(edge).await? == FaultOutcome::Done);
            }
        }
        sending.await??;
        settle(&ledger, &["e", "s"]).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_triple_of_edges_delivers_once_and_in_order() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 42);
        let mut readers = Vec::new();
        for initialise in 0..3 {
            for stream in 0..3 {
                // The sending edge is the one that handles the subscription.
                for send in 0..3 {
                    let session =
                        ReaderKind::session_over(&edges[initialise], &edges[send]).await?;
                    let name = format!("{initialise}{stream}{send}");
                    let at = &edges[stream..=stream];
                    readers.push(
                        EventReader::start(&name, session, at, 0, None, &github.ledger).await?,
                    );
                }
            }
        }
        github.events(20).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        settle(&github.ledger, &names).await
    })
    .await
}
