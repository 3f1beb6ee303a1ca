use futures_util::{StreamExt, stream::FuturesUnordered};

use super::*;
use crate::fixture::{self, GatedLog};

const WAIT: Duration = Duration::from_secs(2);

fn principal(name: &str) -> PrincipalId {
    PrincipalId::new(name).unwrap()
}

/// A log with a few events whose reads the test releases, and its turns.
fn gated() -> (Arc<GatedLog>, Arc<LogTurns>) {
    let log = GatedLog::new(1);
    for sequence in 1..=3 {
        log.push(fixture::event(sequence, "cat", 10));
    }
    let turns = LogTurns::new(Arc::<GatedLog>::clone(&log));
    (log, turns)
}

/// Begins and reads this many pages.
async fn search(turns: Arc<LogTurns>, of: PrincipalId, pages: usize) -> usize {
    let Some(log) = turns.begin(&of, WAIT).await else {
        return 0;
    };
    for page in 0..pages {
        let after = Sequence(page as u64);
        log.read_after(after, 1).await.unwrap();
    }
    pages
}

/// Lets everything run that can.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn many_queries_of_one_principal_read_in_its_turns_and_delay_no_other() {
    let (log, turns) = gated();
    let greedy: Vec<_> = (0..100)
        .map(|_| tokio::spawn(search(Arc::clone(&turns), principal("greedy"), 1)))
        .collect();
    settle().await;
    assert_eq!(log.begun(), FIRST_PAGE_TURNS / 2);
    let modest = tokio::spawn(search(Arc::clone(&turns), principal("modest"), 1));
    settle().await;
    assert_eq!(log.begun(), FIRST_PAGE_TURNS / 2 + 1, "it begins at once");
    log.let_reads(1000);
    assert_eq!(modest.await.unwrap(), 1);
    for query in greedy {
        assert_eq!(query.await.unwrap(), 1, "each has its turn");
    }
    assert_eq!(turns.queries(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_on_leaves_the_turns_of_first_pages_to_others() {
    let (log, turns) = gated();
    let searching: FuturesUnordered<_> = (0..10)
        .map(|_| tokio::spawn(search(Arc::clone(&turns), principal("searching"), 2)))
        .collect();
    settle().await;
    assert_eq!(log.begun(), 10);
    log.let_reads(10);
    settle().await;
    // All have their first page, and few read on at once.
    assert_eq!(log.begun(), 10 + FURTHER_PAGE_TURNS / 2);
    let short: FuturesUnordered<_> = (0..3)
        .map(|_| tokio::spawn(search(Arc::clone(&turns), principal("searching"), 1)))
        .collect();
    settle().await;
    assert_eq!(log.begun(), 10 + FURTHER_PAGE_TURNS / 2 + 3);
    log.let_reads(1000);
    let done: Vec<_> = searching.chain(short).collect().await;
    assert_eq!(done.len(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_query_whose_turn_does_not_come_is_told_and_leaves_nothing_behind() {
    let (log, turns) = gated();
    let holding: Vec<_> = (0..FIRST_PAGE_TURNS)
        .map(|n| {
            tokio::spawn(search(
                Arc::clone(&turns),
                principal(&(n % 2).to_string()),
                1,
            ))
        })
        .collect();
    settle().await;
    assert_eq!(log.begun(), FIRST_PAGE_TURNS);
    assert_eq!(search(Arc::clone(&turns), principal("late"), 1).await, 0);
    assert_eq!(turns.queries(), FIRST_PAGE_TURNS);
    // A query that is given up gives its turn back.
    holding[0].abort();
    settle().await;
    log.let_reads(1000);
    assert_eq!(search(Arc::clone(&turns), principal("late"), 1).await, 1);
    for query in holding {
        let _ = query.await;
    }
    assert_eq!(turns.queries(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_authentication_all_turns_are_for_everyone() {
    let (log, turns) = gated();
    let queries: Vec<_> = (0..100)
        .map(|_| tokio::spawn(search(Arc::clone(&turns), PrincipalId::anonymous(), 1)))
        .collect();
    settle().await;
    assert_eq!(log.begun(), FIRST_PAGE_TURNS);
    for query in queries {
        query.abort();
    }
}

/// Whatever it asks for, one query after the other: the store has time for appends, and others read on.
#[tokio::test(start_paused = true)]
async fn a_principal_that_reads_on_and_on_reads_at_its_pace_and_delays_no_other() {
    const EVENT_BYTES: usize = 1 << 20;
    let log = GatedLog::open();
    log.push(fixture::event(1, "cat", EVENT_BYTES));
    let turns = LogTurns::new(Arc::<GatedLog>::clone(&log));
    let began = tokio::time::Instant::now();
    let burst = READ_BURST.as_secs() * READ_BYTES_PER_SECOND / EVENT_BYTES as u64;
    let pages = usize::try_from(burst).unwrap();
    for _ in 0..pages {
        assert_eq!(search(Arc::clone(&turns), principal("greedy"), 1).await, 1);
    }
    assert!(began.elapsed() < Duration::from_secs(1), "a burst is free");
    let seconds = 10;
    for _ in 0..seconds * READ_BYTES_PER_SECOND / EVENT_BYTES as u64 {
        assert_eq!(search(Arc::clone(&turns), principal("greedy"), 1).await, 1);
    }
    let took = began.elapsed().as_secs();
    assert!((seconds - 1..=seconds + 1).contains(&took), "{took} s");
    let modest = tokio::time::Instant::now();
    assert_eq!(search(Arc::clone(&turns), principal("modest"), 1).await, 1);
    assert!(modest.elapsed() < Duration::from_millis(10));
    assert_eq!(
        turns.by_principal.lock().len(),
        2,
        "what was read still counts"
    );
    tokio::time::sleep(2 * READ_BURST).await;
    search(Arc::clone(&turns), principal("third"), 1).await;
    assert_eq!(turns.by_principal.lock().len(), 1, "and is forgotten then");
}

/// Each costs the store as much as half a page.
#[tokio::test(start_paused = true)]
async fn a_principal_that_searches_for_times_does_it_at_its_pace_and_delays_no_other() {
    let turns = LogTurns::new(GatedLog::open());
    let greedy = turns.pace_of(&principal("greedy"));
    let each_second = READ_BYTES_PER_SECOND / SEEK_READ_BYTES as u64;
    let began = tokio::time::Instant::now();
    for _ in 0..READ_BURST.as_secs() * each_second {
        greedy.seek(Timestamp::MAX).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(1), "a burst is free");
    let seconds = 10;
    for _ in 0..seconds * each_second {
        greedy.seek(Timestamp::MAX).await.unwrap();
    }
    let took = began.elapsed().as_secs();
    assert!((seconds - 1..=seconds + 1).contains(&took), "{took} s");
    let began = tokio::time::Instant::now();
    let modest = turns.begin(&principal("modest"), WAIT).await.unwrap();
    modest.seek(Timestamp::MAX).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(10));
    let began = tokio::time::Instant::now();
    turns.begin(&principal("greedy"), WAIT).await.unwrap();
    assert!(began.elapsed() > Duration::ZERO, "its queries wait too");
}
