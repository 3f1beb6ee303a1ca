//! MB-03, MB-12: a mailbox belongs to its session.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use model::{Sequence, SessionId};
use ports::MailboxError;
use tokio::time::Instant;

use super::setup::{LONG_TTL, ROOMY, WIDE, fixture, id, payload, stream};
use crate::{Harness, SessionPorts, SessionStoreFixture, sessions::session};

/// Maximum time between the end of a session's time to live and its removal.
const EXPIRY_DEADLINE: Duration = Duration::from_secs(5);

async fn is_missing(store: &dyn SessionPorts, id: &SessionId) -> Result<()> {
    let a = &stream("a");
    let outcomes = [
        store.open_stream(id, a, WIDE).await.err(),
        store.append(id, a, payload(1), WIDE).await.err(),
        store.read_after(id, a, Sequence::START, 10).await.err(),
        store.trim(id, a, Sequence::START).await.err(),
        store.close_stream(id, a).await.err(),
    ];
    for outcome in outcomes {
        ensure!(
            matches!(outcome, Some(MailboxError::Missing)),
            "{outcome:?}"
        );
    }
    Ok(())
}

/// Waits until an expired session is gone.
async fn is_gone(fixture: &SessionStoreFixture, id: &SessionId) -> Result<()> {
    let deadline = Instant::now() + EXPIRY_DEADLINE;
    while fixture.store.load(id).await?.is_some() {
        if fixture.clock.is_some() || Instant::now() > deadline {
            bail!("a session outlives its time to live");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

pub(super) async fn without_a_living_session_every_call_says_so(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    is_missing(store, &id(7)).await?;
    let ttl = fixture.short_ttl();
    store.create(&session(2), ttl, ROOMY).await?;
    for n in 0..3 {
        store.append(&id(n), &stream("a"), payload(n), WIDE).await?;
    }
    assert!(store.end(&id(0)).await?);
    is_missing(store, &id(0)).await?;
    fixture.advance_time(ttl).await;
    is_gone(&fixture, &id(2)).await?;
    is_missing(store, &id(2)).await?;
    let page = store
        .read_after(&id(1), &stream("a"), Sequence::START, 10)
        .await?;
    assert_eq!(
        page.messages.len(),
        1,
        "the others' mailboxes stay: {page:?}"
    );
    Ok(())
}

pub(super) async fn a_mailbox_lives_on_with_its_session(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let ttl = fixture.short_ttl();
    let mut sequences = Vec::new();
    // Short-lived at first, so that anything created by the first append would expire with it.
    for n in 2..5 {
        let revision = store.create(&session(n), ttl * 4, ROOMY).await?;
        sequences.push(store.append(&id(n), &stream("a"), payload(n), WIDE).await?);
        store.close_stream(&id(n), &stream("a")).await?;
        match n {
            2 => assert!(store.touch(&id(n), LONG_TTL).await?),
            3 => drop(store.replace(&session(n), revision, LONG_TTL).await?),
            // An append does not extend a time to live, but it must not shorten one either.
            _ => assert!(store.touch(&id(n), LONG_TTL).await?),
        }
    }
    store.append(&id(4), &stream("b"), payload(9), WIDE).await?;
    fixture.advance_time(ttl * 5).await;
    for (n, sequence) in (2..5).zip(sequences) {
        let page = store
            .read_after(&id(n), &stream("a"), Sequence::START, 10)
            .await?;
        assert_eq!(page.messages.len(), 1, "of session {n}");
        assert!(page.closed, "of session {n}");
        let next = store.append(&id(n), &stream("c"), payload(n), WIDE).await?;
        assert!(next > sequence, "{next} after {sequence}");
    }
    Ok(())
}

pub(super) async fn a_mailbox_goes_with_its_session(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let ttl = fixture.short_ttl();
    store.create(&session(2), ttl, ROOMY).await?;
    store.create(&session(3), ttl, ROOMY).await?;
    for n in 2..4 {
        for name in ["a", "b"] {
            store
                .append(&id(n), &stream(name), payload(n), WIDE)
                .await?;
        }
        store.close_stream(&id(n), &stream("b")).await?;
    }
    assert!(store.end(&id(3)).await?);
    fixture.advance_time(ttl).await;
    is_gone(&fixture, &id(2)).await?;
    for n in 2..4 {
        // An ended session is remembered for the rest of its time to live.
        let deadline = Instant::now() + EXPIRY_DEADLINE;
        while let Err(error) = store.create(&session(n), LONG_TTL, ROOMY).await {
            ensure!(Instant::now() < deadline, error);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for name in ["a", "b"] {
            let page = store
                .read_after(&id(n), &stream(name), Sequence::START, 10)
                .await?;
            assert!(page.messages.is_empty(), "an earlier session's: {page:?}");
            assert!(!page.closed && page.resumes_after.is_none(), "{page:?}");
        }
        store.append(&id(n), &stream("b"), payload(n), WIDE).await?;
    }
    Ok(())
}
