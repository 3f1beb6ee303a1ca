//! EL-16: a log whose store was put back to an earlier state.

use std::sync::Arc;

use anyhow::{Context, Result};
use model::{EventId, Sequence};

use super::super::events::{event, events};
use super::follow::all;
use crate::Harness;

pub(super) async fn a_handle_remembers_nothing_of_a_log_that_was_put_back(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let hooks = fixture.set_back.as_ref();
    let hooks = hooks.context("the adapter says `restorable` but its fixture has no hooks")?;
    let log = &*fixture.log;
    let kept = log.append(events(0, 10)).await?;
    (hooks.save)().await?;
    let before = log.head().await?;
    let lost = log.append(events(10, 15)).await?;
    assert_eq!(all(log).await?.len(), 15);
    (hooks.restore)().await?;
    let head = log.head().await?;
    assert_eq!(head, before, "the same log, and its end");
    assert_eq!(ids(&all(log).await?), (0..10).map(id).collect::<Vec<_>>());
    let end = lost[4].sequence;
    let page = log.read_after(end, 10).await?;
    assert!(page.events.is_empty() && page.at_head, "{page:?}");
    let newest = log.read_before(end.next(), 10).await?;
    assert_eq!(
        newest.events.first().map(|event| event.sequence),
        Some(head.last)
    );
    // An id that was lost is new, and no number is left out for what was lost.
    let again = log.append(vec![event(12), event(20), event(3)]).await?;
    assert_eq!(again[0].sequence, lost[0].sequence);
    let duplicates: Vec<_> = again.iter().map(|answer| answer.duplicate).collect();
    assert_eq!(duplicates, [false, false, true]);
    assert_eq!(again[2].sequence, kept[3].sequence);
    let stored = ids(&all(log).await?);
    assert_eq!(stored, (0..10).chain([12, 20]).map(id).collect::<Vec<_>>());
    assert!(log.head().await?.last >= again[1].sequence && head.last > Sequence::START);
    Ok(())
}

fn id(n: u64) -> EventId {
    event(n).facts.id.clone()
}

fn ids(stored: &[model::Sequenced<model::StoredEvent>]) -> Vec<EventId> {
    stored
        .iter()
        .map(|event| event.item.facts.id.clone())
        .collect()
}
