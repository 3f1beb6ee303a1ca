//! MB-08 to MB-11: streams of one session.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use model::Sequence;
use ports::{MailboxError, MailboxLimits};

use super::setup::{WIDE, append, fixture, held, id, page, payload, rest, stream};
use crate::Harness;

pub(super) async fn trim_removes_one_streams_messages(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for n in 0..10 {
        a.push(append(store, "a", n, WIDE).await?);
        b.push(append(store, "b", n, WIDE).await?);
    }
    let trim = async |through| store.trim(&id(0), &stream("a"), through).await;
    assert_eq!(
        trim(b[3]).await?,
        4,
        "a position between two messages is valid"
    );
    assert_eq!(trim(b[3]).await?, 0, "they are already removed");
    assert_eq!(held(store, "a").await?, a[4..]);
    assert_eq!(
        rest(store, "a", a[3]).await?.len(),
        6,
        "no reader missed anything"
    );
    assert_eq!(trim(Sequence(u64::MAX)).await?, 6);
    assert_eq!(rest(store, "b", Sequence::START).await?.len(), 10);
    let next = append(store, "a", 10, WIDE).await?;
    assert!(next > b[9], "{next} after {}", b[9]);
    assert_eq!(rest(store, "a", a[9]).await?.len(), 1);
    Ok(())
}

pub(super) async fn a_closed_stream_takes_nothing_and_can_be_read(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    for n in 0..3 {
        append(store, "a", n, WIDE).await?;
        append(store, "b", n, WIDE).await?;
    }
    assert!(!page(store, "a", Sequence::START, 10).await?.closed);
    for _ in 0..2 {
        store.close_stream(&id(0), &stream("a")).await?;
        let refused = store.append(&id(0), &stream("a"), payload(9), WIDE).await;
        assert!(matches!(refused, Err(MailboxError::Closed)), "{refused:?}");
        let refused = store.open_stream(&id(0), &stream("a"), WIDE).await;
        assert!(matches!(refused, Err(MailboxError::Closed)), "{refused:?}");
        let part = page(store, "a", Sequence::START, 2).await?;
        assert!(part.closed && !part.at_head, "{part:?}");
        assert_eq!(rest(store, "a", Sequence::START).await?.len(), 3);
    }
    store.trim(&id(0), &stream("a"), Sequence(u64::MAX)).await?;
    let emptied = page(store, "a", Sequence::START, 10).await?;
    assert!(emptied.closed && emptied.at_head, "{emptied:?}");
    append(store, "b", 3, WIDE).await?;
    assert!(!page(store, "b", Sequence::START, 10).await?.closed);
    // Opened and closed without a message: that is an end as well.
    store.open_stream(&id(0), &stream("silent"), WIDE).await?;
    store.close_stream(&id(0), &stream("silent")).await?;
    assert!(page(store, "silent", Sequence::START, 10).await?.closed);
    Ok(())
}

/// A reader that sees the end of a closed stream has seen every acknowledged message.
pub(super) async fn nothing_is_appended_after_a_close(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    for round in 0..10 {
        let name = format!("round-{round}");
        let first = append(&*fixture.store, &name, 0, WIDE).await?;
        let writers: Vec<_> = (0..4_u64)
            .map(|writer| {
                let (store, name) = (Arc::clone(&fixture.store), name.clone());
                tokio::spawn(async move {
                    let mut acknowledged = Vec::new();
                    for n in 0..1000 {
                        // Not faster than the reader, so that the close happens in between.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        let n = payload(writer * 1000 + n);
                        match store.append(&id(0), &stream(&name), n, WIDE).await {
                            Ok(sequence) => acknowledged.push(sequence),
                            Err(MailboxError::Closed) => return Ok(acknowledged),
                            Err(other) => bail!(other),
                        }
                    }
                    bail!("a thousand appends, and no close")
                })
            })
            .collect();
        while rest(&*fixture.store, &name, first).await?.len() < 5 {}
        fixture.store.close_stream(&id(0), &stream(&name)).await?;
        let end = rest(&*fixture.store, &name, Sequence::START).await?;
        let mut acknowledged = vec![first];
        for writer in writers {
            acknowledged.extend(writer.await??);
        }
        acknowledged.sort_unstable();
        assert!(end.iter().map(|(sequence, _)| sequence).eq(&acknowledged));
    }
    Ok(())
}

pub(super) async fn closed_streams_are_forgotten_first_and_readers_are_told(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let limits = MailboxLimits {
        max_streams: 3,
        ..WIDE
    };
    let open = append(store, "open", 0, limits).await?;
    let first = append(store, "first", 1, limits).await?;
    let second = append(store, "second", 2, limits).await?;
    for name in ["second", "first"] {
        store.close_stream(&id(0), &stream(name)).await?;
    }
    append(store, "fourth", 3, limits).await?;
    let told = page(store, "first", Sequence::START, 10).await?;
    assert!(
        told.closed && told.at_head && told.messages.is_empty(),
        "{told:?}"
    );
    assert_eq!(told.resumes_after, Some(first));
    let told = page(store, "first", first, 10).await?;
    assert!(
        told.closed && told.resumes_after.is_none(),
        "read to its end: {told:?}"
    );
    assert_eq!(
        held(store, "second").await?,
        [second],
        "it received its last message after `first`"
    );
    append(store, "fifth", 4, limits).await?;
    assert!(held(store, "second").await?.is_empty());
    assert_eq!(
        held(store, "open").await?,
        [open],
        "closed streams are forgotten first"
    );
    // Without closed streams, the stream without a message for the longest time is forgotten with
    // its messages.
    append(store, "open", 5, limits).await?;
    append(store, "sixth", 6, limits).await?;
    assert!(held(store, "fourth").await?.is_empty());
    assert_eq!(held(store, "open").await?.len(), 2);
    // The stream may be opened again; its loss remains and is reported.
    append(store, "fourth", 7, limits).await?;
    let back = page(store, "fourth", Sequence::START, 10).await?;
    assert!(!back.closed && back.resumes_after.is_some(), "{back:?}");
    assert_eq!(back.messages.len(), 1);
    Ok(())
}

pub(super) async fn a_stream_opened_later_is_not_told_of_earlier_losses(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let limits = MailboxLimits {
        max_streams: 4,
        max_messages: 4,
        ..WIDE
    };
    for n in 0..20 {
        let name = format!("post-{n}");
        let opened = store.open_stream(&id(0), &stream(&name), limits).await?;
        assert!(rest(store, &name, opened).await?.is_empty());
        let sequence = append(store, &name, n, limits).await?;
        assert_eq!(rest(store, &name, opened).await?, [(sequence, payload(n))]);
        store.close_stream(&id(0), &stream(&name)).await?;
    }
    Ok(())
}

pub(super) async fn opening_gives_a_place_before_all_messages(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let earlier = append(store, "a", 0, WIDE).await?;
    let open = async |name| store.open_stream(&id(0), &stream(name), WIDE).await;
    let opened = open("b").await?;
    assert!(opened >= earlier, "{opened} before {earlier}");
    let first = append(store, "b", 1, WIDE).await?;
    assert!(first > opened, "{first} at or before {opened}");
    append(store, "a", 2, WIDE).await?;
    assert_eq!(open("b").await?, opened, "opened again");
    let opened = open("a").await?;
    assert!(opened < earlier, "{opened} is not before the first message");
    assert_eq!(rest(store, "a", opened).await?.len(), 2);
    let many: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&fixture.store);
            tokio::spawn(async move { store.open_stream(&id(0), &stream("c"), WIDE).await })
        })
        .collect();
    let mut places = Vec::new();
    for one in many {
        places.push(one.await??);
    }
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    Ok(())
}
