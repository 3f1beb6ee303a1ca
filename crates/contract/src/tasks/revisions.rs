//! TS-02, TS-04, TS-05: conflicts between writers.

use std::sync::Arc;

use anyhow::{Context, Result};
use edge_records::{NewTask, TaskRecordsError};
use ports::Revision;

use super::{Tasks, WIDE, changed, is_stored, replace, task, tasks_of};
use crate::Harness;

/// Number of competing callers.
const RIVALS: u64 = 8;

pub(super) async fn of_several_creates_one_wins(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    for round in 0..10 {
        let rivals: Vec<_> = (0..RIVALS)
            .map(|rival| {
                let store = tasks.clone();
                let task = changed(&task(round), rival);
                tokio::spawn(async move { (store.create(&task, WIDE).await, task) })
            })
            .collect();
        let mut winners = Vec::new();
        for rival in rivals {
            match rival.await? {
                (Ok(revision), task) => winners.push((revision, task)),
                (Err(TaskRecordsError::Exists), _) => {}
                (Err(other), _) => return Err(other.into()),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        is_stored(&tasks, &winners[0].1, winners[0].0).await?;
    }
    Ok(())
}

pub(super) async fn replace_with_the_current_revision_stores_a_higher_one(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let store = &tasks;
    let mut revision = store.create(&task(1), WIDE).await?;
    for mark in 0..20 {
        let next = changed(&task(1), mark);
        let higher = replace(store, &next, revision, WIDE).await?;
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
    let tasks = tasks_of(&fixture.store);
    let store = &tasks;
    let old = store.create(&task(1), WIDE).await?;
    let first = changed(&task(1), 1);
    let current = replace(store, &first, old, WIDE).await?;
    let ahead = Revision(current.0 + 1);
    for wrong in [old, ahead, Revision(u64::from(u32::MAX))] {
        let refused = replace(store, &changed(&task(1), 2), wrong, WIDE).await;
        assert!(
            matches!(refused, Err(TaskRecordsError::Conflict { current: told }) if told == current),
            "with {wrong:?} while {current:?} is stored: {refused:?}"
        );
        is_stored(store, &first, current).await?;
    }
    Ok(())
}

/// Eight callers replace one task ten times, alternating between the handles.
pub(super) async fn one_replace_wins(stores: &[Tasks]) -> Result<()> {
    let mut revision = stores[0].create(&task(1), WIDE).await?;
    for _ in 0..10 {
        let rivals: Vec<_> = (0..RIVALS)
            .zip(stores.iter().cycle())
            .map(|(rival, store)| {
                let (store, next) = (store.clone(), changed(&task(1), rival));
                tokio::spawn(async move { (replace(&store, &next, revision, WIDE).await, next) })
            })
            .collect();
        let (mut winners, mut told) = (Vec::new(), Vec::new());
        for rival in rivals {
            match rival.await? {
                (Ok(revision), task) => winners.push((revision, task)),
                (Err(TaskRecordsError::Conflict { current }), _) => told.push(current),
                (Err(other), _) => return Err(other.into()),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        revision = winners[0].0;
        assert!(told.iter().all(|told| *told == revision), "{told:?}");
        is_stored(&stores[0], &winners[0].1, revision).await?;
    }
    Ok(())
}

pub(super) async fn of_concurrent_replaces_one_wins(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    one_replace_wins(&[tasks]).await
}

/// Callers that read, change and retry until they succeed: in the end every change is stored.
pub(super) async fn no_concurrent_change_is_lost(harness: Arc<dyn Harness>) -> Result<()> {
    const CHANGES: usize = 10;
    let fixture = harness.records().await?;
    let tasks = tasks_of(&fixture.store);
    let mut empty = task(1);
    empty.state = "".into();
    tasks.create(&empty, WIDE).await?;
    let writers: Vec<_> = (0..RIVALS)
        .map(|_| tokio::spawn(append_marks(tasks.clone(), CHANGES)))
        .collect();
    for writer in writers {
        writer.await??;
    }
    let end = tasks.load(&empty.owner, &empty.id).await?;
    let marks = end.context("the task is not stored")?.state.len();
    assert_eq!(marks, usize::try_from(RIVALS)? * CHANGES);
    Ok(())
}

/// Extends the state by that number of bytes, one at a time.
async fn append_marks(store: Tasks, changes: usize) -> Result<()> {
    let mut done = 0;
    while done < changes {
        let loaded = store.load(&task(1).owner, &task(1).id).await?;
        let loaded = loaded.context("the task is not stored")?;
        let next = NewTask {
            state: [&loaded.state[..], b"x"].concat().into(),
            ..task(1)
        };
        match replace(&store, &next, loaded.revision, WIDE).await {
            Ok(_) => done += 1,
            Err(TaskRecordsError::Conflict { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}
