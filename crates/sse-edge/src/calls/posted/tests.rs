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
fn the_first_edge_that_says_so_has_ended_a_call_and_nobody_runs_it_after_that() {
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
    assert!(said.is_ended_by("one", &lease("b")) && !said.is_ended_by("one", &lease("a")));
    // Before the last word on a call that is open.
    assert_eq!((said.over(), said.is_over_through()), (2, Sequence(2)));
    let over = journal(&[run_by("one", "a"), ended("one", "a")]);
    assert_eq!((over.over(), over.is_over_through()), (2, Sequence(2)));
    assert_eq!(journal(&[]).over(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_two_edges_that_end_a_call_one_answers_and_a_lost_lease_is_told_again() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1)));
    let store = Arc::new(MemorySessionStore::new(
        Arc::<ManualClock>::clone(&clock),
        1,
    ));
    let leases: Arc<dyn Leases> = store.clone();
    let metrics = AnswerMetrics::new(&mut MetricsRegistry::default());
    let leases = (leases, CALL_LEASE);
    let calls = Arc::new(Calls::new(
        store.clone(),
        leases,
        Arc::new(RandomIds),
        metrics,
    ));
    let session = SessionId::new("s").unwrap();
    let hour = Duration::from_secs(3600);
    let owner = PrincipalId::anonymous();
    store.open(&session, &owner, hour).await.unwrap();
    let begin = |name: &str| {
        let answer = (MailStream::Inbox, Bytes::from_static(b"{}"));
        let (calls, name, session) = (Arc::clone(&calls), name.to_owned(), session.clone());
        async move { PostedCall::begin(&calls, &session, name, answer).await }
    };
    let closed = CancellationToken::new;
    let mut lost = begin("lost").await;
    let first = calls.edge_lease.name().await.unwrap();
    assert!(begin("own").await.end(closed()).await);
    let entry = ended("lost", "another").encode();
    calls
        .append(&session, &journal_name(), entry)
        .await
        .unwrap();
    // The lease is lost, and taken again: the call that another edge has answered stays so.
    let mut kept = begin("kept").await;
    tokio::time::advance(CALL_LEASE * 2).await;
    clock.advance(CALL_LEASE * 2);
    let second = calls.edge_lease.name().await.unwrap();
    assert_ne!(first, second);
    for call in [&mut lost, &mut kept] {
        call.is_due().await;
        call.say_again().await;
    }
    let said = read(&calls, &session).await.unwrap();
    let open: Vec<_> = said.open().map(|call| (&*call.name, &call.edge)).collect();
    assert_eq!(open, [("kept", &second)]);
    assert!(!lost.end(closed()).await);
    assert!(kept.end(closed()).await);
    for n in 0..40 {
        assert!(begin(&n.to_string()).await.end(closed()).await);
    }
    let name = journal_name();
    let page = store.read_after(&session, &name, Sequence::START, 1000);
    let kept = page.await.unwrap().messages.len();
    assert!(kept <= KEPT_ENTRIES, "{kept}");
    // Beside a call that goes on, the journal stays short too.
    let mut long = begin("long").await;
    for n in 0..500 {
        assert!(begin(&n.to_string()).await.end(closed()).await);
        if long.is_due().now_or_never().is_some() {
            long.say_again().await;
        }
        let entries = read(&calls, &session).await.unwrap().len();
        assert!(
            entries <= LONG_JOURNAL_ENTRIES + 2 * KEPT_ENTRIES,
            "{entries}"
        );
    }
    assert!(long.end(closed()).await);
}
