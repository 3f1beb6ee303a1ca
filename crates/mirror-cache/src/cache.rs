//! The door: reads through the cache.

mod reads;

use std::sync::Arc;

use event_flow::{follow::Followed, log_end::SharedLogEnd};
use model::LogPosition;
use moka::{policy::EvictionPolicy, sync::Cache};
use ports::{EventLog, MirrorReads, ResourceError, ResourceReader};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::{
    changes::ChangeKeys,
    entries::{CacheEntry, CacheKey, CachedAnswer},
    followed::{EntryJudgement, FollowedChanges, FollowedTo},
    limits::{CALL_WAIT, END_PATIENCE, MAX_AGE},
    metrics::{CacheSizes, LookupOutcome, MirrorCacheMetrics, ShownCache},
    shared_calls::{MadeCall, SharedCalls},
};

/// What a cache is made of.
#[derive(Debug)]
pub struct MirrorCacheParts {
    /// The sync role, for single resources.
    pub resources: Arc<dyn ResourceReader>,
    /// The sync role, for lists and many resources at once.
    pub mirror: Arc<dyn MirrorReads>,
    /// The log that the edge follows; its end is read for every group of reads.
    pub log: Arc<dyn EventLog>,
    /// Bytes of all entries together. The least recently used ones make room.
    pub max_bytes: u64,
    /// The instruments.
    pub metrics: MirrorCacheMetrics,
}

/// The cache in front of a sync role. It implements [`ResourceReader`] and [`MirrorReads`]; whoever follows the log for the
/// edge has to pass everything on to [`Self::apply`].
#[derive(Debug)]
pub struct MirrorCache {
    resources: Arc<dyn ResourceReader>,
    mirror: Arc<dyn MirrorReads>,
    log_end: SharedLogEnd,
    followed: FollowedChanges,
    keys: ChangeKeys,
    entries: Cache<CacheKey, Arc<CacheEntry>>,
    calls: SharedCalls,
    metrics: MirrorCacheMetrics,
}

impl MirrorCache {
    /// A cache without entries. It passes every read on until the log is followed.
    #[must_use]
    pub fn over(parts: MirrorCacheParts) -> Arc<Self> {
        let keys = ChangeKeys::default();
        let entries = Cache::builder()
            .max_capacity(parts.max_bytes)
            .weigher(|_, entry: &Arc<CacheEntry>| entry.bytes)
            .time_to_live(MAX_AGE)
            // The default policy refuses new entries while older ones are asked for more often.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let cache = Arc::new(Self {
            resources: parts.resources,
            mirror: parts.mirror,
            log_end: SharedLogEnd::new(parts.log),
            followed: FollowedChanges::new(keys.clone()),
            keys,
            entries,
            calls: SharedCalls::default(),
            metrics: parts.metrics,
        });
        let shown: Arc<dyn ShownCache> = Arc::<Self>::clone(&cache);
        cache.metrics.show(Arc::downgrade(&shown));
        cache
    }

    /// Takes what the edge's follower passes on: everything, in its order. Never blocks.
    pub fn apply(&self, followed: &Followed) {
        self.followed.apply(followed);
    }

    /// The part of `/health`.
    #[must_use]
    pub fn view(&self) -> Value {
        let CacheSizes {
            bytes,
            entries,
            oldest_seconds,
        } = self.sizes();
        let (hits, lookups) = self.metrics.hits_of_lookups();
        let (to, _) = self.followed.now();
        json!({
            "bytes": bytes,
            "maxBytes": self.entries.policy().max_capacity(),
            "entries": entries,
            "oldestSeconds": oldest_seconds,
            "lookups": lookups,
            "hits": hits,
            "followedTo": to.map(|to| to.sequence.0),
        })
    }

    /// Answers from the cache, and asks for the rest with `ask`, which gets the keys that are missing and the position that
    /// the answers must have.
    ///
    /// # Errors
    /// Those of `ask`.
    async fn read<A>(
        &self,
        keys: Vec<CacheKey>,
        seen: LogPosition,
        ask: impl Fn(Vec<CacheKey>, LogPosition) -> A + Sync,
    ) -> Result<Vec<CachedAnswer>, ResourceError>
    where
        A: Future<Output = Result<Vec<CachedAnswer>, ResourceError>> + Send,
    {
        let asked = Instant::now();
        let target = self.target(seen).await;
        let known = self.look_up(&keys, target, true);
        let missing: Vec<_> = missing_of(&keys, &known);
        if missing.is_empty() {
            return Ok(known.into_iter().flatten().collect());
        }
        let found = self
            .share(missing, (asked, seen, target), ask)
            .await?
            .into_iter();
        Ok(merged(known, found))
    }

    /// Answers that are not in the cache: from one's own call, or from that of another who asks the same.
    async fn share<A>(
        &self,
        keys: Vec<CacheKey>,
        (asked, seen, target): (Instant, LogPosition, Option<FollowedTo>),
        ask: impl Fn(Vec<CacheKey>, LogPosition) -> A + Sync,
    ) -> Result<Vec<CachedAnswer>, ResourceError>
    where
        A: Future<Output = Result<Vec<CachedAnswer>, ResourceError>> + Send,
    {
        let place = self.calls.place(keys.clone());
        let Ok(mut turn) = timeout(CALL_WAIT, place.turn.lock()).await else {
            return self.ask(&keys, seen, ask).await.1;
        };
        let known = self.look_up(&keys, target, false);
        if known.iter().all(Option::is_some) {
            return Ok(known.into_iter().flatten().collect());
        }
        if let Some(result) = turn.as_ref().and_then(|made| made.for_caller(asked, seen)) {
            return result;
        }
        let began = Instant::now();
        let (wanted, result) = self.ask(&keys, seen, ask).await;
        *turn = Some(MadeCall::new(began, wanted, &result));
        result
    }

    /// Asks the sync role, and keeps what it answers. The answers are at least as new as everything that the edge had
    /// followed before; the position from which that is so comes with them.
    async fn ask<A>(
        &self,
        keys: &[CacheKey],
        seen: LogPosition,
        ask: impl Fn(Vec<CacheKey>, LogPosition) -> A + Sync,
    ) -> (LogPosition, Result<Vec<CachedAnswer>, ResourceError>)
    where
        A: Future<Output = Result<Vec<CachedAnswer>, ResourceError>> + Send,
    {
        let began_at = Instant::now();
        let (to, began) = self.followed.now();
        let to = to.filter(|to| to.epoch == seen.epoch);
        let wanted = match to {
            Some(to) if to.sequence > seen.sequence => LogPosition {
                sequence: to.sequence,
                tag: None,
                ..seen
            },
            _ => seen,
        };
        let result = ask(keys.to_vec(), wanted).await;
        // An answer that is as new as another log has no moment here.
        if let (Ok(answers), Some(_)) = (&result, to) {
            for (key, answer) in keys.iter().zip(answers) {
                let entry = CacheEntry::new(&self.keys, key, answer.clone(), (began, began_at));
                self.entries.insert(key.clone(), Arc::new(entry));
            }
            // Otherwise the bound would be exceeded until the next few reads.
            self.entries.run_pending_tasks();
        }
        (wanted, result)
    }

    /// How far the edge must have followed the log for an answer from the cache; `None` if it cannot give one.
    async fn target(&self, seen: LogPosition) -> Option<FollowedTo> {
        // Before the end is read: what comes meanwhile is no sign of a log that was put back.
        let (before, _) = self.followed.now();
        let end = self.log_end.read_since_now(END_PATIENCE).await;
        before?.target(seen, end)
    }

    /// The entries that are new enough for a caller with this target.
    fn look_up(
        &self,
        keys: &[CacheKey],
        target: Option<FollowedTo>,
        is_counted: bool,
    ) -> Vec<Option<CachedAnswer>> {
        let Some(target) = target else {
            return self.none_of(keys, is_counted);
        };
        self.look_up_at(keys, Some(target), is_counted)
    }

    /// As [`Self::look_up`]; without a target, those that nothing is known to have changed.
    fn look_up_at(
        &self,
        keys: &[CacheKey],
        target: Option<FollowedTo>,
        is_counted: bool,
    ) -> Vec<Option<CachedAnswer>> {
        let entries: Vec<_> = keys.iter().map(|key| self.entries.get(key)).collect();
        let judged = self
            .followed
            .judge(target, entries.iter().map(Option::as_deref));
        let Some(judged) = judged else {
            return self.none_of(keys, is_counted);
        };
        let judged = entries.into_iter().zip(judged);
        let answer = |(entry, judgement): (Option<Arc<CacheEntry>>, EntryJudgement)| {
            let answer = entry.map(|entry| entry.answer.clone());
            let answer = answer.filter(|_| judgement == EntryJudgement::Valid);
            if is_counted {
                self.metrics.count(match judgement {
                    EntryJudgement::Valid if answer.as_ref().is_some_and(CachedAnswer::is_none) => {
                        LookupOutcome::none_hit
                    }
                    EntryJudgement::Valid => LookupOutcome::hit,
                    EntryJudgement::Missing => LookupOutcome::miss,
                    EntryJudgement::Changed => LookupOutcome::changed,
                    EntryJudgement::TooOld => LookupOutcome::too_old,
                });
            }
            answer
        };
        judged.map(answer).collect()
    }

    fn none_of(&self, keys: &[CacheKey], is_counted: bool) -> Vec<Option<CachedAnswer>> {
        if is_counted {
            for _ in keys {
                self.metrics.count(LookupOutcome::behind);
            }
        }
        vec![None; keys.len()]
    }
}

impl ShownCache for MirrorCache {
    fn sizes(&self) -> CacheSizes {
        self.entries.run_pending_tasks();
        let now = Instant::now();
        let ages = self.entries.iter();
        let ages = ages.map(|(_, entry)| now.duration_since(entry.began_at).as_secs());
        CacheSizes {
            bytes: self.entries.weighted_size(),
            entries: self.entries.entry_count(),
            oldest_seconds: ages.max().unwrap_or_default(),
        }
    }
}

/// The keys without an answer, each once.
fn missing_of(keys: &[CacheKey], known: &[Option<CachedAnswer>]) -> Vec<CacheKey> {
    let both = keys.iter().zip(known);
    let missing = both.filter(|(_, known)| known.is_none());
    missing.map(|(key, _)| key.clone()).collect()
}

/// The known answers with those that were found in the place of the missing ones.
fn merged(
    known: Vec<Option<CachedAnswer>>,
    mut found: impl Iterator<Item = CachedAnswer>,
) -> Vec<CachedAnswer> {
    let all = known.into_iter();
    all.filter_map(|known| known.or_else(|| found.next()))
        .collect()
}

#[cfg(test)]
mod tests;
