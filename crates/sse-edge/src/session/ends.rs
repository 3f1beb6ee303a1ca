//! The next ends of subscriptions in sessions, so that they are taken out of their sessions in time.

use std::collections::{BTreeMap, BTreeSet};

use model::{SessionId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits::SESSIONS_WITH_ENDS;

/// The sessions that this edge has read and that have an end before them.
#[derive(Debug, Default)]
pub(crate) struct SessionEnds {
    ends: Mutex<EndsBySession>,
    /// An earlier end than before is noted.
    pub(crate) wake: Notify,
}

#[derive(Debug, Default)]
struct EndsBySession {
    of: BTreeMap<SessionId, Timestamp>,
    order: BTreeSet<(Timestamp, SessionId)>,
}

impl SessionEnds {
    /// Notes the next end of a session as it was read; `None` if it has none. Beyond the bound the periodic check of
    /// its session finds it.
    pub(super) fn note(&self, session: &SessionId, end: Option<Timestamp>) {
        let mut ends = self.ends.lock();
        let EndsBySession { of, order } = &mut *ends;
        if let Some(before) = of.remove(session) {
            order.remove(&(before, session.clone()));
        }
        if let Some(end) = end.filter(|_| of.len() < SESSIONS_WITH_ENDS) {
            of.insert(session.clone(), end);
            order.insert((end, session.clone()));
            let is_first = order.first().is_some_and(|(first, _)| *first == end);
            drop(ends);
            if is_first {
                self.wake.notify_one();
            }
        }
    }

    /// The next end.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let ends = self.ends.lock();
        ends.order.first().map(|(end, _)| *end)
    }

    /// Takes a session of which an end is over.
    pub(crate) fn take_over(&self, now: Timestamp) -> Option<SessionId> {
        let mut ends = self.ends.lock();
        let (end, _) = ends.order.first()?;
        if *end > now {
            return None;
        }
        let (_, session) = ends.order.pop_first()?;
        ends.of.remove(&session);
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_come_in_the_order_of_their_ends_and_each_has_the_end_that_was_read_last() {
        let ends = SessionEnds::default();
        let at = Timestamp::from_unix_millis;
        let id = |name: &str| SessionId::new(name).unwrap();
        for (name, end) in [
            ("a", Some(9)),
            ("b", Some(5)),
            ("c", Some(7)),
            ("a", Some(3)),
            ("c", None),
        ] {
            ends.note(&id(name), end.map(at));
        }
        assert_eq!((ends.next(), ends.take_over(at(2))), (Some(at(3)), None));
        assert_eq!(ends.take_over(at(8)), Some(id("a")));
        assert_eq!(ends.take_over(at(8)), Some(id("b")));
        assert_eq!((ends.take_over(at(8)), ends.next()), (None, None));
        for n in 0..SESSIONS_WITH_ENDS + 5 {
            ends.note(&id(&format!("s{n}")), Some(at(1)));
        }
        let taken = std::iter::from_fn(|| ends.take_over(at(1)));
        assert_eq!(taken.count(), SESSIONS_WITH_ENDS);
        assert!(ends.ends.lock().of.is_empty());
    }
}
