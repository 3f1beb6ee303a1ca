use model::Timestamp;
use ports::{DeliveryTicket, StateOrder};

use super::*;
use crate::limits::{MAX_ANNOUNCEMENTS, MAX_FOREIGN_NOTICES, ORDER_PATIENCE};

const TIMES: HoldTimes = HoldTimes {
    quiet: Duration::from_millis(3),
    active: Duration::from_millis(15),
    echo: None,
};

const RESOURCE: OrderedResource = OrderedResource(1);

fn notice(ingest: u64, ticket: u64, second: i64) -> DeliveryNotice {
    DeliveryNotice {
        ingest,
        resource: RESOURCE,
        ticket: DeliveryTicket(ticket),
        order: StateOrder {
            updated_at: Timestamp::from_unix_millis(second * 1000),
            made_at: 0,
        },
    }
}

fn arrived_elsewhere(notice: DeliveryNotice) -> IngestNews {
    IngestNews::Arrived(notice)
}

fn finished_elsewhere(notice: DeliveryNotice) -> IngestNews {
    IngestNews::Finished {
        ingest: notice.ingest,
        resource: notice.resource,
        ticket: notice.ticket,
        stored: Some(notice.order),
    }
}

fn heard(ingest: u64, ticket: u64, newest: Option<DeliveryNotice>) -> IngestNews {
    IngestNews::Heard {
        ingest,
        resource: RESOURCE,
        ticket: DeliveryTicket(ticket),
        newest: newest.map(|notice| notice.order),
    }
}

/// Tickets of the deliveries that may be stored now, and whether each is late.
fn stored(table: &mut OrderTable<()>, now: Instant) -> Vec<(u64, bool)> {
    let mut all = Vec::new();
    while let OrderStep::Store(ready) = table.step(RESOURCE, now) {
        let notices: Vec<_> = ready.iter().map(|ready| ready.notice).collect();
        all.extend(
            ready
                .iter()
                .map(|ready| (ready.notice.ticket.0, ready.is_late)),
        );
        table.finished(&notices, true);
    }
    all
}

/// The notice of the delivery that is announced again now.
fn repeated(table: &mut OrderTable<()>, now: Instant) -> DeliveryNotice {
    match table.step(RESOURCE, now) {
        OrderStep::Announce(again) => again[0].notice,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_made_first_is_stored_first_though_it_arrives_second() {
    let (mut table, start) = (OrderTable::new(1), Instant::now());
    assert!(
        table.arrived(notice(1, 2, 20), (), TIMES, start).needs_task,
        "needs a task"
    );
    let between = start + Duration::from_millis(1);
    assert!(
        !table
            .arrived(notice(1, 1, 10), (), TIMES, between)
            .needs_task,
        "has one"
    );
    assert_eq!(
        stored(&mut table, start + TIMES.quiet),
        [],
        "they wait for what may precede the second"
    );
    assert_eq!(
        stored(&mut table, between + TIMES.active),
        [(1, false), (2, false)]
    );
    assert!(matches!(table.step(RESOURCE, between), OrderStep::Done));
}

#[tokio::test(start_paused = true)]
async fn one_at_another_ingest_is_waited_for_until_it_is_finished_or_patience_ends() {
    for finishes in [true, false] {
        let (mut table, start) = (OrderTable::new(1), Instant::now());
        table.arrived(notice(1, 2, 20), (), TIMES, start);
        table.heard(IngestNews::Arrived(notice(9, 1, 10)), start);
        let held = start + TIMES.active;
        assert_eq!(stored(&mut table, held), []);
        assert!(matches!(
            table.step(RESOURCE, held),
            OrderStep::WaitUntil(until) if until == start + ORDER_PATIENCE
        ));
        if finishes {
            table.heard(finished_elsewhere(notice(9, 1, 10)), held);
            assert_eq!(stored(&mut table, held), [(2, false)]);
        } else {
            assert_eq!(stored(&mut table, start + ORDER_PATIENCE), [(2, false)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_after_the_window_is_late_wherever_the_later_state_was_stored() {
    let (mut table, start) = (OrderTable::new(1), Instant::now());
    table.arrived(notice(1, 3, 30), (), TIMES, start);
    assert_eq!(stored(&mut table, start + TIMES.quiet), [(3, false)]);
    let later = start + Duration::from_secs(1);
    table.arrived(notice(1, 2, 20), (), TIMES, later);
    assert_eq!(stored(&mut table, later + TIMES.active), [(2, true)]);
    table.heard(arrived_elsewhere(notice(9, 5, 50)), later);
    table.heard(finished_elsewhere(notice(9, 5, 50)), later);
    table.arrived(notice(1, 4, 40), (), TIMES, later);
    assert_eq!(stored(&mut table, later + TIMES.active), [(4, true)]);
}

#[tokio::test(start_paused = true)]
async fn another_ingest_hears_of_the_end_of_what_it_may_wait_for() {
    let (mut table, start) = (OrderTable::new(1), Instant::now());
    table.arrived(notice(1, 1, 10), (), TIMES, start);
    assert_eq!(stored(&mut table, start + TIMES.quiet), [(1, false)]);
    let told = table.heard(arrived_elsewhere(notice(9, 2, 20)), start + TIMES.quiet);
    assert_eq!(told, [finished_elsewhere(notice(1, 1, 10))]);
    // It waits while the other is there.
    table.arrived(notice(1, 3, 30), (), TIMES, start);
    table.step(RESOURCE, start);
    let told = table.finished(&[notice(1, 3, 30)], true);
    assert_eq!(told, [finished_elsewhere(notice(1, 3, 30))]);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_nothing_precedes_is_not_held() {
    let (mut table, start) = (OrderTable::new(1), Instant::now());
    table.arrived(notice(1, 1, 10), (), TIMES.of_first(), start);
    assert_eq!(stored(&mut table, start), [(1, false)]);
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_places_is_bounded() {
    let (mut table, start) = (OrderTable::new(1), Instant::now());
    for n in 0..2 * MAX_FOREIGN_NOTICES as u64 {
        table.heard(arrived_elsewhere(notice(9, n, 10)), start);
    }
    assert_eq!(
        table.resources[&RESOURCE].others().count(),
        MAX_FOREIGN_NOTICES
    );
    let of = |n: u64| DeliveryNotice {
        resource: OrderedResource(n + 10),
        ..notice(9, 1, 10)
    };
    table.arrived(of(0), (), TIMES, start);
    for n in 1..2 * REMEMBERED_RESOURCES as u64 {
        table.heard(arrived_elsewhere(of(n)), start);
    }
    assert!(table.len() <= REMEMBERED_RESOURCES);
    let held = table.step(OrderedResource(10), start + TIMES.quiet);
    assert!(
        matches!(held, OrderStep::Store(_)),
        "nothing that waits is forgotten"
    );
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_has_only_its_arrival_is_not_held() {
    let (mut table, start) = (OrderTable::new(1), Instant::now());
    table.arrived(notice(1, 1, 0), (), TIMES, start);
    assert_eq!(stored(&mut table, start), [(1, false)], "it has no place");
    table.arrived(notice(1, 2, 10), (), TIMES, start);
    table.arrived(notice(1, 3, 10), (), TIMES, start);
    assert_eq!(
        stored(&mut table, start),
        [],
        "the second comes after the first"
    );
    let held = start + TIMES.active;
    assert_eq!(stored(&mut table, held), [(2, false), (3, false)]);
    table.arrived(notice(1, 4, 10), (), TIMES, held);
    assert_eq!(stored(&mut table, held), [(4, false)], "of the same second");
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_the_bus_has_not_brought_back_is_waited_for_and_none_after_it_while_it_is_silent()
 {
    let (mut table, start) = (OrderTable::new(1), Instant::now());
    let with_echo = HoldTimes::new(TIMES.quiet, TIMES.active);
    table.hears(true);
    table.arrived(notice(1, 1, 10), (), with_echo, start);
    assert_eq!(stored(&mut table, start + TIMES.active), []);
    table.heard(arrived_elsewhere(notice(1, 1, 10)), start);
    assert_eq!(stored(&mut table, start + TIMES.quiet), [(1, false)]);
    table.arrived(notice(1, 2, 20), (), with_echo, start);
    let again = repeated(&mut table, start + ECHO_PATIENCE);
    assert_eq!(again.order, notice(1, 2, 20).order);
    assert_eq!(stored(&mut table, start + ECHO_PATIENCE), []);
    let silent = start + 2 * ECHO_PATIENCE;
    assert_eq!(stored(&mut table, silent), [(again.ticket.0, false)]);
    table.arrived(notice(1, 3, 30), (), with_echo, silent);
    assert_eq!(stored(&mut table, silent + TIMES.active), [(3, false)]);
}

/// While it was stopped, another ingest stopped to wait for its delivery, and stored a later one.
#[tokio::test(start_paused = true)]
async fn who_was_stopped_announces_again_and_marks_what_came_too_late() {
    for has_echo in [true, false] {
        let (mut table, start) = (OrderTable::new(1), Instant::now());
        let first = notice(1, 1, 10);
        table.hears(true);
        table.arrived(first, (), HoldTimes::new(TIMES.quiet, TIMES.active), start);
        if has_echo {
            table.heard(arrived_elsewhere(first), start);
        }
        let woken = start + ORDER_PATIENCE;
        let again = repeated(&mut table, woken);
        // What answers the first notice says nothing about what was sent meanwhile.
        table.heard(arrived_elsewhere(notice(9, 2, 20)), woken);
        table.heard(arrived_elsewhere(first), woken);
        table.heard(heard(9, 1, None), woken);
        assert_eq!(stored(&mut table, woken), []);
        table.heard(arrived_elsewhere(again), woken);
        assert_eq!(stored(&mut table, woken), [], "the other may be storing it");
        let newest = Some(notice(9, 2, 20));
        table.heard(heard(9, again.ticket.0, newest), woken);
        assert_eq!(stored(&mut table, woken), [(again.ticket.0, true)]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_stopped_and_finds_nothing_later_is_on_time() {
    let (mut table, start) = (OrderTable::new(1), Instant::now());
    let first = notice(1, 1, 10);
    table.hears(true);
    table.arrived(first, (), HoldTimes::new(TIMES.quiet, TIMES.active), start);
    table.heard(arrived_elsewhere(first), start);
    let woken = start + 3 * ORDER_PATIENCE;
    let again = repeated(&mut table, woken);
    table.heard(arrived_elsewhere(again), woken);
    assert_eq!(stored(&mut table, woken), [(again.ticket.0, false)]);
}

#[tokio::test(start_paused = true)]
async fn who_is_stopped_again_and_again_marks_its_delivery() {
    let (mut table, start) = (OrderTable::new(1), Instant::now());
    let first = notice(1, 1, 10);
    table.hears(true);
    table.arrived(first, (), HoldTimes::new(TIMES.quiet, TIMES.active), start);
    let mut last = first;
    for stop in 1..MAX_ANNOUNCEMENTS {
        let woken = start + stop * ORDER_PATIENCE;
        last = repeated(&mut table, woken);
    }
    let woken = start + MAX_ANNOUNCEMENTS * ORDER_PATIENCE;
    assert_eq!(stored(&mut table, woken), [(last.ticket.0, true)]);
}

/// A window that is longer than the others wait: its notice is repeated at its end.
#[tokio::test(start_paused = true)]
async fn a_long_window_marks_nothing() {
    let (mut table, start) = (OrderTable::new(1), Instant::now());
    let long = 2 * ORDER_PATIENCE;
    let first = notice(1, 1, 10);
    table.hears(true);
    table.arrived(first, (), HoldTimes::new(long, long), start);
    table.heard(arrived_elsewhere(first), start);
    assert_eq!(stored(&mut table, start + ORDER_PATIENCE), []);
    let over = start + long;
    let again = repeated(&mut table, over);
    table.heard(arrived_elsewhere(again), over);
    assert_eq!(stored(&mut table, over), [(again.ticket.0, false)]);
}

#[tokio::test(start_paused = true)]
async fn an_ingest_with_a_later_one_is_asked_whether_it_waits() {
    for answer in [Some(None), Some(Some(notice(9, 2, 20))), None] {
        let (mut table, start) = (OrderTable::new(1), Instant::now());
        table.heard(arrived_elsewhere(notice(9, 2, 20)), start);
        table.arrived(notice(1, 1, 10), (), TIMES, start);
        let held = start + TIMES.active;
        assert_eq!(stored(&mut table, held), [], "the other may be storing it");
        match answer {
            Some(newest) => {
                table.heard(heard(9, 1, newest), held);
                assert_eq!(stored(&mut table, held), [(1, newest.is_some())]);
            }
            None => assert_eq!(stored(&mut table, start + ORDER_PATIENCE), [(1, true)]),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_precedes_what_is_here_hears_whether_it_is_waited_for() {
    let (mut table, start) = (OrderTable::new(1), Instant::now());
    table.arrived(notice(1, 2, 20), (), TIMES, start);
    let told = table.heard(arrived_elsewhere(notice(9, 1, 10)), start);
    assert_eq!(told, [heard(1, 1, None)]);
    table.heard(finished_elsewhere(notice(9, 1, 10)), start);
    let OrderStep::Store(ready) = table.step(RESOURCE, start + TIMES.active) else {
        panic!("its turn has come");
    };
    let told = table.heard(arrived_elsewhere(notice(9, 3, 15)), start);
    let newest = Some(ready[0].notice);
    assert_eq!(told, [heard(1, 3, newest)], "its append is under way");
    // One that follows is said to wait for what was there before it.
    let told = table.heard(arrived_elsewhere(notice(9, 4, 30)), start);
    assert_eq!(told, []);
    let arrival = table.arrived(notice(1, 5, 40), (), TIMES, start);
    assert_eq!(arrival.news, [heard(1, 4, newest)]);
}
