//! Reading a log as its users do: page by page up to its head, or following it.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use model::{EventId, Sequence, Sequenced, StoredEvent};
use ports::{EventLog, EventPage};
use tokio::time::Instant;

/// Maximum time that a follower waits for the expected events.
const FOLLOW_DEADLINE: Duration = Duration::from_secs(20);
/// Pause of a follower after a page without events.
const POLL_PAUSE: Duration = Duration::from_millis(1);

pub(super) type ReadEvents = Vec<Sequenced<StoredEvent>>;

/// Reads one page and checks the requirements of EL-04 on every page.
pub(super) async fn page(log: &dyn EventLog, after: Sequence, limit: usize) -> Result<EventPage> {
    let page = log.read_after(after, limit).await?;
    ensure!(
        page.events.len() <= limit,
        "{} events for limit {limit}",
        page.events.len()
    );
    let mut last = page.resumes_after.unwrap_or(after);
    ensure!(last >= after, "page resumes at {last:?}, before {after:?}");
    for event in &page.events {
        ensure!(
            event.sequence > last,
            "{:?} follows {last:?} in one page",
            event.sequence
        );
        last = event.sequence;
    }
    ensure!(
        page.through >= last,
        "page ends with {last:?} but is through {:?}",
        page.through
    );
    let stuck = page.events.is_empty() && !page.at_head && page.through <= after;
    ensure!(
        !stuck,
        "an empty page after {after:?} that is not at the head leads nowhere"
    );
    Ok(page)
}

/// All events after a position, read in pages of `limit`, from a log without concurrent writers.
pub(super) async fn all_after(
    log: &dyn EventLog,
    after: Sequence,
    limit: usize,
) -> Result<ReadEvents> {
    let (mut after, mut read) = (after, Vec::new());
    loop {
        let page = page(log, after, limit).await?;
        read.extend(page.events);
        after = page.through;
        if page.at_head {
            return Ok(read);
        }
    }
}

/// The whole log.
pub(super) async fn all(log: &dyn EventLog) -> Result<ReadEvents> {
    all_after(log, Sequence::START, 500).await
}

/// Follows a log with concurrent writers until all of `expected` have arrived.
pub(super) async fn follow(
    log: &dyn EventLog,
    after: Sequence,
    limit: usize,
    mut expected: HashSet<EventId>,
) -> Result<ReadEvents> {
    let (mut after, mut read) = (after, Vec::new());
    let deadline = Instant::now() + FOLLOW_DEADLINE;
    while !expected.is_empty() {
        let page = page(log, after, limit)
            .await
            .with_context(|| format!("after {after:?}"))?;
        let nothing_new = page.events.is_empty();
        for event in &page.events {
            expected.remove(&event.item.facts.id);
        }
        read.extend(page.events);
        after = page.through;
        if Instant::now() > deadline {
            bail!(
                "{} events never reached a reader at position {after:?}",
                expected.len()
            );
        }
        if nothing_new {
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }
    Ok(read)
}

/// The sequences and ids by which readers are compared (EL-14 covers the contents).
pub(super) fn places(read: &[Sequenced<StoredEvent>]) -> Vec<(Sequence, EventId)> {
    read.iter()
        .map(|event| (event.sequence, event.item.facts.id.clone()))
        .collect()
}

/// The ids of events.
pub(super) fn ids(events: &[StoredEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.facts.id.clone()).collect()
}
