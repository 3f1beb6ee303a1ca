//! Queries read the log in turns, which are shared out between principals.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use access::Authenticator;
use async_trait::async_trait;
use model::{EventId, Sequence, StoredEvent, SystemClock, Timestamp};
use ports::{AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead, SeekResult};
use reqwest::StatusCode;
use sse_edge::EdgeConfig;
use tokio::sync::Semaphore;

use super::{
    principals::{self, SEES_ALL, SEES_CATS, Tokens},
    world::*,
};

const REPLAY: &str = "/events/replay/2020-01-01T00:00:00Z";
/// First pages of one principal that are read at once.
const OWN_TURNS: usize = 16;

/// A log that holds every read from its beginning until the test lets it go on.
#[derive(Debug)]
struct HeldLog {
    log: Arc<dyn EventLog>,
    begun: AtomicUsize,
    gate: Semaphore,
}

#[async_trait]
impl EventLog for HeldLog {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        self.log.append(events).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        if after == Sequence::START {
            self.begun.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
        }
        self.log.read_after(after, limit).await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        self.log.read_before(before, limit).await
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        self.log.seek(time).await
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        self.log.position_of(id).await
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.log.head().await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        self.log.trim(time).await
    }
}

/// More than the 4,096 events that an edge has in memory from before its start.
const EVENTS: usize = 4200;

/// An edge under tokens, on a log that is held and has more events than the edge has in memory.
async fn held() -> (Arc<HeldLog>, Node, Tokens) {
    let mut stores = EdgeWorld::new().await.stores;
    let log = Arc::new(HeldLog {
        log: stores.log,
        begun: AtomicUsize::new(0),
        // An edge that finds no names reads the log for them before it is ready.
        gate: Semaphore::new(1),
    });
    stores.log = Arc::<HeldLog>::clone(&log);
    let (world, tokens) = (EdgeWorld::on(stores).await, Tokens::new());
    for _ in 0..EVENTS / 100 {
        world.happen("cat", 100, 100).await;
    }
    let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
    let config = EdgeConfig::default();
    let node = world.node_for(&config, world.bus.clone(), auth).await;
    assert_eq!(log.begun.swap(0, Ordering::SeqCst), 1);
    (log, node, tokens)
}

async fn replay(node: &Node, token: &str) -> StatusCode {
    let request = reqwest::Client::new().get(node.at(REPLAY));
    let request = request.headers(principals::headers(token, None));
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn a_client_with_many_queries_at_a_slow_log_does_not_stop_the_others() {
    let (log, node, _tokens) = held().await;
    let have_begun = async |reads: usize| {
        until("the reads have begun", || async {
            log.begun.load(Ordering::SeqCst) == reads
        })
        .await;
    };
    let greedy = futures_util::future::join_all((0..40).map(|_| replay(&node, SEES_ALL)));
    let others = async {
        have_begun(OWN_TURNS).await;
        let modest = async {
            have_begun(OWN_TURNS + 1).await;
            // The turns of the greedy one are taken, and this one has its own.
            log.gate.add_permits(1000);
        };
        let (status, ()) = tokio::join!(replay(&node, SEES_CATS), modest);
        assert_eq!(status, StatusCode::OK);
    };
    let (statuses, ()) = tokio::join!(greedy, others);
    assert!(statuses.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(node.metric("forgewire_edge_refused_queries_total"), 0);
}

#[tokio::test]
async fn a_query_without_a_turn_is_told_when_to_come_back() {
    let (log, node, _tokens) = held().await;
    let queries = (0..OWN_TURNS + 1).map(|_| replay(&node, SEES_ALL));
    let watched = async {
        until("one query is refused", || async {
            node.metric("forgewire_edge_refused_queries_total") == 1
        })
        .await;
        log.gate.add_permits(1000);
    };
    let (statuses, ()) = tokio::join!(futures_util::future::join_all(queries), watched);
    let refused = statuses
        .iter()
        .filter(|status| **status == StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.count(), 1);
    assert_eq!(replay(&node, SEES_ALL).await, StatusCode::OK);
}
