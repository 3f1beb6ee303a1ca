//! Many clients that reconnect at the same time.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Url, header::HeaderMap};
use testkit::{
    cluster::{FaultOutcome, System, SystemNode},
    sse::{self, SseStream},
};
use tests::both_and_kept_sockets;
use tokio::task::JoinSet;

use crate::sending::GithubSender;

/// Number of events in the log when the clients reconnect.
const EVENTS: usize = 700;
/// Number of clients that reconnect at the same time.
const CLIENTS: usize = 300;
/// Positions of the cursors: 550 to 650 events back.
const CURSORS: std::ops::Range<usize> = 50..150;
/// Number of live events after they have reconnected.
const LIVE: usize = 5;
/// Time that a client waits for its next frame.
const DEADLINE: Duration = Duration::from_secs(30);
/// Maximum number of reads of the log in the storm. Its range covers three or four pages; the
/// head's page is read again for new events, and all of them once more if the storm lasts longer
/// than pages are cached.
const READS: u64 = 20;

/// An event as received by a client, not parsed: there are 180,000 of them.
#[derive(Debug, Clone, PartialEq)]
struct ReceivedEvent {
    event: String,
    cursor: String,
}

/// Reads until `count` more events have arrived.
async fn read(stream: &mut SseStream, count: usize) -> Result<Vec<ReceivedEvent>> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let frame = stream.next_event(DEADLINE).await;
        let frame = frame.with_context(|| format!("after {} of {count} events", seen.len()))?;
        if frame.event.as_deref() != Some("event") {
            ensure!(
                frame.event.as_deref() != Some("truncated"),
                "nothing is gone: {frame:?}"
            );
            continue;
        }
        let (Some(event), Some(cursor)) = (frame.data, frame.id) else {
            bail!("an event without an id");
        };
        seen.push(ReceivedEvent { event, cursor });
    }
    Ok(seen)
}

/// A counter of an edge.
async fn counter(system: &System, node: SystemNode, name: &str) -> Result<u64> {
    let url = system.admin(node)?.join("/metrics")?;
    let metrics = reqwest::get(url).await?.text().await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let value = line.with_context(|| format!("{name} is missing"))?;
    Ok(value.trim().parse()?)
}

/// All clients reconnect at once; each reads the events that it missed and then the live events.
async fn storm(
    edge: &Url,
    all: &[ReceivedEvent],
) -> Result<JoinSet<Result<(usize, Vec<ReceivedEvent>)>>> {
    let (url, mut clients) = (edge.join("/events/stream")?, JoinSet::new());
    for client in 0..CLIENTS {
        let at = CURSORS.start + client % CURSORS.len();
        let (url, cursor) = (url.clone(), all[at].cursor.clone());
        clients.spawn(async move {
            let mut stream = sse::resume(&url, HeaderMap::new(), &cursor).await?;
            let seen = read(&mut stream, EVENTS + LIVE - at - 1).await?;
            Ok((at, seen))
        });
    }
    Ok(clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_that_come_back_at_once_are_served_by_few_reads_of_the_log() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let mut github = GithubSender::of(system, 61);
        let url = system.edges()[0].join("/events/stream")?;
        let mut witness = sse::open(&url, HeaderMap::new()).await?;
        github.events(EVENTS).await?;
        let mut all = read(&mut witness, EVENTS).await?;
        drop(witness);
        // The edge's memory is lost with it: what was missed is read from the log, by the edge itself or for the first
        // clients.
        ensure!(system.terminate(SystemNode::Edge(0)).await? == FaultOutcome::Done);
        ensure!(system.restart(SystemNode::Edge(0)).await? == FaultOutcome::Done);

        let last = all[EVENTS - 1].cursor.clone();
        let mut witness = sse::resume(&url, HeaderMap::new(), &last).await?;
        let mut clients = storm(&system.edges()[0], &all).await?;
        github.events(LIVE).await?;
        all.extend(read(&mut witness, LIVE).await?);
        while let Some(client) = clients.join_next().await {
            let (at, seen) = client??;
            ensure!(seen == all[at + 1..], "not the events after event {at}");
        }

        let edge = SystemNode::Edge(0);
        let reads = counter(system, edge, "forgewire_edge_catch_up_reads_total ").await?;
        let pages = counter(system, edge, "forgewire_edge_catch_up_pages_total ").await?;
        ensure!(reads <= READS, "{reads} reads for {pages} pages");
        Ok(())
    })
    .await
}
