//! MB-17: the mailboxes of one owner together.

use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use model::Sequence;
use ports::{Mailbox, MailboxError, MailboxLimits, StoreFailure};

use super::setup::{LONG_TTL, MailboxFixture, WIDE, id, owner, stream};
use crate::Harness;

/// Size of a payload of which two fit into the bound.
const LARGE: usize = 100 << 10;
const TIGHT: MailboxLimits = MailboxLimits {
    max_owner_bytes: 256 << 10,
    ..WIDE
};

/// A fresh store; the mailboxes of sessions 0 to 2 have one owner, that of 3 has another.
async fn fixture(harness: &Arc<dyn Harness>) -> Result<MailboxFixture> {
    let fixture = MailboxFixture::empty(harness).await?;
    for n in 0..3 {
        fixture.store.open(&id(n), &owner(0), LONG_TTL).await?;
    }
    fixture.store.open(&id(3), &owner(3), LONG_TTL).await?;
    Ok(fixture)
}

async fn append(
    store: &dyn Mailbox,
    n: u64,
    bytes: usize,
    limits: MailboxLimits,
) -> Result<Sequence, MailboxError> {
    let payload = Bytes::from(vec![b'x'; bytes]);
    store.append(&id(n), &stream("a"), payload, limits).await
}

async fn held(store: &dyn Mailbox, n: u64) -> Result<Vec<Sequence>> {
    let (id, stream) = (id(n), stream("a"));
    let page = store
        .read_after(&id, &stream, Sequence::START, 1000)
        .await?;
    Ok(page.messages.iter().map(|one| one.sequence).collect())
}

/// Appends one message that has to be refused and to change nothing.
async fn is_refused(store: &dyn Mailbox, n: u64) -> Result<()> {
    let before = held(store, n).await?;
    let refused = append(store, n, LARGE, TIGHT).await;
    ensure!(
        matches!(
            refused,
            Err(MailboxError::Failed(StoreFailure::Overloaded { .. }))
        ),
        "{refused:?}"
    );
    ensure!(held(store, n).await? == before, "it changed something");
    Ok(())
}

pub(super) async fn the_mailboxes_of_one_owner_have_a_bound_together(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let first = append(store, 0, LARGE, TIGHT).await?;
    append(store, 1, LARGE, TIGHT).await?;
    is_refused(store, 2).await?;
    append(store, 3, LARGE, TIGHT).await?;
    // Small mailboxes do not count, and always have room.
    append(store, 2, 10 << 10, TIGHT).await?;
    append(store, 2, 10 << 10, TIGHT).await?;
    is_refused(store, 2).await?;
    store.trim(&id(0), &stream("a"), first).await?;
    append(store, 2, LARGE, TIGHT).await?;
    is_refused(store, 0).await?;
    assert!(store.end(&id(1)).await?);
    append(store, 0, LARGE, TIGHT).await?;
    assert_eq!(held(store, 2).await?.len(), 3);
    Ok(())
}

pub(super) async fn beyond_it_the_oldest_of_the_own_mailbox_go(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let mut places = Vec::new();
    for _ in 0..4 {
        places.push(append(store, 0, LARGE, TIGHT).await?);
    }
    assert_eq!(held(store, 0).await?, places[2..]);
    // Where others leave nothing, a mailbox keeps what does not count.
    let mut small = Vec::new();
    for _ in 0..7 {
        small.push(append(store, 1, 10 << 10, TIGHT).await?);
    }
    let kept = held(store, 1).await?;
    assert!(
        small.ends_with(&kept) && (3..7).contains(&kept.len()),
        "{kept:?}"
    );
    assert_eq!(held(store, 0).await?, places[2..], "another mailbox");
    // Empty messages weigh something, too.
    let limits = MailboxLimits {
        max_owner_bytes: 0,
        ..WIDE
    };
    for _ in 0..300 {
        append(store, 3, 0, limits).await?;
    }
    let most = MailboxLimits::UNCOUNTED_BYTES / MailboxLimits::MESSAGE_BYTES;
    assert_eq!(held(store, 3).await?.len() as u64, most);
    Ok(())
}

pub(super) async fn what_is_too_old_counts_no_longer(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let limits = MailboxLimits {
        max_age: fixture.short_ttl(),
        ..TIGHT
    };
    let first = append(store, 0, LARGE, limits).await?;
    append(store, 0, LARGE, limits).await?;
    fixture.advance_time(limits.max_age).await;
    append(store, 1, LARGE, limits).await?;
    append(store, 1, LARGE, limits).await?;
    append(store, 2, 0, limits).await?;
    let page = store.read_after(&id(0), &stream("a"), first, 100).await?;
    assert!(page.messages.is_empty(), "{page:?}");
    assert!(
        page.resumes_after > Some(first),
        "the loss is told: {page:?}"
    );
    let last = append(store, 0, 0, limits).await?;
    assert_eq!(held(store, 0).await?, [last]);
    Ok(())
}

pub(super) async fn what_expired_or_ended_counts_no_longer(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let (store, ttl) = (&*fixture.store, fixture.short_ttl());
    append(store, 0, LARGE, TIGHT).await?;
    append(store, 1, LARGE, TIGHT).await?;
    is_refused(store, 2).await?;
    // A mailbox that is touched counts for as long as it lives.
    assert!(store.touch(&id(0), ttl).await?);
    assert!(store.touch(&id(1), ttl).await?);
    assert!(store.touch(&id(1), LONG_TTL).await?);
    is_refused(store, 2).await?;
    fixture.advance_time(ttl).await;
    append(store, 2, LARGE, TIGHT).await?;
    Ok(())
}

/// A mailbox that is opened anew may have another owner, and counts for that one.
pub(super) async fn a_mailbox_counts_for_whom_it_was_opened(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    append(store, 0, LARGE, TIGHT).await?;
    append(store, 1, LARGE, TIGHT).await?;
    // One that is living keeps its owner.
    store.open(&id(2), &owner(3), LONG_TTL).await?;
    is_refused(store, 2).await?;
    assert!(store.end(&id(2)).await?);
    store.open(&id(2), &owner(3), LONG_TTL).await?;
    append(store, 2, LARGE, TIGHT).await?;
    append(store, 3, LARGE, TIGHT).await?;
    Ok(())
}
