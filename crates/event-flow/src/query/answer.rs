//! The events of an answer, within its bounds in number and bytes.

use model::{Sequenced, StoredEvent};

use super::EventQuery;
use crate::limits::{MAX_ANSWER_BYTES, MAX_QUERY_EVENTS, MAX_QUERY_OFFSET};

/// Collects the events of an answer up to the bounds of its query. An event that does not fit ends the
/// answer: a later, smaller one would hide it.
#[derive(Debug)]
pub struct QueryAnswer {
    events: Vec<Sequenced<StoredEvent>>,
    /// Matching events that are still to be passed over.
    offset: usize,
    limit: usize,
    bytes_left: usize,
    is_full: bool,
}

impl QueryAnswer {
    /// An empty answer to a query.
    #[must_use]
    pub fn to(query: &EventQuery) -> Self {
        Self {
            events: Vec::new(),
            offset: query.offset.min(MAX_QUERY_OFFSET),
            limit: query.limit.clamp(1, MAX_QUERY_EVENTS),
            bytes_left: query.max_bytes.min(MAX_ANSWER_BYTES),
            is_full: false,
        }
    }

    /// Takes the next event, or passes over it while the offset lasts; returns false if the answer ends before
    /// it. The first event has room whatever its size.
    #[must_use]
    pub fn push(&mut self, event: Sequenced<StoredEvent>) -> bool {
        let bytes = event.item.json.len();
        self.push_with(bytes, || event)
    }

    /// As [`Self::push`], for an event that is copied only if it has room.
    #[must_use]
    pub fn push_with(
        &mut self,
        bytes: usize,
        event: impl FnOnce() -> Sequenced<StoredEvent>,
    ) -> bool {
        if self.offset > 0 {
            self.offset -= 1;
            return true;
        }
        let has_room = self.has_room_for(bytes);
        if has_room {
            self.events.push(event());
        }
        has_room
    }

    fn has_room_for(&mut self, bytes: usize) -> bool {
        let left = self.bytes_left.checked_sub(bytes);
        let has_room = !self.is_full && (left.is_some() || self.events.is_empty());
        self.bytes_left = left.unwrap_or(0);
        self.is_full = !has_room || self.events.len() + 1 == self.limit;
        has_room
    }

    /// Takes no further event.
    pub const fn end(&mut self) {
        self.is_full = true;
    }

    /// Whether no further event has room.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// The events.
    #[must_use]
    pub fn into_events(self) -> Vec<Sequenced<StoredEvent>> {
        self.events
    }
}
