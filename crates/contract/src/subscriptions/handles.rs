//! SB-11 and SB-12: several handles, and reopens.

use std::sync::Arc;

use anyhow::{Result, ensure};
use model::Timestamp;
use subscriptions::{CursorAdvance, SubscriptionLife, SubscriptionRecords};

use super::{LONG, ROOMY, fixture, position, subscription};
use crate::Harness;

pub(super) async fn what_was_acknowledged_outlives_a_reopen(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = fixture(&harness).await?;
    let made = [1, 2, 3].map(|n| subscription(0, n));
    fixture.make(&made).await?;
    let now = fixture.now().await?;
    let of = (&made[0].owner, &made[0].id);
    let advance = CursorAdvance {
        to: position(500),
        fence: Some(3),
    };
    fixture.store.advance(of, advance, now).await?;
    let life = SubscriptionLife::Until(now.plus(LONG));
    let kept = fixture.store.renew(of, life, now).await?;
    ensure!(fixture.store.end(&made[1].owner, &made[1].id).await?);
    let third = fixture.load(&made[2]).await?;
    fixture.reopen().await?;
    assert_eq!(fixture.load(&made[0]).await?, kept);
    assert_eq!(fixture.load(&made[2]).await?, third);
    let all = fixture.store.of_owner(&made[0].owner).await?;
    assert_eq!(all, [kept, third]);
    Ok(())
}

pub(super) async fn what_one_handle_changed_another_sees_at_once(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let peer = fixture.peer().await?;
    for n in 0..10 {
        let (here, there) = match n % 2 {
            0 => (&fixture.store, &peer),
            _ => (&peer, &fixture.store),
        };
        let made = subscription(0, n);
        let now = fixture.now().await?;
        let stored = here.create(&made, now, ROOMY).await?;
        let seen = there.load(&made.owner, &made.id).await?;
        assert_eq!(
            seen.as_ref().map(|seen| seen.revision),
            Some(stored.revision)
        );
        let of = (&made.owner, &made.id);
        let advance = CursorAdvance {
            to: position(700),
            fence: None,
        };
        let moved = there.advance(of, advance, now).await?;
        assert_eq!(here.load(&made.owner, &made.id).await?, Some(moved));
        ensure!(here.end(&made.owner, &made.id).await?);
        ensure!(there.load(&made.owner, &made.id).await?.is_none());
    }
    Ok(())
}

/// Several deliveries and renewals at once: the cursor is the highest, and the end one that was set.
async fn none_is_lost(stores: &[Arc<SubscriptionRecords>], now: Timestamp) -> Result<()> {
    let made = subscription(0, 1);
    stores[0].create(&made, now, ROOMY).await?;
    let ends: Vec<_> = (1..4)
        .map(|n| SubscriptionLife::Until(now.plus(LONG * n)))
        .collect();
    let mut changes = Vec::new();
    for (n, store) in (0_u64..6).zip(stores.iter().cycle()) {
        let (store, made) = (Arc::clone(store), made.clone());
        let life = ends.get(usize::try_from(n)?).copied();
        changes.push(tokio::spawn(async move {
            let of = (&made.owner, &made.id);
            let changed = match life {
                Some(life) => store.renew(of, life, now).await,
                None => {
                    let advance = CursorAdvance {
                        to: position(1000 + n),
                        fence: None,
                    };
                    store.advance(of, advance, now).await
                }
            };
            changed.map(drop)
        }));
    }
    for change in changes {
        change.await??;
    }
    let found = stores[0].load(&made.owner, &made.id).await?;
    let found = found.expect("it is stored").subscription;
    assert_eq!(found.cursor, position(1005));
    assert!(ends.contains(&found.life), "{:?}", found.life);
    Ok(())
}

pub(super) async fn no_concurrent_change_is_lost(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let now = fixture.now().await?;
    none_is_lost(&[fixture.store], now).await
}

pub(super) async fn no_concurrent_change_over_handles_is_lost(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (peer, now) = (fixture.peer().await?, fixture.now().await?);
    none_is_lost(&[fixture.store, peer], now).await
}
