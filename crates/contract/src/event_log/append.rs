//! EL-01, EL-02, EL-03, EL-25, EL-27: the answer of an append and its meaning.

use std::sync::Arc;

use anyhow::{Context, Result};
use model::Sequence;

use super::follow::{all, ids, page};
use crate::{Harness, event, events};

pub(super) async fn every_event_gets_an_answer_and_a_rising_sequence(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let mut last = Sequence::START;
    for batch in [events(0, 1), events(1, 21), Vec::new(), events(21, 121)] {
        let expected = ids(&batch);
        let answers = fixture.log.append(batch).await?;
        let answered: Vec<_> = answers.iter().map(|answer| answer.id.clone()).collect();
        assert_eq!(
            answered, expected,
            "one answer per event, in the order given"
        );
        for answer in answers {
            assert!(!answer.duplicate, "{:?} is new", answer.id);
            assert!(
                answer.sequence > last,
                "{:?} after {last:?}",
                answer.sequence
            );
            last = answer.sequence;
        }
    }
    Ok(())
}

pub(super) async fn a_check_accepts_and_stores_nothing(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    for round in 0..3 {
        let before = fixture.log.head().await?;
        fixture.log.check_append().await?;
        assert_eq!(fixture.log.head().await?, before, "round {round}");
        fixture.log.append(events(round * 5, round * 5 + 5)).await?;
    }
    Ok(())
}

pub(super) async fn the_largest_event_is_taken(harness: Arc<dyn Harness>) -> Result<()> {
    /// Events are encoded in up to this size.
    const ENCODED_BYTES: usize = 512 * 1024;
    let fixture = harness.event_log().await?;
    let mut largest = event(0);
    Arc::make_mut(&mut largest.facts).tags = (0..100).map(|tag| format!("{tag:0256}")).collect();
    let filler = fixture.log.max_event_bytes().min(ENCODED_BYTES) - r#"{"a":""}"#.len();
    largest.json = format!(r#"{{"a":"{}"}}"#, "x".repeat(filler)).into();
    fixture.log.append(vec![largest.clone()]).await?;
    let stored = all(&*fixture.log).await?;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].item, largest);
    Ok(())
}

pub(super) async fn an_id_that_is_there_keeps_its_place(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let first = fixture.log.append(events(0, 10)).await?;
    let mut mixed = events(5, 15);
    mixed.reverse();
    // A redelivery can differ from the first delivery: the stored event does not change.
    mixed[9].json = bytes::Bytes::from_static(b"{\"changed\":true}");
    let second = fixture.log.append(mixed.clone()).await?;
    assert_eq!(second.len(), mixed.len());
    for answer in &second {
        let before = first.iter().find(|known| known.id == answer.id);
        assert_eq!(answer.duplicate, before.is_some(), "{:?}", answer.id);
        if let Some(before) = before {
            assert_eq!(answer.sequence, before.sequence, "{:?} moved", answer.id);
        }
    }
    let fresh: Vec<_> = second.iter().filter(|answer| !answer.duplicate).collect();
    assert!(
        fresh.is_sorted_by(|a, b| a.sequence < b.sequence),
        "{fresh:?}"
    );
    let stored = all(&*fixture.log).await?;
    assert_eq!(stored.len(), 15, "every id once");
    assert_eq!(
        stored[5].item,
        event(5),
        "the event that was there first stays"
    );
    Ok(())
}

pub(super) async fn the_place_of_a_duplicate_has_the_event_that_was_first(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    fixture.log.append(events(0, 5)).await?;
    let mut other = event(3);
    other.json = bytes::Bytes::from_static(b"{\"metadata\":{\"event\":\"another\"}}");
    let answers = fixture.log.append(vec![other, event(5)]).await?;
    let duplicates: Vec<_> = answers.iter().map(|answer| answer.duplicate).collect();
    assert_eq!(duplicates, [true, false]);
    for (answer, expected) in answers.iter().zip([event(3), event(5)]) {
        let page = page(&*fixture.log, Sequence(answer.sequence.0 - 1), 1).await?;
        assert_eq!(page.events[0].sequence, answer.sequence);
        assert_eq!(page.events[0].item, expected);
    }
    Ok(())
}

pub(super) async fn an_id_twice_in_one_batch_is_there_once(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let answers = fixture
        .log
        .append(vec![event(1), event(2), event(1), event(1)])
        .await?;
    let duplicates: Vec<_> = answers.iter().map(|answer| answer.duplicate).collect();
    assert_eq!(duplicates, [false, false, true, true]);
    assert_eq!(answers[2].sequence, answers[0].sequence);
    assert_eq!(answers[3].sequence, answers[0].sequence);
    assert_eq!(all(&*fixture.log).await?.len(), 2);
    Ok(())
}

pub(super) async fn of_concurrent_appends_of_one_id_one_is_new(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    for round in 0..10_u64 {
        let batch = events(round * 5, round * 5 + 5);
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let (log, mut batch) = (Arc::clone(&fixture.log), batch.clone());
                batch.rotate_left(task % 5);
                tokio::spawn(async move { log.append(batch).await })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.extend(task.await?.context("a concurrent append failed")?);
        }
        for id in ids(&batch) {
            let of_id: Vec<_> = answers.iter().filter(|answer| answer.id == id).collect();
            assert_eq!(of_id.len(), 8);
            assert_eq!(
                of_id.iter().filter(|answer| !answer.duplicate).count(),
                1,
                "{of_id:?}"
            );
            assert!(
                of_id
                    .iter()
                    .all(|answer| answer.sequence == of_id[0].sequence),
                "{of_id:?}"
            );
        }
    }
    assert_eq!(all(&*fixture.log).await?.len(), 50);
    Ok(())
}

pub(super) async fn what_was_acknowledged_can_be_read(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let tasks: Vec<_> = (0..8_u64)
        .map(|task| {
            let log = Arc::clone(&fixture.log);
            tokio::spawn(async move {
                for batch in 0..10 {
                    let from = task * 1000 + batch * 3;
                    for answer in log.append(events(from, from + 3)).await? {
                        let before = Sequence(answer.sequence.0 - 1);
                        let page = page(&*log, before, 1).await?;
                        let read = page.events.first().map(|event| event.item.facts.id.clone());
                        assert_eq!(read, Some(answer.id), "acknowledged but not stored");
                    }
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    assert_eq!(all(&*fixture.log).await?.len(), 240);
    Ok(())
}

pub(super) async fn appending_again_completes_a_part(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    // The state left by an append that failed half-way: part of the batch is stored, not only from
    // its start.
    fixture
        .log
        .append(vec![event(0), event(3), event(7)])
        .await?;
    let answers = fixture.log.append(events(0, 10)).await?;
    let stored = all(&*fixture.log).await?;
    assert_eq!(stored.len(), 10);
    for answer in answers {
        let place = stored
            .iter()
            .find(|event| event.sequence == answer.sequence);
        assert_eq!(place.map(|event| &event.item.facts.id), Some(&answer.id));
    }
    Ok(())
}
