//! EL-02, EL-07, EL-11, EL-12 with several handles and reopens.

use std::sync::Arc;

use anyhow::Result;
use model::Sequence;

use super::follow::{all, page};
use crate::{Harness, event, events};

pub(super) async fn an_id_that_another_handle_wrote_is_a_duplicate(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let peer = fixture.handles.peer().await?;
    let first = fixture.log.append(events(0, 6)).await?;
    let second = peer.append(events(3, 9)).await?;
    for (known, again) in first[3..].iter().zip(&second) {
        assert!(again.duplicate, "{again:?}");
        assert_eq!(again.sequence, known.sequence);
    }
    assert!(
        second[3..].iter().all(|answer| !answer.duplicate),
        "{second:?}"
    );
    assert_eq!(all(&*fixture.log).await?.len(), 9);
    Ok(())
}

pub(super) async fn an_id_from_before_a_reopen_is_a_duplicate(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = harness.event_log().await?;
    let first = fixture.log.append(events(0, 6)).await?;
    fixture.log = fixture.handles.reopen().await?;
    let second = fixture.log.append(events(0, 7)).await?;
    for (known, again) in first.iter().zip(&second) {
        assert!(again.duplicate, "{again:?}");
        assert_eq!(again.sequence, known.sequence);
    }
    assert!(!second[6].duplicate);
    assert!(
        second[6].sequence > first[5].sequence,
        "sequences continue to rise"
    );
    Ok(())
}

pub(super) async fn another_handle_has_the_same_epoch(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let peer = fixture.handles.peer().await?;
    fixture.log.append(events(0, 3)).await?;
    assert_eq!(peer.head().await?.epoch, fixture.log.head().await?.epoch);
    Ok(())
}

pub(super) async fn the_epoch_outlives_a_reopen(harness: Arc<dyn Harness>) -> Result<()> {
    let mut fixture = harness.event_log().await?;
    fixture.log.append(events(0, 3)).await?;
    let before = fixture.log.head().await?;
    fixture.log = fixture.handles.reopen().await?;
    assert_eq!(fixture.log.head().await?, before);
    Ok(())
}

pub(super) async fn what_was_acknowledged_outlives_a_reopen(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = harness.event_log().await?;
    let tasks: Vec<_> = (0..8_u64)
        .map(|task| {
            let log = Arc::clone(&fixture.log);
            tokio::spawn(async move { log.append(events(task * 20, task * 20 + 20)).await })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await??);
    }
    fixture.log = fixture.handles.reopen().await?;
    let mut stored = all(&*fixture.log).await?;
    acknowledged.sort_by_key(|answer| answer.sequence);
    let mut expected = acknowledged.iter();
    assert_eq!(stored.len(), 160);
    for event in &stored {
        let answer = expected.next().map(|answer| (answer.sequence, &answer.id));
        assert_eq!(answer, Some((event.sequence, &event.item.facts.id)));
    }
    stored.sort_by(|a, b| a.item.facts.id.cmp(&b.item.facts.id));
    let mut written = events(0, 160);
    written.sort_by(|a, b| a.facts.id.cmp(&b.facts.id));
    assert!(
        stored.iter().map(|event| &event.item).eq(&written),
        "contents changed"
    );
    Ok(())
}

pub(super) async fn what_one_handle_appended_another_reads_at_once(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let peer = fixture.handles.peer().await?;
    for n in 0..50_u64 {
        let (writer, reader) = if n % 2 == 0 {
            (&fixture.log, &peer)
        } else {
            (&peer, &fixture.log)
        };
        let answer = writer.append(vec![event(n)]).await?.remove(0);
        let page = page(&**reader, Sequence(answer.sequence.0 - 1), 1).await?;
        let read = page.events.first().map(|event| event.item.facts.id.clone());
        assert_eq!(
            read,
            Some(answer.id),
            "the other handle does not see it yet"
        );
        assert!(reader.head().await?.last >= answer.sequence);
    }
    Ok(())
}
