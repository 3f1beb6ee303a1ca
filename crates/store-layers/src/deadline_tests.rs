use std::{future::pending, num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use contract::{HeldLog, events};
use model::{LeaseName, RandomIds, Sequence, SystemClock};
use ports::{EventLog, EventLogError, Lease, LeaseToken, Leases, NewRecord, Records, RecordsError};
use store_memory::{MemoryLogStore, MemorySessionStore};
use tokio::time::Instant;

use super::*;
use crate::{StoredLog, layered_tests::record};

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_answer_is_unavailable_in_time() {
    let many = NonZeroUsize::new(100).expect("not zero");
    let log = HeldLog::new(Arc::new(StoredLog::new(MemoryLogStore::new(
        &RandomIds, many,
    ))));
    let bounded: Deadline<Arc<dyn EventLog>> = Deadline::new(log.clone(), LIMIT);
    bounded.append(events(0, 3)).await.unwrap();
    let page = bounded.read_after(Sequence::START, 10).await.unwrap();
    assert_eq!(page.events.len(), 3);
    assert_eq!(bounded.deadline(), LIMIT);
    log.hold(true);
    let begun = Instant::now();
    let late = bounded.read_after(Sequence::START, 10).await;
    let is_unavailable = matches!(late, Err(EventLogError::Unavailable { op: "read", .. }));
    assert!(is_unavailable, "{late:?}");
    assert_eq!(begun.elapsed(), LIMIT);
    log.hold(false);
    bounded.read_before(Sequence(4), 10).await.unwrap();
}

/// A store that never answers.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Leases for Silent {
    async fn acquire(
        &self,
        _: &LeaseName,
        _: Duration,
        _: Duration,
    ) -> Result<Option<Lease>, StoreFailure> {
        pending().await
    }

    async fn extend(
        &self,
        _: &LeaseName,
        _: &LeaseToken,
        _: Duration,
    ) -> Result<bool, StoreFailure> {
        pending().await
    }

    async fn release(&self, _: &LeaseName, _: &LeaseToken) -> Result<bool, StoreFailure> {
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn an_acquire_may_wait_as_long_as_it_was_asked_to() {
    let leases: Deadline<Arc<dyn Leases>> = Deadline::new(Arc::new(Silent), LIMIT);
    let (name, begun) = (LeaseName::new("a").unwrap(), Instant::now());
    let late = leases.acquire(&name, LIMIT, 3 * LIMIT).await;
    assert!(
        matches!(late, Err(StoreFailure::Unavailable { .. })),
        "{late:?}"
    );
    assert_eq!(begun.elapsed(), 4 * LIMIT);
    let token = LeaseToken::new("t".into());
    assert!(leases.release(&name, &token).await.is_err());
    assert_eq!(begun.elapsed(), 5 * LIMIT);
}

#[tokio::test]
async fn an_answer_in_time_is_the_answer() {
    let store: Arc<dyn Records> = Arc::new(MemorySessionStore::new(Arc::new(SystemClock), 10));
    let records = Deadline::new(store, LIMIT);
    let (new, limits) = (record("state"), ports::RecordLimits::default());
    records.create(&new, limits).await.unwrap();
    let found = records.load(&new.key).await.unwrap().unwrap();
    assert_eq!(found.state, "state");
    let large = NewRecord {
        state: vec![0; records.max_state_bytes() + 1].into(),
        ..new
    };
    let refused = records.create(&large, limits).await;
    assert!(
        matches!(refused, Err(RecordsError::TooLarge { .. })),
        "{refused:?}"
    );
}
