use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use model::{ManualClock, PrincipalId, RandomIds, Sequenced, Timestamp};
use ports::{Leases, Mailbox};
use service_kit::metrics::MetricsRegistry;
use store_memory::MemorySessionStore;

use super::*;
use crate::{limits::CALL_LEASE, metrics::AnswerMetrics};

fn lease(name: &str) -> LeaseName {
    LeaseName::new(name).unwrap()
}

fn run_by(call: &str, edge: &str) -> JournalEntry {
    JournalEntry::RunBy {
        call: call.to_owned(),
        edge: lease(edge),
        to: MailStream::Inbox.name(),
        lost: "{}".to_owned(),
    }
}

fn ended(call: &str, by: &str) -> JournalEntry {
    JournalEntry::Ended {
        call: call.to_owned(),
        by: lease(by),
    }
}

fn journal(entries: &[JournalEntry]) -> Journal {
    let mut page = MailboxPage::without_mailbox(Sequence::START);
    for (n, entry) in (1..).zip(entries) {
        page.messages.push(Sequenced {
            sequence: Sequence(n),
            item: entry.encode(),
        });
    }
    Journal::of(&page)
}

#[test]
fn nobody_runs_a_call_after_its_end_and_what_is_over_ends_before_the_first_open_one() {
    let said = journal(&[
        run_by("one", "a"),
        run_by("two", "a"),
        run_by("two", "b"),
        ended("one", "b"),
        ended("one", "a"),
        run_by("one", "a"),
    ]);
    let open: Vec<_> = said.open().map(|call| (&*call.name, &call.edge)).collect();
    assert_eq!(open, [("two", &lease("b"))]);
    assert!(said.has_ended("one") && !said.has_ended("two"));
    // Before the last word on a call that is open.
    assert_eq!(said.is_over_through(), Some(Sequence(2)));
    let over = journal(&[run_by("one", "a"), ended("one", "a")]);
    assert_eq!(over.is_over_through(), Some(Sequence(2)));
    assert_eq!(journal(&[run_by("one", "a")]).is_over_through(), None);
    assert_eq!(journal(&[]).is_over_through(), None);
}

/// Edges with one store, and a session.
struct World {
    clock: Arc<ManualClock>,
    store: Arc<MemorySessionStore>,
    session: SessionId,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1)));
        let store = MemorySessionStore::new(Arc::<ManualClock>::clone(&clock), 1);
        let session = SessionId::new("s").unwrap();
        let hour = Duration::from_secs(3600);
        let opened = store.open(&session, &PrincipalId::anonymous(), hour).await;
        opened.unwrap();
        Self {
            clock,
            store: Arc::new(store),
            session,
        }
    }

    fn edge(&self) -> Arc<Calls> {
        let leases: Arc<dyn Leases> = self.store.clone();
        let metrics = AnswerMetrics::new(&mut MetricsRegistry::default());
        let (mailbox, ids) = (self.store.clone(), Arc::new(RandomIds));
        Arc::new(Calls::new(mailbox, (leases, CALL_LEASE), ids, metrics))
    }

    async fn begin(&self, edge: &Arc<Calls>, name: &str) -> PostedCall {
        let answer = (MailStream::Inbox, Bytes::from_static(b"{}"));
        PostedCall::begin(edge, &self.session, name.to_owned(), answer).await
    }

    /// One call that ends at once.
    async fn quick(&self, edge: &Arc<Calls>, name: &str) -> bool {
        let closed = CancellationToken::new();
        let call = self.begin(edge, name).await;
        assert!(call.may_answer(&closed).await);
        call.end(&closed).await
    }

    async fn journal(&self, edge: &Calls) -> Journal {
        read(edge, &self.session).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn an_edge_whose_lease_was_lost_answers_unless_another_one_has() {
    let world = World::new().await;
    let (edge, closed) = (world.edge(), CancellationToken::new());
    let mut lost = world.begin(&edge, "lost").await;
    let mut kept = world.begin(&edge, "kept").await;
    let first = edge.edge_lease.name().await.unwrap();
    let entry = ended("lost", "another").encode();
    let appended = edge.append(&world.session, &journal_name(), entry).await;
    appended.unwrap();
    tokio::time::advance(CALL_LEASE * 2).await;
    world.clock.advance(CALL_LEASE * 2);
    assert!(!lost.may_answer(&closed).await && kept.may_answer(&closed).await);
    let second = edge.edge_lease.name().await.unwrap();
    assert_ne!(first, second);
    for call in [&mut lost, &mut kept] {
        call.is_due().await;
        call.say_again().await;
    }
    let said = world.journal(&edge).await;
    let open: Vec<_> = said.open().map(|call| (&*call.name, &call.edge)).collect();
    assert_eq!(open, [("kept", &second)]);
    assert!(!lost.may_answer(&closed).await && kept.may_answer(&closed).await);
}

#[tokio::test(start_paused = true)]
async fn a_journal_is_told_again_after_its_time_and_when_the_store_did_not_take_it() {
    let world = World::new().await;
    let edge = world.edge();
    let closed = CancellationToken::new();
    let keeping = tokio::spawn({
        let (edge, closed) = (Arc::clone(&edge), closed.clone());
        async move { edge.edge_lease.keep(closed).await }
    });
    let mut call = world.begin(&edge, "long").await;
    let before = world.journal(&edge).await.len();
    for n in 1..=2 {
        let began = Instant::now();
        call.is_due().await;
        assert_eq!(began.elapsed(), CALL_REFRESH);
        call.say_again().await;
        assert_eq!(world.journal(&edge).await.len(), before + n);
    }
    world.store.end(&world.session).await.unwrap();
    call.is_due().await;
    call.say_again().await;
    let began = Instant::now();
    call.is_due().await;
    assert_eq!(began.elapsed(), CALL_DEADLINE);
    closed.cancel();
    keeping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_journal_stays_short_beside_calls_that_go_on_here_and_elsewhere() {
    let world = World::new().await;
    let (here, there) = (world.edge(), world.edge());
    let interval = usize::try_from(TRIM_INTERVAL).unwrap();
    for n in 0..40 {
        assert!(!world.quick(&here, &n.to_string()).await);
        assert!(world.journal(&here).await.len() <= interval);
    }
    let mut long = Vec::new();
    for n in 0..10 {
        long.push(world.begin(&there, &format!("there-{n}")).await);
        long.push(world.begin(&here, &format!("here-{n}")).await);
    }
    let (mut longest, mut asked, mut said) = (0, 0, 0);
    for n in 0..1000 {
        if world.quick(&here, &n.to_string()).await {
            // As the bus does.
            there.hints.wake(&world.session, &long_journal_name());
            asked += 1;
        }
        for call in &mut long {
            if call.is_due().now_or_never().is_some() {
                call.say_again().await;
                said += 1;
            }
        }
        longest = longest.max(world.journal(&here).await.len());
    }
    assert!(longest <= 64 + 4 * long.len() + interval, "{longest}");
    // Less than one entry more for each call.
    assert!(asked > 0 && said < 1000, "{asked} {said}");
    let open = world.journal(&here).await.open().count();
    assert_eq!(open, long.len());
}
