//! ML-03: how new the answers are.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use ports::{MirrorOrder, ResourceError};
use tokio::time::timeout;

use super::{ISSUES, address, listing, nth};
use crate::{Harness, issue_event};

/// As of `resource_reader`: longer than a read that does not wait takes, shorter than the deadline.
const HELD_BACK: Duration = Duration::from_millis(300);

pub(super) async fn lists_wait_for_the_events_of_the_log_and_say_if_they_cannot(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.resource_reader().await?.with_issues(|_| 1).await?;
    fixture.log.hold(true);
    let seen = fixture.append(vec![issue_event(1, 2)]).await?;
    let (first, addresses) = (listing(MirrorOrder::Number, false), [address(1)]);
    let list = fixture.mirror.list(&first, Some(seen), None);
    let many = fixture.mirror.get_many(&addresses, Some(seen), None);
    let both = async { tokio::join!(list, many) };
    tokio::pin!(both);
    let early = timeout(HELD_BACK, &mut both).await;
    ensure!(early.is_err(), "they do not wait: {early:?}");
    fixture.log.hold(false);
    let (page, states) = both.await;
    assert_eq!(nth(&page?.states[0])?, (1, 2));
    let state = states?.remove(0);
    assert_eq!(state.as_ref().map(nth).transpose()?, Some((1, 2)));
    fixture.log.hold(true);
    let seen = fixture.append(vec![issue_event(1, 3)]).await?;
    let list = fixture.mirror.list(&first, Some(seen), None);
    let many = fixture.mirror.get_many(&addresses, Some(seen), None);
    let (list, many) = tokio::join!(list, many);
    ensure!(matches!(list, Err(ResourceError::Behind)), "{list:?}");
    ensure!(matches!(many, Err(ResourceError::Behind)), "{many:?}");
    Ok(())
}

pub(super) async fn without_a_position_lists_have_what_is_known(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.resource_reader().await?.with_issues(|_| 1).await?;
    fixture.log.hold(true);
    fixture.append(vec![issue_event(1, 2)]).await?;
    let first = listing(MirrorOrder::Number, false);
    let read = timeout(HELD_BACK, fixture.pages(first)).await??;
    let known: Vec<_> = (1..=ISSUES).map(|number| (number, 1)).collect();
    assert_eq!(read, known);
    Ok(())
}
