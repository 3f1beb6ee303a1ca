//! The keys, and the index of sessions: three keys in one slot, which change together.
//!
//! 1. `due`, a sorted set of `<id> <owner>` by the time, in milliseconds, before which the session
//!    need not be looked at: it counts what lives, and says what may have gone.
//! 2. `ids`, the same with one score for all, so that it is ordered by id: the list.
//! 3. `owners`, a hash of how many an owner has.
//!
//! The sessions lie in other slots and cannot change together with the index, so the order counts:
//!
//! - An entry is there before its session is stored, first with a time that is near: if the create
//!   comes to nothing, because we or the server died in between, the entry goes soon.
//! - Entries whose time is over are looked at: those whose session is gone go, the others get the
//!   time at which their session will be, if nobody touches it. A touch that makes that time later
//!   changes nothing here, so touches cost nothing; one that makes it earlier says so.
//! - Whatever finds a session gone removes its entry only if the entry's time is over: otherwise the
//!   session may just be being stored.
//! - A crash of the server's machine, or a failover, that loses the last writes may lose an entry and
//!   keep its session, which then works, but is not in the list and does not count.
//!
//! Neither KEYS nor SCAN is used; both walk over everything else that the server holds.

use std::sync::atomic::{AtomicU64, Ordering};

use fred::{
    clients::Client,
    error::Error,
    interfaces::SortedSetsInterface,
    types::sorted_sets::{ZRange, ZRangeBound, ZRangeKind},
};
use model::{LockName, PrincipalId, SessionId, TaskId};

/// One create in so many looks at entries whose time is over.
const SWEEP_EVERY: u64 = 16;

/// An entry of the index. No id and no owner has a space.
#[derive(Clone, Debug)]
pub(crate) struct Entry(String);

impl Entry {
    pub(crate) fn new(id: &SessionId, owner: &PrincipalId) -> Self {
        Self::of(id.as_str(), owner.as_str())
    }

    /// From what a session's hash says of its owner.
    pub(crate) fn of(id: &str, owner: &str) -> Self {
        Self(format!("{id} {owner}"))
    }

    /// As the server gives it.
    pub(crate) fn read(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn id(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// The keys.
pub(crate) struct Index {
    key_prefix: String,
    creates: AtomicU64,
}

impl Index {
    pub(crate) fn new(key_prefix: String) -> Self {
        Self {
            key_prefix,
            creates: AtomicU64::new(0),
        }
    }

    /// The key of a session.
    pub(crate) fn session_key(&self, id: &str) -> String {
        format!("{}session:{{{id}}}", self.key_prefix)
    }

    /// The keys of a session and its mailbox, as the scripts number them: all in one slot.
    pub(crate) fn session_keys(&self, id: &SessionId) -> Vec<String> {
        let (prefix, session) = (&self.key_prefix, self.session_key(id.as_str()));
        let parts = ["", ":order", ":index", ":payloads", ":streams"];
        let mailbox = parts.map(|part| format!("{prefix}mailbox:{{{id}}}{part}"));
        [session].into_iter().chain(mailbox).collect()
    }

    /// The keys of a task and of its owner's index, as the scripts number them: in the owner's slot.
    /// `owner` has no braces.
    pub(crate) fn task_keys(&self, owner: &str, id: &TaskId) -> Vec<String> {
        let prefix = &self.key_prefix;
        let task = format!("{prefix}task:{{{owner}}}:{id}");
        vec![task, format!("{prefix}tasks:{{{owner}}}")]
    }

    /// The key of a lock.
    pub(crate) fn lock_key(&self, name: &LockName) -> String {
        format!("{}lock:{name}", self.key_prefix)
    }

    /// The keys of the index, as the scripts number them: in one slot.
    pub(crate) fn keys(&self) -> Vec<String> {
        let parts = ["due", "ids", "owners"];
        let key = |part| format!("{}{{sessions}}:{part}", self.key_prefix);
        parts.map(key).into()
    }

    /// Whether this create is one that sweeps.
    pub(crate) fn is_time_to_sweep(&self) -> bool {
        self.creates.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1
    }

    /// At most `limit` entries after an id, in order. The sessions of some may be gone.
    pub(crate) async fn after(
        &self,
        client: &Client,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let from = match after {
            // `!` comes after the space that follows the id, and before all that an id is made of.
            Some(id) => ZRange {
                kind: ZRangeKind::Exclusive,
                range: ZRangeBound::Lex(format!("{id}!")),
            },
            None => ZRange {
                kind: ZRangeKind::Inclusive,
                range: ZRangeBound::NegInfinityLex,
            },
        };
        let to = ZRange {
            kind: ZRangeKind::Inclusive,
            range: ZRangeBound::InfiniteLex,
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let [_, ids, _]: [String; 3] = self.keys().try_into().unwrap_or_default();
        let found: Vec<String> = client.zrangebylex(ids, from, to, Some((0, limit))).await?;
        Ok(found.into_iter().map(Entry::read).collect())
    }
}
