//! SS-11, SS-12, SS-13, SS-18: the number of sessions, and their bytes.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use edge_records::{SessionLimits, SessionRecords, SessionRecordsError};
use model::{PrincipalId, Session};
use ports::RecordLimits;
use tokio::time::Instant;

use super::{LONG_TTL, ROOMY, SessionFixture, changed, fixture, session};
use crate::{Harness, noise::noise};

/// Maximum time that an expired session may count if the suite does not control the clock.
const EXPIRY_DEADLINE: Duration = Duration::from_secs(5);

/// Room for three sessions, regardless of their owners.
const THREE: SessionLimits = SessionLimits {
    max_sessions: 3,
    ..ROOMY
};
/// Room for three sessions per owner.
const THREE_EACH: SessionLimits = SessionLimits {
    max_sessions_per_owner: 3,
    ..ROOMY
};

/// The `n`-th session, of one of many owners.
fn of(owner: u64, n: u64) -> Session {
    // Braces and percent signs have a special meaning in some backends.
    let owner = PrincipalId::new(&format!("{{owner}}%{owner}")).expect("visible ASCII");
    Session {
        owner,
        ..session(n)
    }
}

async fn is_refused(
    store: &SessionRecords,
    session: &Session,
    limits: SessionLimits,
) -> Result<()> {
    let refused = store.create(session, LONG_TTL, limits).await;
    let overloaded = matches!(refused, Err(SessionRecordsError::NoRoom { .. }));
    ensure!(overloaded, "{refused:?}");
    ensure!(
        store.load(&session.id).await?.is_none(),
        "a refused session is stored"
    );
    let listed = store.list(None, 1000).await?.sessions;
    let seen = listed.iter().any(|one| one.session.id == session.id);
    ensure!(!seen, "a refused session is listed");
    Ok(())
}

/// Creates a session once there is room, which must be within the deadline.
async fn is_admitted(
    fixture: &SessionFixture,
    session: &Session,
    limits: SessionLimits,
) -> Result<()> {
    let deadline = Instant::now() + EXPIRY_DEADLINE;
    while let Err(refused) = fixture.store.create(session, LONG_TTL, limits).await {
        let late = fixture.of.clock.is_some() || Instant::now() > deadline;
        ensure!(!late, "an expired session still counts: {refused:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

pub(super) async fn beyond_the_stores_bound_a_session_is_refused(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let first = store.create(&of(0, 0), LONG_TTL, THREE).await?;
    for n in 1..3 {
        store.create(&of(n, n), LONG_TTL, THREE).await?;
    }
    is_refused(store, &of(3, 3), THREE).await?;
    is_refused(store, &of(0, 3), THREE).await?;
    // Living sessions can still be changed, and do not count twice.
    store
        .replace(&changed(&of(0, 0), 1), first, LONG_TTL, ROOMY)
        .await?;
    ensure!(
        store.touch(&of(1, 1).id, LONG_TTL).await?,
        "the session is living"
    );
    is_refused(store, &of(3, 3), THREE).await?;
    // The bound is an argument of the call, and may change; the id has stayed free.
    let four = SessionLimits {
        max_sessions: 4,
        ..THREE
    };
    store.create(&of(3, 3), LONG_TTL, four).await?;
    is_refused(store, &of(4, 4), four).await?;
    is_refused(store, &of(4, 4), THREE).await?;
    ensure!(
        store.list(None, 100).await?.sessions.len() == 4,
        "four sessions are living"
    );
    Ok(())
}

pub(super) async fn beyond_its_owners_bound_a_session_is_refused(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let first = store.create(&of(0, 0), LONG_TTL, THREE_EACH).await?;
    for n in 1..3 {
        store.create(&of(0, n), LONG_TTL, THREE_EACH).await?;
    }
    is_refused(store, &of(0, 3), THREE_EACH).await?;
    store
        .replace(&changed(&of(0, 0), 1), first, LONG_TTL, ROOMY)
        .await?;
    is_refused(store, &of(0, 3), THREE_EACH).await?;
    // Other owners have room.
    for n in 3..6 {
        store.create(&of(1, n), LONG_TTL, THREE_EACH).await?;
    }
    is_refused(store, &of(1, 6), THREE_EACH).await?;
    is_refused(store, &of(0, 6), THREE_EACH).await?;
    store.create(&of(0, 6), LONG_TTL, ROOMY).await?;
    Ok(())
}

pub(super) async fn what_ended_does_not_count(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let both = SessionLimits {
        max_sessions: 3,
        max_sessions_per_owner: 2,
        ..ROOMY
    };
    for (owner, n) in [(0, 0), (0, 1), (1, 2)] {
        store.create(&of(owner, n), LONG_TTL, both).await?;
    }
    for n in 3..10 {
        is_refused(store, &of(0, n), both).await?;
        ensure!(store.end(&of(0, n - 3).id).await?, "there was one to end");
        // Ending a session twice makes room only once.
        store.end(&of(0, n - 3).id).await?;
        let owner = u64::from(n % 3 == 2);
        store.create(&of(owner, n), LONG_TTL, both).await?;
    }
    is_refused(store, &of(7, 10), both).await
}

pub(super) async fn what_expired_does_not_count(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    store.create(&of(0, 0), LONG_TTL, THREE).await?;
    let revision = store.create(&of(0, 1), LONG_TTL, THREE).await?;
    // One session is created with a short time to live, the other is shortened.
    store.create(&of(0, 2), ttl, THREE).await?;
    store.replace(&of(0, 1), revision, ttl, ROOMY).await?;
    fixture.advance_time(ttl).await;
    for n in 3..5 {
        is_admitted(&fixture, &of(0, n), THREE).await?;
    }
    is_refused(store, &of(0, 5), THREE).await?;
    // The same per owner, where a touch shortens.
    for n in 10..13 {
        store.create(&of(1, n), LONG_TTL, THREE_EACH).await?;
    }
    for n in 10..12 {
        ensure!(
            store.touch(&of(1, n).id, ttl).await?,
            "the session is living"
        );
    }
    fixture.advance_time(ttl).await;
    for n in 13..15 {
        is_admitted(&fixture, &of(1, n), THREE_EACH).await?;
    }
    is_refused(store, &of(1, 15), THREE_EACH).await?;
    // An id may be used again after its expiry, and counts once.
    ensure!(
        store.touch(&of(1, 14).id, ttl).await?,
        "the session is living"
    );
    fixture.advance_time(ttl).await;
    is_admitted(&fixture, &of(1, 14), THREE_EACH).await?;
    is_refused(store, &of(1, 15), THREE_EACH).await
}

pub(super) async fn what_was_touched_counts_for_as_long_as_it_lives(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    let mut living = 0;
    for n in 0..3 {
        let revision = store.create(&of(0, n), ttl, THREE).await?;
        // The session may expire before that on a busy machine: then it is gone and does not count.
        living += match n {
            0 => u64::from(
                store
                    .replace(&of(0, n), revision, LONG_TTL, ROOMY)
                    .await
                    .is_ok(),
            ),
            _ => u64::from(store.touch(&of(0, n).id, LONG_TTL).await?),
        };
    }
    fixture.advance_time(ttl * 2).await;
    for n in 3..(6 - living) {
        is_admitted(&fixture, &of(0, n), THREE).await?;
    }
    is_refused(store, &of(0, 9), THREE).await
}

/// Thirty creates at once, alternating between the handles: exactly as many succeed as there is
/// room for.
pub(super) async fn exactly_the_bounds_fit(stores: &[Arc<SessionRecords>]) -> Result<()> {
    let all = SessionLimits {
        max_sessions: 7,
        max_sessions_per_owner: 3,
        ..ROOMY
    };
    // Two owners have room for three sessions each; with a third owner, the total bound is seven.
    for (from, owners, fit) in [(0, 2, 6), (100, 3, 1)] {
        let creates: Vec<_> = (0..30)
            .zip(stores.iter().cycle())
            .map(|(n, store)| {
                let (store, session) = (Arc::clone(store), of(n % owners, from + n));
                tokio::spawn(async move { store.create(&session, LONG_TTL, all).await })
            })
            .collect();
        let mut created = 0;
        for create in creates {
            match create.await? {
                Ok(_) => created += 1,
                Err(SessionRecordsError::NoRoom { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        assert_eq!(created, fit, "of {owners} owners");
    }
    Ok(())
}

pub(super) async fn creates_at_once_do_not_pass_the_bounds(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    exactly_the_bounds_fit(&[fixture.store]).await
}

/// The same session with a state of more than `bytes`, of which a layer takes less than a third.
fn heavy(session: &Session, bytes: usize) -> Session {
    // The letters of ASCII that JSON leaves as they are.
    let letter = |byte: u8| char::from(b'#' + byte % (b'[' - b'#'));
    let name: String = noise(bytes).into_iter().map(letter).collect();
    Session {
        client_info: serde_json::json!({ "name": name }),
        ..session.clone()
    }
}

pub(super) async fn beyond_the_bytes_a_session_is_refused_and_may_shrink(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    const STEP: u64 = RecordLimits::WEIGHT_STEP_BYTES;
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    // Two steps for an owner, three in all; a session of these takes one.
    let tight = SessionLimits {
        max_bytes: 3 * STEP,
        max_bytes_per_owner: 2 * STEP,
        ..ROOMY
    };
    let first = store.create(&of(0, 0), LONG_TTL, tight).await?;
    store.create(&of(0, 1), LONG_TTL, tight).await?;
    is_refused(store, &of(0, 2), tight).await?;
    let grown = heavy(&of(0, 0), 7000);
    let refused = store.replace(&grown, first, LONG_TTL, tight).await;
    let is_full = matches!(refused, Err(SessionRecordsError::NoRoom { .. }));
    ensure!(is_full, "{refused:?}");
    let kept = store.load(&of(0, 0).id).await?;
    ensure!(kept.is_some_and(|kept| kept.session == of(0, 0) && kept.revision == first));
    store.create(&of(1, 3), LONG_TTL, tight).await?;
    is_refused(store, &heavy(&of(2, 4), 7000), tight).await?;
    // A change that adds no weight has room, even beyond the limits, and so has one that takes some away.
    let grown = store.replace(&grown, first, LONG_TTL, ROOMY).await?;
    let same = heavy(&of(0, 0), 7001);
    let same = store.replace(&same, grown, LONG_TTL, tight).await?;
    store.replace(&of(0, 0), same, LONG_TTL, tight).await?;
    ensure!(store.end(&of(0, 1).id).await?, "there was one to end");
    store.create(&of(0, 2), LONG_TTL, tight).await?;
    Ok(())
}
