//! EL-06, EL-09, EL-10, EL-20: trimmed events are gone, and never silently.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use model::{Clock, Sequence, SystemClock, Timestamp};
use ports::EventLog;

use super::follow::{all, page, places};
use crate::{Harness, event, event_received_at, events};

fn received(n: u64) -> Timestamp {
    event(n).facts.received_at
}

pub(super) async fn a_trimmed_position_says_where_it_goes_on(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let written = fixture.log.append(events(0, 30)).await?;
    let place = |n: usize| written[n].sequence;
    fixture.log.trim(received(10)).await?;
    for lost in [Sequence::START, place(0), place(8)] {
        let page = page(&*fixture.log, lost, 5).await?;
        let resumes = page.resumes_after;
        assert!(
            resumes.is_some_and(|at| at >= place(9) && at < place(10)),
            "after {lost:?}: the page must report that it begins after {:?}, reports {resumes:?}",
            place(9)
        );
        assert_eq!(
            page.events.first().map(|event| event.sequence),
            Some(place(10))
        );
    }
    for kept in [place(9), place(15), place(29)] {
        let page = page(&*fixture.log, kept, 5).await?;
        assert_eq!(
            page.resumes_after, None,
            "nothing after {kept:?} was trimmed"
        );
    }
    Ok(())
}

pub(super) async fn only_the_old_front_goes(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    // The first event of the second half was received last: the events after it stay.
    let mut batch = events(0, 20);
    batch[10] = event_received_at(10, received(500));
    let written = fixture.log.append(batch).await?;
    let removed = fixture.log.trim(received(15)).await?;
    assert_eq!(
        removed, 10,
        "events 11 to 14 are old, but follow one that is not"
    );
    let left: Vec<_> = written[10..]
        .iter()
        .map(|a| (a.sequence, a.id.clone()))
        .collect();
    assert_eq!(places(&all(&*fixture.log).await?), left);
    let head = fixture.log.head().await?;
    assert!(head.trimmed_through >= written[9].sequence, "{head:?}");
    assert!(head.trimmed_through < written[10].sequence, "{head:?}");
    let backwards = fixture.log.read_before(head.last.next(), 100).await?.events;
    assert_eq!(
        backwards.len(),
        10,
        "read_before still finds trimmed events"
    );
    assert_eq!(
        fixture.log.trim(received(15)).await?,
        0,
        "trimming again removes nothing"
    );
    assert_eq!(
        fixture.log.trim(received(0)).await?,
        0,
        "no event is that old"
    );
    Ok(())
}

/// Appends events, trims all of them, and checks the empty log; returns the last sequence.
async fn append_and_trim_all(log: &dyn EventLog) -> Result<Sequence> {
    let last = log.append(events(0, 5)).await?[4].sequence;
    assert_eq!(log.trim(received(100)).await?, 5);
    let head = log.head().await?;
    assert_eq!(head.trimmed_through, head.last, "the log holds nothing");
    assert!(head.last >= last);
    let page = page(log, Sequence::START, 10).await?;
    assert!(page.events.is_empty() && page.at_head, "{page:?}");
    assert!(
        page.resumes_after >= Some(last),
        "everything was trimmed: {page:?}"
    );
    Ok(last)
}

/// The next event of an emptied log follows without a loss for a reader that had read everything.
async fn check_next_event(log: &dyn EventLog, last: Sequence) -> Result<()> {
    let next = log.append(vec![event(200)]).await?;
    assert!(next[0].sequence > last, "{next:?} after {last:?}");
    let page = page(log, last, 10).await?;
    assert_eq!(page.events.len(), 1);
    assert_eq!(
        page.resumes_after, None,
        "a reader at {last:?} lost nothing"
    );
    Ok(())
}

pub(super) async fn an_emptied_log_goes_on_rising(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let last = append_and_trim_all(&*fixture.log).await?;
    check_next_event(&*fixture.log, last).await
}

pub(super) async fn an_emptied_log_goes_on_rising_after_a_reopen(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = harness.event_log().await?;
    let last = append_and_trim_all(&*fixture.log).await?;
    let epoch = fixture.log.head().await?.epoch;
    fixture.log = fixture.handles.reopen().await?;
    let head = fixture.log.head().await?;
    assert_eq!(head.epoch, epoch);
    assert_eq!(head.trimmed_through, head.last);
    assert!(head.last >= last, "{head:?} has forgotten {last:?}");
    check_next_event(&*fixture.log, last).await
}

async fn is_truncated(log: &dyn EventLog, n: u64) -> Result<bool> {
    Ok(log.seek(received(n)).await?.truncated)
}

pub(super) async fn a_seek_into_what_was_trimmed_is_told(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let log = &*fixture.log;
    let long_ago = Timestamp::default();
    assert!(!log.seek(long_ago).await?.truncated, "an empty, new log");
    log.append(events(5, 30)).await?;
    assert_eq!(log.trim(received(5)).await?, 0);
    assert!(!log.seek(long_ago).await?.truncated, "nothing was removed");
    log.trim(received(10)).await?;
    assert!(log.seek(long_ago).await?.truncated);
    for gone in [0, 5, 9] {
        assert!(is_truncated(log, gone).await?, "event {gone} was removed");
    }
    for kept in [10, 11, 34, 500] {
        assert!(
            !is_truncated(log, kept).await?,
            "from event {kept} on, all are kept"
        );
    }
    Ok(())
}

/// The log has removed all of its events: a seek says so, for their times and for no later one.
async fn removal_of_all_is_told(log: &dyn EventLog) -> Result<()> {
    let much_later = Timestamp::parse("9000-01-01T00:00:00Z").expect("a time");
    for n in [0, 4] {
        assert!(is_truncated(log, n).await?, "event {n} was removed");
    }
    assert!(!log.seek(much_later).await?.truncated);
    log.append(vec![event(200)]).await?;
    assert!(is_truncated(log, 4).await?);
    assert!(!is_truncated(log, 200).await?);
    Ok(())
}

/// A removal is not forgotten when the log has nothing left to compare with.
pub(super) async fn a_seek_in_a_log_trimmed_empty_is_told(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    append_and_trim_all(&*fixture.log).await?;
    removal_of_all_is_told(&*fixture.log).await
}

/// Nor is it when all that knew of it have ended.
pub(super) async fn a_seek_in_a_log_trimmed_empty_is_told_after_a_reopen(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = harness.event_log().await?;
    append_and_trim_all(&*fixture.log).await?;
    fixture.log = fixture.handles.reopen().await?;
    removal_of_all_is_told(&*fixture.log).await
}

pub(super) async fn a_seek_after_a_reopen_is_told(harness: Arc<dyn Harness>) -> Result<()> {
    let mut fixture = harness.event_log().await?;
    fixture.log.append(events(0, 30)).await?;
    fixture.log = fixture.handles.reopen().await?;
    assert!(
        !is_truncated(&*fixture.log, 0).await?,
        "nothing was removed"
    );
    fixture.log.trim(received(10)).await?;
    fixture.log = fixture.handles.reopen().await?;
    assert!(is_truncated(&*fixture.log, 9).await?);
    assert!(!is_truncated(&*fixture.log, 10).await?);
    Ok(())
}

pub(super) async fn an_event_from_the_future_keeps_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    const LATE: Duration = Duration::from_secs(600);
    const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
    let fixture = harness.event_log().await?;
    let now = SystemClock.now();
    let mut batch = events(0, 20);
    batch[4] = event_received_at(4, now.plus(YEARS));
    for event in batch {
        fixture.log.append(vec![event]).await?;
    }
    let last = fixture.log.head().await?.last;
    assert_eq!(fixture.log.trim(now.plus(LATE)).await?, 20);
    assert_eq!(fixture.log.head().await?.trimmed_through, last);
    Ok(())
}
