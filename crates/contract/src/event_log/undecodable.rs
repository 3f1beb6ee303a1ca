//! EL-15: an entry that does not decode is a gap, and stops no reader.

use std::sync::Arc;

use anyhow::Result;
use model::Sequence;
use ports::EventLog;

use super::follow::page;
use crate::{EventLogFixture, Harness, event, events};

/// Events 0 to 2, two entries that do not decode, events 3 to 5, one more that does not, events 6 to 8.
async fn mixed(harness: &Arc<dyn Harness>) -> Result<EventLogFixture> {
    let fixture = harness.event_log().await?;
    fixture.log.append(events(0, 3)).await?;
    fixture.plant().await?;
    fixture.plant().await?;
    fixture.log.append(events(3, 6)).await?;
    fixture.plant().await?;
    fixture.log.append(events(6, 9)).await?;
    Ok(fixture)
}

/// Reads the log in pages; returns its events, and the gaps with the number of entries in each.
async fn read(
    log: &dyn EventLog,
    limit: usize,
) -> Result<(Vec<Sequence>, Vec<(Sequence, Sequence, usize)>)> {
    let (mut after, mut read, mut gaps) = (Sequence::START, Vec::new(), Vec::new());
    loop {
        let page = page(log, after, limit).await?;
        if let Some(resumes) = page.resumes_after {
            gaps.push((after, resumes, page.undecodable.len()));
        }
        read.extend(page.events.iter().map(|event| event.sequence));
        after = page.through;
        if page.at_head {
            return Ok((read, gaps));
        }
    }
}

pub(super) async fn an_undecodable_entry_is_a_gap_and_what_follows_is_read(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = mixed(&harness).await?;
    let expected: Vec<_> = [1, 2, 3, 6, 7, 8, 10, 11, 12].map(Sequence).into();
    for limit in [2, 3, 5, 20, 500] {
        let (read, gaps) = read(&*fixture.log, limit).await?;
        assert_eq!(read, expected, "in pages of {limit}");
        let gaps: Vec<_> = gaps.iter().map(|gap| (gap.0.0, gap.1.0, gap.2)).collect();
        assert_eq!(gaps, [(3, 5, 2), (8, 9, 1)], "in pages of {limit}");
    }
    let between = page(&*fixture.log, Sequence(4), 20).await?;
    assert_eq!(
        (between.resumes_after, between.undecodable.len()),
        (Some(Sequence(5)), 1)
    );
    Ok(())
}

pub(super) async fn a_log_that_ends_with_undecodable_entries_is_read_to_its_end(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    for _ in 0..3 {
        fixture.plant().await?;
    }
    let (nothing, gaps) = read(&*fixture.log, 20).await?;
    assert!(nothing.is_empty());
    assert_eq!(gaps, [(Sequence::START, Sequence(3), 3)]);
    assert_eq!(fixture.log.head().await?.last, Sequence(3));
    let appended = fixture.log.append(vec![event(0)]).await?;
    assert_eq!(appended[0].sequence, Sequence(4));
    let page = page(&*fixture.log, Sequence(3), 20).await?;
    assert_eq!((page.events.len(), page.resumes_after), (1, None));
    Ok(())
}

pub(super) async fn backwards_an_undecodable_entry_is_named(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = mixed(&harness).await?;
    for limit in [1, 2, 5, 20, 100] {
        let (mut before, mut read, mut undecodable) = (Sequence(13), Vec::new(), Vec::new());
        loop {
            let page = fixture.log.read_before(before, limit).await?;
            assert!(page.events.len() + page.undecodable.len() <= limit);
            let Some(lowest) = page.lowest() else { break };
            assert!(lowest < before);
            before = lowest;
            read.extend(page.events.iter().map(|event| event.sequence.0));
            undecodable.extend(page.undecodable.iter().map(|entry| entry.sequence.0));
        }
        assert_eq!(read, [12, 11, 10, 8, 7, 6, 3, 2, 1], "in pages of {limit}");
        assert_eq!(undecodable, [9, 5, 4], "in pages of {limit}");
    }
    Ok(())
}

pub(super) async fn seek_and_trim_work_beside_undecodable_entries(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = mixed(&harness).await?;
    for n in 0..9 {
        let position = fixture.log.seek(event(n).facts.received_at).await?;
        let (read, _) = read(&*fixture.log, 500).await?;
        let place = usize::try_from(n)?;
        assert!(position.position < read[place], "seek passes event {n}");
    }
    fixture.log.trim(event(7).facts.received_at).await?;
    let (left, _) = read(&*fixture.log, 500).await?;
    assert_eq!(left, [Sequence(11), Sequence(12)]);
    Ok(())
}

pub(super) async fn an_undecodable_entry_counts_once(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = mixed(&harness).await?;
    for _ in 0..3 {
        read(&*fixture.log, 500).await?;
        fixture.log.read_before(Sequence(13), 100).await?;
    }
    assert_eq!(fixture.log.undecodable_entries(), 3);
    Ok(())
}
