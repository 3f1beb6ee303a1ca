//! EL-04, EL-07, EL-08, EL-09, EL-14, EL-28: reading a log without concurrent writers.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use model::{Sequence, Sequenced, StoredEvent};
use ports::MAX_PAGE_BYTES;

use super::follow::{all, all_after, page, places};
use crate::{Harness, event, event_received_at, events};

pub(super) async fn pages_leave_nothing_out(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let mut written = Vec::new();
    for from in [0, 19, 38] {
        written.extend(fixture.log.append(events(from, from + 19)).await?);
    }
    let written: Vec<_> = written.into_iter().map(|a| (a.sequence, a.id)).collect();
    for limit in [1, 7, 56, 57, 58, 1000] {
        let read = all_after(&*fixture.log, Sequence::START, limit).await?;
        assert_eq!(places(&read), written, "in pages of {limit}");
    }
    for (index, (sequence, _)) in written.iter().enumerate() {
        let page = page(&*fixture.log, *sequence, 10).await?;
        let rest = &written[index + 1..];
        assert_eq!(
            places(&page.events),
            &rest[..rest.len().min(10)],
            "after {sequence:?}"
        );
        assert_eq!(
            page.at_head,
            rest.len() <= 10,
            "{} more after {sequence:?}",
            rest.len()
        );
        assert_eq!(page.resumes_after, None, "nothing was trimmed");
    }
    Ok(())
}

pub(super) async fn an_empty_log_is_at_its_head(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let page = page(&*fixture.log, Sequence::START, 10).await?;
    assert!(page.events.is_empty() && page.at_head, "{page:?}");
    assert_eq!(page.resumes_after, None);
    assert!(
        fixture
            .log
            .read_before(Sequence(1), 10)
            .await?
            .events
            .is_empty()
    );
    Ok(())
}

pub(super) async fn a_page_of_large_events_ends_with_its_bytes(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    const EVENT_BYTES: usize = 400_000;
    let fixture = harness.event_log().await?;
    let mut written = Vec::new();
    for mut event in events(0, 12) {
        event.json = Bytes::from(vec![b'x'; EVENT_BYTES]);
        written.extend(fixture.log.append(vec![event]).await?);
    }
    let written: Vec<_> = written.into_iter().map(|a| (a.sequence, a.id)).collect();
    let fits = |events: &[Sequenced<StoredEvent>]| {
        let before_the_last = events.len().saturating_sub(1) * EVENT_BYTES;
        assert!(before_the_last < MAX_PAGE_BYTES, "{} events", events.len());
    };
    let (mut after, mut read) = (Sequence::START, Vec::new());
    loop {
        let page = page(&*fixture.log, after, 100).await?;
        fits(&page.events);
        after = page.through;
        read.extend(page.events);
        if page.at_head {
            break;
        }
    }
    assert_eq!(places(&read), written);
    let (mut before, mut read) = (after.next(), Vec::new());
    loop {
        let events = fixture.log.read_before(before, 100).await?.events;
        fits(&events);
        let Some(oldest) = events.last() else { break };
        before = oldest.sequence;
        read.extend(events);
    }
    read.reverse();
    assert_eq!(places(&read), written, "backwards");
    Ok(())
}

/// A refusal is a matter of each adapter's own tests.
pub(super) async fn a_log_that_can_be_read_says_so_and_its_ends(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    for from in [0, 1, 40] {
        // Twice: an adapter may try more at the first check than at the next.
        for _ in 0..2 {
            assert_eq!(fixture.log.check_read().await?, fixture.log.head().await?);
        }
        fixture.log.append(events(from, from + 40)).await?;
    }
    Ok(())
}

pub(super) async fn the_head_names_the_log_and_its_end(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let empty = fixture.log.head().await?;
    assert_eq!(empty.last, empty.trimmed_through, "the log holds nothing");
    assert_eq!(
        empty.trimmed_through,
        Sequence::START,
        "nothing was trimmed"
    );
    for n in 0..5 {
        let appended = fixture.log.append(vec![event(n)]).await?;
        let head = fixture.log.head().await?;
        assert_eq!(head.epoch, empty.epoch);
        assert_eq!(head.trimmed_through, Sequence::START);
        assert!(
            head.last >= appended[0].sequence,
            "{head:?} after {appended:?}"
        );
        assert!(page(&*fixture.log, head.last, 10).await?.events.is_empty());
    }
    Ok(())
}

pub(super) async fn two_logs_have_two_epochs(harness: Arc<dyn Harness>) -> Result<()> {
    let (one, other) = (harness.event_log().await?, harness.event_log().await?);
    one.log.append(vec![event(0)]).await?;
    assert!(
        all(&*other.log).await?.is_empty(),
        "two logs of the suite share their events"
    );
    assert_ne!(one.log.head().await?.epoch, other.log.head().await?.epoch);
    Ok(())
}

pub(super) async fn backwards_is_newest_first_and_strictly_before(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let written = fixture.log.append(events(0, 30)).await?;
    let mut newest_first: Vec<_> = written.iter().map(|a| (a.sequence, a.id.clone())).collect();
    newest_first.reverse();
    let head = fixture.log.head().await?.last;
    for limit in [1, 7, 30, 100] {
        let (mut before, mut read) = (head.next(), Vec::new());
        loop {
            let events = fixture.log.read_before(before, limit).await?.events;
            assert!(events.len() <= limit);
            let Some(oldest) = events.last() else { break };
            before = oldest.sequence;
            read.extend(places(&events));
        }
        assert_eq!(read, newest_first, "in pages of {limit}");
    }
    let before_third = fixture
        .log
        .read_before(written[2].sequence, 10)
        .await?
        .events;
    assert_eq!(places(&before_third), &newest_first[28..]);
    assert!(
        fixture
            .log
            .read_before(Sequence::START, 10)
            .await?
            .events
            .is_empty()
    );
    Ok(())
}

pub(super) async fn seek_misses_nothing_received_since(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let start = event(0).facts.received_at;
    // Several ingests write with clocks that disagree: receive times do not rise with the
    // sequences.
    let received = |n: u64| start.plus(Duration::from_secs((n * 37) % 23 + n));
    let batch: Vec<_> = (0..60).map(|n| event_received_at(n, received(n))).collect();
    fixture.log.append(batch).await?;
    let everything = all(&*fixture.log).await?;
    for second in 0..100 {
        for time in [
            start.plus(Duration::from_secs(second)),
            start.plus(Duration::from_millis(second * 1000 + 1)),
        ] {
            let position = fixture.log.seek(time).await?.position;
            let missed = everything
                .iter()
                .find(|event| event.item.facts.received_at >= time && event.sequence <= position);
            assert!(
                missed.is_none(),
                "seek({time}) returns {position:?} and misses {missed:?}"
            );
        }
    }
    Ok(())
}

pub(super) async fn an_event_comes_back_as_it_was_stored(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let mut batch = events(0, 64);
    let mut large = event(64);
    large.json = Bytes::from(format!("{{\"large\":\"{}\"}}", "\u{e4}x".repeat(100_000)));
    batch.push(large);
    fixture.log.append(batch.clone()).await?;
    let read = all(&*fixture.log).await?;
    assert_eq!(read.len(), batch.len());
    for (read, stored) in read.iter().zip(&batch) {
        assert_eq!(&read.item, stored);
    }
    let before = fixture.log.head().await?.last.next();
    let mut backwards = fixture.log.read_before(before, 100).await?.events;
    backwards.reverse();
    assert!(
        backwards == read,
        "read_before returns other contents than read_after"
    );
    Ok(())
}
