//! MB-02, MB-13, MB-14 with several handles and reopens.

use std::sync::Arc;

use anyhow::Result;
use model::Sequence;
use ports::{Mailbox, MailboxError, MailboxLimits};

use super::{
    append::{fifty_at_once, nothing_appears_late},
    setup::{
        LONG_TTL, MailboxFixture, WIDE, append, fixture, held, id, owner, page, payload, rest,
        stream,
    },
};
use crate::Harness;

/// Three handles on one store with living mailboxes of sessions 0 and 1.
async fn three(fixture: &MailboxFixture) -> Result<[Arc<dyn Mailbox>; 3]> {
    let (second, third) = (fixture.peer().await?, fixture.peer().await?);
    Ok([Arc::clone(&fixture.store), second, third])
}

pub(super) async fn fifty_concurrent_appends_over_handles_get_fifty_places(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    fifty_at_once(&three(&fixture).await?).await
}

pub(super) async fn readers_on_other_handles_see_no_late_message(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    nothing_appears_late(&three(&fixture).await?).await
}

pub(super) async fn what_was_acknowledged_outlives_a_reopen(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = fixture(&harness).await?;
    let limits = MailboxLimits {
        max_messages: 8,
        ..WIDE
    };
    let mut places = Vec::new();
    for n in 0..10 {
        let name = if n % 2 == 0 { "a" } else { "b" };
        places.push(append(&*fixture.store, name, n, limits).await?);
    }
    let opened = fixture
        .store
        .open_stream(&id(0), &stream("c"), WIDE)
        .await?;
    assert_eq!(
        fixture.store.trim(&id(0), &stream("a"), places[4]).await?,
        2
    );
    fixture.store.close_stream(&id(0), &stream("b")).await?;
    fixture.reopen().await?;
    let store = &*fixture.store;
    assert_eq!(
        rest(store, "a", places[4]).await?,
        [(places[6], payload(6)), (places[8], payload(8))]
    );
    let told = page(store, "a", places[2], 10).await?;
    assert_eq!(told.resumes_after, Some(places[4]));
    let closed = page(store, "b", Sequence::START, 10).await?;
    assert!(
        closed.closed && closed.resumes_after == Some(places[1]),
        "{closed:?}"
    );
    let refused = store.append(&id(0), &stream("b"), payload(9), WIDE).await;
    assert!(matches!(refused, Err(MailboxError::Closed)), "{refused:?}");
    assert_eq!(store.open_stream(&id(0), &stream("c"), WIDE).await?, opened);
    assert!(append(store, "a", 10, limits).await? > opened);
    // The limits include the messages that were stored before.
    for n in 11..14 {
        append(store, "d", n, limits).await?;
    }
    let left = [
        held(store, "a").await?,
        held(store, "b").await?,
        held(store, "d").await?,
    ];
    assert_eq!(left.iter().map(Vec::len).sum::<usize>(), 8);
    Ok(())
}

pub(super) async fn what_one_handle_did_another_sees_at_once(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let [first, second, _] = three(&fixture).await?;
    let mut last = Sequence::START;
    for n in 0..30 {
        let (here, there) = if n % 2 == 0 {
            (&first, &second)
        } else {
            (&second, &first)
        };
        let sequence = append(&**here, "a", n, WIDE).await?;
        assert_eq!(rest(&**there, "a", last).await?, [(sequence, payload(n))]);
        assert_eq!(
            there.trim(&id(0), &stream("a"), last).await?,
            u64::from(n > 0)
        );
        assert_eq!(held(&**here, "a").await?, [sequence]);
        last = sequence;
    }
    first.close_stream(&id(0), &stream("a")).await?;
    let refused = second.append(&id(0), &stream("a"), payload(9), WIDE).await;
    assert!(matches!(refused, Err(MailboxError::Closed)), "{refused:?}");
    assert!(page(&*second, "a", last, 10).await?.closed);
    Ok(())
}

pub(super) async fn an_end_through_one_handle_holds_for_all(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let [first, second, third] = three(&fixture).await?;
    let last = append(&*first, "a", 0, WIDE).await?;
    let ended = &id(0);
    let ends = tokio::join!(first.end(ended), second.end(ended), third.end(ended));
    let ends = [ends.0?, ends.1?, ends.2?];
    assert_eq!(ends.iter().filter(|ended| **ended).count(), 1, "{ends:?}");
    let gone = second.read_after(&id(0), &stream("a"), last, 10).await;
    assert!(matches!(gone, Err(MailboxError::Missing)), "{gone:?}");
    second.open(&id(0), &owner(0), LONG_TTL).await?;
    assert!(page(&*third, "a", last, 10).await?.went_back(last));
    Ok(())
}

pub(super) async fn sequences_of_an_ended_mailbox_are_not_given_out_after_a_reopen(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = fixture(&harness).await?;
    let mut last = Sequence::START;
    for n in 0..5 {
        last = append(&*fixture.store, "a", n, WIDE).await?;
    }
    assert!(fixture.store.end(&id(0)).await?);
    fixture.reopen().await?;
    fixture.open(0, LONG_TTL).await?;
    let store = &*fixture.store;
    assert!(page(store, "a", last, 10).await?.went_back(last));
    assert!(append(store, "a", 5, WIDE).await? > last);
    Ok(())
}
