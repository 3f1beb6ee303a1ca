//! SB-08 and SB-15: how many there may be, and how large.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use ports::{RecordBound, RecordLimits};
use serde_json::json;
use subscriptions::{
    Subscription, SubscriptionLimits, SubscriptionRecords, SubscriptionRecordsError,
    SubscriptionTransport, limits::MAX_RECORD_BYTES,
};

use super::{ROOMY, SubscriptionFixture, fixture, subscription};
use crate::{Harness, noise::noise};

const STEP: u64 = RecordLimits::WEIGHT_STEP_BYTES;

async fn is_refused(
    fixture: &SubscriptionFixture,
    made: &Subscription,
    limits: SubscriptionLimits,
    by: RecordBound,
) -> Result<()> {
    let now = fixture.now().await?;
    let refused = fixture.store.create(made, now, limits).await;
    ensure!(
        matches!(refused, Err(SubscriptionRecordsError::NoRoom { bound }) if bound == by),
        "{refused:?}, and not {by}"
    );
    ensure!(fixture.store.load(&made.owner, &made.id).await?.is_none());
    Ok(())
}

/// The same with metadata of so many bytes, of which a layer takes less than a third.
fn heavy(made: Subscription, bytes: usize) -> Subscription {
    let letter = |byte: u8| char::from(b'#' + byte % (b'[' - b'#'));
    let text: String = noise(bytes).into_iter().map(letter).collect();
    Subscription {
        metadata: [("text".to_owned(), json!(text))].into_iter().collect(),
        ..made
    }
}

pub(super) async fn beyond_a_bound_a_subscription_is_refused(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let of_owner = SubscriptionLimits {
        max_per_owner: 2,
        ..ROOMY
    };
    fixture
        .make(&[subscription(0, 1), subscription(0, 2)])
        .await?;
    is_refused(
        &fixture,
        &subscription(0, 3),
        of_owner,
        RecordBound::RecordsOfOwner,
    )
    .await?;
    // Others have room, and so has the owner again when one has ended.
    fixture.make(&[subscription(1, 1)]).await?;
    let ended = subscription(0, 1);
    ensure!(fixture.store.end(&ended.owner, &ended.id).await?);
    let now = fixture.now().await?;
    fixture
        .store
        .create(&subscription(0, 3), now, of_owner)
        .await?;
    is_refused(
        &fixture,
        &subscription(0, 4),
        of_owner,
        RecordBound::RecordsOfOwner,
    )
    .await?;
    let of_all = SubscriptionLimits {
        max_subscriptions: 3,
        ..ROOMY
    };
    is_refused(&fixture, &subscription(2, 1), of_all, RecordBound::Records).await?;
    let bytes_of_owner = SubscriptionLimits {
        max_bytes_per_owner: 3 * STEP,
        ..ROOMY
    };
    let large = heavy(subscription(0, 5), 7000);
    is_refused(&fixture, &large, bytes_of_owner, RecordBound::BytesOfOwner).await?;
    let bytes_of_all = SubscriptionLimits {
        max_bytes: 4 * STEP,
        ..ROOMY
    };
    let large = heavy(subscription(2, 5), 7000);
    is_refused(&fixture, &large, bytes_of_all, RecordBound::Bytes).await
}

async fn exactly_the_bound_fits(
    stores: &[Arc<SubscriptionRecords>],
    now: model::Timestamp,
) -> Result<()> {
    let limits = SubscriptionLimits {
        max_per_owner: 3,
        ..ROOMY
    };
    let creates: Vec<_> = (0..20)
        .zip(stores.iter().cycle())
        .map(|(n, store)| {
            let (store, made) = (Arc::clone(store), subscription(0, n));
            tokio::spawn(async move { store.create(&made, now, limits).await })
        })
        .collect();
    let mut made = 0;
    for create in creates {
        match create.await? {
            Ok(_) => made += 1,
            Err(SubscriptionRecordsError::NoRoom { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(made == 3, "{made} fit");
    let store = stores.first().context("a store")?;
    ensure!(store.of_owner(&subscription(0, 0).owner).await?.len() == 3);
    Ok(())
}

pub(super) async fn creates_at_once_do_not_pass_the_bound(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let now = fixture.now().await?;
    exactly_the_bound_fits(&[fixture.store], now).await
}

pub(super) async fn creates_at_once_over_handles_do_not_pass_the_bound(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (peer, now) = (fixture.peer().await?, fixture.now().await?);
    exactly_the_bound_fits(&[fixture.store, peer], now).await
}

pub(super) async fn what_cannot_be_delivered_or_is_too_large_is_not_stored(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (store, now) = (&fixture.store, fixture.now().await?);
    let posted = Subscription {
        transport: SubscriptionTransport::Webhook,
        ..subscription(0, 1)
    };
    let refused = store.create(&posted, now, ROOMY).await;
    let Err(error @ SubscriptionRecordsError::Undeliverable) = refused else {
        anyhow::bail!("{refused:?}");
    };
    ensure!(error.to_string().contains("later version"), "{error}");
    let bare = serde_json::to_vec(&heavy(subscription(0, 2), 0))?.len();
    let fits = MAX_RECORD_BYTES - bare;
    let largest = heavy(subscription(0, 2), fits);
    let beyond = heavy(subscription(0, 4), fits + 1);
    fixture.make(std::slice::from_ref(&largest)).await?;
    let refused = store.create(&beyond, now, ROOMY).await;
    ensure!(
        matches!(refused, Err(SubscriptionRecordsError::TooLarge { bytes }) if bytes == MAX_RECORD_BYTES + 1),
        "{:?}",
        refused.map(|made| made.revision)
    );
    let found = fixture.load(&largest).await?.subscription;
    ensure!(found == largest, "it is not what was stored");
    assert_eq!(store.of_owner(&largest.owner).await?.len(), 1);
    Ok(())
}
