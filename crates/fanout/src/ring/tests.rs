use super::{super::fixture, *};

fn ring(max_events: usize, max_bytes: usize) -> Ring {
    let ring = Ring::new(max_events, max_bytes);
    ring.restart(Sequence(10), None);
    ring
}

fn push(ring: &Ring, sequence: u64, bytes: usize) {
    let event = fixture::event(sequence, "a", bytes);
    ring.push(Arc::new(RingEntry::new(event, 0)));
}

/// The events that a reader at `position` sees; `None` once it has fallen off the ring.
fn seen(ring: &Ring, position: u64) -> Option<Vec<u64>> {
    let mut seen = Vec::new();
    let window = ring.read(Sequence(position), usize::MAX, |entry| {
        seen.push(entry.sequence.0);
        true
    });
    (window != RingRead::Behind).then_some(seen)
}

#[test]
fn a_ring_that_begins_in_the_middle_of_the_log_knows_nothing_before() {
    let ring = ring(4, 1 << 20);
    assert_eq!(ring.head(), Sequence(10));
    assert_eq!((seen(&ring, 9), seen(&ring, 10)), (None, Some(vec![])));
    assert_eq!(
        seen(&ring, 12),
        Some(vec![]),
        "a reader may be ahead of this edge"
    );
}

#[test]
fn a_reader_is_behind_exactly_when_an_event_after_its_position_has_gone() {
    let ring = ring(3, 1 << 20);
    // Some sequence numbers are skipped.
    for sequence in [12, 13, 17, 20, 21] {
        push(&ring, sequence, 0);
    }
    // 12 and 13 are gone: a reader at 13 misses nothing, nor does one in a gap of the numbering.
    assert_eq!(seen(&ring, 12), None);
    for position in 13..17 {
        assert_eq!(seen(&ring, position), Some(vec![17, 20, 21]), "{position}");
    }
    assert_eq!(seen(&ring, 17), Some(vec![20, 21]));
    assert_eq!(seen(&ring, 20), Some(vec![21]));
    assert_eq!(seen(&ring, 21), Some(vec![]));
}

#[test]
fn bytes_bound_it_as_well_as_events() {
    let ring = ring(100, 10_000);
    for sequence in 11..=20 {
        push(&ring, sequence, 3000);
    }
    assert_eq!(seen(&ring, 18), Some(vec![19, 20]));
    assert_eq!(seen(&ring, 16), None);
    // An event larger than the whole ring passes through it: every reader gets it from the log.
    push(&ring, 21, 20_000);
    assert_eq!((seen(&ring, 20), seen(&ring, 21)), (None, Some(vec![])));
    push(&ring, 22, 10);
    assert_eq!(seen(&ring, 21), Some(vec![22]));
}

#[test]
fn a_read_goes_no_further_than_asked_and_says_whether_more_is_there() {
    let ring = ring(100, 1 << 20);
    (11..=15).for_each(|sequence| push(&ring, sequence, 0));
    let read = |position, max, stop_at: u64| {
        ring.read(Sequence(position), max, |entry| entry.sequence.0 != stop_at)
    };
    let at = |through, more| RingRead::Read {
        through: Sequence(through),
        more,
    };
    assert_eq!(read(10, 2, 0), at(12, true));
    assert_eq!(read(12, 3, 0), at(15, false));
    assert_eq!(read(10, 100, 13), at(13, true));
    assert_eq!(read(10, 100, 15), at(15, false));
    assert_eq!(read(30, 100, 0), at(30, false));
}

#[test]
fn a_restart_forgets_everything() {
    let ring = ring(4, 10_000);
    (11..=14).for_each(|sequence| push(&ring, sequence, 1000));
    ring.restart(Sequence(2), None);
    assert_eq!(
        (ring.head(), seen(&ring, 1), seen(&ring, 2)),
        (Sequence(2), None, Some(vec![]))
    );
    (3..=6).for_each(|sequence| push(&ring, sequence, 1000));
    assert_eq!(
        seen(&ring, 2),
        Some(vec![3, 4, 5, 6]),
        "bytes are counted anew"
    );
}
