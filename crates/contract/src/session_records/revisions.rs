//! SS-02, SS-03, SS-04, SS-08: conflicts between writers.

use std::sync::Arc;

use anyhow::{Result, bail};
use edge_records::{SessionRecords, SessionRecordsError};
use ports::Revision;

use super::{LONG_TTL, ROOMY, changed, fixture, position, session};
use crate::Harness;

/// Number of competing tasks.
const RIVALS: u64 = 8;

pub(super) async fn of_several_creates_one_wins(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    for round in 0..10 {
        let rivals: Vec<_> = (0..RIVALS)
            .map(|rival| {
                let store = Arc::clone(&fixture.store);
                let session = changed(&session(round), rival);
                tokio::spawn(
                    async move { (store.create(&session, LONG_TTL, ROOMY).await, session) },
                )
            })
            .collect();
        let mut winners = Vec::new();
        for rival in rivals {
            match rival.await? {
                (Ok(_), session) => winners.push(session),
                (Err(SessionRecordsError::Exists), _) => {}
                (Err(other), _) => return Err(other.into()),
            }
        }
        assert_eq!(winners.len(), 1, "exactly one create succeeds");
        let stored = fixture.store.load(&session(round).id).await?;
        assert_eq!(stored.map(|stored| stored.session), winners.pop());
    }
    Ok(())
}

pub(super) async fn replace_with_the_current_revision_stores_a_higher_one(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let mut revision = fixture.store.create(&session(1), LONG_TTL, ROOMY).await?;
    for mark in 0..20 {
        let next = changed(&session(1), mark);
        let higher = fixture
            .store
            .replace(&next, revision, LONG_TTL, ROOMY)
            .await?;
        assert!(higher > revision, "{higher:?} after {revision:?}");
        revision = higher;
        let Some(loaded) = fixture.store.load(&next.id).await? else {
            bail!("a replaced session is not stored");
        };
        assert_eq!((loaded.session, loaded.revision), (next, revision));
    }
    Ok(())
}

pub(super) async fn replace_with_another_revision_changes_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let old = fixture.store.create(&session(1), LONG_TTL, ROOMY).await?;
    let current = fixture
        .store
        .replace(&changed(&session(1), 1), old, LONG_TTL, ROOMY)
        .await?;
    let ahead = Revision(current.0 + 1);
    for wrong in [old, ahead, Revision(u64::from(u32::MAX))] {
        let refused = fixture
            .store
            .replace(&changed(&session(1), 2), wrong, LONG_TTL, ROOMY)
            .await;
        assert!(
            matches!(refused, Err(SessionRecordsError::Conflict { current: told }) if told == current),
            "with {wrong:?} while {current:?} is stored: {refused:?}"
        );
    }
    let Some(loaded) = fixture.store.load(&session(1).id).await? else {
        bail!("a refused replace removed the session");
    };
    assert_eq!(
        (loaded.session, loaded.revision),
        (changed(&session(1), 1), current)
    );
    Ok(())
}

pub(super) async fn a_replace_beside_an_end_brings_nothing_back(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    for round in 0..20 {
        let revision = fixture
            .store
            .create(&session(round), LONG_TTL, ROOMY)
            .await?;
        let (replacing, touching) = (Arc::clone(&fixture.store), Arc::clone(&fixture.store));
        let next = changed(&session(round), round);
        let replace =
            tokio::spawn(async move { replacing.replace(&next, revision, LONG_TTL, ROOMY).await });
        let id = session(round).id;
        let touch = tokio::spawn(async move { touching.touch(&id, LONG_TTL).await });
        assert!(
            fixture.store.end(&session(round).id).await?,
            "end found nothing to end"
        );
        match replace.await? {
            Ok(_) | Err(SessionRecordsError::Missing) => {}
            Err(other) => return Err(other.into()),
        }
        touch.await??;
        assert_eq!(
            fixture.store.load(&session(round).id).await?,
            None,
            "the session is back"
        );
    }
    Ok(())
}

/// Several tasks replace the same revision of a session, alternating between the handles.
pub(super) async fn one_replace_wins(stores: &[Arc<SessionRecords>]) -> Result<()> {
    let mut revision = stores[0].create(&session(1), LONG_TTL, ROOMY).await?;
    for round in 0..10 {
        let rivals: Vec<_> = (0..RIVALS)
            .zip(stores.iter().cycle())
            .map(|(rival, store)| {
                let store = Arc::clone(store);
                let next = changed(&session(1), round * RIVALS + rival);
                tokio::spawn(async move {
                    (store.replace(&next, revision, LONG_TTL, ROOMY).await, next)
                })
            })
            .collect();
        let (mut winners, mut told) = (Vec::new(), Vec::new());
        for rival in rivals {
            match rival.await? {
                (Ok(revision), session) => winners.push((revision, session)),
                (Err(SessionRecordsError::Conflict { current }), _) => told.push(current),
                (Err(other), _) => return Err(other.into()),
            }
        }
        assert_eq!(winners.len(), 1, "exactly one replace succeeds");
        let (won, session) = winners.remove(0);
        assert!(
            told.iter().all(|current| *current == won),
            "{told:?}, but {won:?} won"
        );
        let stored = stores[0].load(&session.id).await?;
        assert_eq!(
            stored.map(|stored| (stored.revision, stored.session)),
            Some((won, session))
        );
        revision = won;
    }
    Ok(())
}

pub(super) async fn of_concurrent_replaces_one_wins(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    one_replace_wins(&[Arc::clone(&fixture.store)]).await
}

/// Load, change, replace, with a retry after a conflict: in the end the resource of every task is
/// stored.
pub(super) async fn no_concurrent_change_is_lost(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    fixture.store.create(&session(1), LONG_TTL, ROOMY).await?;
    let uri = |rival: u64, n: u64| format!("github://issues/o/r/{}", rival * 100 + n);
    let rivals: Vec<_> = (0..RIVALS)
        .map(|rival| {
            let store = Arc::clone(&fixture.store);
            tokio::spawn(async move {
                for n in 0..5 {
                    loop {
                        let Some(stored) = store.load(&session(1).id).await? else {
                            bail!("the session is gone");
                        };
                        let mut next = stored.session;
                        next.resource_uris.insert(uri(rival, n), position(n));
                        match store.replace(&next, stored.revision, LONG_TTL, ROOMY).await {
                            Ok(_) => break,
                            Err(SessionRecordsError::Conflict { .. }) => {}
                            Err(other) => return Err(other.into()),
                        }
                    }
                }
                Ok(())
            })
        })
        .collect();
    for rival in rivals {
        rival.await??;
    }
    let Some(stored) = fixture.store.load(&session(1).id).await? else {
        bail!("the session is gone");
    };
    for (rival, n) in (0..RIVALS).flat_map(|rival| (0..5).map(move |n| (rival, n))) {
        assert!(
            stored.session.resource_uris.contains_key(&uri(rival, n)),
            "{} is lost",
            uri(rival, n)
        );
    }
    Ok(())
}
