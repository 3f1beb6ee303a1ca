//! Stores the uses of subscriptions that wait, apart from what their streams wait for.

use std::sync::Arc;

use futures_util::{StreamExt, stream::FuturesUnordered};
use model::{PrincipalId, SubscriptionId};
use subscriptions::SubscriptionLife;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{cursor_books::StoredUse, kept::Subscriptions};
use crate::{
    error::EdgeError,
    limits::{CALL_DEADLINE, CONCURRENT_SUBSCRIPTION_USES, SUBSCRIPTION_RETRY_PAUSE},
};

/// Stores uses until `stop`.
pub(crate) async fn keep_cursor_books(subscriptions: Arc<Subscriptions>, stop: CancellationToken) {
    let books = &subscriptions.books;
    let endless = async {
        let mut storing = FuturesUnordered::new();
        loop {
            while storing.len() < CONCURRENT_SUBSCRIPTION_USES
                && let Some(next) = books.next()
            {
                storing.push(store(&subscriptions, next));
            }
            tokio::select! {
                biased;
                Some(()) = storing.next() => {}
                () = books.wake.notified() => {}
            }
        }
    };
    stop.run_until_cancelled(endless).await;
}

async fn store(
    subscriptions: &Subscriptions,
    (owner, id, stored): (PrincipalId, SubscriptionId, StoredUse),
) {
    let stored = match stored {
        StoredUse::Advance(to) => subscriptions.advance(&owner, &id, to).await,
        StoredUse::Touch(life) => touch(subscriptions, &id, life).await,
    };
    match stored {
        // Deleted meanwhile.
        Ok(()) | Err(EdgeError::NoSuchSubscription) => {}
        Err(error) => {
            debug!(%error, subscription = %id, "the use of a subscription is not stored now");
            // Its stream says it again; a store that fails is not asked more often than this.
            sleep(SUBSCRIPTION_RETRY_PAUSE).await;
        }
    }
}

async fn touch(
    subscriptions: &Subscriptions,
    id: &SubscriptionId,
    life: SubscriptionLife,
) -> Result<(), EdgeError> {
    let now = subscriptions.now().await?;
    let touched = subscriptions.records.touch(id, life, now);
    timeout(CALL_DEADLINE, touched).await??;
    Ok(())
}
