//! EL-05, EL-13: order with many concurrent writers and with cancelled appends.

use std::{
    collections::HashSet,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use anyhow::Result;
use model::{EventId, Sequence, StoredEvent};
use ports::EventLog;
use tokio::task::JoinHandle;

use super::follow::{all, follow, ids, page, places};
use crate::{Harness, events};

const WRITERS: u64 = 8;
const BATCHES: u64 = 30;

/// The batches of one writer, with one to four events each.
fn batches(writer: u64) -> Vec<Vec<StoredEvent>> {
    let from = |batch: u64| writer * 1000 + batch * 4;
    (0..BATCHES)
        .map(|batch| events(from(batch), from(batch) + 1 + batch % 4))
        .collect()
}

fn expected() -> HashSet<EventId> {
    (0..WRITERS)
        .flat_map(|writer| batches(writer).into_iter().flat_map(|b| ids(&b)))
        .collect()
}

fn spawn_writers(handles: &[Arc<dyn EventLog>]) -> Vec<JoinHandle<Result<()>>> {
    (0..WRITERS)
        .zip(handles.iter().cycle())
        .map(|(writer, log)| {
            let log = Arc::clone(log);
            tokio::spawn(async move {
                for batch in batches(writer) {
                    log.append(batch).await?;
                }
                Ok(())
            })
        })
        .collect()
}

/// Readers that start before the first event, with pages of several sizes.
fn spawn_readers(
    handles: &[Arc<dyn EventLog>],
) -> Vec<JoinHandle<Result<super::follow::ReadEvents>>> {
    [1, 3, 50, 1000]
        .into_iter()
        .zip(handles.iter().cycle())
        .map(|(limit, log)| {
            let log = Arc::clone(log);
            tokio::spawn(async move { follow(&*log, Sequence::START, limit, expected()).await })
        })
        .collect()
}

/// Every reader that followed the log must have exactly its final contents: a late event would be
/// missing.
async fn no_late_event(writers: &[Arc<dyn EventLog>], readers: &[Arc<dyn EventLog>]) -> Result<()> {
    let reading = spawn_readers(readers);
    for writer in spawn_writers(writers) {
        writer.await??;
    }
    let in_the_end = places(&all(&*writers[0]).await?);
    assert_eq!(in_the_end.len(), expected().len());
    for reader in reading {
        assert_eq!(
            places(&reader.await??),
            in_the_end,
            "a reader saw another order"
        );
    }
    Ok(())
}

pub(super) async fn readers_beside_eight_writers_see_no_late_event(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let handles = [Arc::clone(&fixture.log)];
    no_late_event(&handles, &handles).await
}

pub(super) async fn readers_on_other_handles_see_no_late_event(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let (second, third) = (fixture.handles.peer().await?, fixture.handles.peer().await?);
    let writers = [Arc::clone(&fixture.log), Arc::clone(&second)];
    no_late_event(&writers, &[third, second]).await
}

/// A new edge reads the head and continues from there: these events and those up to the head must
/// be all events.
pub(super) async fn nothing_appears_at_or_before_a_head_that_was_reported(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let writing = spawn_writers(&[Arc::clone(&fixture.log)]);
    let mut seen_at = Vec::new();
    while !writing.iter().all(JoinHandle::is_finished) {
        let head = fixture.log.head().await?.last;
        let mut until_head = places(&all(&*fixture.log).await?);
        until_head.retain(|(sequence, _)| *sequence <= head);
        seen_at.push((head, until_head));
        // A log that never waits would occupy this thread and block a writer.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for writer in writing {
        writer.await??;
    }
    let in_the_end = places(&all(&*fixture.log).await?);
    for (head, seen) in seen_at {
        let until_head: Vec<_> = in_the_end
            .iter()
            .filter(|(sequence, _)| *sequence <= head)
            .cloned()
            .collect();
        assert_eq!(seen, until_head, "at head {head:?}");
    }
    Ok(())
}

/// Polls up to `polls` times and for up to `micros` microseconds, then drops an unfinished future.
async fn give_up<T>(future: impl Future<Output = T>, polls: u64, micros: u64) {
    let mut left = polls;
    let mut future = pin!(future);
    let limited = poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| ())
    });
    let _ = tokio::time::timeout(Duration::from_micros(micros), limited).await;
}

pub(super) async fn dropped_appends_leave_the_log_in_order(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let reading = spawn_readers(&[Arc::clone(&fixture.log)]);
    let giving_up: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let log = Arc::clone(&fixture.log);
            tokio::spawn(async move {
                let mut random = writer + 1;
                for batch in batches(writer) {
                    // A linear congruential generator: different points in each writer, the same
                    // ones in each run.
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let (polls, micros) = ((random >> 33) % 4, (random >> 40) % 3000);
                    give_up(log.append(batch), polls, micros).await;
                }
            })
        })
        .collect();
    for writer in giving_up {
        writer.await?;
    }
    let so_far = page(&*fixture.log, Sequence::START, 10_000).await?;
    let once: HashSet<_> = ids(&so_far
        .events
        .iter()
        .map(|e| e.item.clone())
        .collect::<Vec<_>>())
    .into_iter()
    .collect();
    assert_eq!(once.len(), so_far.events.len(), "an event is stored twice");
    // Writers without an answer retry, which completes the log.
    for writer in spawn_writers(&[Arc::clone(&fixture.log)]) {
        writer.await??;
    }
    let in_the_end = places(&all(&*fixture.log).await?);
    assert_eq!(in_the_end.len(), expected().len(), "each event once");
    for reader in reading {
        assert_eq!(
            places(&reader.await??),
            in_the_end,
            "a reader saw another order"
        );
    }
    Ok(())
}
