//! Streams, messages and readers shared by the cases.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use bytes::Bytes;
use model::{PrincipalId, Sequence, SessionId, StreamId};
use ports::{Mailbox, MailboxLimits, MailboxPage};

use crate::{Harness, SessionStoreFixture, sessions::session};

/// A time to live that exceeds the duration of every case.
pub(super) const LONG_TTL: Duration = Duration::from_secs(3600);

/// Limits that no case reaches.
pub(super) const WIDE: MailboxLimits = MailboxLimits {
    max_messages: 100_000,
    max_bytes: 1 << 30,
    max_streams: 100_000,
    max_age: LONG_TTL,
    max_owner_bytes: 1 << 30,
};

/// A store of mailboxes for one case.
pub(super) struct MailboxFixture {
    pub(super) store: Arc<dyn Mailbox>,
    pub(super) of: SessionStoreFixture,
}

impl MailboxFixture {
    /// A fresh store without mailboxes.
    pub(super) async fn empty(harness: &Arc<dyn Harness>) -> Result<Self> {
        let of = harness.session_store().await?;
        let store = Arc::clone(&of.store).mailbox();
        Ok(Self { store, of })
    }

    /// Opens the mailbox of session `n`.
    pub(super) async fn open(&self, n: u64, ttl: Duration) -> Result<()> {
        Ok(self.store.open(&id(n), &owner(n), ttl).await?)
    }

    pub(super) fn short_ttl(&self) -> Duration {
        self.of.short_ttl()
    }

    pub(super) async fn advance_time(&self, time: Duration) {
        self.of.advance_time(time).await;
    }

    /// Another handle on the store.
    pub(super) async fn peer(&self) -> Result<Arc<dyn Mailbox>> {
        Ok(self.of.handles.peer().await?.mailbox())
    }

    pub(super) async fn reopen(&mut self) -> Result<()> {
        self.store = self.of.handles.reopen().await?.mailbox();
        Ok(())
    }
}

/// A fresh store with living mailboxes of sessions 0 and 1.
pub(super) async fn fixture(harness: &Arc<dyn Harness>) -> Result<MailboxFixture> {
    let fixture = MailboxFixture::empty(harness).await?;
    for n in 0..2 {
        fixture.open(n, LONG_TTL).await?;
    }
    Ok(fixture)
}

/// The `n`-th session's id.
pub(super) fn id(n: u64) -> SessionId {
    session(n).id
}

/// The `n`-th session's owner.
pub(super) fn owner(n: u64) -> PrincipalId {
    session(n).owner
}

pub(super) fn stream(name: &str) -> StreamId {
    StreamId::new(name).expect("a token")
}

/// The `n`-th message.
pub(super) fn payload(n: u64) -> Bytes {
    format!("message {n}").into()
}

/// Appends the `n`-th message to a stream of session 0.
pub(super) async fn append(
    store: &dyn Mailbox,
    name: &str,
    n: u64,
    limits: MailboxLimits,
) -> Result<Sequence> {
    Ok(store
        .append(&id(0), &stream(name), payload(n), limits)
        .await?)
}

/// Reads one page of a stream of session 0, and checks the requirements on every page.
pub(super) async fn page(
    store: &dyn Mailbox,
    name: &str,
    after: Sequence,
    limit: usize,
) -> Result<MailboxPage> {
    let page = store
        .read_after(&id(0), &stream(name), after, limit)
        .await?;
    ensure!(page.messages.len() <= limit, "more than {limit}: {page:?}");
    let places: Vec<_> = page.messages.iter().map(|one| one.sequence).collect();
    ensure!(places.is_sorted_by(|a, b| a < b), "not ascending: {page:?}");
    ensure!(page.through >= after, "backwards from {after}: {page:?}");
    let from = page.resumes_after.unwrap_or(after);
    ensure!(from >= after, "resumes before {after}: {page:?}");
    ensure!(
        places.first().is_none_or(|first| *first > after),
        "{page:?}"
    );
    ensure!(
        places.last().is_none_or(|last| *last == page.through),
        "{page:?}"
    );
    Ok(page)
}

/// All messages of a stream of session 0 after a position since which nothing was lost.
pub(super) async fn rest(
    store: &dyn Mailbox,
    name: &str,
    after: Sequence,
) -> Result<Vec<(Sequence, Bytes)>> {
    let (mut after, mut found) = (after, Vec::new());
    loop {
        let page = page(store, name, after, 100).await?;
        ensure!(
            page.resumes_after.is_none(),
            "reports a loss after {after}: {page:?}"
        );
        ensure!(
            page.at_head || !page.messages.is_empty(),
            "the page makes no progress: {page:?}"
        );
        found.extend(
            page.messages
                .into_iter()
                .map(|one| (one.sequence, one.item)),
        );
        after = page.through;
        if page.at_head {
            return Ok(found);
        }
    }
}

/// The messages that a stream of session 0 still holds, regardless of losses.
pub(super) async fn held(store: &dyn Mailbox, name: &str) -> Result<Vec<Sequence>> {
    let page = page(store, name, Sequence::START, 1000).await?;
    ensure!(page.at_head, "more than a page: {page:?}");
    Ok(page.messages.iter().map(|one| one.sequence).collect())
}
