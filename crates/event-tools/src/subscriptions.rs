//! Subscriptions under a client's name, which live beyond the caller's session: made by the server that stores
//! them. The client's stream (`GET /events/stream?clientId=…`) follows them.

use std::fmt;

use async_trait::async_trait;
use mcp_server::CallError;
use model::{FilterSet, LogPosition, PrincipalId, SessionId, SubscriptionId, Timestamp};
use subscriptions::{ClientId, SubscriptionTransport, VersionedSubscription};

/// A subscription to make.
#[derive(Debug, Clone)]
pub struct ClientSubscription {
    /// The client's name.
    pub client: ClientId,
    /// The events that it wants.
    pub filters: FilterSet,
    /// How they reach it.
    pub transport: SubscriptionTransport,
    /// Events after this position are delivered.
    pub since: LogPosition,
    /// The session that has it too: deleting it takes it out of there.
    pub session: Option<SessionId>,
}

/// A subscription in a list.
#[derive(Debug, Clone)]
pub struct ListedSubscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Its client's name.
    pub client: Option<ClientId>,
    /// The events that it wants.
    pub filters: FilterSet,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends if it is not used.
    pub expires_at: Timestamp,
}

/// The first subscriptions of a list.
#[derive(Debug, Clone, Default)]
pub struct ListedSubscriptions {
    /// Subscriptions, ordered by id.
    pub subscriptions: Vec<ListedSubscription>,
    /// There are more.
    pub has_more: bool,
}

/// Which subscriptions of an owner.
#[derive(Debug, Clone, Copy)]
pub enum SubscriptionScope<'s> {
    /// All that live beyond sessions.
    All,
    /// Those of a client.
    Client(&'s ClientId),
    /// One.
    One(&'s SubscriptionId),
}

/// Subscriptions that were loaded, and the room that their owner has for them: to be held while events are compared
/// with them.
pub trait LoadedSubscriptions: fmt::Debug + Send + Sync {
    /// The subscriptions.
    fn all(&self) -> &[VersionedSubscription];

    /// Whether they are so many that preparing the comparison takes long.
    fn are_many(&self) -> bool;
}

/// Makes and deletes subscriptions of an owner, durably and for every edge.
#[async_trait]
pub trait ClientSubscriptions: fmt::Debug + Send + Sync {
    /// Makes a subscription under a new id, which is one of its client's ([`subscriptions::ClientKey`]).
    ///
    /// # Errors
    /// A bound of the owner is reached, or the store does not answer.
    async fn make(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
        new: ClientSubscription,
    ) -> Result<(), CallError>;

    /// Deletes a subscription, also in the session that has it too, unless that is the caller's `own`, which it changes
    /// itself; returns whether the owner had it.
    ///
    /// # Errors
    /// The store does not answer.
    async fn delete(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
        own: Option<&SessionId>,
    ) -> Result<bool, CallError>;

    /// The living subscriptions of an owner with their filters; `None` if there is no such one.
    ///
    /// # Errors
    /// The store does not answer, others are being loaded, or they are more than can be followed at once.
    async fn load(
        &self,
        owner: &PrincipalId,
        scope: SubscriptionScope<'_>,
    ) -> Result<Option<Box<dyn LoadedSubscriptions>>, CallError>;

    /// The first subscriptions of an owner, by id; with a name those of the client.
    ///
    /// # Errors
    /// The store does not answer.
    async fn list(
        &self,
        owner: &PrincipalId,
        client: Option<&ClientId>,
    ) -> Result<ListedSubscriptions, CallError>;
}
