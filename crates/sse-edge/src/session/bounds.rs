//! The number of sessions, and their lifetime.

use std::time::Duration;

use edge_records::SessionLimits;
use model::{PrincipalId, Session, SessionTimes, Timestamp};

use crate::limits::{MAX_SESSION_BYTES, SESSIONS_BYTES, STREAM_SESSION_IDLE};

/// The configured bounds on sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionBounds {
    /// Time without use after which a session ends.
    pub(crate) idle: Duration,
    /// Maximum age of a session, regardless of use.
    pub(crate) lifetime: Duration,
    pub(crate) max_sessions: u64,
    pub(crate) max_sessions_per_principal: u32,
}

/// What decides when a session ends: a call that waits keeps this of its session, and not the record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionLife {
    created_at: Timestamp,
    times: Option<SessionTimes>,
    /// It ends soon after its stream.
    is_of_stream: bool,
}

impl From<&Session> for SessionLife {
    fn from(session: &Session) -> Self {
        Self {
            created_at: session.created_at,
            times: session.times,
            is_of_stream: session.ends_with_stream || session.is_connection,
        }
    }
}

impl SessionBounds {
    /// The times of a session that is created here.
    pub(super) fn times(&self) -> SessionTimes {
        SessionTimes {
            idle_seconds: self.idle.as_secs(),
            max_seconds: self.lifetime.as_secs(),
        }
    }

    /// Time that a session used now has left, by its own times; `None` if its lifetime is over.
    pub(super) fn time_to_live(
        &self,
        session: impl Into<SessionLife>,
        now: Timestamp,
    ) -> Option<Duration> {
        let session = session.into();
        // A session whose creation is in our future, by the clock of another edge, has its whole
        // lifetime left.
        let lifetime = Duration::from_secs(self.times_of(session).max_seconds);
        let left = lifetime.checked_sub(now.since(session.created_at))?;
        Some(left.min(self.idle_of(session))).filter(|ttl| !ttl.is_zero())
    }

    /// Time without use after which a session ends, by its own times: it never has more left.
    pub(super) fn idle_of(&self, session: impl Into<SessionLife>) -> Duration {
        let session = session.into();
        let idle = Duration::from_secs(self.times_of(session).idle_seconds);
        match session.is_of_stream {
            true => idle.min(STREAM_SESSION_IDLE),
            false => idle,
        }
    }

    fn times_of(&self, session: SessionLife) -> SessionTimes {
        session.times.unwrap_or_else(|| self.times())
    }

    /// Without authentication all clients are one principal, and the bound on all sessions is the
    /// only one.
    pub(super) fn limits(&self, owner: &PrincipalId) -> SessionLimits {
        let max_sessions_per_owner = match *owner == PrincipalId::anonymous() {
            true => u32::MAX,
            false => self.max_sessions_per_principal,
        };
        // No session of an owner is refused a change, however large the others are.
        let of_owner = MAX_SESSION_BYTES.saturating_mul(max_sessions_per_owner.into());
        SessionLimits {
            max_sessions: self.max_sessions,
            max_sessions_per_owner,
            max_bytes: SESSIONS_BYTES,
            max_bytes_per_owner: of_owner.min(SESSIONS_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn session(ends_with_stream: bool) -> Session {
        Session {
            created_at: Timestamp::from_unix_millis(1_000_000),
            ends_with_stream,
            ..crate::session::tests::session()
        }
    }

    fn bounds(idle: u32, lifetime: u32) -> SessionBounds {
        SessionBounds {
            idle: SECOND * idle,
            lifetime: SECOND * lifetime,
            max_sessions: 9,
            max_sessions_per_principal: 3,
        }
    }

    #[test]
    fn a_session_lives_for_its_idle_time_but_never_beyond_its_lifetime() {
        let (session, bounds) = (session(false), bounds(100, 1000));
        for (age, lives) in [
            (0, Some(100)),
            (900, Some(100)),
            (950, Some(50)),
            (999, Some(1)),
            (1000, None),
            (5000, None),
        ] {
            let now = session.created_at.plus(SECOND * age);
            let ttl = bounds.time_to_live(&session, now);
            assert_eq!(ttl, lives.map(|lives| SECOND * lives), "after {age} s");
        }
        let before = session.created_at.minus(SECOND * 60);
        assert_eq!(bounds.time_to_live(&session, before), Some(SECOND * 100));
    }

    #[test]
    fn a_session_keeps_the_times_with_which_it_was_created() {
        let session = Session {
            times: Some(bounds(100, 1000).times()),
            ..session(false)
        };
        for other in [bounds(4, 6), bounds(5000, 5000)] {
            let left =
                |age: u32| other.time_to_live(&session, session.created_at.plus(SECOND * age));
            assert_eq!(left(10), Some(SECOND * 100));
            assert_eq!(left(1000), None);
        }
    }

    #[test]
    fn a_session_that_goes_with_its_stream_is_not_kept_for_long_without_it() {
        let session = session(true);
        let now = session.created_at;
        for (idle, lives) in [(86_400, 90), (60, 60)] {
            let ttl = bounds(idle, 86_400).time_to_live(&session, now);
            assert_eq!(ttl, Some(SECOND * lives));
        }
    }

    #[test]
    fn a_connection_that_does_not_come_back_is_not_kept_for_long() {
        let session = Session {
            is_connection: true,
            ..session(false)
        };
        let lives = bounds(86_400, 86_400).time_to_live(&session, session.created_at);
        assert_eq!(lives, Some(STREAM_SESSION_IDLE));
    }

    #[test]
    fn what_counts_for_a_principal_does_not_count_for_nobody_in_particular() {
        let of = |owner| bounds(1, 1).limits(&owner);
        let alice = of(PrincipalId::new("alice").unwrap());
        assert_eq!((alice.max_sessions, alice.max_sessions_per_owner), (9, 3));
        let all = of(PrincipalId::anonymous());
        assert_eq!(
            (all.max_sessions, all.max_sessions_per_owner),
            (9, u32::MAX)
        );
    }
}
