//! MB-06, MB-07: removal at a limit, and the report of losses to readers.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use model::Sequence;
use ports::MailboxLimits;

use super::setup::{WIDE, append, fixture, held, id, page, rest, stream};
use crate::Harness;

pub(super) async fn beyond_the_number_the_oldest_of_the_mailbox_go(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let limits = MailboxLimits {
        max_messages: 10,
        ..WIDE
    };
    let mut places = Vec::new();
    for n in 0..25 {
        let name = if n % 5 == 0 { "a" } else { "b" };
        places.push((name, append(store, name, n, limits).await?));
    }
    for name in ["a", "b"] {
        let newest = places[15..].iter().filter(|(of, _)| *of == name);
        let newest: Vec<_> = newest.map(|(_, sequence)| *sequence).collect();
        assert_eq!(held(store, name).await?, newest);
    }
    let other = store
        .append(&id(1), &stream("a"), Bytes::new(), limits)
        .await?;
    let page = store
        .read_after(&id(1), &stream("a"), Sequence::START, 10)
        .await?;
    assert_eq!(
        page.messages[0].sequence, other,
        "a session's limits are its own"
    );
    assert_eq!(
        held(store, "a").await?.len() + held(store, "b").await?.len(),
        10
    );
    Ok(())
}

pub(super) async fn beyond_the_bytes_the_oldest_of_the_mailbox_go(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let limits = MailboxLimits {
        max_bytes: 1000,
        ..WIDE
    };
    let mut places = Vec::new();
    for length in [400, 400, 200, 300, 10] {
        let payload = Bytes::from(vec![b'x'; length]);
        places.push(store.append(&id(0), &stream("a"), payload, limits).await?);
    }
    assert_eq!(held(store, "a").await?, places[1..]);
    // Trimmed messages no longer count.
    store.trim(&id(0), &stream("a"), places[3]).await?;
    let payload = Bytes::from(vec![b'x'; 990]);
    let last = store.append(&id(0), &stream("a"), payload, limits).await?;
    assert_eq!(held(store, "a").await?, [places[4], last]);
    Ok(())
}

pub(super) async fn beyond_the_age_the_oldest_of_the_mailbox_go(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let limits = MailboxLimits {
        max_age: fixture.short_ttl(),
        ..WIDE
    };
    for n in 0..3 {
        append(store, "a", n, limits).await?;
    }
    if fixture.of.clock.is_some() {
        fixture
            .advance_time(limits.max_age - Duration::from_millis(1))
            .await;
        append(store, "b", 3, limits).await?;
        assert_eq!(held(store, "a").await?.len(), 3, "gone before their time");
    }
    fixture.advance_time(limits.max_age).await;
    let last = append(store, "b", 4, limits).await?;
    let old = page(store, "a", Sequence::START, 10).await?;
    assert!(
        old.messages.is_empty() && old.resumes_after.is_some(),
        "{old:?}"
    );
    assert!(held(store, "b").await?.contains(&last));
    Ok(())
}

pub(super) async fn the_message_just_appended_stays(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let nothing = MailboxLimits {
        max_messages: 0,
        max_bytes: 0,
        max_streams: 0,
        max_age: Duration::ZERO,
        max_owner_bytes: 0,
    };
    for n in 0..3 {
        let last = append(store, "a", n, nothing).await?;
        assert_eq!(held(store, "a").await?, [last]);
    }
    let other = append(store, "b", 3, nothing).await?;
    assert_eq!(held(store, "b").await?, [other]);
    assert!(held(store, "a").await?.is_empty());
    Ok(())
}

pub(super) async fn who_missed_something_is_told_and_nobody_else(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let limits = MailboxLimits {
        max_messages: 4,
        ..WIDE
    };
    // The limits remove a0, b0, a1 and a2; b1, a3, a4 and b2 remain.
    let mut places = Vec::new();
    for (n, name) in (0..).zip(["a", "b", "a", "a", "b", "a", "a", "b"]) {
        places.push(append(store, name, n, limits).await?);
    }
    let told = async |name, after| anyhow::Ok(page(store, name, after, 10).await?.resumes_after);
    assert_eq!(told("a", Sequence::START).await?, Some(places[3]));
    assert_eq!(
        told("a", places[0]).await?,
        Some(places[3]),
        "a1 was missed"
    );
    assert_eq!(
        told("a", places[2]).await?,
        Some(places[3]),
        "a2 was missed"
    );
    assert_eq!(told("a", places[3]).await?, None, "a0 to a2 were read");
    assert_eq!(told("a", places[6]).await?, None);
    assert_eq!(told("b", Sequence::START).await?, Some(places[1]));
    assert_eq!(told("b", places[1]).await?, None, "b1 is next, and there");
    assert_eq!(
        told("c", Sequence::START).await?,
        None,
        "c has lost nothing"
    );
    assert_eq!(page(store, "a", places[0], 10).await?.messages.len(), 2);
    assert_eq!(
        page(store, "a", places[0], 0).await?.resumes_after,
        Some(places[3])
    );
    // A reader that continues after the loss gets no further report.
    assert_eq!(rest(store, "a", places[3]).await?.len(), 2);
    // An emptied stream reports the loss as well.
    let through = places[7];
    store.trim(&id(0), &stream("b"), through).await?;
    let emptied = page(store, "b", places[1], 10).await?;
    assert_eq!(emptied.resumes_after, Some(through));
    assert_eq!(emptied.through, through);
    assert!(
        emptied.messages.is_empty() && emptied.at_head,
        "{emptied:?}"
    );
    Ok(())
}
