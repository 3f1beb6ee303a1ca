//! MB-01, MB-02, MB-04: the answer of an append and its meaning.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use model::Sequence;
use ports::{Mailbox, MailboxError, MailboxLimits};

use super::setup::{WIDE, append, fixture, held, id, page, payload, rest, stream};
use crate::Harness;

pub(super) async fn sequences_rise_over_all_streams_of_a_mailbox(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let mut last = Sequence::START;
    for n in 0..60 {
        let name = ["a", "b", "c"][usize::try_from(n % 3)?];
        let sequence = append(store, name, n, WIDE).await?;
        assert!(sequence > last, "{sequence} after {last}");
        last = sequence;
        if n == 30 {
            for name in ["a", "b", "c"] {
                store.trim(&id(0), &stream(name), last).await?;
            }
        }
    }
    let tight = MailboxLimits {
        max_messages: 1,
        ..WIDE
    };
    assert!(append(store, "d", 60, tight).await? > last);
    let read = store
        .read_after(&id(1), &stream("a"), Sequence::START, 10)
        .await?;
    assert!(
        read.messages.is_empty(),
        "another session's messages: {read:?}"
    );
    Ok(())
}

pub(super) async fn a_payload_comes_back_byte_for_byte(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let large: Vec<u8> = (0_u32..)
        .map(|n| n.wrapping_mul(0x9E37_79B1).to_le_bytes()[3])
        .take(MailboxLimits::MAX_PAYLOAD_BYTES)
        .collect();
    let payloads = [
        Bytes::new(),
        Bytes::from_static(b"0"),
        Bytes::from_static(b"-12345678901234567890"),
        Bytes::from_static(b"line\r\nline\n\0after a zero \xff\xfe"),
        Bytes::from_iter(0..=u8::MAX),
        Bytes::from("{\"text\":\"\u{fc}\u{1f980}\"}"),
        Bytes::from(large),
    ];
    for payload in &payloads {
        fixture
            .store
            .append(&id(0), &stream("a"), payload.clone(), WIDE)
            .await?;
    }
    let found = rest(&*fixture.store, "a", Sequence::START).await?;
    for ((_, found), appended) in found.iter().zip(&payloads) {
        assert!(found == appended, "{} bytes were changed", appended.len());
    }
    assert_eq!(found.len(), payloads.len());
    Ok(())
}

/// Fifty tasks append at once, alternating between the handles.
pub(super) async fn fifty_at_once(stores: &[Arc<dyn Mailbox>]) -> Result<()> {
    let tasks: Vec<_> = (0..50)
        .zip(stores.iter().cycle())
        .map(|(n, store)| {
            let store = Arc::clone(store);
            tokio::spawn(async move { (append(&*store, "a", n, WIDE).await, payload(n)) })
        })
        .collect();
    let mut answered = BTreeSet::new();
    for task in tasks {
        let (sequence, payload) = task.await?;
        answered.insert((sequence?, payload));
    }
    let places: BTreeSet<_> = answered.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(places.len(), 50, "fifty appends, fifty places");
    for store in stores {
        let stored = rest(&**store, "a", Sequence::START).await?;
        assert!(
            stored.iter().eq(&answered),
            "the acknowledged messages are the stored ones"
        );
    }
    Ok(())
}

pub(super) async fn fifty_concurrent_appends_get_fifty_places(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    fifty_at_once(&[Arc::clone(&fixture.store)]).await
}

const WRITERS: u64 = 4;
const EACH: u64 = 40;

/// Reads both streams to their heads in turn. A sequence seen in one stream before the other was
/// read to its head is a floor: no message below it may appear in the other stream any more.
async fn follow_both(store: Arc<dyn Mailbox>) -> Result<()> {
    let names = ["a", "b"];
    let (mut at, mut floors) = ([Sequence::START; 2], [Sequence::START; 2]);
    let mut seen = 0;
    for mine in [0, 1].into_iter().cycle() {
        let seen_of_other = at[1 - mine];
        loop {
            let page = page(&*store, names[mine], at[mine], 7).await?;
            ensure!(page.resumes_after.is_none(), "nothing was lost: {page:?}");
            let first = page.messages.first().map(|message| message.sequence);
            ensure!(
                first.is_none_or(|first| first > floors[mine]),
                "{first:?} appeared after {} was seen",
                floors[mine]
            );
            seen += u64::try_from(page.messages.len())?;
            at[mine] = page.through;
            if page.at_head {
                break;
            }
        }
        floors[mine] = seen_of_other;
        if seen >= WRITERS * EACH {
            break;
        }
    }
    assert_eq!(seen, WRITERS * EACH);
    Ok(())
}

/// Writers on all handles, and a reader on each of them.
pub(super) async fn nothing_appears_late(stores: &[Arc<dyn Mailbox>]) -> Result<()> {
    let readers: Vec<_> = stores
        .iter()
        .map(|store| tokio::spawn(follow_both(Arc::clone(store))))
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .zip(stores.iter().cycle())
        .map(|(writer, store)| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                for n in 0..EACH {
                    let name = if (n + writer) % 2 == 0 { "a" } else { "b" };
                    append(&*store, name, writer * 1000 + n, WIDE).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in writers.into_iter().chain(readers) {
        task.await?.context("beside other writers and readers")?;
    }
    Ok(())
}

pub(super) async fn readers_beside_writers_see_no_late_message(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    nothing_appears_late(&[Arc::clone(&fixture.store)]).await
}

pub(super) async fn what_is_too_large_is_refused_and_changes_nothing(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let first = append(store, "a", 1, WIDE).await?;
    let bytes = MailboxLimits::MAX_PAYLOAD_BYTES + 1;
    let refused = store
        .append(&id(0), &stream("a"), vec![b'x'; bytes].into(), WIDE)
        .await;
    assert!(
        matches!(refused, Err(MailboxError::TooLarge { bytes: told }) if told == bytes),
        "{refused:?}"
    );
    assert_eq!(held(store, "a").await?, [first]);
    Ok(())
}
