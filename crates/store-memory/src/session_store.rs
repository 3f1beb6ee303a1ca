//! In-memory sessions.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use model::{Clock, PrincipalId, Session, SessionId, Timestamp, next_number};
use parking_lot::Mutex;
use ports::{
    Revision, SessionLimits, SessionPage, SessionStore, SessionStoreError, VersionedSession,
};

use crate::{
    lease_table::{LeaseTable, Locks},
    mailbox_table::MailboxTable,
    record_table::RecordTable,
};

/// Sessions of one process, up to `max_sessions` living ones, whatever limits `create` is given. At
/// this bound `create` is refused as [`SessionStoreError::Overloaded`] until a session ends or
/// expires.
///
/// An ended session keeps only its id, for the rest of its time to live. Up to `max_sessions` ended
/// sessions are kept; beyond that the one that expires first is forgotten. A forgotten session
/// could only be revived by a `create` with exactly the same id, and ids are random.
pub struct MemorySessionStore {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) locks: Locks,
    pub(crate) records: Mutex<RecordTable>,
    pub(crate) mailboxes: Mutex<MailboxTable>,
    pub(crate) max_sessions: usize,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    entries: BTreeMap<SessionId, Entry>,
    /// Every entry by its expiry time, living and ended ones separately.
    living: BTreeSet<(Timestamp, SessionId)>,
    ended: BTreeSet<(Timestamp, SessionId)>,
    /// Number of living sessions per owner; owners without one have no entry.
    owners: HashMap<PrincipalId, u32>,
}

#[derive(Clone)]
struct Entry {
    /// `None` once the session has ended.
    session: Option<Session>,
    /// The owner that the session counts for.
    owner: PrincipalId,
    revision: Revision,
    expires_at: Timestamp,
}

/// A copy of everything in a [`MemorySessionStore`].
#[derive(Clone)]
pub struct SavedSessions {
    state: State,
    records: RecordTable,
    mailboxes: MailboxTable,
    locks: LeaseTable,
}

impl fmt::Debug for SavedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSessions")
            .field("entries", &self.state.entries.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MemorySessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySessionStore")
            .field("max_sessions", &self.max_sessions)
            .finish_non_exhaustive()
    }
}

impl MemorySessionStore {
    /// Creates an empty store; `clock` decides when a time to live is over.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, max_sessions: usize) -> Self {
        Self {
            clock,
            locks: Locks::default(),
            records: Mutex::default(),
            mailboxes: Mutex::default(),
            max_sessions,
            state: Mutex::default(),
        }
    }

    /// A copy of the present state, for [`MemorySessionStore::restore`].
    #[must_use]
    pub fn save(&self) -> SavedSessions {
        SavedSessions {
            state: self.state.lock().clone(),
            records: self.records.lock().clone(),
            mailboxes: self.mailboxes.lock().clone(),
            locks: self.locks.table.lock().clone(),
        }
    }

    /// Puts the store back to an earlier state, as a failover or a restored snapshot does; its clock goes on.
    pub fn restore(&self, saved: &SavedSessions) {
        let SavedSessions {
            state,
            records,
            mailboxes,
            locks,
        } = saved.clone();
        *self.state.lock() = state;
        *self.records.lock() = records;
        *self.mailboxes.lock() = mailboxes;
        *self.locks.table.lock() = locks;
        self.locks.released.notify_waiters();
    }

    /// Runs `work` on a state without expired entries.
    fn with_living<T>(&self, work: impl FnOnce(&mut State, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.forget_expired(now);
        work(&mut state, now)
    }
}

impl State {
    fn forget_expired(&mut self, now: Timestamp) {
        for by_time in [&mut self.living, &mut self.ended] {
            while by_time
                .first()
                .is_some_and(|(expires_at, _)| *expires_at <= now)
            {
                let first = by_time.pop_first();
                let Some((_, id)) = first else {
                    continue;
                };
                if let Some(gone) = self.entries.remove(&id) {
                    if gone.session.is_some() {
                        lives_no_more(&mut self.owners, &gone.owner);
                    }
                }
            }
        }
    }

    /// Checks that there is room for one more session of an owner.
    fn admit(&self, owner: &PrincipalId, limits: SessionLimits) -> Result<(), SessionStoreError> {
        let living = u64::try_from(self.living.len()).unwrap_or(u64::MAX);
        let theirs = self.owners.get(owner).copied().unwrap_or_default();
        if living >= limits.max_sessions {
            return Err(SessionStoreError::too_many());
        }
        if theirs >= limits.max_sessions_per_owner {
            return Err(SessionStoreError::too_many_of_owner());
        }
        Ok(())
    }

    fn living(&mut self, id: &SessionId) -> Option<&mut Entry> {
        self.entries
            .get_mut(id)
            .filter(|entry| entry.session.is_some())
    }

    fn set_expiry(&mut self, id: &SessionId, expires_at: Timestamp) {
        if let Some(entry) = self.entries.get_mut(id) {
            self.living.remove(&(entry.expires_at, id.clone()));
            entry.expires_at = expires_at;
            self.living.insert((expires_at, id.clone()));
        }
    }

    fn end(&mut self, id: &SessionId, max_ended: usize) -> bool {
        let Some(entry) = self.living(id) else {
            return false;
        };
        entry.session = None;
        let owner = entry.owner.clone();
        let key = (entry.expires_at, id.clone());
        self.living.remove(&key);
        self.ended.insert(key);
        lives_no_more(&mut self.owners, &owner);
        if self.ended.len() > max_ended
            && let Some((_, id)) = self.ended.pop_first()
        {
            self.entries.remove(&id);
        }
        true
    }
}

fn lives_no_more(owners: &mut HashMap<PrincipalId, u32>, owner: &PrincipalId) {
    if let Some(count) = owners.get_mut(owner) {
        *count -= 1;
        if *count == 0 {
            owners.remove(owner);
        }
    }
}

fn versioned(entry: &Entry) -> Option<VersionedSession> {
    let session = entry.session.clone()?;
    Some(VersionedSession {
        session,
        revision: entry.revision,
    })
}

#[async_trait]
impl SessionStore for MemorySessionStore {
    async fn create(
        &self,
        session: &Session,
        ttl: Duration,
        limits: SessionLimits,
    ) -> Result<Revision, SessionStoreError> {
        let our_own = u64::try_from(self.max_sessions).unwrap_or(u64::MAX);
        let limits = SessionLimits {
            max_sessions: limits.max_sessions.min(our_own),
            ..limits
        };
        self.with_living(|state, now| {
            if state.entries.contains_key(&session.id) {
                return Err(SessionStoreError::Exists);
            }
            state.admit(&session.owner, limits)?;
            let (revision, expires_at) = (Revision(next_number(0, now)), now.plus(ttl));
            let entry = Entry {
                session: Some(session.clone()),
                owner: session.owner.clone(),
                revision,
                expires_at,
            };
            state.entries.insert(session.id.clone(), entry);
            state.living.insert((expires_at, session.id.clone()));
            *state.owners.entry(session.owner.clone()).or_default() += 1;
            Ok(revision)
        })
    }

    async fn load(&self, id: &SessionId) -> Result<Option<VersionedSession>, SessionStoreError> {
        Ok(self.with_living(|state, _| state.entries.get(id).and_then(versioned)))
    }

    async fn replace(
        &self,
        session: &Session,
        expected: Revision,
        ttl: Duration,
    ) -> Result<Revision, SessionStoreError> {
        self.with_living(|state, now| {
            let entry = state
                .living(&session.id)
                .ok_or(SessionStoreError::Missing)?;
            if entry.revision != expected {
                return Err(SessionStoreError::Conflict {
                    current: entry.revision,
                });
            }
            let revision = Revision(next_number(expected.0, now));
            entry.session = Some(session.clone());
            entry.revision = revision;
            state.set_expiry(&session.id, now.plus(ttl));
            Ok(revision)
        })
    }

    async fn end(&self, id: &SessionId) -> Result<bool, SessionStoreError> {
        Ok(self.with_living(|state, _| state.end(id, self.max_sessions)))
    }

    async fn touch(&self, id: &SessionId, ttl: Duration) -> Result<bool, SessionStoreError> {
        Ok(self.with_living(|state, now| {
            let lives = state.living(id).is_some();
            if lives {
                state.set_expiry(id, now.plus(ttl));
            }
            lives
        }))
    }

    async fn list(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<SessionPage, SessionStoreError> {
        Ok(self.with_living(|state, _| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let range = state
                .entries
                .range::<SessionId, _>((from, Bound::Unbounded));
            let mut living = range.filter_map(|(_, entry)| versioned(entry));
            let sessions: Vec<_> = living.by_ref().take(limit).collect();
            let more = living.next().is_some();
            let next = sessions
                .last()
                .filter(|_| more)
                .map(|last| last.session.id.clone());
            SessionPage {
                sessions,
                unreadable: 0,
                next,
            }
        }))
    }

    async fn check(&self) -> Result<(), SessionStoreError> {
        Ok(())
    }

    async fn time(&self) -> Result<Option<Timestamp>, SessionStoreError> {
        Ok(Some(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ManualClock;

    const MINUTE: Duration = Duration::from_secs(60);

    fn kept(store: &MemorySessionStore) -> usize {
        let state = store.state.lock();
        assert_eq!(state.entries.len(), state.living.len() + state.ended.len());
        let owned: u32 = state.owners.values().sum();
        assert_eq!(usize::try_from(owned).unwrap(), state.living.len());
        assert!(state.owners.values().all(|count| *count > 0));
        state.entries.len()
    }

    #[tokio::test]
    async fn what_expired_or_ended_leaves_no_memory_behind() {
        let clock = Arc::new(ManualClock::default());
        let store = MemorySessionStore::new(clock.clone(), 1000);
        for n in 0..500 {
            let session = contract::session(n);
            store
                .create(&session, MINUTE, SessionLimits::default())
                .await
                .unwrap();
            store.touch(&session.id, MINUTE).await.unwrap();
            if n % 2 == 0 {
                store.end(&session.id).await.unwrap();
            }
        }
        assert_eq!(
            kept(&store),
            500,
            "ended ones stay while they would have lived"
        );
        clock.advance(MINUTE);
        assert!(
            store
                .load(&contract::session(1).id)
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(kept(&store), 0);
    }

    #[tokio::test]
    async fn at_the_bound_a_session_has_to_go_before_another_comes() {
        let store = MemorySessionStore::new(Arc::new(ManualClock::default()), 2);
        for n in 0..2 {
            store
                .create(&contract::session(n), MINUTE, SessionLimits::default())
                .await
                .unwrap();
        }
        let refused = store
            .create(&contract::session(2), MINUTE, SessionLimits::default())
            .await;
        assert!(
            matches!(refused, Err(SessionStoreError::Overloaded { .. })),
            "{refused:?}"
        );
        for n in 2..10 {
            assert!(store.end(&contract::session(n - 2).id).await.unwrap());
            store
                .create(&contract::session(n), MINUTE, SessionLimits::default())
                .await
                .unwrap();
        }
        assert!(kept(&store) <= 4, "two living, two ended");
    }
}
