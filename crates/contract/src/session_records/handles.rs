//! SS-08, SS-09, SS-10 with several handles and reopens.

use std::sync::Arc;

use anyhow::Result;
use edge_records::SessionRecordsError;

use super::{
    LONG_TTL, ROOMY, bounds::exactly_the_bounds_fit, changed, fixture, revisions::one_replace_wins,
    session,
};
use crate::Harness;

pub(super) async fn of_concurrent_replaces_over_handles_one_wins(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (second, third) = (fixture.peer().await?, fixture.peer().await?);
    one_replace_wins(&[Arc::clone(&fixture.store), second, third]).await
}

pub(super) async fn creates_at_once_over_handles_do_not_pass_the_bounds(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (second, third) = (fixture.peer().await?, fixture.peer().await?);
    exactly_the_bounds_fit(&[Arc::clone(&fixture.store), second, third]).await
}

pub(super) async fn what_was_acknowledged_outlives_a_reopen(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = fixture(&harness).await?;
    let mut revisions = Vec::new();
    for n in 0..6 {
        revisions.push(fixture.store.create(&session(n), LONG_TTL, ROOMY).await?);
    }
    let replaced = fixture
        .store
        .replace(&changed(&session(1), 5), revisions[1], LONG_TTL, ROOMY)
        .await?;
    assert!(fixture.store.end(&session(2).id).await?);
    fixture.reopen().await?;
    let store = &*fixture.store;
    let load = async |n: u64| anyhow::Ok(store.load(&session(n).id).await?);
    let zeroth = load(0).await?;
    assert_eq!(
        zeroth.map(|s| (s.session, s.revision)),
        Some((session(0), revisions[0]))
    );
    let first = load(1).await?;
    assert_eq!(
        first.map(|s| (s.session, s.revision)),
        Some((changed(&session(1), 5), replaced))
    );
    assert_eq!(load(2).await?, None, "an ended session is back");
    let again = store.create(&session(2), LONG_TTL, ROOMY).await;
    assert!(
        matches!(again, Err(SessionRecordsError::Exists)),
        "{again:?}"
    );
    assert_eq!(store.list(None, 100).await?.sessions.len(), 5);
    store
        .replace(&changed(&session(3), 1), revisions[3], LONG_TTL, ROOMY)
        .await?;
    Ok(())
}

pub(super) async fn what_one_handle_stored_another_loads_at_once(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let peer = fixture.peer().await?;
    for n in 0..20 {
        let (here, there) = if n % 2 == 0 {
            (&fixture.store, &peer)
        } else {
            (&peer, &fixture.store)
        };
        let revision = here.create(&session(n), LONG_TTL, ROOMY).await?;
        let seen = there.load(&session(n).id).await?;
        assert_eq!(
            seen.map(|seen| (seen.session, seen.revision)),
            Some((session(n), revision))
        );
        let again = there.create(&session(n), LONG_TTL, ROOMY).await;
        assert!(
            matches!(again, Err(SessionRecordsError::Exists)),
            "{again:?}"
        );
        let next = changed(&session(n), n);
        let higher = there.replace(&next, revision, LONG_TTL, ROOMY).await?;
        let seen = here.load(&session(n).id).await?;
        assert_eq!(
            seen.map(|seen| (seen.session, seen.revision)),
            Some((next, higher))
        );
        assert!(here.touch(&session(n).id, LONG_TTL).await?);
        assert!(here.end(&session(n).id).await?);
        assert_eq!(
            there.load(&session(n).id).await?,
            None,
            "ended here, alive there"
        );
        assert!(!there.touch(&session(n).id, LONG_TTL).await?);
    }
    Ok(())
}

pub(super) async fn every_handle_has_the_same_time(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (one, peer) = (&fixture.store, fixture.peer().await?);
    let mut last = None;
    for handle in [one, &peer, one, &peer] {
        let time = Some(handle.time().await?);
        assert!(time >= last, "{time:?} after {last:?}");
        last = time;
    }
    Ok(())
}
