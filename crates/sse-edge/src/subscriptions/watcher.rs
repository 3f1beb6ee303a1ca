//! Keeps the streams that follow subscriptions up to date: within a moment of a change, at the end of a
//! subscription, and at intervals, because a hint may be lost. Each owner has looks of its own, so that none waits
//! for another's.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use fanout::{format::StreamEnd, hub::Hub};
use futures_util::{StreamExt, TryStreamExt, stream};
use model::{PrincipalId, SubscriptionId};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    followers::{FollowedSource, Follower, LookMoment, StoredNow, missing, update_all},
    kept::Subscriptions,
    loads::LoadedClient,
    look_schedule::DueLook,
};
use crate::{
    error::EdgeError,
    limits::{CALL_DEADLINE, SOURCES_LOADED_AT_ONCE, SUBSCRIPTIONS_READ_AT_ONCE},
};

/// What the watch needs beside the subscriptions.
#[derive(Debug)]
pub(crate) struct SubscriptionWatch {
    pub(crate) hub: Arc<Hub>,
    /// Time after which what the socket of a client took has arrived, or its connection is cut; `None` if
    /// connections are never cut for that.
    pub(crate) proof: Option<Duration>,
}

/// Runs until `stop`.
pub(crate) async fn watch_subscriptions(
    subscriptions: Arc<Subscriptions>,
    watch: SubscriptionWatch,
    stop: CancellationToken,
) {
    let watch = Arc::new(watch);
    let followers = &subscriptions.followers;
    let endless = async {
        let mut looks = JoinSet::new();
        loop {
            let store_time = model::Clock::now(&*subscriptions.clock);
            let (due, next) = followers.due(Instant::now(), store_time);
            for due in due {
                looks.spawn(look(Arc::clone(&subscriptions), Arc::clone(&watch), due));
            }
            tokio::select! {
                biased;
                Some(looked) = looks.join_next() => if let Err(failed) = looked {
                    std::panic::resume_unwind(failed.into_panic());
                },
                () = followers.wake.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    };
    stop.run_until_cancelled(endless).await;
}

/// Loads what the streams of an owner follow, and brings them up to date.
async fn look(subscriptions: Arc<Subscriptions>, watch: Arc<SubscriptionWatch>, due: DueLook) {
    let began = Instant::now();
    let (mut ids, mut clients) = (Vec::new(), Vec::new());
    for source in &due.sources {
        match source {
            FollowedSource::One(id) => ids.push(id.clone()),
            FollowedSource::Client(_) => clients.push(source.clone()),
        }
    }
    let look = Look {
        subscriptions: &subscriptions,
        watch: &watch,
        owner: &due.owner,
        newest: due.newest,
    };
    let named = ids.chunks(SUBSCRIPTIONS_READ_AT_ONCE).map(<[_]>::to_vec);
    let named = named.map(LookPart::Named);
    let parts = named.chain(clients.into_iter().map(LookPart::Client));
    let looked = parts.map(|part| look.at(part));
    let failed = stream::iter(looked).buffer_unordered(SOURCES_LOADED_AT_ONCE);
    let failed: Vec<_> = failed.flat_map(stream::iter).collect().await;
    let followers = &subscriptions.followers;
    followers.looked(&due, failed, began, Instant::now());
    followers.wake.notify_one();
}

/// What is loaded together.
enum LookPart {
    Named(Vec<SubscriptionId>),
    Client(FollowedSource),
}

impl LookPart {
    fn sources(&self) -> Vec<FollowedSource> {
        match self {
            Self::Named(ids) => ids.iter().cloned().map(FollowedSource::One).collect(),
            Self::Client(source) => vec![source.clone()],
        }
    }
}

struct Look<'l> {
    subscriptions: &'l Subscriptions,
    watch: &'l SubscriptionWatch,
    owner: &'l PrincipalId,
    newest: u64,
}

impl Look<'_> {
    /// Returns the sources that could not be loaded.
    async fn at(&self, part: LookPart) -> Vec<FollowedSource> {
        let sources = part.sources();
        match self.bring_up_to_date(part).await {
            Ok(()) => Vec::new(),
            Err(error) => {
                // The streams stay open, and go on with what they know, also with the ends.
                debug!(%error, "subscriptions cannot be checked now");
                sources.iter().for_each(|source| self.end_over(source));
                sources
            }
        }
    }

    async fn bring_up_to_date(&self, part: LookPart) -> Result<(), EdgeError> {
        let Self {
            subscriptions,
            owner,
            ..
        } = self;
        // Before the load: what was stored by then is in it.
        let store_time = subscriptions.now().await?;
        match part {
            LookPart::Named(ids) => {
                let loading = subscriptions.records.load_many(owner, &ids);
                let loaded = timeout(CALL_DEADLINE, loading).await??;
                let loaded = Arc::new(LoadedClient::small(loaded));
                for id in ids {
                    let source = FollowedSource::One(id);
                    self.update(&source, &loaded, store_time).await?;
                }
                Ok(())
            }
            LookPart::Client(source) => {
                let FollowedSource::Client(client) = &source else {
                    return Ok(());
                };
                let loaded = match subscriptions.loads.of_client(owner, client).await {
                    Err(EdgeError::TooMuchToFollow) => {
                        let taken = self.take(&source);
                        let end = StreamEnd::TooManyFilters;
                        taken.iter().for_each(|follower| follower.stream.end(end));
                        self.put_back(&source, Vec::new(), Vec::new());
                        return Ok(());
                    }
                    loaded => loaded?,
                };
                self.update(&source, &loaded, store_time).await
            }
        }
    }

    /// Brings the streams of a source up to date with what was loaded for it. They stay as they are if the store
    /// cannot say what became of those that are missing.
    async fn update(
        &self,
        source: &FollowedSource,
        loaded: &Arc<LoadedClient>,
        store_time: model::Timestamp,
    ) -> Result<(), EdgeError> {
        let (taken, of) = (self.take(source), source.clone());
        let looking = loaded.work(move |found| {
            let missing = missing(&of, &taken, found, store_time);
            (taken, missing)
        });
        let (mut taken, missing) = looking.await;
        let unended = match self.unended(missing).await {
            Ok(unended) => unended,
            Err(error) => {
                self.put_back(source, taken, Vec::new());
                return Err(error);
            }
        };
        let (moment, of) = (self.moment(store_time), source.clone());
        let updating = loaded.work(move |loaded| {
            let unended = &unended;
            let uses = update_all(&of, &mut taken, StoredNow { loaded, unended }, moment);
            (taken, uses)
        });
        let (taken, uses) = updating.await;
        self.put_back(source, taken, uses);
        Ok(())
    }

    /// Those of the missing subscriptions that were not ended.
    async fn unended(
        &self,
        missing: BTreeSet<SubscriptionId>,
    ) -> Result<BTreeSet<SubscriptionId>, EdgeError> {
        let asking = missing.into_iter().map(|id| async move {
            let records = &self.subscriptions.records;
            let asking = timeout(CALL_DEADLINE, records.was_ended(self.owner, &id));
            let was_ended = asking.await??;
            Ok::<_, EdgeError>((!was_ended).then_some(id))
        });
        let asked = stream::iter(asking).buffer_unordered(SUBSCRIPTIONS_READ_AT_ONCE);
        let asked: Vec<_> = asked.try_collect().await?;
        Ok(asked.into_iter().flatten().collect())
    }

    /// Ends the streams of a source that cannot be loaded, if all that they follow has reached its end and nothing
    /// says that it was changed: no end can be put off while the store does not answer.
    fn end_over(&self, source: &FollowedSource) {
        let followers = &self.subscriptions.followers;
        let Some(store_time) = self.subscriptions.clock.known() else {
            return;
        };
        if !followers.is_certain(self.owner, source) {
            return;
        }
        let mut taken = self.take(source);
        taken.retain(|follower| {
            let is_over = follower.is_over(store_time);
            if is_over {
                follower.stream.end(StreamEnd::SubscriptionExpired);
            }
            !is_over
        });
        self.put_back(source, taken, Vec::new());
    }

    fn moment(&self, store_time: model::Timestamp) -> LookMoment {
        LookMoment {
            at: Instant::now(),
            store_time,
            generation: self.watch.hub.generation(),
            proof: self.watch.proof,
        }
    }

    fn take(&self, source: &FollowedSource) -> Vec<Follower> {
        let followers = &self.subscriptions.followers;
        followers.take(self.owner, source, self.newest)
    }

    fn put_back(
        &self,
        source: &FollowedSource,
        taken: Vec<Follower>,
        uses: Vec<(SubscriptionId, super::cursor_books::StoredUse)>,
    ) {
        let followers = &self.subscriptions.followers;
        followers.put_back(self.owner, source, taken);
        self.subscriptions.books.note(self.owner, uses);
    }
}

#[cfg(test)]
mod tests;
