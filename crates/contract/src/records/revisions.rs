//! RC-02 to RC-05: conflicts between writers.

use std::sync::Arc;

use anyhow::{Result, bail};
use ports::{NewRecord, RecordCreation, Records, RecordsError, Revision};

use super::{WIDE, create, is_missing, is_stored, key, loaded, record, replace};
use crate::Harness;

/// Number of competing callers.
const RIVALS: u64 = 8;

/// The `n`-th record with another state.
fn marked(n: u64, mark: u64) -> NewRecord {
    NewRecord {
        state: format!("mark {mark}").into(),
        ..record(n)
    }
}

/// A hundred callers create one record, alternating between the handles.
pub(super) async fn one_create_wins(stores: &[Arc<dyn Records>]) -> Result<()> {
    for round in 0..3 {
        let rivals: Vec<_> = (0..100)
            .zip(stores.iter().cycle())
            .map(|(rival, store)| {
                let (store, new) = (Arc::clone(store), marked(round, rival));
                tokio::spawn(async move { (store.create(&new, WIDE).await, new) })
            })
            .collect();
        let (mut winners, mut told) = (Vec::new(), Vec::new());
        for rival in rivals {
            match rival.await? {
                (Ok(RecordCreation::Created(revision)), new) => winners.push((revision, new)),
                (Ok(RecordCreation::Exists(there)), _) => told.push(there),
                (other, _) => bail!("{other:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        let (revision, winner) = winners.remove(0);
        is_stored(&*stores[0], &winner, revision).await?;
        let stored = loaded(&*stores[0], round).await?;
        assert!(told.iter().all(|told| *told == stored), "{told:?}");
        assert_eq!(told.len(), 99);
    }
    Ok(())
}

pub(super) async fn of_a_hundred_creates_one_wins_and_all_get_its_record(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    one_create_wins(&[fixture.records()]).await
}

pub(super) async fn replace_with_the_current_revision_stores_a_higher_one(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    let mut revision = create(store, &record(1), WIDE).await?;
    for mark in 0..20 {
        let next = marked(1, mark);
        let higher = replace(store, 1, next.state.clone(), revision).await?;
        assert!(higher > revision, "{higher:?} after {revision:?}");
        revision = higher;
        is_stored(store, &next, revision).await?;
    }
    Ok(())
}

pub(super) async fn replace_with_another_revision_changes_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    let old = create(store, &record(1), WIDE).await?;
    let first = marked(1, 1);
    let current = replace(store, 1, first.state.clone(), old).await?;
    for wrong in [old, Revision(current.0 + 1), Revision(7), Revision(0)] {
        let refused = replace(store, 1, "wrong", wrong).await;
        assert!(
            matches!(refused, Err(RecordsError::Conflict { current: told }) if told == current),
            "with {wrong:?} while {current:?} is stored: {refused:?}"
        );
        is_stored(store, &first, current).await?;
    }
    Ok(())
}

/// Eight callers replace one record ten times, alternating between the handles.
pub(super) async fn one_replace_wins(stores: &[Arc<dyn Records>]) -> Result<()> {
    let mut revision = create(&*stores[0], &record(50), WIDE).await?;
    for _ in 0..10 {
        let rivals: Vec<_> = (0..RIVALS)
            .zip(stores.iter().cycle())
            .map(|(rival, store)| {
                let (store, next) = (Arc::clone(store), marked(50, rival));
                tokio::spawn(async move {
                    let state = next.state.clone();
                    (replace(&*store, 50, state, revision).await, next)
                })
            })
            .collect();
        let (mut winners, mut told) = (Vec::new(), Vec::new());
        for rival in rivals {
            match rival.await? {
                (Ok(revision), next) => winners.push((revision, next)),
                (Err(RecordsError::Conflict { current }), _) => told.push(current),
                (Err(other), _) => return Err(other.into()),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        revision = winners[0].0;
        assert!(told.iter().all(|told| *told == revision), "{told:?}");
        is_stored(&*stores[0], &winners[0].1, revision).await?;
    }
    Ok(())
}

pub(super) async fn of_concurrent_replaces_one_wins(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    one_replace_wins(&[fixture.records()]).await
}

/// Extends the state by that number of bytes, one at a time, with a retry after a conflict.
async fn append_marks(store: Arc<dyn Records>, changes: usize) -> Result<()> {
    let mut done = 0;
    while done < changes {
        let found = loaded(&*store, 1).await?;
        let state = [&found.state[..], b"x"].concat();
        match replace(&*store, 1, state, found.revision).await {
            Ok(_) => done += 1,
            Err(RecordsError::Conflict { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

pub(super) async fn no_concurrent_change_is_lost(harness: Arc<dyn Harness>) -> Result<()> {
    const CHANGES: usize = 10;
    let fixture = harness.records().await?;
    let store = fixture.records();
    let empty = NewRecord {
        state: "".into(),
        ..record(1)
    };
    create(&*store, &empty, WIDE).await?;
    let writers: Vec<_> = (0..RIVALS)
        .map(|_| tokio::spawn(append_marks(Arc::clone(&store), CHANGES)))
        .collect();
    for writer in writers {
        writer.await??;
    }
    let marks = loaded(&*store, 1).await?.state.len();
    assert_eq!(marks, usize::try_from(RIVALS)? * CHANGES);
    Ok(())
}

pub(super) async fn a_replace_beside_an_end_brings_nothing_back(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = fixture.records();
    for n in 0..20 {
        let revision = create(&*store, &record(n), WIDE).await?;
        let (replacing, touching) = (Arc::clone(&store), Arc::clone(&store));
        let replacing = tokio::spawn(async move { replace(&*replacing, n, "new", revision).await });
        let touching = tokio::spawn(async move { touching.touch(&key(n), super::LONG_TTL).await });
        assert!(store.end(&key(n)).await?, "end found nothing to end");
        match replacing.await? {
            Ok(_) | Err(RecordsError::Missing) => {}
            Err(other) => return Err(other.into()),
        }
        touching.await??;
        is_missing(&*store, n).await?;
    }
    Ok(())
}
