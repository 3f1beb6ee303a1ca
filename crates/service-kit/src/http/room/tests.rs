use std::time::Duration;

use super::{super::state::RequestPhase, *};
use crate::limits::UNFINISHED_REQUEST_TIMEOUT;

fn connection() -> Arc<ConnectionState> {
    connection_of(1)
}

fn connection_of(sender: u64) -> Arc<ConnectionState> {
    Arc::new(ConnectionState::new(SenderKey(sender)))
}

fn is_asked(connection: &Arc<ConnectionState>) -> bool {
    connection.asked_to_end().is_some()
}

#[tokio::test(start_paused = true)]
async fn of_one_sender_idle_ones_end_first_then_heads_answers_and_bodies() {
    let open = OpenConnections::default();
    let [body, head, unread, busy, reading, older, newer] = std::array::from_fn(|_| connection());
    for (connection, phase) in [
        (&body, RequestPhase::Body),
        (&head, RequestPhase::Head),
        (&unread, RequestPhase::Answered),
        (&busy, RequestPhase::Answering),
        (&reading, RequestPhase::Reading),
    ] {
        connection.enter(phase);
        open.add(connection);
    }
    unread.is_full();
    // Neither of them has had the time that it may take.
    assert!(!open.make_room(Instant::now()));
    tokio::time::advance(UNFINISHED_REQUEST_TIMEOUT).await;
    for idle in [&older, &newer] {
        idle.enter(RequestPhase::Idle);
        open.add(idle);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    for next in [&older, &newer, &head, &unread, &body] {
        assert!(!is_asked(next));
        assert!(open.make_room(Instant::now()));
        assert!(is_asked(next));
    }
    assert!(!open.make_room(Instant::now()) && !is_asked(&busy) && !is_asked(&reading));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_a_request_meanwhile_is_not_asked() {
    let open = OpenConnections::default();
    let connections = [connection(), connection(), connection()];
    for connection in &connections {
        open.add(connection);
    }
    assert!(open.make_room(Instant::now()));
    // Chosen together with the first.
    connections[1].enter(RequestPhase::Answering);
    assert!(open.make_room(Instant::now()));
    assert_eq!(connections.each_ref().map(is_asked), [true, false, true]);
    // A byte that came after it was asked keeps the connection.
    connections[2].enter(RequestPhase::Head);
    assert!(!is_asked(&connections[2]));
}

#[tokio::test(start_paused = true)]
async fn the_sender_with_most_connections_that_may_end_gives_way_first() {
    let open = OpenConnections::default();
    // Who has one or two of them has had them for longest, and idle.
    let lone = connection_of(7);
    let pair = [connection_of(8), connection_of(8)];
    for connection in std::iter::once(&lone).chain(&pair) {
        open.add(connection);
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    let many: Vec<_> = (0..4).map(|_| connection_of(9)).collect();
    for connection in &many {
        connection.enter(RequestPhase::Body);
        open.add(connection);
    }
    // Streams, and what is worked on, do not count: they do not end.
    let busy: Vec<_> = (0..9).map(|_| connection_of(7)).collect();
    for connection in &busy {
        connection.enter(RequestPhase::Answering);
        open.add(connection);
    }
    tokio::time::advance(UNFINISHED_REQUEST_TIMEOUT).await;
    let ends = |expected: &Arc<ConnectionState>| {
        assert!(!is_asked(expected));
        assert!(open.make_room(Instant::now()));
        assert!(is_asked(expected));
    };
    ends(&many[0]);
    ends(&many[1]);
    // Both have two now: idle ones end before bodies.
    ends(&pair[0]);
    ends(&many[2]);
    // Each has one.
    ends(&lone);
    ends(&pair[1]);
    ends(&many[3]);
    assert!(!open.make_room(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn a_byte_after_the_search_does_not_save_a_body_that_drips() {
    let open = OpenConnections::default();
    let drips = [connection(), connection()];
    for connection in &drips {
        connection.begin_answer(true);
        connection.await_body();
        open.add(connection);
    }
    tokio::time::advance(UNFINISHED_REQUEST_TIMEOUT).await;
    assert!(open.make_room(Instant::now()));
    for connection in &drips {
        connection.body_progress(1);
        connection.await_body();
    }
    assert!(open.make_room(Instant::now()));
    assert_eq!(drips.each_ref().map(is_asked), [true, true]);
}

#[tokio::test]
async fn connections_that_have_ended_take_no_room_in_the_list() {
    let open = OpenConnections::default();
    let stays = connection();
    open.add(&stays);
    for _ in 0..10_000 {
        open.add(&connection());
    }
    assert!(open.all.lock().connections.len() <= 2 * MIN_CLEARED);
    assert!(open.make_room(Instant::now()) && is_asked(&stays));
}

#[tokio::test(start_paused = true)]
async fn a_search_among_many_makes_room_for_a_part_of_them() {
    let open = OpenConnections::default();
    let parts = 2 * CHOSEN_AT_ONCE;
    let idle: Vec<_> = (0..CHOSEN_PART * parts).map(|_| connection()).collect();
    for connection in &idle {
        open.add(connection);
    }
    for left in (0..parts).rev() {
        assert!(open.make_room(Instant::now()));
        assert_eq!(open.all.lock().chosen.len(), left);
    }
}
