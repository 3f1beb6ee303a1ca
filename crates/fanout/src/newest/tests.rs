use std::{num::NonZeroUsize, sync::Arc};

use event_flow::{follow::Followed, query::MAX_ANSWER_BYTES};
use model::{Epoch, EventFacts, RandomIds, StoredEvent};
use ports::EventLog;
use proptest::prelude::*;
use store_layers::StoredLog;
use store_memory::MemoryLogStore;

use super::{super::fixture, *};
use crate::limits::FIRST_PAGE_TURNS;

fn newest_of(repo: Option<&str>, limit: usize) -> EventQuery {
    let filters = repo.map(fixture::repo_filter).unwrap_or_default();
    EventQuery::new(filters, Order::NewestFirst, limit, MAX_ANSWER_BYTES)
}

/// The answer to a client without a token.
async fn ask(
    hub: &Hub,
    question: &EventQuery,
    visible: Visible<'_>,
) -> Result<QueryPage, HistoryError> {
    let everyone = PrincipalId::anonymous();
    hub.query(&everyone, question, visible).await
}

fn sequences(page: &QueryPage) -> Vec<u64> {
    page.events.iter().map(|event| event.sequence.0).collect()
}

/// A log with this many events, and an edge that has them all. The log's `read_before` panics.
fn followed(events: u64) -> (Arc<fixture::GatedLog>, Arc<Hub>) {
    let log = fixture::GatedLog::new(256);
    let hub = fixture::hub(&log, Ring::new(100, 1 << 20), 10);
    hub.apply(fixture::started(fixture::EPOCH, 0));
    for sequence in 1..=events {
        push(&log, Some(&hub), sequence);
    }
    (log, hub)
}

fn push(log: &fixture::GatedLog, hub: Option<&Hub>, sequence: u64) {
    let repo = ["even", "odd"][usize::from(sequence % 2 == 1)];
    let event = fixture::event(sequence, repo, 10);
    log.push(event.clone());
    if let Some(hub) = hub {
        hub.apply(Followed::Events(vec![event]));
    }
}

#[tokio::test]
async fn the_newest_events_are_answered_without_reading_the_log() {
    let (log, hub) = followed(10);
    log.let_reads(100);
    let page = ask(&hub, &newest_of(None, 3), &|_: &EventFacts| true)
        .await
        .unwrap();
    assert_eq!(
        (sequences(&page), page.through),
        (vec![10, 9, 8], Sequence(10))
    );
    let page = ask(&hub, &newest_of(Some("odd"), 9), &|_: &EventFacts| true)
        .await
        .unwrap();
    assert_eq!(sequences(&page), [9, 7, 5, 3, 1], "to the log's beginning");
    let seen = |event: &EventFacts| event.repo.as_deref() == Some("even");
    let page = ask(&hub, &newest_of(None, 2), &seen).await.unwrap();
    assert_eq!(sequences(&page), [10, 8]);
}

#[tokio::test]
async fn what_the_log_has_trimmed_is_not_shown_though_the_ring_has_it() {
    let (log, hub) = followed(10);
    log.let_reads(100);
    log.trim_front(8);
    let page = ask(&hub, &newest_of(None, 9), &|_: &EventFacts| true)
        .await
        .unwrap();
    assert_eq!(sequences(&page), [10, 9]);
}

/// An event that the log acknowledged is in the answer, even if it reaches this edge a moment
/// later.
#[tokio::test]
async fn a_call_waits_for_the_edge_to_get_what_the_log_has() {
    let (log, hub) = followed(10);
    log.let_reads(100);
    push(&log, None, 11);
    let later = async {
        tokio::task::yield_now().await;
        hub.apply(Followed::Events(vec![fixture::event(11, "odd", 10)]));
    };
    let question = newest_of(None, 1);
    let (page, ()) = tokio::join!(ask(&hub, &question, &|_: &EventFacts| true), later);
    assert_eq!(sequences(&page.unwrap()), [11]);
}

#[tokio::test]
async fn calls_that_wait_at_the_same_time_ask_the_log_twice_at_most() {
    let (log, hub) = followed(10);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let hub = Arc::clone(&hub);
            tokio::spawn(
                async move { ask(&hub, &newest_of(None, 1), &|_: &EventFacts| true).await },
            )
        })
        .collect();
    // The first call asks; the others arrived meanwhile, and share the request that follows.
    tokio::task::yield_now().await;
    log.let_reads(2);
    for call in calls {
        assert_eq!(sequences(&call.await.unwrap().unwrap()), [10]);
    }
}

#[tokio::test]
async fn a_question_that_failed_or_was_dropped_is_asked_again() {
    let (log, hub) = followed(10);
    let question = newest_of(None, 1);
    let dropped = timeout(
        Duration::from_millis(1),
        ask(&hub, &question, &|_: &EventFacts| true),
    )
    .await;
    assert!(dropped.is_err());
    log.let_reads(2);
    log.fail_next();
    assert!(ask(&hub, &question, &|_: &EventFacts| true).await.is_err());
    assert_eq!(
        sequences(&ask(&hub, &question, &|_: &EventFacts| true).await.unwrap()),
        [10]
    );
}

#[derive(Debug, Clone)]
struct Case {
    log_events: usize,
    ring_events: usize,
    /// The position at which the edge started, the one it has reached, and the log's end.
    repos: Vec<u8>,
    begins: usize,
    question: EventQuery,
    hidden: Option<u8>,
}

fn case() -> impl Strategy<Value = Case> {
    let bounds = (1usize..12, prop::option::of(1usize..200), 0usize..6);
    let range = (0u64..40, prop::option::of(0u64..45));
    let question = (prop::option::of(0u8..3), bounds, range, any::<bool>());
    let sizes = (1usize..40, 1usize..40);
    let repos = prop::collection::vec(0u8..3, 0..40);
    (sizes, repos, 0usize..40, question, prop::option::of(0u8..3)).prop_map(
        |(
            (log_events, ring_events),
            repos,
            begins,
            (repo, bounds, (after, before), oldest),
            hidden,
        )| {
            Case {
                log_events,
                ring_events,
                begins: begins.min(repos.len()),
                repos,
                question: EventQuery {
                    after: Sequence(after),
                    before: before.map(Sequence).filter(|_| !oldest),
                    order: match oldest {
                        true => Order::OldestFirst,
                        false => Order::NewestFirst,
                    },
                    max_bytes: bounds.1.unwrap_or(MAX_ANSWER_BYTES),
                    offset: bounds.2,
                    ..newest_of(repo.map(|repo| repo.to_string()).as_deref(), bounds.0)
                },
                hidden,
            }
        },
    )
}

fn stored(number: usize, repo: u8) -> StoredEvent {
    fixture::event(number as u64, &repo.to_string(), 10).item
}

async fn as_the_log(case: Case) -> Result<(), TestCaseError> {
    let capacity = NonZeroUsize::new(case.log_events).unwrap();
    let log = StoredLog::new(MemoryLogStore::new(&RandomIds, capacity));
    let mut ring = Ring::new(case.ring_events, 1 << 20);
    for (number, repo) in case.repos.iter().enumerate() {
        if number == case.begins {
            ring = Ring::new(case.ring_events, 1 << 20);
            ring.restart(Sequence(number as u64), None);
        }
        let item = stored(number, *repo);
        let appended = log.append(vec![item.clone()]).await.unwrap();
        let sequence = appended[0].sequence;
        ring.push(Arc::new(RingEntry::new(Sequenced { sequence, item }, 0)));
    }
    let hidden = case.hidden.map(|repo| repo.to_string());
    let visible = |event: &EventFacts| hidden.is_none() || event.repo != hidden;
    let head = log.head().await.unwrap();
    let expected = event_flow::query::query_visible(&log, &case.question, &visible).await;
    if case.question.order == Order::OldestFirst {
        let is_whole = head.trimmed_through <= case.question.after;
        let found = next(&ring, &case.question, &visible).filter(|_| is_whole);
        let has_all = case.question.after >= ring.base() && is_whole;
        prop_assert_eq!(found.is_some(), has_all);
        if let Some(mut found) = found {
            let expected = expected.unwrap();
            found.through_tag = expected.through_tag.and(found.through_tag);
            prop_assert_eq!(found, expected);
        }
        return Ok(());
    }
    let found = newest(&ring, head, &case.question, &visible);
    let reach = case
        .repos
        .len()
        .saturating_sub(case.begins)
        .min(case.ring_events);
    if let Some(mut found) = found {
        let expected = expected.unwrap();
        // A search that does not begin at the log's end has not read the entry there.
        found.through_tag = expected.through_tag.and(found.through_tag);
        prop_assert_eq!(found, expected);
    } else {
        // It may say so only if the missing events could have been part of the answer.
        prop_assert!(reach < case.log_events.min(case.repos.len()));
        prop_assert!(expected.unwrap().events.len() <= case.question.limit);
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_ring_answers_as_the_log_does(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(as_the_log(case))?;
    }
}

/// A reader that continues from a recent cursor costs the log no read.
#[tokio::test]
async fn the_events_after_a_recent_position_are_answered_without_reading_the_log() {
    let (log, hub) = followed(10);
    log.let_reads(1);
    let after = |after, limit| EventQuery {
        order: Order::OldestFirst,
        after: Sequence(after),
        ..newest_of(Some("odd"), limit)
    };
    let page = ask(&hub, &after(4, 2), &|_: &EventFacts| true)
        .await
        .unwrap();
    assert_eq!((sequences(&page), page.through), (vec![5, 7], Sequence(8)));
    assert!(page.has_more && page.through_tag.is_some());
    log.let_reads(1);
    let page = ask(&hub, &after(8, 2), &|_: &EventFacts| true)
        .await
        .unwrap();
    assert_eq!((sequences(&page), page.through), (vec![9], Sequence(10)));
    assert!(!page.has_more && !page.truncated);
}

/// Positions of another log have no meaning here.
#[tokio::test]
async fn a_log_that_was_replaced_is_not_answered_for_from_the_ring() {
    let (log, hub) = followed(10);
    log.let_reads(100);
    hub.apply(fixture::started(Epoch(fixture::EPOCH.0 + 1), 0));
    for sequence in 1..=10 {
        hub.apply(Followed::Events(vec![fixture::event(sequence, "new", 10)]));
    }
    let asked =
        tokio::spawn(async move { ask(&hub, &newest_of(None, 1), &|_: &EventFacts| true).await });
    assert!(
        asked.await.is_err(),
        "this log's read_before panics: it was read"
    );
}

/// A query that the ring cannot answer reads the log in its turn.
#[tokio::test(start_paused = true)]
async fn a_query_that_finds_no_turn_at_the_log_is_told_to_come_back() {
    let (log, hub) = followed(110);
    let from_the_log = EventQuery {
        order: Order::OldestFirst,
        ..newest_of(None, 1)
    };
    let holding: Vec<_> = (0..FIRST_PAGE_TURNS)
        .map(|_| {
            let (hub, question) = (Arc::clone(&hub), from_the_log.clone());
            tokio::spawn(async move { ask(&hub, &question, &|_: &EventFacts| true).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let refused = ask(&hub, &from_the_log, &|_: &EventFacts| true)
        .await
        .unwrap_err();
    assert!(matches!(refused, HistoryError::Busy), "{refused}");
    log.let_reads(100);
    for query in holding {
        assert!(query.await.unwrap().is_ok());
    }
    assert!(
        ask(&hub, &from_the_log, &|_: &EventFacts| true)
            .await
            .is_ok()
    );
}
