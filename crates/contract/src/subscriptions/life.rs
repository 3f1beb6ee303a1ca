//! SB-01 to SB-06 and SB-16: what a subscription is, whose it is, and when it ends.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use ports::Records;
use subscriptions::{
    CursorAdvance, Subscription, SubscriptionLife, SubscriptionRecordsError, limits::UNUSED_LIFE,
};

use super::{LONG, ROOMY, fixture, owner, position, subscription, until};
use crate::Harness;

/// Time that a store may need to notice that something has expired, if the suite does not control its clock.
const EXPIRY_SLACK: Duration = Duration::from_millis(100);

pub(super) async fn what_was_made_is_loaded_as_it_was(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let now = fixture.now().await?;
    let made = [
        subscription(0, 1),
        subscription(1, 2),
        until(now.plus(LONG), subscription(0, 3)),
    ];
    let stored = fixture.make(&made).await?;
    for (made, stored) in made.iter().zip(stored) {
        let found = fixture.load(made).await?;
        assert_eq!(found.subscription, *made);
        assert_eq!(found.revision, stored.revision);
        let end = match made.life {
            SubscriptionLife::Until(end) => end,
            SubscriptionLife::WhileUsed => now.plus(UNUSED_LIFE),
        };
        let off = found.expires_at.since(end).max(end.since(found.expires_at));
        assert!(off < Duration::from_secs(5), "{off:?}");
    }
    let absent = subscription(0, 9);
    let found = fixture.store.load(&absent.owner, &absent.id).await?;
    assert_eq!(found, None);
    Ok(())
}

pub(super) async fn of_several_creates_one_wins(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let now = fixture.now().await?;
    let creates = (0..10).map(|n| {
        let store = Arc::clone(&fixture.store);
        let made = Subscription {
            fence: n,
            ..subscription(0, 1)
        };
        tokio::spawn(async move { (n, store.create(&made, now, ROOMY).await) })
    });
    let mut winner = None;
    for create in creates.collect::<Vec<_>>() {
        match create.await? {
            (n, Ok(_)) => assert_eq!(winner.replace(n), None, "two won"),
            (_, Err(SubscriptionRecordsError::Exists)) => {}
            (_, Err(error)) => return Err(error.into()),
        }
    }
    let found = fixture.load(&subscription(0, 1)).await?;
    assert_eq!(Some(found.subscription.fence), winner);
    // Not even for another owner: an id is unique.
    let taken = Subscription {
        owner: owner(1),
        ..subscription(0, 1)
    };
    let refused = fixture.store.create(&taken, now, ROOMY).await;
    ensure!(
        matches!(refused, Err(SubscriptionRecordsError::Exists)),
        "{refused:?}"
    );
    Ok(())
}

/// Every call on it answers that there is none.
async fn is_missing(
    fixture: &super::SubscriptionFixture,
    of: &model::PrincipalId,
    made: &Subscription,
) -> Result<()> {
    let (store, id, now) = (&fixture.store, &made.id, fixture.now().await?);
    ensure!(store.load(of, id).await?.is_none(), "loaded");
    ensure!(
        store
            .load_many(of, std::slice::from_ref(id))
            .await?
            .is_empty()
    );
    ensure!(
        store
            .of_owner(of)
            .await?
            .iter()
            .all(|found| found.subscription.id != *id)
    );
    let renewed = store
        .renew((of, id), SubscriptionLife::WhileUsed, now)
        .await;
    ensure!(
        matches!(renewed, Err(SubscriptionRecordsError::Missing)),
        "{renewed:?}"
    );
    let advance = CursorAdvance {
        to: position(9999),
        fence: None,
    };
    let advanced = store.advance((of, id), advance, now).await;
    ensure!(
        matches!(advanced, Err(SubscriptionRecordsError::Missing)),
        "{advanced:?}"
    );
    ensure!(!store.end(of, id).await?, "ended");
    Ok(())
}

pub(super) async fn a_subscription_is_its_owners_alone(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let made = subscription(0, 1);
    let stored = fixture.make(std::slice::from_ref(&made)).await?;
    is_missing(&fixture, &owner(1), &made).await?;
    assert_eq!(fixture.load(&made).await?, stored[0], "nothing was changed");
    Ok(())
}

pub(super) async fn a_subscription_is_gone_at_its_end(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let life = fixture.of.short_ttl();
    let end = fixture.now().await?.plus(life);
    let (ends, lives) = (until(end, subscription(0, 1)), subscription(0, 2));
    fixture.make(&[ends.clone(), lives.clone()]).await?;
    fixture.load(&ends).await?;
    fixture.of.advance_time(life + EXPIRY_SLACK).await;
    is_missing(&fixture, &ends.owner, &ends).await?;
    fixture.load(&lives).await?;
    if fixture.of.clock.is_some() {
        fixture.of.advance_time(UNUSED_LIFE).await;
        is_missing(&fixture, &lives.owner, &lives).await?;
    }
    Ok(())
}

pub(super) async fn one_whose_end_has_passed_is_not_made(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let now = fixture.now().await?;
    let made = until(now, subscription(0, 1));
    let refused = fixture.store.create(&made, now, ROOMY).await;
    ensure!(
        matches!(refused, Err(SubscriptionRecordsError::Over)),
        "{refused:?}"
    );
    let stored = fixture.make(&[subscription(0, 2)]).await?;
    let id = &stored[0].subscription.id;
    let life = SubscriptionLife::Until(now);
    let refused = fixture.store.renew((&made.owner, id), life, now).await;
    ensure!(
        matches!(refused, Err(SubscriptionRecordsError::Over)),
        "{refused:?}"
    );
    assert_eq!(fixture.store.of_owner(&made.owner).await?, stored);
    Ok(())
}

pub(super) async fn a_renewal_moves_the_end_and_nothing_else(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let now = fixture.now().await?;
    let made = until(now.plus(LONG), subscription(0, 1));
    fixture.make(std::slice::from_ref(&made)).await?;
    let of = (&made.owner, &made.id);
    for life in [
        SubscriptionLife::Until(now.plus(LONG * 2)),
        SubscriptionLife::Until(now.plus(LONG / 2)),
        SubscriptionLife::WhileUsed,
    ] {
        let renewed = fixture.store.renew(of, life, now).await?;
        let left = life.left(now).unwrap_or_default();
        let found = fixture.load(&made).await?;
        assert_eq!(found, renewed);
        assert_eq!(
            found.subscription,
            Subscription {
                life,
                ..made.clone()
            }
        );
        let off = found.expires_at.since(now.plus(left));
        let early = now.plus(left).since(found.expires_at);
        assert!(off.max(early) < Duration::from_secs(5), "{off:?} {early:?}");
    }
    Ok(())
}

pub(super) async fn what_was_ended_stays_ended(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let made = subscription(0, 1);
    fixture.make(&[made.clone(), subscription(0, 2)]).await?;
    ensure!(fixture.store.end(&made.owner, &made.id).await?);
    is_missing(&fixture, &made.owner, &made).await?;
    let now = fixture.now().await?;
    let again = fixture.store.create(&made, now, ROOMY).await;
    ensure!(
        matches!(again, Err(SubscriptionRecordsError::Exists)),
        "{again:?}"
    );
    assert_eq!(fixture.store.of_owner(&made.owner).await?.len(), 1);
    Ok(())
}

pub(super) async fn what_was_ended_is_told_from_what_was_never_there(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (ended, living, never) = (subscription(0, 1), subscription(0, 2), subscription(0, 3));
    fixture.make(&[ended.clone(), living.clone()]).await?;
    ensure!(fixture.store.end(&ended.owner, &ended.id).await?);
    for (of, was_ended) in [(&ended, true), (&living, true), (&never, false)] {
        // Twice: the question leaves nothing.
        for _ in 0..2 {
            let told = fixture.store.was_ended(&of.owner, &of.id).await?;
            ensure!(told == was_ended, "{:?}: {told}", of.id);
        }
    }
    let found = fixture.store.load(&living.owner, &living.id).await?;
    ensure!(found.is_some_and(|found| found.subscription == living));
    fixture.make(&[never]).await?;
    Ok(())
}

pub(super) async fn a_check_accepts_and_leaves_nothing(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    fixture.store.check().await?;
    let all = Records::list(
        &*fixture.of.store,
        super::unreadable::SUBSCRIPTIONS,
        None,
        None,
        10,
    );
    ensure!(all.await?.records.is_empty());
    Ok(())
}
