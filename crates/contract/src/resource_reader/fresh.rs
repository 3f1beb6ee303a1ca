//! RR-02 to RR-04: how new the answers are.

use std::sync::Arc;

use anyhow::{Result, ensure};
use model::{Epoch, LogPosition, Sequence};
use ports::ResourceError;
use tokio::time::{Instant, timeout};

use super::{HELD_BACK, NUMBER, event_of, nth, uri};
use crate::{Harness, ResourceReaderFixture};

/// A fixture whose reader has followed the log to the first state.
async fn at_first(harness: &dyn Harness) -> Result<(ResourceReaderFixture, LogPosition)> {
    let fixture = harness.resource_reader().await?;
    let first = fixture.happens(1).await?;
    assert_eq!(event_of(fixture.get(Some(first)).await?), nth(1));
    Ok((fixture, first))
}

pub(super) async fn a_read_waits_for_the_event_that_a_caller_knows(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let (fixture, first) = at_first(&*harness).await?;
    fixture.log.hold(true);
    let second = fixture.happens(2).await?;
    // The client may come from another server, which is ahead of the caller.
    for seen in [second, first] {
        fixture.log.hold(true);
        let read = fixture.get(Some(seen));
        tokio::pin!(read);
        if seen == second {
            let early = timeout(HELD_BACK, &mut read).await;
            ensure!(early.is_err(), "it does not wait: {early:?}");
        }
        fixture.log.hold(false);
        assert_eq!(event_of(read.await?), nth(2), "{seen:?}");
    }
    fixture.log.hold(true);
    fixture.happens(3).await?;
    let read = fixture.get(Some(first));
    tokio::pin!(read);
    let early = timeout(HELD_BACK, &mut read).await;
    ensure!(
        early.is_err(),
        "an event that another caller knows: {early:?}"
    );
    fixture.log.hold(false);
    assert_eq!(event_of(read.await?), nth(3));
    Ok(())
}

pub(super) async fn a_reader_that_stays_behind_says_so(harness: Arc<dyn Harness>) -> Result<()> {
    let (fixture, _) = at_first(&*harness).await?;
    fixture.log.hold(true);
    let seen = fixture.happens(2).await?;
    let began = Instant::now();
    for resource in [uri(NUMBER), uri(8)] {
        let read = fixture.reader.get_resource(&resource, Some(seen), None);
        let error = read.await.expect_err("neither an older state nor none");
        ensure!(matches!(error, ResourceError::Behind), "{error:?}");
    }
    ensure!(
        began.elapsed() <= 2 * fixture.deadline,
        "within the deadline"
    );
    fixture.log.hold(false);
    assert_eq!(event_of(fixture.get(Some(seen)).await?), nth(2));
    Ok(())
}

pub(super) async fn a_position_that_the_log_does_not_have_is_not_waited_for(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let (fixture, first) = at_first(&*harness).await?;
    let another = LogPosition {
        epoch: Epoch(first.epoch.0.wrapping_add(1)),
        ..first
    };
    let beyond = LogPosition {
        sequence: Sequence(first.sequence.0 + 1000),
        ..first
    };
    for seen in [another, beyond] {
        assert_eq!(event_of(fixture.get(Some(seen)).await?), nth(1), "{seen:?}");
    }
    Ok(())
}

pub(super) async fn without_the_log_the_callers_position_decides(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let (fixture, first) = at_first(&*harness).await?;
    fixture.log.fail(true);
    assert_eq!(event_of(fixture.get(Some(first)).await?), nth(1));
    let ahead = LogPosition {
        sequence: first.sequence.next(),
        ..first
    };
    let read = fixture
        .reader
        .get_resource(&uri(NUMBER), Some(ahead), None)
        .await;
    ensure!(matches!(read, Err(ResourceError::Behind)), "{read:?}");
    Ok(())
}

pub(super) async fn without_a_position_the_answer_is_what_is_known(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let (fixture, _) = at_first(&*harness).await?;
    fixture.log.hold(true);
    fixture.happens(2).await?;
    let read = timeout(HELD_BACK, fixture.get(None)).await??;
    assert_eq!(event_of(read), nth(1));
    Ok(())
}
