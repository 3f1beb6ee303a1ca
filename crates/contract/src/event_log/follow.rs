//! Reading a log as its users do: page by page, to its head or along with it.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use model::{EventId, Sequence, Sequenced, StoredEvent};
use ports::{EventLog, Page};
use tokio::time::Instant;

/// How long a follower waits for events that have to come.
const FOLLOW_DEADLINE: Duration = Duration::from_secs(20);
/// Pause of a follower that found nothing new.
const POLL_PAUSE: Duration = Duration::from_millis(1);

pub(super) type Read = Vec<Sequenced<StoredEvent>>;

/// One page, checked against what EL-04 says of every page.
pub(super) async fn page(log: &dyn EventLog, after: Sequence, limit: usize) -> Result<Page> {
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

/// Everything after a position, read in pages of `limit`, from a log that nobody writes to.
pub(super) async fn all_after(log: &dyn EventLog, after: Sequence, limit: usize) -> Result<Read> {
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
pub(super) async fn all(log: &dyn EventLog) -> Result<Read> {
    all_after(log, Sequence::START, 500).await
}

/// Follows a log that is being written until all of `expected` have come.
pub(super) async fn follow(
    log: &dyn EventLog,
    after: Sequence,
    limit: usize,
    mut expected: HashSet<EventId>,
) -> Result<Read> {
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
                "{} events never came to a reader that is at {after:?}",
                expected.len()
            );
        }
        if nothing_new {
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }
    Ok(read)
}

/// Sequences and ids: what readers are compared by (the contents are EL-14's).
pub(super) fn places(read: &[Sequenced<StoredEvent>]) -> Vec<(Sequence, EventId)> {
    read.iter()
        .map(|event| (event.sequence, event.item.facts.id.clone()))
        .collect()
}

/// The ids of events.
pub(super) fn ids(events: &[StoredEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.facts.id.clone()).collect()
}
