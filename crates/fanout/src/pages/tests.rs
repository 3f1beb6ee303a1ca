//! One read serves many readers, and each gets the events after its position.

use std::{
    pin::pin,
    task::{Context, Poll, Wake},
    thread::{self, Thread},
};

use futures_util::future::join_all;
use model::{Epoch, PrincipalId};
use service_kit::metrics::{MetricsRegistry, encode};
use stream_driver::Chunk;
use tokio::time::Instant;

use super::{
    super::{
        fixture::{self, GatedLog},
        hub::Hub,
        ring::Ring,
    },
    *,
};
use crate::{
    limits::{READ_BURST, READ_BYTES_PER_SECOND},
    log_turns::LogTurns,
};

mod property;

const BOUNDS: PageBounds = PageBounds {
    events: 256,
    bytes: 32 << 20,
    lifetime: Duration::from_secs(600),
    read_bytes: 16 << 20,
    all_bytes: 256 << 20,
};

fn pages(log: &Arc<GatedLog>, bounds: PageBounds) -> Arc<Pages> {
    let log: Arc<dyn EventLog> = Arc::<GatedLog>::clone(log);
    Pages::bounded(
        log,
        FanoutMetrics::new(&mut MetricsRegistry::default()),
        bounds,
    )
}

/// Adds events without gaps.
fn fill(log: &GatedLog, sequences: std::ops::RangeInclusive<u64>, bytes: usize) {
    sequences.for_each(|sequence| log.push(fixture::event(sequence, "a", bytes)));
}

/// The events that a reader at `position` finds in a page.
fn found(page: &LogPage, position: u64) -> Vec<u64> {
    let mut found = Vec::new();
    page.read(Sequence(position), usize::MAX, |entry| {
        found.push(entry.sequence.0);
        true
    });
    found
}

/// Everything after a position, page by page.
async fn read_on(pages: &Arc<Pages>, mut position: Sequence) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        let page = pages.next_page(position).await.unwrap();
        if page.through() <= position {
            return all;
        }
        all.extend(found(&page, position.0));
        position = page.through();
    }
}

/// Waits for the progress of other tasks.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

impl Pages {
    /// The page of a reader that has read nothing yet.
    async fn next_page(self: &Arc<Self>, position: Sequence) -> PageResult {
        let turns = LogTurns::new(Arc::clone(&self.log));
        let reader = turns.pace_of(&PrincipalId::anonymous());
        self.after(position, &reader).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_one_range_cost_one_read_per_page() {
    let log = GatedLog::open();
    fill(&log, 1..=1000, 0);
    let mut registry = MetricsRegistry::default();
    let hub = Arc::new(Hub::with_ring(
        Ring::new(10, 1 << 20),
        fixture::parts(
            Arc::<GatedLog>::clone(&log),
            FanoutMetrics::new(&mut registry),
            fixture::bounds(10),
        ),
    ));
    // All within the second page, and on through the third and fourth.
    let readers = (0..1000).map(|reader| {
        let hub = Arc::clone(&hub);
        tokio::spawn(async move {
            let mut position = Sequence(256 + reader % 256);
            let mut expected = position.0 + 1..=1000;
            while position < Sequence(1000) {
                let page = hub
                    .page_after(position, &PrincipalId::anonymous())
                    .await
                    .unwrap();
                for sequence in found(&page, position.0) {
                    assert_eq!(expected.next(), Some(sequence));
                }
                position = page.through();
            }
            assert_eq!(expected.next(), None);
        })
    });
    for reader in join_all(readers).await {
        reader.unwrap();
    }
    assert_eq!(log.begun(), 3);
    let metrics = encode(&registry).unwrap();
    for line in [
        "forgewire_edge_catch_up_reads_total 3",
        "forgewire_edge_catch_up_pages_total 3000",
    ] {
        assert!(metrics.contains(line), "{line} is missing in:\n{metrics}");
    }
}

#[tokio::test]
async fn what_one_reader_encodes_the_others_find() {
    let log = GatedLog::open();
    fill(&log, 1..=10, 0);
    let pages = pages(&log, BOUNDS);
    let frame = (
        fixture::scope(),
        Chunk::new(5, |out| out.extend_from_slice(b"frame")),
    );
    let page = pages.next_page(Sequence(3)).await.unwrap();
    page.read(Sequence(3), 1, |entry| {
        entry.frame.set(frame.clone()).is_ok()
    });
    let page = pages.next_page(Sequence(2)).await.unwrap();
    let mut frames = Vec::new();
    page.read(Sequence(2), 2, |entry| {
        let frame = entry.frame.get();
        frames.push(frame.map(|(_, frame)| frame.plain()));
        true
    });
    assert_eq!(frames, [None, Some(frame.1.plain())]);
}

#[tokio::test]
async fn a_read_of_a_page_goes_no_further_than_asked_and_says_whether_more_is_there() {
    let log = GatedLog::open();
    fill(&log, 1..=15, 0);
    let page = pages(&log, BOUNDS).next_page(Sequence(0)).await.unwrap();
    let read = |position, max, stop_at: u64| {
        page.read(Sequence(position), max, |entry| entry.sequence.0 != stop_at)
    };
    let at = |through, more| RingRead::Read {
        through: Sequence(through),
        more,
    };
    assert_eq!(read(10, 2, 0), at(12, true));
    assert_eq!(read(12, 3, 0), at(15, false));
    assert_eq!(read(10, 100, 13), at(13, true));
    assert_eq!(read(10, 100, 15), at(15, false));
    assert_eq!(read(30, 100, 0), at(30, false));
}

#[tokio::test]
async fn a_page_that_came_to_the_head_is_read_again_when_someone_wants_more() {
    let log = GatedLog::open();
    fill(&log, 1..=10, 0);
    let pages = pages(&log, BOUNDS);
    let page = pages.next_page(Sequence(0)).await.unwrap();
    assert_eq!((page.through(), log.begun()), (Sequence(10), 1));
    // The log has no more: one read finds that out.
    let page = pages.next_page(Sequence(10)).await.unwrap();
    assert_eq!((page.through(), log.begun()), (Sequence(10), 2));
    fill(&log, 11..=12, 0);
    // A reader that has not advanced this far is served from the cache.
    let page = pages.next_page(Sequence(9)).await.unwrap();
    assert_eq!((found(&page, 9), log.begun()), (vec![10], 2));
    let page = pages.next_page(Sequence(10)).await.unwrap();
    assert_eq!((found(&page, 10), log.begun()), (vec![11, 12], 3));
    // A thousand readers at the head at once: still one read.
    join_all((0..1000).map(|_| pages.next_page(Sequence(12)))).await;
    assert_eq!(log.begun(), 4);
}

#[tokio::test]
async fn readers_behind_a_trimmed_range_share_the_oldest_page_wherever_they_were() {
    let log = GatedLog::open();
    fill(&log, 1..=5000, 0);
    log.trim_front(4000);
    let pages = pages(&log, BOUNDS);
    for position in (0..4000).step_by(100) {
        let page = pages.next_page(Sequence(position)).await.unwrap();
        assert_eq!(page.gap_after(Sequence(position)), Some(Sequence(4000)));
        assert_eq!(found(&page, position), (4001..=4256).collect::<Vec<_>>());
        assert_eq!(page.gap_after(Sequence(4000)), None);
    }
    // The first read did not know yet that so much is gone; the second found where all readers
    // continue.
    assert!(log.begun() <= 2, "{} reads", log.begun());
}

#[tokio::test]
async fn an_error_is_told_to_all_who_waited_and_not_kept() {
    let log = GatedLog::new(256);
    fill(&log, 1..=10, 0);
    log.fail_next();
    let pages = pages(&log, BOUNDS);
    let asking = join_all((0..10).map(|position| pages.next_page(Sequence(position))));
    let (answers, ()) = tokio::join!(asking, async { log.let_reads(1) });
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    log.let_reads(1);
    let page = pages.next_page(Sequence(5)).await.unwrap();
    assert_eq!((page.through(), log.begun()), (Sequence(10), 2));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_is_an_error_after_the_deadline() {
    let log = GatedLog::new(256);
    let begun = Instant::now();
    assert!(pages(&log, BOUNDS).next_page(Sequence(0)).await.is_err());
    assert_eq!(begun.elapsed(), CALL_DEADLINE);
}

#[tokio::test]
async fn the_reader_who_began_a_read_may_go_away() {
    let log = GatedLog::new(256);
    fill(&log, 1..=10, 0);
    let pages = pages(&log, BOUNDS);
    let mut asking = Vec::new();
    for _ in 0..500 {
        let pages = Arc::clone(&pages);
        asking.push(tokio::spawn(
            async move { pages.next_page(Sequence(3)).await },
        ));
    }
    until("the read begins", || log.begun() == 1).await;
    let last = asking.pop().unwrap();
    for others in asking {
        others.abort();
        assert!(others.await.unwrap_err().is_cancelled());
    }
    log.let_reads(1);
    let page = last.await.unwrap().unwrap();
    assert_eq!((found(&page, 8), log.begun()), (vec![9, 10], 1));
}

#[tokio::test]
async fn a_read_that_nobody_waits_for_is_given_up() {
    let log = GatedLog::new(256);
    fill(&log, 1..=10, 0);
    let pages = pages(&log, BOUNDS);
    let asker = Arc::clone(&pages);
    let asking = tokio::spawn(async move { asker.next_page(Sequence(3)).await });
    until("the read begins", || log.begun() == 1).await;
    asking.abort();
    until("nothing is left of it", || {
        pages.state.lock().flights.is_empty()
    })
    .await;
    assert_eq!(pages.held_bytes(), 0);
    log.let_reads(1);
    assert_eq!(
        pages.next_page(Sequence(3)).await.unwrap().through(),
        Sequence(10)
    );
}

#[tokio::test]
async fn a_page_of_a_log_that_was_replaced_is_never_given() {
    let log = GatedLog::new(256);
    fill(&log, 1..=10, 0);
    let hub = fixture::hub(&log, Ring::new(10, 1 << 20), 10);
    hub.apply(fixture::started(fixture::EPOCH, 10));
    let asker = Arc::clone(&hub);
    let asking = tokio::spawn(async move {
        asker
            .page_after(Sequence(3), &PrincipalId::anonymous())
            .await
    });
    until("the read begins", || log.begun() == 1).await;
    hub.apply(fixture::started(Epoch(8), 5));
    // The old log still answers the read in progress.
    log.let_reads(1);
    assert!(
        asking.await.unwrap().is_err(),
        "its position means nothing any more"
    );
    log.replace(vec![fixture::event(5, "b", 0)]);
    log.let_reads(1);
    let page = hub
        .page_after(Sequence(3), &PrincipalId::anonymous())
        .await
        .unwrap();
    assert_eq!((found(&page, 0), log.begun()), (vec![5], 2));
    // Neither is a cached page, even if the new log has the same epoch as the old one.
    hub.apply(fixture::started(Epoch(8), 4));
    log.replace(vec![fixture::event(4, "c", 0)]);
    log.let_reads(1);
    let page = hub
        .page_after(Sequence(3), &PrincipalId::anonymous())
        .await
        .unwrap();
    assert_eq!((found(&page, 0), log.begun()), (vec![4], 3));
}

#[tokio::test]
async fn pages_are_bounded_in_bytes_and_the_latest_stay() {
    let log = GatedLog::open();
    fill(&log, 1..=1000, 1000);
    let bounds = PageBounds {
        events: 10,
        bytes: 100_000,
        ..BOUNDS
    };
    let pages = pages(&log, bounds);
    for position in (0..1000).step_by(10) {
        let page = pages.next_page(Sequence(position)).await.unwrap();
        assert_eq!(found(&page, position).len(), 10);
        let bytes = pages.cache.weighted_size();
        assert!(bytes <= bounds.bytes, "{bytes} bytes");
    }
    let reads = log.begun();
    pages.next_page(Sequence(985)).await.unwrap();
    assert_eq!(log.begun(), reads, "it was read just now");
    // A page larger than the whole cache is given to the reader that asked for it.
    log.push(fixture::event(1001, "a", 200_000));
    let page = pages.next_page(Sequence(1000)).await.unwrap();
    assert_eq!(found(&page, 1000), [1001]);
    assert!(pages.cache.weighted_size() <= bounds.bytes);
}

#[tokio::test]
async fn what_does_not_fit_into_the_room_of_a_read_is_read_again() {
    let log = GatedLog::open();
    fill(&log, 1..=100, 10_000);
    let read_bytes = 100_000;
    let pages = pages(
        &log,
        PageBounds {
            read_bytes,
            ..BOUNDS
        },
    );
    let first = pages.next_page(Sequence(0)).await.unwrap();
    assert!(usize::try_from(first.bytes()).unwrap() <= read_bytes);
    for position in [0, 50, 99] {
        let all = read_on(&pages, Sequence(position)).await;
        assert_eq!(all, (position + 1..=100).collect::<Vec<_>>());
    }
    // One event is given whatever its size.
    log.push(fixture::event(101, "a", 200_000));
    let page = pages.next_page(Sequence(100)).await.unwrap();
    assert_eq!(found(&page, 100), [101]);
}

#[tokio::test]
async fn reads_wait_until_pages_that_are_held_are_given_back() {
    let log = GatedLog::open();
    fill(&log, 1..=1000, 1000);
    let bounds = PageBounds {
        events: 10,
        bytes: 0,
        read_bytes: 100_000,
        all_bytes: 250_000,
        ..BOUNDS
    };
    let pages = pages(&log, bounds);
    let mut held = Vec::new();
    let waits = loop {
        let position = Sequence(10 * held.len() as u64);
        let asker = Arc::clone(&pages);
        let asking = tokio::spawn(async move { asker.next_page(position).await.unwrap() });
        let begun = log.begun();
        until("it is read, or there is no room", || {
            log.begun() > begun || pages.room.available_permits() < PageRoom::units(100_000)
        })
        .await;
        match log.begun() > begun {
            true => held.push(asking.await.unwrap()),
            false => break asking,
        }
        assert!(pages.held_bytes() <= bounds.all_bytes);
    };
    // Far more than two, since a page keeps only the room that it needs.
    assert!(held.len() > 3, "{}", held.len());
    assert!(!waits.is_finished());
    held.clear();
    waits.await.unwrap();
    until("nothing is held", || pages.held_bytes() == 0).await;
}

#[tokio::test]
async fn pages_whose_time_is_over_give_their_memory_back_though_nobody_asks() {
    let log = GatedLog::open();
    fill(&log, 1..=10, 0);
    let lifetime = Duration::from_millis(20);
    let pages = pages(&log, PageBounds { lifetime, ..BOUNDS });
    let page = Arc::downgrade(&pages.next_page(Sequence(0)).await.unwrap());
    until("the page is gone", || {
        pages.drop_expired();
        page.strong_count() == 0
    })
    .await;
}

#[tokio::test]
async fn pages_shorter_than_the_alignment_bring_every_reader_on() {
    let log = GatedLog::new(3);
    log.let_reads(10_000);
    fill(&log, 1..=300, 0);
    let pages = pages(&log, BOUNDS);
    for position in [0, 1, 100, 255, 256, 299, 300] {
        let all = read_on(&pages, Sequence(position)).await;
        assert_eq!(all, (position + 1..=300).collect::<Vec<_>>(), "{position}");
    }
}

/// Wakes a plain thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[tokio::test]
async fn a_reader_may_be_polled_by_a_thread_that_is_no_worker() {
    let log = GatedLog::new(256);
    fill(&log, 1..=10, 0);
    let pages = pages(&log, BOUNDS);
    let runtime = tokio::runtime::Handle::current();
    let (told, tells) = tokio::sync::oneshot::channel();
    let reader = thread::spawn(move || {
        let _entered = runtime.enter();
        let mut asking = pin!(pages.next_page(Sequence(3)));
        let waker = Arc::new(Unpark(thread::current())).into();
        let page = loop {
            match asking.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(page) => break page,
                Poll::Pending => thread::park_timeout(Duration::from_secs(10)),
            }
        };
        told.send(page.unwrap().through()).unwrap();
    });
    until("the read begins", || log.begun() == 1).await;
    log.let_reads(1);
    assert_eq!(tells.await.unwrap(), Sequence(10));
    reader.join().unwrap();
}

/// Clients that page through the log without end leave the store time for appends, and others their pages.
#[tokio::test(start_paused = true)]
async fn a_principal_that_begins_reads_on_and_on_does_so_at_its_pace_and_delays_no_other() {
    const EVENT_BYTES: usize = 1 << 20;
    const SECONDS: u64 = 10;
    let log = GatedLog::new(256);
    fill(&log, 1..=1, EVENT_BYTES);
    // Nothing stays in the cache.
    let pages = pages(&log, PageBounds { bytes: 0, ..BOUNDS });
    let turns = LogTurns::new(Arc::<GatedLog>::clone(&log));
    let [greedy, modest] = ["greedy", "modest"].map(|name| {
        let principal = PrincipalId::new(name).unwrap();
        turns.pace_of(&principal)
    });
    let per_second = READ_BYTES_PER_SECOND / EVENT_BYTES as u64;
    let burst = READ_BURST.as_secs() * per_second;
    let reads = usize::try_from(burst + SECONDS * per_second).unwrap();
    log.let_reads(reads);
    let began = Instant::now();
    for _ in 0..burst {
        pages.after(Sequence(0), &greedy).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(1), "a burst is free");
    for _ in 0..SECONDS * per_second {
        pages.after(Sequence(0), &greedy).await.unwrap();
    }
    let took = began.elapsed().as_secs();
    assert!((SECONDS - 1..=SECONDS + 1).contains(&took), "{took} s");
    let asked = Instant::now();
    let both = [greedy, modest].map(|reader| {
        let pages = Arc::clone(&pages);
        tokio::spawn(async move { pages.after(Sequence(0), &reader).await.is_ok() })
    });
    until("the second one begins", || log.begun() > reads).await;
    log.let_reads(1);
    for got in join_all(both).await {
        assert!(got.unwrap(), "both get the page of that read");
    }
    assert!(asked.elapsed() < Duration::from_millis(10));
}
