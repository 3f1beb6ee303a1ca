//! The subscriptions in the store, as this edge makes, lists, renews and deletes them.

use std::sync::Arc;

use model::{
    Classified, ErrorClass, IdSource, LogPosition, PrincipalId, SessionId, SubscriptionId,
    Timestamp,
};
use ports::{Bus, EdgeNews, RecordBound, Topic};
use serde_json::{Map, Value};
use subscriptions::{
    ClientId, ClientKey, CursorAdvance, Subscription, SubscriptionLife, SubscriptionLimits,
    SubscriptionPage, SubscriptionRecords, SubscriptionRecordsError, SubscriptionTransport,
    VersionedSubscription,
};
use tokio::time::timeout;
use tracing::warn;

use super::{
    cursor_books::CursorBooks, loads::SubscriptionLoads, look_schedule::SubscriptionFollowers,
};
use crate::{
    error::EdgeError, limits::CALL_DEADLINE, metrics::SubscriptionMetrics, session::Sessions,
    store_clock::StoreClock,
};

/// A subscription that a client asks for.
#[derive(Debug)]
pub(crate) struct NewSubscription {
    pub(crate) owner: PrincipalId,
    pub(crate) client: Option<ClientId>,
    pub(crate) filters: model::FilterSet,
    pub(crate) transport: SubscriptionTransport,
    pub(crate) since: LogPosition,
    /// The end of the log, as the client's request found it.
    pub(crate) named_at: LogPosition,
    pub(crate) life: SubscriptionLife,
    /// The session in which a tool makes it.
    pub(crate) session: Option<SessionId>,
    pub(crate) metadata: Map<String, Value>,
}

/// The subscriptions. A principal finds only its own.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    pub(super) records: SubscriptionRecords,
    bus: Arc<dyn Bus>,
    pub(super) clock: Arc<StoreClock>,
    ids: Arc<dyn IdSource>,
    metrics: SubscriptionMetrics,
    pub(crate) followers: SubscriptionFollowers,
    pub(super) loads: SubscriptionLoads,
    pub(super) books: CursorBooks,
}

impl Subscriptions {
    pub(crate) fn new(
        records: SubscriptionRecords,
        bus: Arc<dyn Bus>,
        clock: Arc<StoreClock>,
        ids: Arc<dyn IdSource>,
        metrics: SubscriptionMetrics,
    ) -> Self {
        Self {
            loads: SubscriptionLoads::new(records.clone()),
            records,
            bus,
            clock,
            ids,
            metrics,
            followers: SubscriptionFollowers::default(),
            books: CursorBooks::default(),
        }
    }

    /// A new id, unguessable, for a subscription of a client or of none.
    pub(crate) fn new_id(&self, owner: &PrincipalId, client: Option<&ClientId>) -> SubscriptionId {
        let unique = self.ids.uuid();
        match client {
            Some(client) => ClientKey::new(owner, client).id(&unique),
            None => SubscriptionId::new(&unique).expect("a UUID fits a subscription id"),
        }
    }

    /// The store's time, by which subscriptions end.
    pub(crate) async fn now(&self) -> Result<Timestamp, EdgeError> {
        self.clock.current().await
    }

    /// Makes a subscription; it is in the store when this returns, and other edges are told.
    pub(crate) async fn create(
        &self,
        id: SubscriptionId,
        new: NewSubscription,
    ) -> Result<VersionedSubscription, EdgeError> {
        let now = self.now().await?;
        let limits = SubscriptionLimits::of(&new.owner);
        let subscription = Subscription {
            id,
            owner: new.owner,
            client: new.client,
            filters: new.filters,
            transport: new.transport,
            since: new.since,
            named_at: Some(new.named_at).filter(|named_at| *named_at != new.since),
            cursor: new.since,
            created_at: now,
            life: new.life,
            fence: 0,
            session: new.session,
            metadata: new.metadata,
        };
        let created = self.records.create(&subscription, now, limits);
        let created = match timeout(CALL_DEADLINE, created).await? {
            Err(SubscriptionRecordsError::NoRoom { bound }) => {
                self.metrics.subscription_refused();
                return Err(EdgeError::TooManySubscriptions {
                    bound,
                    own: limit_of(bound, limits),
                });
            }
            created => created?,
        };
        self.announce(&subscription.owner, &subscription.id).await;
        Ok(created)
    }

    /// A subscription of an owner.
    pub(crate) async fn load(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
    ) -> Result<VersionedSubscription, EdgeError> {
        let found = timeout(CALL_DEADLINE, self.records.load(owner, id)).await??;
        found.ok_or(EdgeError::NoSuchSubscription)
    }

    /// A page of those of a client, ordered by id, whatever their transport.
    pub(super) async fn client_page(
        &self,
        of: (&PrincipalId, &ClientId),
        after: Option<&SubscriptionId>,
        limit: usize,
    ) -> Result<SubscriptionPage, EdgeError> {
        let listed = self.records.list_client(of, after, limit);
        Ok(timeout(CALL_DEADLINE, listed).await??)
    }

    /// A page of the subscriptions of an owner, ordered by id.
    pub(crate) async fn page(
        &self,
        owner: &PrincipalId,
        after: Option<&SubscriptionId>,
        limit: usize,
    ) -> Result<SubscriptionPage, EdgeError> {
        let listed = self.records.list(owner, after, limit);
        Ok(timeout(CALL_DEADLINE, listed).await??)
    }

    /// Sets the end of a subscription anew.
    pub(crate) async fn renew(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
        life: SubscriptionLife,
    ) -> Result<VersionedSubscription, EdgeError> {
        let now = self.now().await?;
        let renewed = self.records.renew((owner, id), life, now);
        let renewed = timeout(CALL_DEADLINE, renewed).await??;
        self.announce(owner, id).await;
        Ok(renewed)
    }

    /// As [`Self::renew`], also in the session in which a tool made it, on whose stream its events are.
    pub(crate) async fn renew_with_session(
        &self,
        sessions: &Sessions,
        (owner, id): (&PrincipalId, &SubscriptionId),
        life: SubscriptionLife,
    ) -> Result<VersionedSubscription, EdgeError> {
        let renewed = self.renew(owner, id, life).await?;
        if let Some(session) = &renewed.subscription.session {
            let expires_at = match life {
                SubscriptionLife::Until(end) => Some(end),
                SubscriptionLife::WhileUsed => None,
            };
            // A session that is gone or cannot be read has no stream.
            let set = sessions.update(session, owner, |session| {
                let mut own = session.subscriptions.iter_mut();
                if let Some(own) = own.find(|own| own.id == *id) {
                    own.expires_at = expires_at;
                }
            });
            set.await?;
        }
        Ok(renewed)
    }

    /// Deletes a subscription; its streams end, on whichever edges they are. Returns whether there was one.
    pub(crate) async fn end(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
    ) -> Result<bool, EdgeError> {
        let ended = timeout(CALL_DEADLINE, self.records.end(owner, id)).await??;
        if ended {
            self.announce(owner, id).await;
        }
        Ok(ended)
    }

    /// As [`Self::end`], also in the session in which a tool made it, on whose stream its events are. A caller in that
    /// session (`own`) takes it out itself.
    pub(crate) async fn end_with_session(
        &self,
        (sessions, own): (&Sessions, Option<&SessionId>),
        owner: &PrincipalId,
        id: &SubscriptionId,
    ) -> Result<bool, EdgeError> {
        let found = timeout(CALL_DEADLINE, self.records.load(owner, id)).await??;
        let session = found.and_then(|found| found.subscription.session);
        if let Some(session) = session.filter(|session| Some(session) != own) {
            // First, so that whoever tries again after a failure finds the subscription. A session that is gone or
            // cannot be read has no stream.
            let removed = sessions.update(&session, owner, |session| {
                session.subscriptions.retain(|own| own.id != *id);
            });
            match removed.await {
                Err(error) if error.class() == ErrorClass::Transient => return Err(error),
                _ => {}
            }
        }
        self.end(owner, id).await
    }

    /// Moves the cursor of a subscription forward: its client has the events up to here.
    pub(super) async fn advance(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
        to: LogPosition,
    ) -> Result<(), EdgeError> {
        let now = self.now().await?;
        let advance = CursorAdvance { to, fence: None };
        let advanced = self.records.advance((owner, id), advance, now);
        timeout(CALL_DEADLINE, advanced).await??;
        Ok(())
    }

    /// If the message is lost, the streams of other edges see the change at their next check.
    async fn announce(&self, owner: &PrincipalId, subscription: &SubscriptionId) {
        let news = EdgeNews::SubscriptionsChanged {
            owner: owner.clone(),
            subscription: Some(subscription.clone()),
        };
        self.followers.changed(owner, Some(subscription));
        if let Err(error) = self.bus.publish(&Topic::Broadcast, news.into(), None).await {
            warn!(%error, "other edges see the change of a subscription later");
        }
    }
}

/// The number in the bound of an owner, for a refusal.
fn limit_of(bound: RecordBound, limits: SubscriptionLimits) -> u64 {
    match bound {
        RecordBound::Records => limits.max_subscriptions,
        RecordBound::RecordsOfOwner => limits.max_per_owner.into(),
        RecordBound::Bytes => limits.max_bytes,
        RecordBound::BytesOfOwner => limits.max_bytes_per_owner,
    }
}
