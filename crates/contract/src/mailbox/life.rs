//! MB-03, MB-12, MB-18, MB-19: the life of a mailbox.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use model::{Sequence, SessionId};
use ports::{Mailbox, MailboxError};
use tokio::time::Instant;

use super::setup::{
    LONG_TTL, MailboxFixture, WIDE, append, fixture, id, owner, page, payload, stream,
};
use crate::Harness;

/// Maximum time between the end of a mailbox's time to live and its removal.
const EXPIRY_DEADLINE: Duration = Duration::from_secs(5);

async fn is_missing(store: &dyn Mailbox, id: &SessionId) -> Result<()> {
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
    ensure!(!store.touch(id, LONG_TTL).await?, "revived by a touch");
    ensure!(!store.end(id).await?, "there was something to end");
    Ok(())
}

/// Waits until an expired mailbox is gone: at once by a clock of the suite.
async fn expires(fixture: &MailboxFixture, id: &SessionId) -> Result<()> {
    let deadline = Instant::now() + EXPIRY_DEADLINE;
    let read = async || {
        let (store, a) = (&fixture.store, stream("a"));
        store.read_after(id, &a, Sequence::START, 1).await
    };
    while !matches!(read().await, Err(MailboxError::Missing)) {
        let waits = fixture.of.clock.is_none() && Instant::now() < deadline;
        ensure!(waits, "a mailbox outlives its time to live");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

pub(super) async fn without_a_living_mailbox_every_call_says_so(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    is_missing(store, &id(7)).await?;
    fixture.open(2, ttl).await?;
    for n in 0..3 {
        store.append(&id(n), &stream("a"), payload(n), WIDE).await?;
    }
    assert!(store.end(&id(0)).await?);
    is_missing(store, &id(0)).await?;
    fixture.advance_time(ttl).await;
    expires(&fixture, &id(2)).await?;
    is_missing(store, &id(2)).await?;
    let page = store
        .read_after(&id(1), &stream("a"), Sequence::START, 10)
        .await?;
    assert_eq!(page.messages.len(), 1, "the other mailboxes stay: {page:?}");
    Ok(())
}

pub(super) async fn opening_a_living_mailbox_keeps_what_is_there(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    assert!(store.touch(&id(0), ttl).await?);
    let first = append(store, "a", 1, WIDE).await?;
    append(store, "b", 2, WIDE).await?;
    store.close_stream(&id(0), &stream("b")).await?;
    let before = page(store, "a", Sequence::START, 10).await?;
    for n in 1..3 {
        store.open(&id(0), &owner(n), LONG_TTL).await?;
    }
    fixture.advance_time(ttl * 2).await;
    assert_eq!(page(store, "a", Sequence::START, 10).await?, before);
    assert_eq!(before.messages[0].sequence, first);
    assert!(page(store, "b", Sequence::START, 10).await?.closed);
    Ok(())
}

pub(super) async fn a_mailbox_opened_later_is_empty_and_earlier_readers_are_told(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = MailboxFixture::empty(&harness).await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    let mut held = Vec::new();
    for n in 0..2 {
        fixture.open(n, ttl).await?;
        for name in ["a", "b", "a"] {
            let stream = stream(name);
            let sequence = store.append(&id(n), &stream, payload(n), WIDE).await?;
            held.push((n, sequence));
        }
        store.close_stream(&id(n), &stream("b")).await?;
    }
    assert!(store.end(&id(1)).await?);
    fixture.open(1, LONG_TTL).await?;
    fixture.advance_time(ttl).await;
    expires(&fixture, &id(0)).await?;
    fixture.open(0, LONG_TTL).await?;
    for n in 0..2 {
        let read = async |name, after| {
            let (id, stream) = (id(n), stream(name));
            store.read_after(&id, &stream, after, 10).await
        };
        let of_this_mailbox = held.iter().filter(|(of, _)| *of == n);
        for (_, position) in of_this_mailbox.clone() {
            let page = read("a", *position).await?;
            assert!(page.went_back(*position), "{position}: {page:?}");
        }
        for name in ["a", "b"] {
            let page = read(name, Sequence::START).await?;
            assert!(page.messages.is_empty(), "an earlier mailbox's: {page:?}");
            assert!(!page.closed && page.resumes_after.is_none(), "{page:?}");
            assert!(!page.went_back(Sequence::START), "{page:?}");
        }
        let next = store.append(&id(n), &stream("b"), payload(n), WIDE).await?;
        for (_, position) in of_this_mailbox {
            assert!(next > *position, "{next} after {position}");
            // Appends do not hide that something is gone.
            assert!(read("b", *position).await?.went_back(*position));
        }
        assert!(!read("b", next).await?.went_back(next));
    }
    Ok(())
}

pub(super) async fn a_touch_alone_decides_how_long_a_mailbox_lives(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = MailboxFixture::empty(&harness).await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    for n in 0..2 {
        // Short-lived at first, so that anything created by the first append would expire with it.
        fixture.open(n, ttl * 4).await?;
        store.append(&id(n), &stream("a"), payload(n), WIDE).await?;
        store.close_stream(&id(n), &stream("a")).await?;
    }
    assert!(store.touch(&id(0), LONG_TTL).await?);
    // An append does not extend a time to live, but it must not shorten one either.
    for n in 0..2 {
        store.append(&id(n), &stream("b"), payload(9), WIDE).await?;
    }
    fixture.open(2, LONG_TTL).await?;
    store.append(&id(2), &stream("a"), payload(2), WIDE).await?;
    assert!(store.touch(&id(2), ttl).await?, "to less than was left");
    fixture.advance_time(ttl * 5).await;
    for n in 1..3 {
        expires(&fixture, &id(n)).await?;
    }
    let kept = page(store, "a", Sequence::START, 10).await?;
    assert!(kept.messages.len() == 1 && kept.closed, "{kept:?}");
    assert_eq!(
        page(store, "b", Sequence::START, 10).await?.messages.len(),
        1
    );
    Ok(())
}

pub(super) async fn an_end_removes_a_mailbox_and_can_be_repeated(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    for round in 0..3 {
        append(store, "a", round, WIDE).await?;
        assert!(store.end(&id(0)).await?, "in round {round}");
        assert!(!store.end(&id(0)).await?, "nothing is left to end");
        is_missing(store, &id(0)).await?;
        fixture.open(0, LONG_TTL).await?;
        let emptied = page(store, "a", Sequence::START, 10).await?;
        assert!(emptied.messages.is_empty(), "{emptied:?}");
    }
    Ok(())
}
