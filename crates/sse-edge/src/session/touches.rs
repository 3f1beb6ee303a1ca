//! The sessions that were touched recently.

use std::collections::HashMap;

use model::{SessionId, Timestamp};
use parking_lot::Mutex;

/// Maximum number of sessions per generation; beyond it some are touched more often than necessary.
const MAX_SESSIONS: usize = 50_000;

/// The time until which each session need not be touched again. Two generations of a plain map:
/// every session with an open stream is in it, and an entry of a cache would cost a fifth of what
/// the stream does.
#[derive(Debug, Default)]
pub(super) struct FreshSessions(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<SessionId, Timestamp>,
    old: HashMap<SessionId, Timestamp>,
    /// The time at which the oldest entry of `young` expires.
    grows_old: Timestamp,
}

impl FreshSessions {
    /// Whether the session was touched recently, and need not be touched again.
    pub(super) fn is_fresh(&self, session: &SessionId, now: Timestamp) -> bool {
        let generations = self.0.lock();
        let Generations { young, old, .. } = &*generations;
        let until = young.get(session).or_else(|| old.get(session));
        until.is_some_and(|until| now < *until)
    }

    /// Records a touch; the session need not be touched again before `until`.
    pub(super) fn record(&self, session: &SessionId, now: Timestamp, until: Timestamp) {
        let mut generations = self.0.lock();
        if now >= generations.grows_old || generations.young.len() >= MAX_SESSIONS {
            generations.old = std::mem::take(&mut generations.young);
            generations.grows_old = until;
        }
        generations.young.insert(session.clone(), until);
    }

    /// Forgets a session that has ended.
    pub(super) fn forget(&self, session: &SessionId) {
        let mut generations = self.0.lock();
        generations.young.remove(session);
        generations.old.remove(session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: usize) -> SessionId {
        SessionId::new(&format!("s{number}")).unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    #[test]
    fn a_touch_counts_until_its_time_is_over() {
        let touches = FreshSessions::default();
        assert!(!touches.is_fresh(&session(1), at(0)));
        touches.record(&session(1), at(0), at(100));
        assert!(touches.is_fresh(&session(1), at(99)) && !touches.is_fresh(&session(1), at(100)));
        touches.forget(&session(1));
        assert!(!touches.is_fresh(&session(1), at(0)));
    }

    #[test]
    fn what_is_over_is_forgotten_and_so_is_what_is_too_much() {
        let touches = FreshSessions::default();
        touches.record(&session(1), at(0), at(100));
        touches.record(&session(2), at(100), at(200));
        touches.record(&session(3), at(200), at(300));
        let known = |touches: &FreshSessions| {
            let generations = touches.0.lock();
            generations.young.len() + generations.old.len()
        };
        assert_eq!(known(&touches), 2);
        (0..3 * MAX_SESSIONS).for_each(|n| touches.record(&session(n), at(200), at(300)));
        assert!(known(&touches) <= 2 * MAX_SESSIONS);
        assert!(touches.is_fresh(&session(3 * MAX_SESSIONS - 1), at(250)));
    }
}
