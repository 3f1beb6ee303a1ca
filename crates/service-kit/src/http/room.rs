//! Room at the bound of a listener: an idle connection ends for a new one.
//!
//! Strangers can open as many connections as they like and send nothing on them. A listener that is full of them would
//! answer no client, and a process that is full of them could not even say so.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::state::{ConnectionState, RequestPhase};
use crate::limits::{CHOSEN_AT_ONCE, UNFINISHED_REQUEST_TIMEOUT};

/// The list is cleared of connections that have ended when it is twice as long as it was after the last time.
const MIN_CLEARED: usize = 64;

/// A connection that may end for a new one, the lesser the sooner: by its phase, then by the time since when it is in it.
type Rank = (RequestPhase, Instant);

/// The connections of a listener that hyper serves.
#[derive(Default)]
pub(super) struct OpenConnections {
    all: Mutex<ConnectionList>,
}

#[derive(Default)]
struct ConnectionList {
    connections: Vec<Weak<ConnectionState>>,
    clear_at: usize,
    /// Found by the last search, in their order.
    chosen: VecDeque<(Weak<ConnectionState>, Rank)>,
}

impl OpenConnections {
    pub(super) fn add(&self, connection: &Arc<ConnectionState>) {
        let mut list = self.all.lock();
        if list.connections.len() >= list.clear_at.max(MIN_CLEARED) {
            list.connections.retain(|it| it.strong_count() > 0);
            list.clear_at = list.connections.len() * 2;
        }
        list.connections.push(Arc::downgrade(connection));
    }

    /// Asks a connection to end: the one that has been idle for longest; if there is none, the one whose request's head
    /// has not ended for longest, or then the one whose body the router has awaited for longest. Streams, and requests
    /// that are worked on or wait for the server, go on. `false` if no connection can be asked.
    pub(super) fn make_room(&self, now: Instant) -> bool {
        let mut list = self.all.lock();
        if list.ask_chosen() {
            return true;
        }
        list.search(now);
        list.ask_chosen()
    }
}

impl ConnectionList {
    /// Asks the first of the chosen ones for which nothing has changed.
    fn ask_chosen(&mut self) -> bool {
        while let Some((connection, rank)) = self.chosen.pop_front() {
            let unchanged = connection
                .upgrade()
                .filter(|connection| (connection.phase(), connection.since()) == rank);
            if let Some(connection) = unchanged
                && connection.ask_to_end(rank.0)
            {
                return true;
            }
        }
        false
    }

    fn search(&mut self, now: Instant) {
        let mut found: Vec<_> = self
            .connections
            .iter()
            .filter_map(|connection| {
                let state = connection.upgrade()?;
                let rank = (state.phase(), state.since());
                may_end(rank, now).then(|| (connection.clone(), rank))
            })
            .collect();
        if found.len() > CHOSEN_AT_ONCE {
            found.select_nth_unstable_by_key(CHOSEN_AT_ONCE, |(_, rank)| *rank);
            found.truncate(CHOSEN_AT_ONCE);
        }
        found.sort_unstable_by_key(|(_, rank)| *rank);
        self.chosen = found.into();
    }
}

fn may_end((phase, since): Rank, now: Instant) -> bool {
    match phase {
        RequestPhase::Idle => true,
        RequestPhase::Head | RequestPhase::Body => {
            now.duration_since(since) >= UNFINISHED_REQUEST_TIMEOUT
        }
        RequestPhase::Reading | RequestPhase::Answering | RequestPhase::Answered => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn connection() -> Arc<ConnectionState> {
        Arc::default()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_ends_first_then_heads_then_bodies_that_do_not_end() {
        let open = OpenConnections::default();
        let [body, head, busy, reading, older, newer] = std::array::from_fn(|_| connection());
        for (connection, phase) in [
            (&body, RequestPhase::Body),
            (&head, RequestPhase::Head),
            (&busy, RequestPhase::Answering),
            (&reading, RequestPhase::Reading),
        ] {
            connection.enter(phase);
            open.add(connection);
        }
        let asked = |connection: &Arc<ConnectionState>| connection.asked_to_end().is_some();
        // Neither of them has had the time that it may take.
        assert!(!open.make_room(Instant::now()));
        tokio::time::advance(UNFINISHED_REQUEST_TIMEOUT).await;
        for idle in [&older, &newer] {
            idle.enter(RequestPhase::Idle);
            open.add(idle);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        for next in [&older, &newer, &head, &body] {
            assert!(!asked(next));
            assert!(open.make_room(Instant::now()));
            assert!(asked(next));
        }
        assert!(!open.make_room(Instant::now()) && !asked(&busy) && !asked(&reading));
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
        let asked = connections.each_ref().map(|it| it.asked_to_end().is_some());
        assert_eq!(asked, [true, false, true]);
        // A byte that came after it was asked keeps the connection.
        connections[2].enter(RequestPhase::Head);
        assert!(connections[2].asked_to_end().is_none());
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
        assert!(open.make_room(Instant::now()) && stays.asked_to_end().is_some());
    }
}
