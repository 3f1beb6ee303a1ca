//! The open streams of an edge, counted.

use std::{cell::RefCell, collections::BTreeMap};

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hub::Hub;

/// Numbers of open streams. Those of several edges add up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamCensus {
    /// All open streams.
    pub total: u64,
    /// By the type of the token that opened them.
    pub by_token_type: BTreeMap<String, u64>,
    /// By the kind of stream.
    pub by_kind: BTreeMap<String, u64>,
    /// When the oldest was opened.
    pub oldest: Option<Timestamp>,
    /// When the newest was opened.
    pub newest: Option<Timestamp>,
}

impl StreamCensus {
    /// Adds one stream.
    pub(crate) fn count(&mut self, kind: &str, token_type: &str, opened_at: Timestamp) {
        self.total += 1;
        *self.by_kind.entry(kind.to_owned()).or_default() += 1;
        *self.by_token_type.entry(token_type.to_owned()).or_default() += 1;
        self.widen(Some(opened_at), Some(opened_at));
    }

    fn widen(&mut self, oldest: Option<Timestamp>, newest: Option<Timestamp>) {
        self.oldest = self.oldest.into_iter().chain(oldest).min();
        self.newest = self.newest.into_iter().chain(newest).max();
    }

    /// Adds the streams of another edge.
    pub fn add(&mut self, other: &Self) {
        self.total += other.total;
        for (sum, parts) in [
            (&mut self.by_token_type, &other.by_token_type),
            (&mut self.by_kind, &other.by_kind),
        ] {
            for (name, count) in parts {
                *sum.entry(name.clone()).or_default() += count;
            }
        }
        self.widen(other.oldest, other.newest);
    }
}

impl Hub {
    /// Counts the open streams.
    #[must_use]
    pub fn census(&self) -> StreamCensus {
        let census = RefCell::new(StreamCensus::default());
        self.streams.for_slice(0, 1, |stream| {
            let token_type = stream.principal().permissions.token_type();
            census
                .borrow_mut()
                .count(stream.kind.as_str(), token_type.as_str(), stream.opened_at);
        });
        census.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_of_two_edges_add_up() {
        let at = Timestamp::from_unix_millis;
        let (mut one, mut two) = (StreamCensus::default(), StreamCensus::default());
        one.count("events", "team", at(5));
        one.count("session", "team", at(9));
        two.count("events", "master", at(3));
        one.add(&two);
        one.add(&StreamCensus::default());
        assert_eq!(one.total, 3);
        assert_eq!(
            one.by_kind,
            [("events".to_owned(), 2), ("session".to_owned(), 1)].into()
        );
        assert_eq!(
            one.by_token_type,
            [("master".to_owned(), 1), ("team".to_owned(), 2)].into()
        );
        assert_eq!((one.oldest, one.newest), (Some(at(3)), Some(at(9))));
    }
}
