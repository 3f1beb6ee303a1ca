//! SB-07: the subscriptions of an owner.

use std::sync::Arc;

use anyhow::{Result, ensure};
use model::{PrincipalId, SubscriptionId};
use subscriptions::SubscriptionRecords;

use super::{fixture, owner, subscription};
use crate::Harness;

async fn listed(
    store: &SubscriptionRecords,
    owner: &PrincipalId,
    limit: usize,
) -> Result<Vec<SubscriptionId>> {
    let (mut after, mut ids) = (None, Vec::new());
    for _ in 0..1000 {
        let page = store.list(owner, after.as_ref(), limit).await?;
        ensure!(page.subscriptions.len() <= limit);
        ids.extend(
            page.subscriptions
                .into_iter()
                .map(|found| found.subscription.id),
        );
        match page.next {
            Some(next) => {
                ensure!(after.as_ref() < Some(&next), "no progress after {next}");
                after = Some(next);
            }
            None => return Ok(ids),
        }
    }
    anyhow::bail!("the list has no end")
}

pub(super) async fn every_subscription_of_an_owner_once_in_pages_by_id(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let made: Vec<_> = (0..23)
        .rev()
        .flat_map(|n| [subscription(0, n), subscription(1, n)])
        .collect();
    fixture.make(&made).await?;
    for n in [0, 7, 22] {
        let ended = subscription(0, n);
        store.end(&ended.owner, &ended.id).await?;
    }
    let living = (0..23).filter(|n| ![0, 7, 22].contains(n));
    let mut expected: Vec<_> = living.map(|n| subscription(0, n).id).collect();
    expected.sort();
    for limit in [1, 3, 20, 21, 500] {
        let found = listed(store, &owner(0), limit).await?;
        assert_eq!(found, expected, "in pages of {limit}");
    }
    let all = store.of_owner(&owner(0)).await?;
    assert!(all.iter().map(|found| &found.subscription.id).eq(&expected));
    assert_eq!(listed(store, &owner(1), 4).await?.len(), 23);
    assert!(listed(store, &owner(2), 4).await?.is_empty());
    // Some of them, one that has ended, and one of another owner.
    let asked = [5, 7, 1].map(|n| subscription(0, n).id);
    let asked = [&asked[..], &[subscription(1, 2).id]].concat();
    let some = store.load_many(&owner(0), &asked).await?;
    let some: Vec<_> = some
        .into_iter()
        .map(|found| found.subscription.id)
        .collect();
    assert_eq!(some, [&asked[..1], &asked[2..3]].concat());
    Ok(())
}
