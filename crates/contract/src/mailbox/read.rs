//! MB-05: reading.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use model::Sequence;
use ports::{MailboxLimits, MailboxPage};

use super::setup::{WIDE, append, fixture, id, page, payload, rest, stream};
use crate::Harness;

pub(super) async fn pages_hold_one_stream_and_leave_nothing_out(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let names = ["a", "ab", "a-b", "A"]; // Ids with a common prefix are different streams.
    let mut expected = vec![Vec::new(); names.len()];
    for n in 0..80 {
        let which = usize::try_from(n * 7 % 4)?;
        let sequence = append(store, names[which], n, WIDE).await?;
        expected[which].push((sequence, payload(n)));
    }
    for (name, expected) in names.into_iter().zip(&expected) {
        assert_eq!(&rest(store, name, Sequence::START).await?, expected);
        for limit in [1, 3, 20, 21] {
            let (mut after, mut found) = (Sequence::START, Vec::new());
            for _ in 0..100 {
                let page = page(store, name, after, limit).await?;
                let more = expected.len() - found.len() > page.messages.len();
                assert_eq!(page.at_head, !more, "in pages of {limit}: {page:?}");
                assert!(!page.closed && page.resumes_after.is_none(), "{page:?}");
                found.extend(
                    page.messages
                        .into_iter()
                        .map(|one| (one.sequence, one.item)),
                );
                after = page.through;
                if page.at_head {
                    break;
                }
            }
            assert_eq!(&found, expected, "in pages of {limit}");
        }
        let after = expected[7].0;
        assert_eq!(rest(store, name, after).await?, expected[8..]);
        let end = page(store, name, Sequence(u64::MAX), 10).await?;
        assert!(end.messages.is_empty() && end.at_head, "{end:?}");
    }
    Ok(())
}

pub(super) async fn a_page_is_bounded_in_bytes_and_numbers(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let large = Bytes::from(vec![b'x'; MailboxLimits::MAX_PAYLOAD_BYTES]);
    for _ in 0..6 {
        store
            .append(&id(0), &stream("large"), large.clone(), WIDE)
            .await?;
    }
    let first = page(store, "large", Sequence::START, 1000).await?;
    let bytes: usize = first.messages.iter().map(|one| one.item.len()).sum();
    assert!(bytes <= MailboxPage::MAX_BYTES, "{bytes} bytes in one page");
    assert!(!first.at_head && !first.messages.is_empty());
    assert_eq!(rest(store, "large", Sequence::START).await?.len(), 6);
    let beyond = u64::try_from(MailboxPage::MAX_MESSAGES)? + 5;
    let tasks: Vec<_> = (0..beyond)
        .map(|n| {
            let store = Arc::clone(&fixture.store);
            tokio::spawn(async move { append(&*store, "many", n, WIDE).await })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let page = page(store, "many", Sequence::START, usize::MAX).await?;
    assert_eq!(page.messages.len(), MailboxPage::MAX_MESSAGES);
    assert!(!page.at_head);
    assert_eq!(rest(store, "many", page.through).await?.len(), 5);
    Ok(())
}

pub(super) async fn a_stream_that_never_was_is_empty_and_open(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let end = append(store, "a", 1, WIDE).await?;
    store.close_stream(&id(0), &stream("never")).await?;
    assert_eq!(store.trim(&id(0), &stream("never"), Sequence(9)).await?, 0);
    for after in [Sequence::START, end] {
        let page = page(store, "never", after, 10).await?;
        let began = page.began;
        assert!(Sequence::START < began && began < end, "{page:?}");
        let empty = MailboxPage {
            messages: Vec::new(),
            through: after,
            at_head: true,
            resumes_after: None,
            closed: false,
            began,
            end,
        };
        assert_eq!(page, empty);
    }
    Ok(())
}

pub(super) async fn a_page_has_the_end_of_the_whole_mailbox(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    let end = async |name| anyhow::Ok(page(store, name, Sequence::START, 1).await?.end);
    let unused = page(store, "a", Sequence::START, 1).await?;
    assert!(
        unused.end == unused.began && !unused.went_back(Sequence::START),
        "{unused:?}"
    );
    for (n, name) in ["a", "b", "a"].into_iter().enumerate() {
        let last = append(store, name, u64::try_from(n)?, WIDE).await?;
        for name in ["a", "b", "never"] {
            assert_eq!(end(name).await?, last, "of {name}");
        }
        let beyond = page(store, name, last.next(), 10).await?;
        assert!(
            beyond.went_back(last.next()) && beyond.messages.is_empty(),
            "{beyond:?}"
        );
        // What is removed was given out all the same.
        store.trim(&id(0), &stream(name), last).await?;
        assert!(!page(store, name, last, 10).await?.went_back(last));
        assert_eq!(end(name).await?, last);
    }
    let opened = store.open_stream(&id(0), &stream("c"), WIDE).await?;
    assert_eq!(end("a").await?, opened);
    Ok(())
}
