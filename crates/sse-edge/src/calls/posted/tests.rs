use std::{sync::Arc, time::Duration};

use edge_records::PostedCallRecords;
use futures_util::FutureExt;
use model::{ManualClock, PostedCallId, PrincipalId, RandomIds, SessionId, Timestamp};
use ports::{Leases, Records};
use service_kit::metrics::MetricsRegistry;
use store_memory::MemorySessionStore;

use super::*;
use crate::{limits::CALL_LEASE, metrics::AnswerMetrics};

/// Edges with one store.
struct World {
    clock: Arc<ManualClock>,
    store: Arc<MemorySessionStore>,
    owner: PrincipalId,
    session: SessionId,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1)));
        let store = MemorySessionStore::new(Arc::<ManualClock>::clone(&clock), 100);
        Self {
            clock,
            store: Arc::new(store),
            owner: PrincipalId::anonymous(),
            session: SessionId::new("s").unwrap(),
        }
    }

    fn edge(&self) -> Arc<Calls> {
        let leases: Arc<dyn Leases> = self.store.clone();
        let records: Arc<dyn Records> = self.store.clone();
        let metrics = AnswerMetrics::new(&mut MetricsRegistry::default());
        let (mailbox, ids) = (self.store.clone(), Arc::new(RandomIds));
        let posted = PostedCallRecords::new(records);
        let leases = (leases, CALL_LEASE);
        Arc::new(Calls::new(mailbox, posted, leases, ids, metrics))
    }

    async fn begin(&self, edge: &Arc<Calls>, id: &str) -> PostedCall {
        let answer = (MailStream::Inbox, Bytes::from_static(b"{}"));
        let name = PostedCallName {
            owner: self.owner.clone(),
            session: self.session.clone(),
            id: PostedCallId::new(id).unwrap(),
        };
        let call = PostedCall::begin(edge, name, answer).await;
        assert!(matches!(call.word, LastWord::RunBy { .. }), "{call:?}");
        call
    }

    /// The ids of the open calls, and the leases of their edges.
    async fn open(&self, edge: &Calls) -> Vec<(String, LeaseName)> {
        let open = edge.posted.open(&self.owner, &self.session).await;
        let open = open.unwrap().into_iter();
        open.map(|call| (call.name.id.to_string(), call.state.edge))
            .collect()
    }

    /// Another edge answers in the place of a lost one.
    async fn answer_for(&self, edge: &Calls, id: &str) {
        let open = edge.posted.open(&self.owner, &self.session).await.unwrap();
        let call = open.iter().find(|call| call.name.id.as_str() == id);
        let call = call.unwrap();
        let ended = edge.posted.end(&call.name, call.revision, false).await;
        ended.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_edge_whose_lease_was_lost_answers_unless_another_one_has() {
    let world = World::new();
    let (edge, closed) = (world.edge(), CancellationToken::new());
    let mut calls = Vec::new();
    for id in ["at-once", "lost", "late", "kept"] {
        calls.push(world.begin(&edge, id).await);
    }
    let [at_once, lost, late, kept] = &mut calls[..] else {
        panic!("four calls");
    };
    assert!(at_once.may_answer(&closed).await);
    let first = edge.edge_lease.name().await.unwrap();
    world.answer_for(&world.edge(), "lost").await;
    world.answer_for(&world.edge(), "late").await;
    tokio::time::advance(CALL_LEASE * 2).await;
    world.clock.advance(CALL_LEASE * 2);
    // As it ends, without having heard of its lease.
    assert!(!lost.may_answer(&closed).await);
    let second = edge.edge_lease.name().await.unwrap();
    assert_ne!(first, second);
    // As it goes on.
    for call in [&mut *late, &mut *kept] {
        call.is_due().await;
        call.say().await;
    }
    assert!(late.is_due().now_or_never().is_none());
    assert!(!late.may_answer(&closed).await && kept.may_answer(&closed).await);
    let open = world.open(&edge).await;
    let kept = ("kept".to_owned(), second);
    assert_eq!(open, [("at-once".to_owned(), first), kept]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_goes_on_says_so_again_in_time_and_once_the_store_takes_it() {
    let world = World::new();
    let edge = world.edge();
    let closed = CancellationToken::new();
    let keeping = tokio::spawn({
        let (edge, closed) = (Arc::clone(&edge), closed.clone());
        async move { edge.edge_lease.keep(closed).await }
    });
    let clock = Arc::clone(&world.clock);
    let ticking = tokio::spawn(async move {
        loop {
            sleep(Duration::from_secs(1)).await;
            clock.advance(Duration::from_secs(1));
        }
    });
    let mut call = world.begin(&edge, "long").await;
    for _ in 0..4 {
        let began = Instant::now();
        call.is_due().await;
        assert_eq!(began.elapsed(), CALL_REFRESH);
        call.say().await;
        assert_eq!(world.open(&edge).await.len(), 1, "it outlives its hour");
    }
    assert!(call.may_answer(&closed).await);
    call.end(&closed).await;
    assert!(world.open(&edge).await.is_empty());
    closed.cancel();
    keeping.await.unwrap();
    ticking.abort();
}

#[tokio::test(start_paused = true)]
async fn calls_whose_records_the_store_has_lost_say_so_again_at_the_next_look() {
    let world = World::new();
    let (edge, closed) = (world.edge(), CancellationToken::new());
    let mut calls = vec![
        world.begin(&edge, "one").await,
        world.begin(&edge, "two").await,
    ];
    let over = world.begin(&edge, "over").await;
    over.end(&closed).await;
    let looking = tokio::spawn({
        let (edge, closed) = (Arc::clone(&edge), closed.clone());
        async move { edge.keep_posted_claims(closed).await }
    });
    sleep(CALL_LEASE / 2).await;
    assert!(calls[0].is_due().now_or_never().is_none(), "they are there");
    // For the store only.
    world.clock.advance(Duration::from_secs(2 * 3600));
    assert!(world.open(&edge).await.is_empty());
    let began = Instant::now();
    for call in &mut calls {
        call.is_due().await;
        call.say().await;
    }
    assert!(began.elapsed() <= CALL_LEASE / 3, "{:?}", began.elapsed());
    assert_eq!(world.open(&edge).await.len(), 2);
    closed.cancel();
    looking.await.unwrap();
}
