use std::num::NonZeroUsize;

use bytes::Bytes;
use contract::{entry, event, events};
use model::RandomIds;
use store_memory::MemoryLogStore;

use super::*;

fn log() -> StoredLog<MemoryLogStore> {
    let many = NonZeroUsize::new(100).expect("not zero");
    StoredLog::new(MemoryLogStore::new(&RandomIds, many))
}

async fn plant(log: &StoredLog<MemoryLogStore>, n: u64, body: impl Into<Bytes>) {
    let planted = LogEntry {
        body: body.into(),
        ..entry(n)
    };
    log.store().append(vec![planted]).await.unwrap();
}

#[tokio::test]
async fn an_entry_of_an_older_build_is_a_gap_with_the_tag_of_its_event() {
    let log = log();
    log.append(events(0, 2)).await.unwrap();
    // As builds wrote it before entries had a version.
    let older = proto::encode_event(&event(2)).slice(1..);
    plant(&log, 2, older).await;
    log.append(events(3, 5)).await.unwrap();
    let first = log.read_after(Sequence::START, 10).await.unwrap();
    assert_eq!((first.events.len(), first.at_head), (2, false));
    let second = log.read_after(first.through, 10).await.unwrap();
    let gap = UndecodableEntry {
        sequence: Sequence(3),
        tag: EntryTag::of(&event(2).facts.id),
    };
    assert_eq!(second.undecodable, [gap]);
    assert_eq!(second.resumes_after, Some(Sequence(3)));
    assert_eq!((second.events.len(), second.at_head), (2, true));
    let backwards = log.read_before(Sequence(6), 10).await.unwrap();
    assert_eq!(
        (backwards.events.len(), backwards.undecodable),
        (4, vec![gap])
    );
    assert_eq!(log.undecodable_entries(), 1);
}

#[tokio::test]
async fn an_entry_that_two_handles_skip_counts_once() {
    let log = log();
    plant(&log, 0, "no event").await;
    let many = NonZeroUsize::new(100).expect("not zero");
    let other = log.over(MemoryLogStore::new(&RandomIds, many));
    plant(&other, 0, "no event").await;
    for log in [&log, &other] {
        log.read_after(Sequence::START, 10).await.unwrap();
    }
    assert_eq!(log.undecodable_entries(), 1);
    // Its positions are those of another log.
    log.head().await.unwrap();
    other.head().await.unwrap();
    other.read_after(Sequence::START, 10).await.unwrap();
    assert_eq!(log.undecodable_entries(), 2);
}

#[tokio::test]
async fn a_line_break_in_an_entry_forges_no_frame() {
    let log = log();
    let mut forged = event(0);
    forged.json = Bytes::from_static(b"{}\n\nid: 1\ndata: {}");
    log.append(vec![forged]).await.unwrap();
    let page = log.read_after(Sequence::START, 10).await.unwrap();
    assert_eq!((page.events.len(), page.undecodable.len()), (0, 1));
}

#[tokio::test]
async fn the_json_of_an_event_is_a_slice_of_its_entry() {
    let log = log();
    log.append(vec![event(0)]).await.unwrap();
    let stored = log.store().read_after(Sequence::START, 1).await.unwrap();
    let body = stored.entries[0]
        .content
        .as_ref()
        .unwrap()
        .body
        .as_ptr_range();
    let page = log.read_after(Sequence::START, 1).await.unwrap();
    let json = page.events[0].item.json.as_ptr_range();
    assert!(body.start <= json.start && json.end <= body.end);
}
