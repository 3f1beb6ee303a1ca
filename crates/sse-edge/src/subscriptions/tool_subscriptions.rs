//! Subscriptions under a client's name, as tools make and delete them.

use std::sync::Arc;

use async_trait::async_trait;
use event_tools::subscriptions::{
    ClientSubscription, ClientSubscriptions, ListedSubscription, ListedSubscriptions,
    LoadedSubscriptions, SubscriptionScope,
};
use mcp::params::InputError;
use mcp_server::CallError;
use model::{Classified, ErrorClass, PrincipalId, PublicError, SessionId, SubscriptionId};
use serde_json::Map;
use subscriptions::{ClientId, SubscriptionLife, VersionedSubscription, limits::MAX_PAGE};

use super::{
    kept::{NewSubscription, Subscriptions},
    loads::AskedSubscriptions,
};
use crate::{
    error::EdgeError,
    limits::{LISTED_SUBSCRIPTION_BYTES, SUBSCRIPTION_STEP_RECORDS},
    session::Sessions,
};

/// The subscriptions, for tools.
#[derive(Debug)]
pub(crate) struct ToolSubscriptions {
    subscriptions: Arc<Subscriptions>,
    sessions: Arc<Sessions>,
}

impl ToolSubscriptions {
    pub(crate) fn shared(
        subscriptions: &Arc<Subscriptions>,
        sessions: &Arc<Sessions>,
    ) -> Arc<Self> {
        Arc::new(Self {
            subscriptions: Arc::clone(subscriptions),
            sessions: Arc::clone(sessions),
        })
    }
}

/// A refusal that the caller can act on names the argument.
fn refused(error: EdgeError) -> CallError {
    match error.class() {
        ErrorClass::Caller | ErrorClass::Conflict => {
            InputError::new("filters", &error.public_text()).into()
        }
        _ => error.into(),
    }
}

#[async_trait]
impl ClientSubscriptions for ToolSubscriptions {
    async fn make(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
        new: ClientSubscription,
    ) -> Result<(), CallError> {
        let new = NewSubscription {
            owner: owner.clone(),
            client: Some(new.client),
            filters: new.filters,
            transport: new.transport,
            since: new.since,
            named_at: new.since,
            life: SubscriptionLife::WhileUsed,
            session: new.session,
            metadata: Map::new(),
        };
        let made = self.subscriptions.create(id.clone(), new).await;
        made.map(drop).map_err(refused)
    }

    async fn delete(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
        own: Option<&SessionId>,
    ) -> Result<bool, CallError> {
        let ended = self
            .subscriptions
            .end_with_session((&self.sessions, own), owner, id);
        Ok(ended.await?)
    }

    async fn load(
        &self,
        owner: &PrincipalId,
        scope: SubscriptionScope<'_>,
    ) -> Result<Option<Box<dyn LoadedSubscriptions>>, CallError> {
        let client = match scope {
            SubscriptionScope::All => None,
            SubscriptionScope::Client(client) => Some(client),
            SubscriptionScope::One(id) => {
                return match self.subscriptions.load(owner, id).await {
                    Ok(found) => Ok(Some(Box::new(AskedSubscriptions::one(found)))),
                    Err(EdgeError::NoSuchSubscription) => Ok(None),
                    Err(error) => Err(error.into()),
                };
            }
        };
        let asked = self.subscriptions.loads.asked(owner, client).await;
        let asked = asked.map_err(|error| match error {
            EdgeError::TooMuchToFollow => {
                let reason = "your subscriptions are too large to be looked at together: name one of their clients, \
                              or one by subscriptionId";
                InputError::new("clientId", reason).into()
            }
            error => CallError::from(error),
        })?;
        Ok(Some(Box::new(asked)))
    }

    async fn list(
        &self,
        owner: &PrincipalId,
        client: Option<&ClientId>,
    ) -> Result<ListedSubscriptions, CallError> {
        let (mut listed, mut after, mut bytes) = (ListedSubscriptions::default(), None, 0);
        loop {
            let left = MAX_PAGE - listed.subscriptions.len();
            let step = left.min(SUBSCRIPTION_STEP_RECORDS);
            let page = match client {
                None => self.subscriptions.page(owner, after.as_ref(), step).await?,
                Some(client) => {
                    self.subscriptions
                        .client_page((owner, client), after.as_ref(), step)
                        .await?
                }
            };
            bytes += page.bytes;
            listed
                .subscriptions
                .extend(page.subscriptions.into_iter().map(entry));
            let is_full =
                listed.subscriptions.len() >= MAX_PAGE || bytes > LISTED_SUBSCRIPTION_BYTES;
            match page.next {
                None => return Ok(listed),
                Some(_) if is_full => {
                    listed.has_more = true;
                    return Ok(listed);
                }
                Some(next) => after = Some(next),
            }
        }
    }
}

fn entry(found: VersionedSubscription) -> ListedSubscription {
    let subscription = found.subscription;
    ListedSubscription {
        id: subscription.id,
        client: subscription.client,
        filters: subscription.filters,
        created_at: subscription.created_at,
        expires_at: found.expires_at,
    }
}
