use proptest::prelude::*;

use super::*;
use crate::{
    bodies::BudgetSizes,
    limits::{BODY_BUDGET_BYTES, MIN_BODY_BYTES},
};

const SIZES: BudgetSizes = BudgetSizes {
    whole: 1000,
    small_part: 250,
    small_body: 50,
};

fn sender(n: u8) -> BodySender {
    BodySender::Address([10, 0, 0, n].into())
}

/// A step of a body: to hold more, to progress, to arrive, to end.
#[derive(Debug, Clone)]
enum Step {
    Open(u8),
    Hold(usize, usize),
    Progress(usize),
    Complete(usize),
    Close(usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0_u8..4).prop_map(Step::Open),
        6 => (any::<usize>(), 1_usize..300).prop_map(|(body, more)| Step::Hold(body, more)),
        2 => any::<usize>().prop_map(Step::Progress),
        1 => any::<usize>().prop_map(Step::Complete),
        2 => any::<usize>().prop_map(Step::Close),
        1 => (0_u64..1500).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    #[test]
    fn the_books_are_right_and_no_part_is_exceeded_whatever_happens(steps in steps()) {
        let mut ledger = Ledger::new(SIZES);
        let mut now = Instant::now();
        // Key, bytes, and the receiver of the notice that it is given up.
        let mut bodies: Vec<(usize, usize, oneshot::Receiver<BodyRefusal>)> = Vec::new();
        for step in steps {
            let at = |body: usize| body % bodies.len().max(1);
            match step {
                Step::Open(of) => {
                    let (give_up, given_up) = oneshot::channel();
                    bodies.push((ledger.open(sender(of), give_up, now), 0, given_up));
                }
                Step::Pass(millis) => now += std::time::Duration::from_millis(millis),
                _ if bodies.is_empty() => {}
                Step::Hold(body, more) => {
                    let body = at(body);
                    let (key, bytes, _) = &mut bodies[body];
                    if ledger.hold(*key, *bytes + more, now) == HoldOutcome::Held {
                        *bytes += more;
                    }
                }
                Step::Progress(body) => ledger.progress(bodies[at(body)].0, now),
                Step::Complete(body) => {
                    ledger.complete(bodies[at(body)].0, usize::MAX);
                }
                Step::Close(body) => ledger.close(bodies.swap_remove(at(body)).0),
            }
            // A reader that is told drops its body.
            let mut left = Vec::new();
            for (key, bytes, mut given_up) in bodies {
                match given_up.try_recv() {
                    Ok(_) => ledger.close(key),
                    Err(_) => left.push((key, bytes, given_up)),
                }
            }
            bodies = left;
            let all: usize = bodies.iter().map(|(_, bytes, _)| bytes).sum();
            let (small, large) = ledger.held();
            prop_assert_eq!(small + large, all);
            prop_assert!(all <= SIZES.whole && large <= SIZES.whole - SIZES.small_part);
            let waiting = ledger.bodies.iter().filter(|(_, body)| body.waits_for.is_some());
            prop_assert_eq!(ledger.waiting, waiting.count());
        }
        for (key, ..) in bodies {
            ledger.close(key);
        }
        prop_assert_eq!(ledger.held(), (0, 0));
        prop_assert!(ledger.senders.is_empty());
    }
}

/// A full budget of bodies of the smallest size, the most that there can be.
#[test]
fn a_full_budget_of_the_smallest_bodies_gives_up_one_for_each_newcomer() {
    let mut ledger = Ledger::new(BudgetSizes::default());
    let now = Instant::now();
    let open = |ledger: &mut Ledger| {
        let (give_up, given_up) = oneshot::channel();
        (ledger.open(sender(1), give_up, now), given_up)
    };
    let mut bodies = Vec::new();
    for _ in 0..BODY_BUDGET_BYTES / MIN_BODY_BYTES {
        let (key, given_up) = open(&mut ledger);
        assert_eq!(ledger.hold(key, MIN_BODY_BYTES, now), HoldOutcome::Held);
        bodies.push((key, given_up));
    }
    let later = now + BODY_STALL_TIMEOUT;
    for newcomer in 1..=3 {
        let (key, _kept) = open(&mut ledger);
        let outcome = ledger.hold(key, MIN_BODY_BYTES, later);
        assert!(matches!(outcome, HoldOutcome::Wait(..)), "{outcome:?}");
        let told = bodies
            .iter_mut()
            .filter_map(|(key, it)| it.try_recv().ok().map(|_| *key));
        let told: Vec<_> = told.collect();
        assert_eq!(told.len(), 1, "newcomer {newcomer}");
        ledger.close(told[0]);
        bodies.retain(|(key, _)| *key != told[0]);
        assert_eq!(ledger.hold(key, MIN_BODY_BYTES, later), HoldOutcome::Held);
    }
}

/// Hundreds that wait and thousands that end in a second would otherwise look at all bodies each time.
#[test]
fn only_an_end_that_helps_one_that_waits_makes_bodies_look_again() {
    let (mut ledger, now) = (Ledger::new(SIZES), Instant::now());
    let mut notices = Vec::new();
    let mut open = |ledger: &mut Ledger, of, bytes| {
        let (give_up, given_up) = oneshot::channel();
        notices.push(given_up);
        let key = ledger.open(sender(of), give_up, now);
        (key, ledger.hold(key, bytes, now))
    };
    let (arrived, _) = open(&mut ledger, 1, 750);
    assert!(ledger.complete(arrived, 750));
    let (small, outcome) = open(&mut ledger, 1, 50);
    assert_eq!(outcome, HoldOutcome::Held);
    ledger.close(small);
    assert!(!ledger.can_go_on(), "nobody waits");
    let (large, outcome) = open(&mut ledger, 2, 100);
    assert!(matches!(outcome, HoldOutcome::Wait(..)), "{outcome:?}");
    let (small, outcome) = open(&mut ledger, 1, 50);
    assert_eq!(outcome, HoldOutcome::Held);
    ledger.close(small);
    assert!(!ledger.can_go_on(), "a large body has no use for it");
    ledger.close(arrived);
    assert!(ledger.can_go_on());
    assert_eq!(ledger.hold(large, 100, now), HoldOutcome::Held);
    assert!(!ledger.can_go_on());
}

#[test]
fn bodies_that_only_wait_for_each_other_look_again() {
    let (mut ledger, now) = (Ledger::new(SIZES), Instant::now());
    let mut notices = Vec::new();
    let mut open = |ledger: &mut Ledger| {
        let (give_up, given_up) = oneshot::channel();
        notices.push(given_up);
        ledger.open(sender(1), give_up, now)
    };
    let keys = [open(&mut ledger), open(&mut ledger), open(&mut ledger)];
    for (key, bytes) in keys.into_iter().zip([300, 300, 100]) {
        assert_eq!(ledger.hold(key, bytes, now), HoldOutcome::Held);
    }
    assert!(ledger.complete(keys[2], 100));
    for key in &keys[..2] {
        let outcome = ledger.hold(*key, 500, now);
        assert!(matches!(outcome, HoldOutcome::Wait(..)), "{outcome:?}");
    }
    assert!(!ledger.can_go_on());
    ledger.close(keys[2]);
    assert!(ledger.can_go_on(), "one of them has to be refused");
}
