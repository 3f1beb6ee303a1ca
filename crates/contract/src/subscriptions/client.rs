//! SB-17: the subscriptions of one client of an owner.

use std::sync::Arc;

use anyhow::{Result, ensure};
use model::{PrincipalId, SubscriptionId};
use subscriptions::{ClientId, Subscription, SubscriptionRecords, SubscriptionRecordsError};

use super::{ROOMY, fixture, id_of, owner, subscription};
use crate::Harness;

/// The `n`-th subscription under a name.
fn under(name: &ClientId, n: u64) -> Subscription {
    let made = subscription(0, 0);
    Subscription {
        id: id_of(&made.owner, Some(name), &format!("{n:04}")),
        client: Some(name.clone()),
        ..made
    }
}

async fn listed(
    store: &SubscriptionRecords,
    client: (&PrincipalId, &ClientId),
    limit: usize,
) -> Result<Vec<SubscriptionId>> {
    let (mut after, mut ids) = (None, Vec::new());
    loop {
        let page = store.list_client(client, after.as_ref(), limit).await?;
        ensure!(page.subscriptions.len() <= limit && page.unreadable == 0);
        ids.extend(
            page.subscriptions
                .into_iter()
                .map(|found| found.subscription.id),
        );
        match page.next {
            Some(next) if Some(&next) > after.as_ref() => after = Some(next),
            Some(next) => anyhow::bail!("no progress after {next}"),
            None => return Ok(ids),
        }
    }
}

pub(super) async fn the_subscriptions_of_a_client_and_no_other_are_read(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let names: Vec<_> = (0..20)
        .map(|n| ClientId::new(&format!("client {n}")))
        .collect::<Result<_, _>>()?;
    let made = |n: u64| names.iter().map(move |name| under(name, n));
    let all: Vec<_> = (0..6).flat_map(made).collect();
    fixture.make(&all).await?;
    // Those without a name, and the same name of another owner.
    fixture
        .make(&[subscription(0, 1), subscription(1, 0)])
        .await?;
    let ended = under(&names[3], 4);
    ensure!(store.end(&ended.owner, &ended.id).await?);
    for name in &names {
        let own: Vec<_> = (0..6).map(|n| under(name, n)).collect();
        let expected = own
            .iter()
            .map(|made| &made.id)
            .filter(|id| **id != ended.id);
        let expected: Vec<_> = expected.cloned().collect();
        for limit in [1, 2, 5, 6, 500] {
            let found = listed(store, (&owner(0), name), limit).await?;
            assert_eq!(found, expected, "of {name}, in pages of {limit}");
        }
        let page = store.list_client((&owner(0), name), None, 500).await?;
        let json = page
            .subscriptions
            .iter()
            .map(|found| Ok(1 + serde_json::to_vec(&found.subscription)?.len()))
            .sum::<Result<usize>>()?;
        assert_eq!(page.bytes, json, "no other record was read for {name}");
        let of_another = store.list_client((&owner(1), name), None, 500).await?;
        ensure!(of_another.subscriptions.is_empty() && of_another.bytes == 0);
    }
    Ok(())
}

pub(super) async fn one_that_its_client_would_not_find_is_not_made(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let now = fixture.now().await?;
    let named = subscription(0, 2);
    let other = ClientId::new("another")?;
    for misnamed in [
        Subscription {
            client: Some(other),
            ..named.clone()
        },
        Subscription {
            owner: owner(1),
            ..named.clone()
        },
    ] {
        let refused = fixture.store.create(&misnamed, now, ROOMY).await;
        ensure!(
            matches!(refused, Err(SubscriptionRecordsError::Misnamed)),
            "{refused:?}"
        );
    }
    fixture.make(std::slice::from_ref(&named)).await?;
    Ok(())
}
