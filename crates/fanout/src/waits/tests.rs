use std::{
    future::Future,
    pin::pin,
    sync::atomic::AtomicUsize,
    task::{Context, Poll, Wake, Waker},
};

use event_flow::follow::{Followed, LossReason, LostEvents};
use model::{EventFacts, FilterMatcher, LostRange, PrincipalId};

use super::*;
use crate::{fixture, hub::Hub, limits::WOKEN_TURNS, ring::Ring};

/// Counts how often a call is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn principal(name: &str) -> PrincipalId {
    PrincipalId::new(name).unwrap()
}

fn hub(ring_events: usize) -> Arc<Hub> {
    let log = fixture::GatedLog::new(256);
    let hub = fixture::hub(&log, Ring::new(ring_events, 1 << 20), 10);
    hub.apply(fixture::started(fixture::EPOCH, 0));
    hub
}

fn happen(hub: &Hub, sequence: u64, repo: &str) {
    let event = fixture::event(sequence, repo, 10);
    hub.apply(Followed::Events(vec![event]));
}

/// A place of a call that waits for events of octo/`repo`.
fn begin(hub: &Arc<Hub>, repo: &str) -> (EventWait, FilterMatcher) {
    let filters = fixture::repo_filter(repo);
    let began_at = hub.position().sequence;
    let place = hub.begin_wait(&principal("one"), &filters, began_at);
    let place = place.unwrap();
    (place, FilterMatcher::of(&filters))
}

/// The position at which the call goes on, if it does now.
fn now(place: &mut EventWait, matcher: &FilterMatcher, position: u64) -> Option<u64> {
    let generation = place.hub.generation();
    let next = place.next(generation, Sequence(position), |event| {
        matcher.matches(event)
    });
    match pin!(next).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(through) => Some(through.0),
        Poll::Pending => None,
    }
}

#[test]
fn only_an_event_that_matches_wakes_a_call() {
    let hub = hub(1000);
    let (mut place, matcher) = begin(&hub, "cat");
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    let generation = hub.generation();
    let mut next = pin!(place.next(generation, Sequence::START, |e| matcher.matches(e)));
    assert!(next.as_mut().poll(&mut cx).is_pending());
    (1..=500).for_each(|n| happen(&hub, n, "dog"));
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    happen(&hub, 501, "cat");
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert_eq!(next.poll(&mut cx), Poll::Ready(Sequence(500)));
}

/// A call looks at an event once, however often its client is told of progress in between.
#[test]
fn what_a_call_has_examined_is_not_examined_again() {
    let hub = hub(1000);
    let (mut place, matcher) = begin(&hub, "cat");
    (1..=300).for_each(|n| happen(&hub, n, "dog"));
    let examined = AtomicUsize::new(0);
    let generation = hub.generation();
    for _ in 0..10 {
        let fits = |event: &EventFacts| {
            examined.fetch_add(1, Ordering::SeqCst);
            matcher.matches(event)
        };
        let next = place.next(generation, Sequence::START, fits);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(next).poll(&mut cx).is_pending());
    }
    assert_eq!(examined.load(Ordering::SeqCst), 300);
    (301..=600).for_each(|n| happen(&hub, n, "dog"));
    happen(&hub, 601, "cat");
    assert_eq!(now(&mut place, &matcher, 0), Some(600));
}

#[test]
fn an_event_that_matches_and_does_not_fit_lets_the_call_wait_on() {
    let hub = hub(1000);
    let (mut place, matcher) = begin(&hub, "cat");
    happen(&hub, 1, "cat");
    let generation = hub.generation();
    let hidden = place.next(generation, Sequence::START, |_| false);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(hidden).poll(&mut cx).is_pending());
    assert_eq!(
        now(&mut place, &matcher, 0),
        None,
        "at the time of its delivery"
    );
    happen(&hub, 2, "cat");
    assert_eq!(now(&mut place, &matcher, 0), Some(1));
    // The answer has both, and the call goes on after it.
    assert_eq!(now(&mut place, &matcher, 2), None);
}

#[test]
fn events_between_the_place_and_the_first_look_are_seen() {
    let hub = hub(1000);
    let (mut place, matcher) = begin(&hub, "cat");
    happen(&hub, 1, "dog");
    happen(&hub, 2, "cat");
    happen(&hub, 3, "dog");
    assert_eq!(now(&mut place, &matcher, 0), Some(1));
    assert_eq!(now(&mut place, &matcher, 0), Some(1), "until it moves on");
    assert_eq!(now(&mut place, &matcher, 3), None);
}

#[test]
fn a_call_reads_the_log_where_the_ring_has_nothing_more_for_it() {
    let hub = hub(10);
    let (mut place, matcher) = begin(&hub, "cat");
    assert_eq!(now(&mut place, &matcher, 0), None);
    happen(&hub, 1, "cat");
    (2..=20).for_each(|n| happen(&hub, n, "dog"));
    assert_eq!(
        now(&mut place, &matcher, 0),
        Some(0),
        "it has left the ring"
    );
    assert_eq!(now(&mut place, &matcher, 20), None);
    // Events that this edge could not read may have matched.
    hub.apply(Followed::Lost(LostEvents {
        range: LostRange {
            after: Sequence(20),
            resumes_after: Sequence(30),
        },
        reason: LossReason::Trimmed,
        tag: None,
    }));
    assert_eq!(now(&mut place, &matcher, 20), Some(20));
    assert_eq!(now(&mut place, &matcher, 30), None);
}

#[test]
fn the_position_of_a_long_wait_moves_on_and_passes_no_event_that_matches() {
    let hub = hub(10);
    let (mut place, matcher) = begin(&hub, "cat");
    let generation = hub.generation();
    assert_eq!(place.examined_through(generation), None, "before it looked");
    assert_eq!(now(&mut place, &matcher, 0), None);
    (1..=20).for_each(|n| happen(&hub, n, "dog"));
    assert_eq!(place.examined_through(generation), Some(Sequence(20)));
    happen(&hub, 21, "cat");
    assert_eq!(place.examined_through(generation), None);
    (22..=25).for_each(|n| happen(&hub, n, "dog"));
    assert_eq!(place.examined_through(generation), None);
    assert_eq!(now(&mut place, &matcher, 20), Some(20));
    assert_eq!(place.examined_through(generation), None);
    // The call answers, and waits again after its answer.
    assert_eq!(now(&mut place, &matcher, 25), None);
    assert_eq!(place.examined_through(generation), Some(Sequence(25)));
    hub.apply(fixture::started(fixture::EPOCH, 3));
    assert_eq!(place.examined_through(generation), None, "another log");
    let generation = hub.generation();
    assert_eq!(place.examined_through(generation), None);
    assert_eq!(now(&mut place, &matcher, 3), None);
    assert_eq!(place.examined_through(generation), Some(Sequence(3)));
}

#[test]
fn a_log_that_is_put_back_or_replaced_ends_the_wait() {
    let hub = hub(10);
    let (mut place, matcher) = begin(&hub, "cat");
    let generation = hub.generation();
    let mut next = pin!(place.next(generation, Sequence::START, |e| matcher.matches(e)));
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    assert!(next.as_mut().poll(&mut cx).is_pending());
    hub.apply(fixture::started(fixture::EPOCH, 0));
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(next.poll(&mut cx).is_ready());
}

#[test]
fn a_call_that_is_over_leaves_nothing_behind() {
    let hub = hub(10);
    let all: Vec<_> = (0..100).map(|_| begin(&hub, "cat")).collect();
    assert!(!hub.waits.is_empty());
    let entry = RingEntry::new(fixture::event(1, "cat", 10), 0);
    // Equal filters are compared once: the rest is a mark for each call.
    assert!(hub.waits.wake(&entry).comparisons <= 100 + all[0].0.mark_cost());
    assert_eq!(hub.waits.filters.len(), 1, "they are in memory once");
    drop(all);
    assert!(hub.waits.is_empty());
    assert_eq!(hub.waits.filters.len(), 0);
    assert_eq!(hub.streams.budget.total(), 0);
}

impl EventWait {
    fn mark_cost(&self) -> usize {
        self.filters
            .terms
            .iter()
            .map(|term| term.filter.cost())
            .sum()
    }
}

#[tokio::test]
async fn woken_calls_of_one_principal_take_turns_and_delay_no_other() {
    let hub = hub(10);
    let (greedy, modest) = (principal("greedy"), principal("modest"));
    let mut held = Vec::new();
    let is_free = |of: &PrincipalId| {
        let turn = hub.woken_turn(of);
        match pin!(turn).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    };
    while let Some(turn) = is_free(&greedy) {
        held.push(turn);
    }
    assert_eq!(held.len(), WOKEN_TURNS / 2);
    assert!(is_free(&modest).is_some(), "its turn is its own");
    held.pop();
    assert!(is_free(&greedy).is_some());
}
