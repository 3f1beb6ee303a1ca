//! SS-01, SS-04, SS-05, SS-06: life and end of a session.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use edge_records::{SessionLimits, SessionRecords, SessionRecordsError};
use model::SessionId;
use ports::Revision;
use tokio::time::Instant;

use super::{LONG_TTL, ROOMY, SessionFixture, changed, fixture, session};
use crate::Harness;

/// Maximum time between the end of a session's time to live and its removal.
const EXPIRY_DEADLINE: Duration = Duration::from_secs(5);
/// Number of attempts of a case when a time to live ended too early on a slow machine.
const ATTEMPTS: u64 = 10;

pub(super) async fn what_was_created_is_loaded_as_it_was(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    for n in 0..5 {
        let revision = fixture.store.create(&session(n), LONG_TTL, ROOMY).await?;
        let Some(loaded) = fixture.store.load(&session(n).id).await? else {
            bail!("a created session is not stored");
        };
        assert_eq!(loaded.session, session(n));
        assert_eq!(loaded.revision, revision);
        let latest = fixture.store.time().await?.plus(LONG_TTL);
        assert!(loaded.expires_at <= latest, "{loaded:?} outlives {latest}");
        let end = fixture.store.expires_at(&session(n).id).await?;
        assert_eq!(end, Some(loaded.expires_at));
    }
    Ok(fixture.store.check().await?)
}

pub(super) async fn what_is_not_there_is_none(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    is_missing(&fixture.store, 1).await
}

/// Checks that every call but `create` reports the session as missing.
async fn is_missing(store: &SessionRecords, n: u64) -> Result<()> {
    let session = session(n);
    assert_eq!(store.load(&session.id).await?, None);
    assert!(
        !store.touch(&session.id, LONG_TTL).await?,
        "touch reports the session as living"
    );
    for revision in [0, 1, 2, 3] {
        let replaced = store
            .replace(&changed(&session, 1), Revision(revision), LONG_TTL, ROOMY)
            .await;
        assert!(
            matches!(replaced, Err(SessionRecordsError::Missing)),
            "{replaced:?}"
        );
    }
    assert!(
        !store.end(&session.id).await?,
        "end reports a living session"
    );
    assert_eq!(
        store.load(&session.id).await?,
        None,
        "a call has restored the session"
    );
    let listed = store.list(None, 100).await?;
    assert!(
        listed
            .sessions
            .iter()
            .all(|one| one.session.id != session.id),
        "the session is listed"
    );
    Ok(())
}

pub(super) async fn an_ended_session_stays_ended(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    for n in 0..3 {
        let revision = fixture.store.create(&session(n), LONG_TTL, ROOMY).await?;
        if n == 1 {
            fixture
                .store
                .replace(&changed(&session(n), 1), revision, LONG_TTL, ROOMY)
                .await?;
        }
        assert!(
            fixture.store.end(&session(n).id).await?,
            "there was something to end"
        );
        is_missing(&fixture.store, n).await?;
        let again = fixture.store.create(&session(n), LONG_TTL, ROOMY).await;
        assert!(
            matches!(again, Err(SessionRecordsError::Exists)),
            "{again:?}"
        );
        is_missing(&fixture.store, n).await?;
    }
    Ok(())
}

pub(super) async fn of_several_ends_one_ends_it(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    for n in 0..5 {
        fixture.store.create(&session(n), LONG_TTL, ROOMY).await?;
        let ends: Vec<_> = (0..8)
            .map(|_| {
                let store = Arc::clone(&fixture.store);
                tokio::spawn(async move { store.end(&session(n).id).await })
            })
            .collect();
        let mut ended = 0;
        for end in ends {
            ended += usize::from(end.await??);
        }
        assert_eq!(
            ended, 1,
            "exactly one of eight ends finds the session alive"
        );
    }
    Ok(())
}

/// Waits until an expired session is gone.
async fn is_gone(fixture: &SessionFixture, id: &SessionId) -> Result<()> {
    let deadline = Instant::now() + EXPIRY_DEADLINE;
    while fixture.store.load(id).await?.is_some() {
        if fixture.of.clock.is_some() || Instant::now() > deadline {
            bail!("a session outlives its time to live");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

pub(super) async fn an_untouched_session_goes_after_its_ttl(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let ttl = fixture.short_ttl();
    fixture.store.create(&session(0), LONG_TTL, ROOMY).await?;
    for n in 1..4 {
        fixture.store.create(&session(n), ttl, ROOMY).await?;
    }
    if fixture.of.clock.is_some() {
        fixture.advance_time(ttl - Duration::from_millis(1)).await;
        assert!(
            fixture.store.load(&session(1).id).await?.is_some(),
            "gone before its time"
        );
        fixture.advance_time(Duration::from_millis(1)).await;
    } else {
        fixture.advance_time(ttl).await;
    }
    for n in 1..4 {
        is_gone(&fixture, &session(n).id).await?;
    }
    assert!(
        fixture.store.load(&session(0).id).await?.is_some(),
        "its time to live is not over"
    );
    Ok(())
}

pub(super) async fn an_expired_session_is_missing_to_every_call(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let ttl = fixture.short_ttl();
    let revision = fixture.store.create(&session(1), ttl, ROOMY).await?;
    fixture.advance_time(ttl).await;
    is_gone(&fixture, &session(1).id).await?;
    let replaced = fixture
        .store
        .replace(&session(1), revision, LONG_TTL, ROOMY)
        .await;
    assert!(
        matches!(replaced, Err(SessionRecordsError::Missing)),
        "{replaced:?}"
    );
    is_missing(&fixture.store, 1).await
}

pub(super) async fn touch_restarts_the_ttl_and_keeps_the_revision(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let ttl = fixture.short_ttl();
    for n in 0..ATTEMPTS {
        let (started, id) = (Instant::now(), session(n).id);
        let revision = fixture.store.create(&session(n), ttl, ROOMY).await?;
        fixture.advance_time(ttl / 2).await;
        let lives = fixture.store.touch(&id, LONG_TTL).await?;
        if !lives && fixture.of.clock.is_none() && started.elapsed() >= ttl {
            continue; // The session expired on a busy machine: retry with another one.
        }
        assert!(lives, "touch reports the session as missing");
        fixture.advance_time(ttl).await;
        let loaded = fixture.store.load(&id).await?;
        assert_eq!(
            loaded.map(|loaded| loaded.revision),
            Some(revision),
            "a touch keeps the revision"
        );
        // A touch can also shorten: the last call counts.
        assert!(fixture.store.touch(&id, ttl).await?);
        fixture.advance_time(ttl).await;
        return is_gone(&fixture, &id).await;
    }
    bail!("every attempt was overtaken by the time to live of {ttl:?}")
}

pub(super) async fn replace_restarts_the_ttl(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let ttl = fixture.short_ttl();
    for n in 0..ATTEMPTS {
        let (started, id) = (Instant::now(), session(n).id);
        let revision = fixture.store.create(&session(n), ttl, ROOMY).await?;
        let replaced = fixture
            .store
            .replace(&changed(&session(n), n), revision, LONG_TTL, ROOMY)
            .await;
        if replaced.is_err() && fixture.of.clock.is_none() && started.elapsed() >= ttl {
            continue; // The session expired on a busy machine: retry with another one.
        }
        replaced?;
        fixture.advance_time(ttl * 2).await;
        assert!(
            fixture.store.load(&id).await?.is_some(),
            "replaced but gone"
        );
        return Ok(());
    }
    bail!("every attempt was overtaken by the time to live of {ttl:?}")
}

pub(super) async fn the_stores_time_is_the_one_that_sessions_expire_by(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    let time = async || store.time().await;
    let before = time().await?;
    store.create(&session(0), ttl, ROOMY).await?;
    let lives_until = time().await?.plus(ttl);
    fixture.advance_time(ttl + Duration::from_millis(50)).await;
    assert!(time().await? > lives_until);
    assert!(time().await?.since(before) >= ttl);
    assert_eq!(store.load(&session(0).id).await?, None);
    Ok(())
}

pub(super) async fn a_check_accepts_and_leaves_nothing(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &fixture.store;
    for _ in 0..3 {
        store.check().await?;
    }
    let page = store.list(None, 10).await?;
    assert!(page.sessions.is_empty() && page.next.is_none(), "{page:?}");
    let limits = SessionLimits {
        max_sessions: 1,
        ..ROOMY
    };
    store.create(&session(1), LONG_TTL, limits).await?;
    Ok(store.check().await?)
}
