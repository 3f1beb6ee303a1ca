//! SB-14: subscriptions that another build wrote, or that are damaged.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use model::RecordId;
use ports::{Collection, RecordKey};
use subscriptions::{Subscription, SubscriptionRecordsError};

use super::{fixture, subscription};
use crate::{Harness, records_fixture::spoil};

pub(super) const SUBSCRIPTIONS: Collection = Collection::new("subscriptions");

fn key_of(subscription: &Subscription) -> Result<RecordKey> {
    Ok(RecordKey {
        collection: SUBSCRIPTIONS,
        id: RecordId::new(subscription.id.as_str())?,
    })
}

pub(super) async fn a_subscription_of_another_version_concerns_itself_alone(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (store, records) = (&fixture.store, fixture.of.records());
    let made: Vec<_> = (0..7).map(|n| subscription(0, n)).collect();
    fixture.make(&made).await?;
    let of_another = [b"\x01", &serde_json::to_vec(&subscription(1, 0))?[..]].concat();
    let damages = [&b""[..], b"\x02{}", b"\x01nonsense", &of_another];
    let (spoilt, whole): (Vec<_>, Vec<_>) = made.iter().enumerate().partition(|(n, _)| n % 2 == 0);
    for ((_, made), damage) in spoilt.iter().zip(damages) {
        spoil(&*records, &key_of(made)?, damage.to_vec()).await?;
        let loaded = store.load(&made.owner, &made.id).await;
        let Err(SubscriptionRecordsError::Unreadable { source }) = loaded else {
            bail!("{damage:?}: {loaded:?}");
        };
        let text = source.to_string();
        let names_both = text.contains("version 2") && text.contains("version 1");
        ensure!(damage.first() != Some(&2) || names_both, "{text}");
    }
    let owner = &made[0].owner;
    let expected: Vec<_> = whole.iter().map(|(_, made)| (*made).clone()).collect();
    let page = store.list(owner, None, 100).await?;
    ensure!(page.unreadable == spoilt.len(), "{}", page.unreadable);
    let ids: Vec<_> = made.iter().map(|made| made.id.clone()).collect();
    for found in [
        page.subscriptions,
        store.of_owner(owner).await?,
        store.load_many(owner, &ids).await?,
    ] {
        let found: Vec<_> = found.into_iter().map(|found| found.subscription).collect();
        assert_eq!(found, expected);
    }
    for (_, made) in spoilt {
        ensure!(store.end(owner, &made.id).await?);
        ensure!(store.load(owner, &made.id).await?.is_none());
    }
    ensure!(store.list(owner, None, 100).await?.unreadable == 0);
    Ok(())
}
