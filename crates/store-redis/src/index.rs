//! The list of ids: a sorted set in which every member has the same score, so that it is ordered by
//! id.
//!
//! It lies in another slot than the sessions and cannot change together with them, so the order
//! counts: an id is added after its session was stored, and removed after somebody saw that the
//! session is gone. (The other way round, a cleaner could remove the id of a session that is just
//! being stored.) Hence:
//!
//! - A create that was acknowledged is in the list. An id whose session is gone may stay; nobody is
//!   shown it, and whoever comes across it removes it.
//! - A create that was *not* acknowledged, because we or the server died in between, may have left
//!   a session that is not in the list. Nobody was told its id, and it goes after its time to live.
//! - A crash of the server's machine, or a failover, that loses the last writes may lose an id and
//!   keep its session, which then works but is not in the list.
//!
//! This needs ids that are not used again, as random ones are not: what was seen gone stays gone.
//! Neither KEYS nor SCAN is used; both walk over everything else that the server holds.

use std::sync::atomic::{AtomicU64, Ordering};

use fred::{
    clients::Client,
    error::Error,
    interfaces::{HashesInterface, SortedSetsInterface},
    types::sorted_sets::{ZRange, ZRangeBound, ZRangeKind},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use model::{LockName, SessionId, TaskId};

use crate::config::PIPELINED;

/// One create in so many looks for sessions that expired …
const SWEEP_EVERY: u64 = 16;
/// … among so many ids, picked at random. Four per create: so at most about a third of the index
/// is dead, however many sessions come and expire without anybody listing them.
const SWEEP_IDS: i64 = 64;

/// The index, and the keys of sessions.
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

    fn key(&self) -> String {
        format!("{}sessions", self.key_prefix)
    }

    pub(crate) async fn add(&self, client: &Client, id: &SessionId) -> Result<(), Error> {
        let member = (0.0, id.as_str());
        client
            .zadd::<(), _, _>(self.key(), None, None, false, false, member)
            .await
    }

    pub(crate) async fn remove(&self, client: &Client, ids: Vec<String>) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        client.zrem(self.key(), ids).await
    }

    /// At most `limit` ids after one, in order. Some may be gone.
    pub(crate) async fn ids_after(
        &self,
        client: &Client,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        let from = match after {
            Some(id) => ZRange {
                kind: ZRangeKind::Exclusive,
                range: ZRangeBound::Lex(id.to_owned()),
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
        client
            .zrangebylex(self.key(), from, to, Some((0, limit)))
            .await
    }

    /// Now and then removes ids whose sessions expired.
    pub(crate) async fn sweep(&self, client: &Client) -> Result<(), Error> {
        if self.creates.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY != SWEEP_EVERY - 1 {
            return Ok(());
        }
        let picked: Vec<String> = client
            .zrandmember(self.key(), Some((SWEEP_IDS, false)))
            .await?;
        let mut looks = Vec::with_capacity(picked.len());
        for id in picked {
            looks.push(self.id_if_gone(client, id));
        }
        let gone: Vec<_> = stream::iter(looks)
            .buffered(PIPELINED)
            .try_collect()
            .await?;
        self.remove(client, gone.into_iter().flatten().collect())
            .await
    }

    async fn id_if_gone(&self, client: &Client, id: String) -> Result<Option<String>, Error> {
        let lives: bool = client.hexists(self.session_key(&id), "revision").await?;
        Ok((!lives).then_some(id))
    }
}
