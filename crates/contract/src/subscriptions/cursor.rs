//! SB-09, SB-10 and SB-13: up to where the events of a subscription were delivered.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use model::{Epoch, LogPosition};
use subscriptions::{
    CursorAdvance, Subscription, SubscriptionLife, SubscriptionRecordsError, limits::UNUSED_LIFE,
};

use super::{LONG, SubscriptionFixture, fixture, position, subscription, subscriptions_of, until};
use crate::Harness;

async fn advance(
    fixture: &SubscriptionFixture,
    of: &Subscription,
    to: LogPosition,
    fence: Option<u64>,
) -> Result<LogPosition, SubscriptionRecordsError> {
    let now = fixture.of.store.time().await?;
    let advance = CursorAdvance { to, fence };
    let of = (&of.owner, &of.id);
    let moved = fixture.store.advance(of, advance, now).await?;
    Ok(moved.subscription.cursor)
}

pub(super) async fn the_cursor_only_rises_within_a_log(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let made = subscription(0, 1);
    fixture.make(std::slice::from_ref(&made)).await?;
    let first = made.since.sequence.0;
    let other = |sequence| LogPosition {
        epoch: Epoch(5),
        ..position(sequence)
    };
    for (to, reached) in [
        (position(first + 9), position(first + 9)),
        (position(first + 3), position(first + 9)),
        (position(first + 10), position(first + 10)),
        (other(2), other(2)),
        (other(1), other(2)),
    ] {
        assert_eq!(advance(&fixture, &made, to, None).await?, reached);
        let found = fixture.load(&made).await?.subscription;
        let expected = Subscription {
            cursor: reached,
            ..made.clone()
        };
        assert_eq!(found, expected, "nothing else changes");
    }
    Ok(())
}

pub(super) async fn an_advance_is_a_use_and_no_renewal(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let end = fixture.now().await?.plus(LONG);
    let (ends, used) = (until(end, subscription(0, 1)), subscription(0, 2));
    let stored = fixture.make(&[ends.clone(), used.clone()]).await?;
    let time = Duration::from_millis(200);
    fixture.of.advance_time(time).await;
    for made in [&ends, &used] {
        advance(&fixture, made, position(900), None).await?;
    }
    assert_eq!(fixture.load(&ends).await?.expires_at, stored[0].expires_at);
    let put_off = fixture.load(&used).await?.expires_at;
    let by = put_off.since(stored[1].expires_at);
    ensure!(by >= time / 2 && by < LONG, "put off by {by:?}");
    ensure!(matches!(used.life, SubscriptionLife::WhileUsed) && UNUSED_LIFE > LONG);
    Ok(())
}

pub(super) async fn a_delivery_that_lost_its_lease_moves_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let made = subscription(0, 1);
    fixture.make(std::slice::from_ref(&made)).await?;
    advance(&fixture, &made, position(100), Some(5)).await?;
    advance(&fixture, &made, position(110), Some(5)).await?;
    // It moves nothing, and says that it is there.
    advance(&fixture, &made, position(100), Some(8)).await?;
    let late = advance(&fixture, &made, position(200), Some(5)).await;
    ensure!(
        matches!(late, Err(SubscriptionRecordsError::Fenced { newest: 8 })),
        "{late:?}"
    );
    assert_eq!(
        fixture.load(&made).await?.subscription.cursor,
        position(110)
    );
    advance(&fixture, &made, position(210), Some(8)).await?;
    // A client that reads by itself needs no lease.
    advance(&fixture, &made, position(220), None).await?;
    let found = fixture.load(&made).await?.subscription;
    assert_eq!((found.cursor, found.fence), (position(220), 8));
    Ok(())
}

pub(super) async fn a_cursor_of_a_lost_time_is_the_one_of_before(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = fixture(&harness).await?;
    let made = subscription(0, 1);
    fixture.make(std::slice::from_ref(&made)).await?;
    advance(&fixture, &made, position(100), None).await?;
    let set_back = fixture.of.handles.set_back()?;
    (set_back.save)().await?;
    advance(&fixture, &made, position(200), None).await?;
    fixture.of.store = (set_back.restore)().await?;
    fixture.store = subscriptions_of(&fixture.of.store);
    fixture.of.advance_time(Duration::from_millis(1)).await;
    assert_eq!(
        fixture.load(&made).await?.subscription.cursor,
        position(100)
    );
    let moved = advance(&fixture, &made, position(150), None).await?;
    assert_eq!(moved, position(150));
    Ok(())
}
