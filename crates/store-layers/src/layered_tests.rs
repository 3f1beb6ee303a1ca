//! Layers over stores in memory.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use contract::{entry, event, events};
use model::{ManualClock, PrincipalId, RandomIds, RecordId, Sequence, SystemClock};
use ports::{
    EventLog, LogEntry, LogStore, MAX_PAGE_BYTES, NewRecord, RecordKey, RecordLimits, RecordPage,
    Records, RecordsError,
};
use store_memory::{MemoryLogStore, MemorySessionStore};

use crate::{
    Compressed, LayerFailures, Layered, StoredLog,
    body_tests::{THINGS, claiming, name, sealed, text},
};

/// A record of anonymous.
pub(crate) fn record(state: impl Into<Bytes>) -> NewRecord {
    NewRecord {
        key: RecordKey {
            collection: THINGS,
            id: RecordId::new("one").expect("visible ASCII"),
        },
        owner: PrincipalId::anonymous(),
        state: state.into(),
        ttl: Duration::from_secs(3600),
    }
}

fn log_store() -> Arc<MemoryLogStore> {
    let many = NonZeroUsize::new(10_000).expect("not zero");
    Arc::new(MemoryLogStore::new(&RandomIds, many))
}

#[tokio::test]
async fn an_entry_of_a_missing_key_is_a_counted_gap_and_the_others_are_read() {
    let (store, failures) = (log_store(), LayerFailures::default());
    let through = |keys: &[&str], failures: &LayerFailures| {
        StoredLog::new(Layered::new(sealed(keys), store.clone(), failures.clone()))
    };
    let all = LayerFailures::default();
    through(&["first"], &all)
        .append(events(0, 2))
        .await
        .unwrap();
    through(&["second"], &all)
        .append(events(2, 3))
        .await
        .unwrap();
    through(&["first"], &all)
        .append(events(3, 5))
        .await
        .unwrap();
    let log = through(&["first"], &failures);
    let page = log.read_before(Sequence(6), 10).await.unwrap();
    assert_eq!((page.events.len(), page.undecodable.len()), (4, 1));
    assert_eq!(page.undecodable[0].tag, name(2).tag());
    assert_eq!((failures.count(), log.undecodable_entries()), (1, 1));
    let both = through(&["first", "second"], &all);
    assert_eq!(
        both.read_before(Sequence(6), 10)
            .await
            .unwrap()
            .events
            .len(),
        5
    );
    assert_eq!(all.count(), 0);
}

#[tokio::test]
async fn layers_are_switched_on_and_off_over_a_log_that_has_data() {
    let store = log_store();
    let none = StoredLog::new(store.clone());
    let over = |compressed, keys: &[&str]| {
        let layers = (compressed, sealed(keys));
        StoredLog::new(Layered::new(
            layers,
            store.clone(),
            LayerFailures::default(),
        ))
    };
    none.append(events(0, 11)).await.unwrap();
    over(Compressed::on(), &[])
        .append(events(11, 22))
        .await
        .unwrap();
    over(Compressed::on(), &["key"])
        .append(events(22, 33))
        .await
        .unwrap();
    over(Compressed::reading(), &["key"])
        .append(events(33, 44))
        .await
        .unwrap();
    for compressed in [Compressed::on(), Compressed::reading()] {
        let log = over(compressed, &["key"]);
        let page = log.read_after(Sequence::START, 100).await.unwrap();
        let read: Vec<_> = page.events.into_iter().map(|event| event.item).collect();
        assert_eq!(read, events(0, 44));
        let again = log.append(vec![event(15), event(40)]).await.unwrap();
        assert!(again.iter().all(|answer| answer.duplicate));
    }
    // Without the layers, what they wrote is a gap, and said to be one of theirs.
    let page = none.read_before(Sequence(45), 100).await.unwrap();
    assert_eq!(page.events.len() + page.undecodable.len(), 44);
    assert!(page.undecodable.len() >= 22);
}

#[tokio::test]
async fn a_page_of_what_becomes_large_ends_with_its_bytes() {
    let store = Layered::new(Compressed::on(), log_store(), LayerFailures::default());
    let large = |n| LogEntry {
        body: text(MAX_PAGE_BYTES / 4),
        ..entry(n)
    };
    store.append((0..40).map(large).collect()).await.unwrap();
    let page = store.read_after(Sequence(10), 40).await.unwrap();
    assert_eq!((page.entries.len(), page.through), (4, Sequence(14)));
    assert!(!page.at_head);
    assert_eq!(store.read_before(Sequence(41), 40).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_list_of_what_becomes_large_ends_with_its_bytes_and_counts_what_it_cannot_read_once() {
    let clock = Arc::new(ManualClock::default());
    let memory: Arc<dyn Records> = Arc::new(MemorySessionStore::new(clock, 1000));
    let (records, limits) = (
        Layered::new(Compressed::on(), memory.clone(), LayerFailures::default()),
        RecordLimits::default(),
    );
    let numbered = |n: u64, state: Bytes| {
        let mut new = record(state);
        new.key.id = RecordId::new(&format!("r-{n:04}")).unwrap();
        new
    };
    for n in 0..40 {
        match n % 10 {
            // A compressed state that is damaged.
            7 => memory
                .create(&numbered(n, claiming(9, b"?")), limits)
                .await
                .unwrap(),
            _ => records
                .create(&numbered(n, text(1 << 20)), limits)
                .await
                .unwrap(),
        };
    }
    let (mut after, mut found, mut unreadable) = (None, 0, 0);
    loop {
        let page = records
            .list(THINGS, None, after.as_ref(), 1000)
            .await
            .unwrap();
        let bytes: usize = page.records.iter().map(|record| record.state.len()).sum();
        assert!(bytes <= RecordPage::MAX_BYTES);
        found += page.records.len();
        unreadable += page.unreadable;
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!((found, unreadable), (36, 4));
}

#[tokio::test]
async fn a_record_of_a_missing_key_concerns_itself_alone() {
    let memory: Arc<dyn Records> = Arc::new(MemorySessionStore::new(Arc::new(SystemClock), 10));
    let through =
        |keys: &[&str]| Layered::new(sealed(keys), memory.clone(), LayerFailures::default());
    let (old, new, limits) = (
        through(&["old"]),
        through(&["new"]),
        RecordLimits::default(),
    );
    let one = record("state");
    old.create(&one, limits).await.unwrap();
    let loaded = new.load(&one.key).await;
    assert!(
        matches!(loaded, Err(RecordsError::Unreadable { .. })),
        "{loaded:?}"
    );
    let created = new.create(&one, limits).await;
    assert!(
        matches!(created, Err(RecordsError::Unreadable { .. })),
        "{created:?}"
    );
    let listed = new.list(THINGS, None, None, 10).await.unwrap();
    assert_eq!((listed.records.len(), listed.unreadable), (0, 1));
    assert!(new.end(&one.key).await.unwrap());
}
