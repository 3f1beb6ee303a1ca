//! Loads the subscriptions of clients, for streams that open and for those that are open.
//!
//! What is asked for together is loaded once: whoever asks while a load of the same client has not begun yet gets
//! its outcome. A client has a few small subscriptions; whatever is more waits for a turn of its owner, and then for
//! one of the edge, and keeps both for as long as anybody has what was loaded.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use event_tools::subscriptions::LoadedSubscriptions;
use model::PrincipalId;
use parking_lot::Mutex;
use subscriptions::{ClientId, SubscriptionPage, SubscriptionRecords, VersionedSubscription};
use tokio::{
    sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore},
    task::{spawn_blocking, yield_now},
    time::timeout,
};

use super::followers::is_of_client;
use crate::{
    error::EdgeError,
    limits::{
        CALL_DEADLINE, FOLLOWED_BYTES, LARGE_SUBSCRIPTION_LOADS, SMALL_SUBSCRIPTION_LOADS,
        SMALL_SUBSCRIPTION_LOADS_PER_OWNER, SUBSCRIPTION_LOAD_WAIT, SUBSCRIPTION_STEP_BYTES,
        SUBSCRIPTION_STEP_RECORDS,
    },
};

/// The subscriptions of a client, as several may have them.
#[derive(Debug)]
pub(super) struct LoadedClient {
    pub(super) found: Vec<VersionedSubscription>,
    /// What was too large to be read at once has its turn until nobody needs it.
    turn: Option<LargeTurn>,
    working: tokio::sync::Mutex<()>,
    /// One tool call at a time compares events with what was too large.
    asking: Arc<tokio::sync::Mutex<()>>,
}

/// Whose subscriptions are loaded, of one owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum LoadScope {
    /// Those of a client that its streams follow.
    Streams(ClientId),
    /// Those of a client, whatever their transport.
    Client(ClientId),
    /// All.
    Owner,
}

/// What a tool call has of the subscriptions of its caller, and its turn with them.
#[derive(Debug)]
pub(super) struct AskedSubscriptions {
    loaded: Arc<LoadedClient>,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl LoadedSubscriptions for AskedSubscriptions {
    fn all(&self) -> &[VersionedSubscription] {
        &self.loaded.found
    }

    fn are_many(&self) -> bool {
        self.loaded.turn.is_some()
    }
}

impl LoadedClient {
    /// Subscriptions that needed no turn.
    pub(super) fn small(found: Vec<VersionedSubscription>) -> Self {
        Self {
            found,
            turn: None,
            working: tokio::sync::Mutex::default(),
            asking: Arc::default(),
        }
    }

    /// Works with what was loaded: beside other work if that takes long, and one after the other.
    pub(super) async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&[VersionedSubscription]) -> T + Send + 'static,
    ) -> T {
        if self.turn.is_none() {
            return work(&self.found);
        }
        let _one = self.working.lock().await;
        let loaded = Arc::clone(self);
        match spawn_blocking(move || work(&loaded.found)).await {
            Ok(done) => done,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // The process ends.
            Err(_) => std::future::pending().await,
        }
    }
}

/// A turn of the edge, and one of the owner.
#[derive(Debug)]
struct LargeTurn(#[expect(dead_code, reason = "held")] [OwnedSemaphorePermit; 2]);

/// The loads of one client that are asked for.
#[derive(Debug, Default)]
struct SharedLoad {
    asked: AtomicU64,
    /// The outcome of the last load, and how many had asked when it began.
    last: tokio::sync::Mutex<Option<(u64, Arc<LoadedClient>)>>,
}

/// The turns of one owner.
#[derive(Debug)]
struct OwnTurns {
    small: Semaphore,
    large: Arc<Semaphore>,
}

/// The loads of an edge.
#[derive(Debug)]
pub(super) struct SubscriptionLoads {
    records: SubscriptionRecords,
    clients: Mutex<HashMap<(PrincipalId, LoadScope), Weak<SharedLoad>>>,
    owners: Mutex<HashMap<PrincipalId, Weak<OwnTurns>>>,
    small: Semaphore,
    large: Arc<Semaphore>,
}

/// What is there under a key while anybody has it.
fn shared<K: std::hash::Hash + Eq, V>(
    all: &Mutex<HashMap<K, Weak<V>>>,
    key: K,
    new: impl FnOnce() -> V,
) -> Arc<V> {
    let mut all = all.lock();
    if let Some(there) = all.get(&key).and_then(Weak::upgrade) {
        return there;
    }
    if all.len() == all.capacity() {
        all.retain(|_, there| there.strong_count() > 0);
    }
    let made = Arc::new(new());
    all.insert(key, Arc::downgrade(&made));
    made
}

async fn permit(of: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(of).acquire_owned().await;
    permit.expect("these turns do not end")
}

impl AskedSubscriptions {
    /// One subscription, which needs no turn.
    pub(super) fn one(found: VersionedSubscription) -> Self {
        Self {
            loaded: Arc::new(LoadedClient::small(vec![found])),
            _turn: None,
        }
    }
}

impl SubscriptionLoads {
    pub(super) fn new(records: SubscriptionRecords) -> Self {
        Self {
            records,
            clients: Mutex::default(),
            owners: Mutex::default(),
            small: Semaphore::new(SMALL_SUBSCRIPTION_LOADS),
            large: Arc::new(Semaphore::new(LARGE_SUBSCRIPTION_LOADS)),
        }
    }

    /// The subscriptions of a client, as they are stored at some time after this call.
    ///
    /// # Errors
    /// [`EdgeError::SubscriptionsBusy`] if there is no turn, [`EdgeError::TooMuchToFollow`], or the store failed.
    pub(super) async fn of_client(
        &self,
        owner: &PrincipalId,
        client: &ClientId,
    ) -> Result<Arc<LoadedClient>, EdgeError> {
        self.of(owner, LoadScope::Streams(client.clone())).await
    }

    /// Those of a client, whatever their transport, or all of the owner, for a tool call.
    ///
    /// # Errors
    /// As [`Self::of_client`].
    pub(super) async fn asked(
        &self,
        owner: &PrincipalId,
        client: Option<&ClientId>,
    ) -> Result<AskedSubscriptions, EdgeError> {
        let scope = client.map_or(LoadScope::Owner, |client| LoadScope::Client(client.clone()));
        let loaded = self.of(owner, scope).await?;
        let turn = match loaded.turn.is_some() {
            true => {
                let turn = Arc::clone(&loaded.asking).lock_owned();
                let turn = timeout(SUBSCRIPTION_LOAD_WAIT, turn).await;
                Some(turn.map_err(|_| EdgeError::SubscriptionsBusy)?)
            }
            false => None,
        };
        Ok(AskedSubscriptions {
            loaded,
            _turn: turn,
        })
    }

    async fn of(
        &self,
        owner: &PrincipalId,
        scope: LoadScope,
    ) -> Result<Arc<LoadedClient>, EdgeError> {
        let of = (owner.clone(), scope.clone());
        let load = shared(&self.clients, of, SharedLoad::default);
        let joined = timeout(SUBSCRIPTION_LOAD_WAIT, self.join(&load, (owner, &scope)));
        joined.await.unwrap_or(Err(EdgeError::SubscriptionsBusy))
    }

    async fn join(
        &self,
        load: &SharedLoad,
        of: (&PrincipalId, &LoadScope),
    ) -> Result<Arc<LoadedClient>, EdgeError> {
        let number = load.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = load.last.lock().await;
        if let Some((asked, loaded)) = &*last
            && *asked >= number
        {
            return Ok(Arc::clone(loaded));
        }
        // A large one has the turn that the next needs.
        *last = None;
        let asked = || load.asked.load(Ordering::SeqCst);
        let (asked, loaded) = self.load(of, asked).await?;
        let loaded = Arc::new(loaded);
        *last = Some((asked, Arc::clone(&loaded)));
        Ok(loaded)
    }

    async fn load(
        &self,
        of: (&PrincipalId, &LoadScope),
        asked: impl Fn() -> u64,
    ) -> Result<(u64, LoadedClient), EdgeError> {
        let turns = shared(&self.owners, of.0.clone(), || OwnTurns {
            small: Semaphore::new(SMALL_SUBSCRIPTION_LOADS_PER_OWNER),
            large: Arc::new(Semaphore::new(1)),
        });
        let loaded = |found, turn| LoadedClient {
            found,
            turn,
            working: tokio::sync::Mutex::default(),
            asking: Arc::default(),
        };
        {
            let _own = turns.small.acquire().await;
            let _turn = self.small.acquire().await;
            let began = asked();
            let first = self.step(of, None).await?;
            if first.next.is_none() && first.bytes <= SUBSCRIPTION_STEP_BYTES {
                return Ok((began, loaded(first.subscriptions, None)));
            }
        }
        // The own one first: an owner that waits takes no turn from others.
        let own = permit(&turns.large).await;
        let turn = LargeTurn([own, permit(&self.large).await]);
        let began = asked();
        Ok((began, loaded(self.all(of).await?, Some(turn))))
    }

    async fn all(
        &self,
        of: (&PrincipalId, &LoadScope),
    ) -> Result<Vec<VersionedSubscription>, EdgeError> {
        let (mut found, mut bytes, mut after) = (Vec::new(), 0, None);
        loop {
            let page = self.step(of, after.as_ref()).await?;
            bytes += page.bytes;
            if bytes > FOLLOWED_BYTES {
                return Err(EdgeError::TooMuchToFollow);
            }
            found.extend(page.subscriptions);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
            yield_now().await;
        }
    }

    async fn step(
        &self,
        of: (&PrincipalId, &LoadScope),
        after: Option<&model::SubscriptionId>,
    ) -> Result<SubscriptionPage, EdgeError> {
        let (owner, scope) = of;
        let (LoadScope::Streams(client) | LoadScope::Client(client)) = scope else {
            let page = self.records.list(owner, after, SUBSCRIPTION_STEP_RECORDS);
            return Ok(timeout(CALL_DEADLINE, page).await??);
        };
        let page = self
            .records
            .list_client((owner, client), after, SUBSCRIPTION_STEP_RECORDS);
        let mut page = timeout(CALL_DEADLINE, page).await??;
        if matches!(scope, LoadScope::Streams(_)) {
            page.subscriptions
                .retain(|found| is_of_client(&found.subscription, client));
        }
        Ok(page)
    }
}

#[cfg(test)]
pub(super) mod tests;
