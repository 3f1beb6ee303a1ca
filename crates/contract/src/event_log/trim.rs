//! EL-06, EL-10: trimmed events are gone, and never silently.

use std::sync::Arc;

use anyhow::Result;
use model::{Sequence, Timestamp};
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
