//! The subscriptions of a caller, and the past events that they want.

use std::{collections::HashSet, sync::Arc};

use event_flow::query::{EventQuery, QueryPage};
use fanout::{hub::Hub, interest::FollowedSubscription, subscribed::SubscribedEvents};
use mcp::RpcError;
use mcp_server::{CallError, Caller};
use model::{FilterSet, LogPosition, Sequence, Sequenced, StoredEvent, SubscriptionId};
use subscriptions::ClientId;
use tokio::task::spawn_blocking;

use crate::{
    events::EventAccess,
    subscriptions::{ClientSubscriptions, LoadedSubscriptions, SubscriptionScope},
};

/// Which of the caller's subscriptions.
#[derive(Debug)]
pub(crate) enum FollowedWish {
    /// Those of its session, and all that are kept.
    All,
    /// Those under a client's name.
    Client(ClientId),
    /// One.
    One(SubscriptionId),
}

/// Finds the subscriptions of callers. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FollowedFinder {
    hub: Arc<Hub>,
    kept: Arc<dyn ClientSubscriptions>,
}

/// The subscriptions of a caller. While this exists, it has its owner's room for them.
#[derive(Debug)]
pub(crate) struct FollowedByCaller {
    ids: Vec<SubscriptionId>,
    events: SubscribedEvents,
    /// Events that they want may be gone.
    is_truncated: bool,
    _kept: Option<Arc<dyn LoadedSubscriptions>>,
}

/// A subscription of the caller's session.
struct OfSession {
    id: SubscriptionId,
    filters: FilterSet,
    since: LogPosition,
}

impl FollowedFinder {
    pub(crate) fn new(hub: Arc<Hub>, kept: Arc<dyn ClientSubscriptions>) -> Self {
        Self { hub, kept }
    }

    /// The subscriptions that are wished for; `None` if there is no such one.
    pub(crate) async fn of(
        &self,
        caller: &Caller,
        wish: &FollowedWish,
    ) -> Result<Option<FollowedByCaller>, CallError> {
        let of_session = of_session(caller, wish);
        let scope = match wish {
            FollowedWish::All => SubscriptionScope::All,
            FollowedWish::Client(client) => SubscriptionScope::Client(client),
            FollowedWish::One(id) => SubscriptionScope::One(id),
        };
        let kept = self.kept.load(&caller.principal.id, scope).await?;
        let kept: Option<Arc<dyn LoadedSubscriptions>> = kept.map(Arc::from);
        if kept.is_none() && of_session.is_empty() {
            return Ok(None);
        }
        let stored = kept.iter().flat_map(|kept| kept.all());
        let since = stored.map(|found| found.subscription.since);
        let since = since.chain(of_session.iter().map(|own| own.since));
        let since: Vec<_> = since.collect();
        let lost = self.hub.learn_of_losses(since, &caller.principal.id);
        let is_truncated = lost.await.map_err(CallError::failed)?.is_some();
        let hub = Arc::clone(&self.hub);
        let are_many = kept.as_ref().is_some_and(|kept| kept.are_many());
        let prepare = move || {
            let (ids, events) = compared(&hub, kept.as_deref(), &of_session);
            FollowedByCaller {
                ids,
                events,
                is_truncated,
                _kept: kept,
            }
        };
        let followed = match are_many {
            true => spawn_blocking(prepare)
                .await
                .map_err(|_| CallError::Rpc(RpcError::internal()))?,
            false => prepare(),
        };
        Ok(Some(followed))
    }
}

fn of_session(caller: &Caller, wish: &FollowedWish) -> Vec<OfSession> {
    let session = caller.session();
    let own = session
        .as_deref()
        .into_iter()
        .flat_map(|session| &session.subscriptions);
    let own = own.filter(|own| match wish {
        FollowedWish::All => true,
        // Those with a name are kept under the same id.
        FollowedWish::Client(_) => false,
        FollowedWish::One(id) => own.id == *id,
    });
    let own = own.map(|own| OfSession {
        id: own.id.clone(),
        filters: own.filters.clone(),
        since: own.since,
    });
    own.collect()
}

/// The ids of all, and their events; one that the session has too counts once.
fn compared(
    hub: &Hub,
    kept: Option<&dyn LoadedSubscriptions>,
    of_session: &[OfSession],
) -> (Vec<SubscriptionId>, SubscribedEvents) {
    let kept = kept.map_or(&[][..], LoadedSubscriptions::all);
    let kept = kept.iter().map(|found| &found.subscription);
    let known: HashSet<_> = kept.clone().map(|kept| &kept.id).collect();
    let own = of_session.iter().filter(|own| !known.contains(&own.id));
    let kept = kept.map(|kept| {
        let followed = FollowedSubscription {
            filters: &kept.filters,
            named_at: kept.names_position(),
            after: kept.since,
        };
        (&kept.id, followed)
    });
    let own = own.map(|own| {
        let followed = FollowedSubscription {
            filters: &own.filters,
            named_at: own.since,
            after: own.since,
        };
        (&own.id, followed)
    });
    let all: Vec<_> = kept.chain(own).collect();
    let events = hub.subscribed_events(all.iter().map(|(_, followed)| *followed));
    (all.into_iter().map(|(id, _)| id.clone()).collect(), events)
}

impl FollowedByCaller {
    /// Their number.
    pub(crate) fn count(&self) -> usize {
        self.ids.len()
    }

    /// None of them wants anything up to here.
    pub(crate) fn earliest(&self) -> Sequence {
        self.events.earliest()
    }

    /// The events that they want, and that the caller may see.
    pub(crate) async fn page(
        &self,
        events: &EventAccess,
        caller: &Caller,
        question: &EventQuery,
    ) -> Result<QueryPage, CallError> {
        let mut page = events.query_where(caller, question, &self.events).await?;
        page.truncated |= self.is_truncated;
        Ok(page)
    }

    /// The ids of those that want an event.
    pub(crate) fn wanting(&self, event: &Sequenced<StoredEvent>) -> Vec<&SubscriptionId> {
        let places = self.events.wanted_by(event.sequence, &event.item.facts);
        places.into_iter().map(|place| &self.ids[place]).collect()
    }
}
