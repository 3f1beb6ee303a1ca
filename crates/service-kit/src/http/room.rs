//! Room at the bound of a listener: a connection that waits for its client ends for a new one.
//!
//! Strangers can open as many connections as they like, and send nothing on them, or take none of their answers. A
//! listener that is full of them would answer no client, and a process that is full of them could not even say so.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    sender::SenderKey,
    state::{AwaitedPart, ConnectionState},
};
use crate::limits::{CHOSEN_AT_ONCE, CHOSEN_PART};

/// The list is cleared of connections that have ended when it is twice as long as it was after the last time.
const MIN_CLEARED: usize = 64;

/// A connection that may end for a new one, the lesser the sooner: by what it waits for, then by the time since when.
type Rank = (AwaitedPart, Instant);

/// A connection that may end.
struct EndableConnection {
    sender: SenderKey,
    rank: Rank,
    connection: Weak<ConnectionState>,
}

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

    /// Asks a connection to end: of the sender that has most of those which may end, the one that has been idle for
    /// longest; if there is none, the one whose request's head has not ended for longest, then the one whose client has
    /// not taken its answer for longest, and then the one whose body the router has awaited for longest. Streams, and
    /// requests that are worked on or wait for the server, go on. `false` if no connection can be asked.
    pub(super) fn make_room(&self, now: Instant) -> bool {
        let mut list = self.all.lock();
        if list.ask_chosen(now) {
            return true;
        }
        list.search(now);
        list.ask_chosen(now)
    }
}

impl ConnectionList {
    /// Asks the first of the chosen ones that still waits for the same.
    fn ask_chosen(&mut self, now: Instant) -> bool {
        while let Some((connection, (part, since))) = self.chosen.pop_front() {
            let Some(connection) = connection.upgrade() else {
                continue;
            };
            // A byte since then changes the time of an overdue request, which is overdue all the same.
            let is_same = connection.awaits(now).is_some_and(|(now_part, now_since)| {
                now_part == part && (part != AwaitedPart::Request || now_since == since)
            });
            if is_same && connection.ask_to_end(part) {
                return true;
            }
        }
        false
    }

    fn search(&mut self, now: Instant) {
        let endable = self.connections.iter().filter_map(|connection| {
            let state = connection.upgrade()?;
            Some(EndableConnection {
                sender: state.sender(),
                rank: state.awaits(now)?,
                connection: connection.clone(),
            })
        });
        let mut endable: Vec<_> = endable.collect();
        self.chosen = choose(&mut endable);
    }
}

/// The connections that end first, in their order: each time the sender that has most left gives up one, so that none
/// has to while another one has more.
fn choose(endable: &mut [EndableConnection]) -> VecDeque<(Weak<ConnectionState>, Rank)> {
    endable.sort_unstable_by_key(|it| (it.sender, it.rank));
    let of_senders = endable.chunk_by(|one, next| one.sender == next.sender);
    let mut left: Vec<_> = of_senders.collect();
    let next = |index: usize, of_sender: &[EndableConnection]| {
        let first = of_sender.first()?;
        Some((of_sender.len(), Reverse((first.rank, index))))
    };
    let mut senders: BinaryHeap<_> = left
        .iter()
        .enumerate()
        .filter_map(|(index, of_sender)| next(index, of_sender))
        .collect();
    let most = CHOSEN_AT_ONCE.max(endable.len() / CHOSEN_PART);
    let mut chosen = VecDeque::with_capacity(most);
    while chosen.len() < most
        && let Some((_, Reverse((rank, index)))) = senders.pop()
        && let Some((first, rest)) = left[index].split_first()
    {
        chosen.push_back((first.connection.clone(), rank));
        left[index] = rest;
        senders.extend(next(index, rest));
    }
    chosen
}

#[cfg(test)]
mod tests;
