use std::collections::BTreeSet;

use event_flow::follow::Followed;
use model::EntryTag;
use ports::EventLog;
use proptest::prelude::*;

use super::*;
use crate::{
    fixture::{self, GatedLog},
    ring::{Ring, RingRead, RingTag},
};

const RING_EVENTS: usize = 100;

/// A log with the events 1 to `events`, and an edge that begins to follow it at its end.
fn begun(events: u64) -> (Arc<GatedLog>, Arc<Hub>) {
    let log = GatedLog::open();
    log.let_read_back();
    (1..=events).for_each(|sequence| push(&log, None, sequence));
    let hub = fixture::hub(&log, Ring::new(RING_EVENTS, 1 << 20), 10);
    hub.apply(fixture::started(fixture::EPOCH, events));
    (log, hub)
}

fn push(log: &GatedLog, hub: Option<&Hub>, sequence: u64) {
    let event = fixture::event(sequence, "a", 10);
    log.push(event.clone());
    if let Some(hub) = hub {
        hub.apply(Followed::Events(vec![event]));
    }
}

/// The events in memory after a position; `None` if it is not in memory.
fn in_memory(hub: &Hub, position: u64) -> Option<Vec<u64>> {
    let mut seen = Vec::new();
    let read = hub.ring.read(Sequence(position), usize::MAX, |entry| {
        seen.push(entry.sequence.0);
        true
    });
    (read != RingRead::Behind).then_some(seen)
}

#[tokio::test]
async fn an_edge_that_has_just_begun_has_the_whole_of_a_short_log_in_memory() {
    let (log, hub) = begun(40);
    hub.prefill().await.unwrap();
    assert_eq!(in_memory(&hub, 0), Some((1..=40).collect()));
    push(&log, Some(&hub), 41);
    assert_eq!(in_memory(&hub, 39), Some(vec![40, 41]));
}

#[tokio::test]
async fn half_of_the_ring_stays_for_what_comes() {
    let (_, hub) = begun(300);
    hub.prefill().await.unwrap();
    assert_eq!(in_memory(&hub, 250), Some((251..=300).collect()));
    assert_eq!(in_memory(&hub, 249), None);
}

#[tokio::test]
async fn bytes_bound_it_too() {
    let log = GatedLog::open();
    log.let_read_back();
    for sequence in 1..=9 {
        log.push(fixture::event(sequence, "a", 30_000));
    }
    let hub = fixture::hub(&log, Ring::new(RING_EVENTS, 200_000), 10);
    hub.apply(fixture::started(fixture::EPOCH, 9));
    hub.prefill().await.unwrap();
    assert_eq!(in_memory(&hub, 6), Some(vec![7, 8, 9]));
    assert_eq!(in_memory(&hub, 5), None);
}

#[tokio::test]
async fn an_entry_that_does_not_decode_is_left_to_the_log_and_so_is_what_is_before_it() {
    let (log, hub) = begun(40);
    let tag = EntryTag::UNDECODABLE;
    log.damage(30, tag);
    hub.prefill().await.unwrap();
    assert_eq!(in_memory(&hub, 30), Some((31..=40).collect()));
    assert_eq!(in_memory(&hub, 29), None);
    assert_eq!(hub.ring.tag_at(Sequence(30)), RingTag::Known(tag));
}

#[tokio::test]
async fn a_ring_that_began_anew_during_the_read_takes_nothing() {
    let (_, hub) = begun(40);
    let beginning = hub.ring.beginning().unwrap();
    let page = hub.log.read_before(Sequence(41), 10).await.unwrap();
    hub.apply(fixture::started(fixture::REPLACED, 40));
    assert!(!hub.add_before(beginning, page));
    assert_eq!(in_memory(&hub, 40), Some(vec![]));
    assert_eq!(in_memory(&hub, 39), None);
}

#[tokio::test]
async fn an_entry_that_took_the_place_of_a_followed_one_is_not_taken() {
    let log = GatedLog::open();
    log.let_read_back();
    (1..=9).for_each(|sequence| push(&log, None, sequence));
    let hub = fixture::hub(&log, Ring::new(RING_EVENTS, 1 << 20), 10);
    hub.ring.restart(Sequence(9), Some(EntryTag::UNDECODABLE));
    hub.prefill().await.unwrap();
    assert_eq!(in_memory(&hub, 8), None, "the log was put back");
    let kept = RingTag::Known(EntryTag::UNDECODABLE);
    assert_eq!(hub.ring.tag_at(Sequence(9)), kept, "as it was followed");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_fails_is_asked_again_until_the_edge_ends() {
    let (log, hub) = begun(40);
    log.fail_next();
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(Arc::clone(&hub), stop.clone()));
    while in_memory(&hub, 0).is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.cancel();
    running.await.unwrap();
}

proptest! {
    /// Numbers are left out, entries do not decode, and events come before and after: whatever is in memory is
    /// what the log has.
    #[test]
    fn the_memory_is_a_part_of_the_log(
        numbers in prop::collection::btree_set(1_u64..200, 1..120),
        damaged in prop::collection::btree_set(1_u64..200, 0..3),
        ring_events in 2_usize..150,
        followed in 0_usize..60,
        trimmed in 0_usize..60,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(check(numbers, damaged, ring_events, (followed, trimmed)))?;
    }
}

async fn check(
    numbers: BTreeSet<u64>,
    damaged: BTreeSet<u64>,
    ring_events: usize,
    (followed, trimmed): (usize, usize),
) -> Result<(), TestCaseError> {
    let log = GatedLog::open();
    log.let_read_back();
    let numbers: Vec<_> = numbers.into_iter().collect();
    let (before, after) = numbers.split_at(numbers.len().saturating_sub(followed));
    before.iter().for_each(|number| push(&log, None, *number));
    for number in damaged.iter().filter(|number| before.contains(number)) {
        log.damage(*number, EntryTag::UNDECODABLE);
    }
    log.trim_front(trimmed.min(before.len()));
    let hub = fixture::hub(&log, Ring::new(ring_events, 1 << 20), 10);
    hub.apply(fixture::started(fixture::EPOCH, log.last().0));
    after
        .iter()
        .for_each(|number| push(&log, Some(&hub), *number));
    hub.prefill().await.unwrap();
    for position in 0..=200 {
        let Some(seen) = in_memory(&hub, position) else {
            continue;
        };
        let page = log.read_after(Sequence(position), 300).await.unwrap();
        let logged: Vec<_> = page.events.iter().map(|event| event.sequence.0).collect();
        prop_assert_eq!(seen, logged, "after {}", position);
        let is_hole = !page.undecodable.is_empty();
        prop_assert!(
            !is_hole,
            "a reader after {} would not learn of a hole",
            position
        );
    }
    Ok(())
}
