//! Single cases that the property test reaches too seldom, or not at all.

use event_flow::follow::{Followed, LossReason, LostEvents};
use model::Classified;
use model::{LostRange, PrincipalId};
use stream_driver::{StreamBody, StreamSource};

use super::{
    super::super::{bounds::StreamBounds, format::StreamEnd, lag::LagLimits, ring::Ring},
    client::{feed, over_both},
    *,
};
use crate::limits::UNREAD_BYTES;

const URI: &str = "github://events/Octo/A";

fn event(sequence: u64) -> Seen {
    Seen::Event {
        sequence,
        whole: true,
        uris: Vec::new(),
    }
}

/// Five events of `a` are in the log; the edge starts after them, so its ring has none of them.
fn five(log: &Arc<GatedLog>, ring_events: usize) -> Arc<Hub> {
    (1..=5).for_each(|sequence| log.push(fixture::event(sequence, "a", 0)));
    let hub = fixture::hub(log, Ring::new(ring_events, 1 << 20), 2);
    hub.apply(fixture::started(fixture::EPOCH, 5));
    hub
}

fn only_a() -> StreamInterest {
    fixture::interest(0, &[("a", 0)], &[])
}

fn session() -> SessionId {
    SessionId::new("s").unwrap()
}

over_both! {
    a_stream_that_nothing_concerned_is_not_told_of_a_gap,
    a_client_has_an_event_id_once_the_stream_outlives_a_check,
    a_subscription_made_ahead_of_this_edge_skips_nothing_of_an_older_one,
    after_the_way_back_an_id_names_all_that_the_client_has,
    what_is_added_on_the_way_back_is_not_missed_and_nothing_comes_again,
    what_a_session_was_put_back_to_is_taken_whatever_its_revision,
    trimmed_before_the_edge_read_it_means_a_notice_and_then_what_follows,
    a_cursor_ahead_of_this_edge_waits_and_one_ahead_of_the_log_is_told,
    a_stream_that_does_not_come_about_leaves_no_entry,
    one_stream_too_many_is_refused_and_a_place_is_free_again,
    the_newer_stream_of_a_session_stays_known_when_the_older_one_goes,
    a_new_log_ends_the_streams_of_the_old_one_and_starts_its_own_numbers,
    while_the_log_is_read_hearts_beat_and_the_end_comes_at_once,
    a_log_that_has_less_than_the_ring_knew_is_asked_with_pauses,
}

async fn a_stream_that_nothing_concerned_is_not_told_of_a_gap(over: Over) {
    let log = GatedLog::open();
    let hub = five(&log, 4);
    let mut client = FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
    client.drain().await;
    (6..60).for_each(|sequence| happen(&log, &hub, sequence, "b"));
    client.stream.beat();
    client.drain().await;
    log.trim_front(40);
    client.stream.set_interest(fixture::interest(1, &[], &[]));
    client
        .stream
        .set_interest(fixture::interest(2, &[("c", 59)], &[]));
    client.drain().await;
    happen(&log, &hub, 60, "c");
    client.drain().await;
    assert_eq!(client.seen, [Seen::Heartbeat, event(60)]);
}

async fn a_client_has_an_event_id_once_the_stream_outlives_a_check(over: Over) {
    let log = GatedLog::open();
    let hub = five(&log, 100);
    let mut client = FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
    client.drain().await;
    let checks = |client: &FeedClient| [(); 2].map(|()| client.stream.check_covered());
    assert_eq!(checks(&client), [None, None], "nothing had an id");
    happen(&log, &hub, 6, "a");
    client.drain().await;
    assert_eq!(checks(&client), [None, Some(0)]);
    let mut more = fixture::interest(1, &[("a", 0), ("b", 6)], &[]);
    more.newest_subscription = 1;
    client.stream.set_interest(more);
    client.drain().await;
    assert_eq!(checks(&client), [Some(0), Some(0)], "no id covers it yet");
    happen(&log, &hub, 7, "a");
    client.drain().await;
    assert_eq!(checks(&client), [Some(0), Some(1)]);
}

async fn a_subscription_made_ahead_of_this_edge_skips_nothing_of_an_older_one(over: Over) {
    let log = GatedLog::open();
    let hub = five(&log, 100);
    let mut client = FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
    client.drain().await;
    // Another edge is at 9 already, and its change arrives before the events do.
    client
        .stream
        .set_interest(fixture::interest(1, &[("a", 0), ("b", 9)], &[]));
    client.drain().await;
    (6..=11).for_each(|n| happen(&log, &hub, n, if n % 2 == 0 { "a" } else { "b" }));
    client.drain().await;
    assert_eq!(client.sequences(), [6, 8, 10, 11]);
}

async fn what_a_session_was_put_back_to_is_taken_whatever_its_revision(over: Over) {
    let log = GatedLog::open();
    let hub = five(&log, 100);
    let lost = fixture::interest(7, &[("a", 0)], &[]);
    let mut client = FeedClient::open(over, &hub, lost, StreamStart::Head).await;
    client.drain().await;
    let older = fixture::interest(3, &[("b", 5)], &[]);
    client.stream.set_interest(older.clone());
    happen(&log, &hub, 6, "b");
    happen(&log, &hub, 7, "a");
    client.drain().await;
    assert_eq!(client.sequences(), [7], "a late read changes nothing");
    client.stream.put_back(older);
    client.drain().await;
    happen(&log, &hub, 8, "b");
    happen(&log, &hub, 9, "a");
    client.drain().await;
    assert_eq!(client.sequences(), [7, 6, 8]);
}

async fn after_the_way_back_an_id_names_all_that_the_client_has(over: Over) {
    let log = GatedLog::open();
    let hub = five(&log, 100);
    let mut client = FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
    for (sequence, repo) in [(6, "b"), (7, "a"), (8, "c"), (9, "d")] {
        happen(&log, &hub, sequence, repo);
    }
    client.drain().await;
    assert_eq!(client.seen, [event(7)]);
    let repos = [("a", 0), ("b", 5), ("d", 5)];
    client
        .stream
        .set_interest(fixture::interest(1, &repos[..2], &[]));
    client.drain().await;
    assert_eq!(client.seen[1..], [event(6), Seen::Named { cursor: 9 }]);
    client
        .stream
        .set_interest(fixture::interest(2, &repos, &[]));
    client.drain().await;
    assert_eq!(client.seen[3..], [event(9)], "its own id is as far");
    happen(&log, &hub, 10, "a");
    client.drain().await;
    assert_eq!(client.seen[4..], [event(10)]);
}

async fn what_is_added_on_the_way_back_is_not_missed_and_nothing_comes_again(over: Over) {
    let log = GatedLog::open();
    let hub = five(&log, 100);
    let mut client = FeedClient::open(over, &hub, only_a(), after(0)).await;
    client.drain().await;
    assert_eq!(client.sequences(), [1, 2, 3, 4, 5]);
    client.seen.clear();
    client
        .stream
        .set_interest(fixture::interest(1, &[("a", 0)], &[(URI, 1)]));
    // One event of the way back fills the batch; then the next subscription arrives.
    client
        .stream
        .set_interest(fixture::interest(2, &[("a", 0)], &[(URI, 1)]));
    client.drain().await;
    let told = |sequence| Seen::Event {
        sequence,
        whole: false,
        uris: vec![URI.to_owned()],
    };
    assert_eq!(client.seen, [told(2), told(3), told(4), told(5)]);
}

async fn trimmed_before_the_edge_read_it_means_a_notice_and_then_what_follows(over: Over) {
    let log = GatedLog::open();
    let hub = five(&log, 100);
    let mut client = FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
    client.drain().await;
    (6..=9).for_each(|sequence| log.push(fixture::event(sequence, "a", 0)));
    log.trim_front(8);
    hub.apply(Followed::Lost(LostEvents {
        range: LostRange {
            after: Sequence(5),
            resumes_after: Sequence(8),
        },
        reason: LossReason::Trimmed,
        tag: None,
    }));
    hub.apply(Followed::Events(vec![fixture::event(9, "a", 0)]));
    client.drain().await;
    assert_eq!(client.seen, [Seen::Truncated { cursor: 8 }, event(9)]);
}

async fn a_cursor_ahead_of_this_edge_waits_and_one_ahead_of_the_log_is_told(over: Over) {
    let log = GatedLog::open();
    let hub = five(&log, 100);
    (6..=8).for_each(|sequence| log.push(fixture::event(sequence, "a", 0)));
    let mut ahead_of_edge = FeedClient::open(over, &hub, only_a(), after(7)).await;
    let mut ahead_of_log = FeedClient::open(over, &hub, only_a(), after(30)).await;
    ahead_of_edge.drain().await;
    assert_eq!(ahead_of_edge.seen, []);
    (6..=8).for_each(|n| hub.apply(Followed::Events(vec![fixture::event(n, "a", 0)])));
    happen(&log, &hub, 9, "a");
    ahead_of_edge.drain().await;
    ahead_of_log.drain().await;
    assert_eq!(ahead_of_edge.seen, [event(8), event(9)]);
    // What this edge has in memory came after the log had lost the client's position.
    let mut told = vec![Seen::Truncated { cursor: 5 }];
    told.extend((6..=9).map(event));
    assert_eq!(ahead_of_log.seen, told);
}

async fn a_stream_that_does_not_come_about_leaves_no_entry(over: Over) {
    let log = GatedLog::new(10);
    let hub = five(&log, 100);
    log.fail_next();
    log.let_reads(1);
    let refused = FeedClient::try_open(over, &hub, Some((session(), 1)), only_a(), after(30)).await;
    assert!(refused.is_err_and(|error| error.class().is_retryable()));
    assert_eq!((hub.streams.len(), hub.streams.sessions()), (0, vec![]));
    // The client leaves while the log has not answered.
    let opening = FeedClient::try_open(over, &hub, Some((session(), 1)), only_a(), after(30));
    let left = tokio::time::timeout(std::time::Duration::from_secs(1), opening).await;
    assert!(left.is_err());
    assert_eq!((hub.streams.len(), hub.streams.sessions()), (0, vec![]));
}

async fn one_stream_too_many_is_refused_and_a_place_is_free_again(over: Over) {
    let log = GatedLog::open();
    let hub = five(&log, 100);
    let first = FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
    let _second = FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
    let third = FeedClient::try_open(over, &hub, None, only_a(), StreamStart::Head).await;
    assert!(matches!(
        third,
        Err(HubError::TooManyStreams { max_streams: 2, .. })
    ));
    drop(first);
    FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
}

/// An event of 64 KiB that is no longer in the ring, and a client that takes 1 KiB of it.
async fn blocked(hub: &Arc<Hub>) -> FeedClient {
    let over = Over::Socket { room: 1 << 10 };
    let mut client = FeedClient::open(over, hub, only_a(), after(0)).await;
    client.drain().await;
    client
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_room_for_what_its_client_does_not_read_is_cut() {
    let log = GatedLog::open();
    log.push(fixture::event(1, "a", 64 << 10));
    let hub = fixture::hub(&log, Ring::new(100, 1 << 20), 10);
    hub.apply(fixture::started(fixture::EPOCH, 1));
    let first = blocked(&hub).await;
    assert!(!first.ended);
    let held = hub.metrics.unread_bytes.get();
    assert!((40 << 10..64 << 10).contains(&held), "{held}");
    let others = hub
        .unread
        .change(&PrincipalId::anonymous(), 0, UNREAD_BYTES - (32 << 10));
    assert!(others.is_some());
    assert!(
        blocked(&hub).await.ended,
        "there is no room for a second one"
    );
    // What is in the ring is there once for all, until it leaves the ring.
    let large = fixture::event(2, "a", 64 << 10);
    log.push(large.clone());
    let mut reader = feed(&hub, None, only_a(), after(1)).await.unwrap();
    hub.apply(Followed::Events(vec![large]));
    reader.position = Sequence(2);
    assert!(reader.hold(64 << 10, true));
    assert!(!reader.hold(64 << 10, false));
    hub.ring.restart(Sequence(2), None);
    assert!(!reader.hold(64 << 10, true));
    drop((first, reader));
    let left = hub.metrics.unread_bytes.get();
    assert_eq!(left, i64::try_from(others.unwrap()).unwrap(), "given back");
}

async fn the_newer_stream_of_a_session_stays_known_when_the_older_one_goes(over: Over) {
    let log = GatedLog::open();
    let hub = five(&log, 100);
    let open = |tag| {
        FeedClient::try_open(
            over,
            &hub,
            Some((session(), tag)),
            only_a(),
            StreamStart::Head,
        )
    };
    let mut older = open(1).await.unwrap();
    let newer = open(2).await.unwrap();
    older.drain().await;
    assert_eq!(
        (older.seen.as_slice(), older.ended),
        (&[Seen::Farewell][..], true)
    );
    drop(older);
    assert_eq!(
        hub.streams.of_session(&session()).unwrap().session,
        Some((session(), 2))
    );
    drop(newer);
    assert!(hub.streams.of_session(&session()).is_none());
}

async fn a_new_log_ends_the_streams_of_the_old_one_and_starts_its_own_numbers(over: Over) {
    let log = GatedLog::open();
    let hub = five(&log, 100);
    let mut old = FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
    happen(&log, &hub, 6, "a");
    old.drain().await;
    hub.apply(fixture::started(fixture::REPLACED, 0));
    old.drain().await;
    assert_eq!(old.seen, [event(6), Seen::Farewell]);
    drop(old);
    let mut new = FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
    new.drain().await;
    new.stream.beat();
    new.drain().await;
    hub.apply(Followed::Events(vec![
        fixture::event(1, "b", 0),
        fixture::event(2, "a", 0),
    ]));
    new.drain().await;
    assert_eq!(new.seen, [Seen::Heartbeat, event(2)]);
    // A cursor of the old log: the stream sends everything that the new log has, after a notice.
    let mut resumed = FeedClient::open(over, &hub, only_a(), after(6)).await;
    resumed.poll();
    assert_eq!(resumed.seen.first(), Some(&Seen::Truncated { cursor: 0 }));
}

async fn while_the_log_is_read_hearts_beat_and_the_end_comes_at_once(over: Over) {
    let log = GatedLog::new(10);
    let hub = five(&log, 100);
    let mut client = FeedClient::open(over, &hub, only_a(), after(2)).await;
    assert!(!client.poll(), "the log has not answered");
    client.stream.beat();
    assert!(client.poll());
    assert!(!client.poll() && !client.may_be_polled());
    client.stream.end(StreamEnd::Drain);
    assert!(client.poll() && !client.poll() && client.ended);
    assert_eq!(client.seen, [Seen::Heartbeat, Seen::Farewell]);
}

async fn a_log_that_has_less_than_the_ring_knew_is_asked_with_pauses(over: Over) {
    let log = GatedLog::open();
    let hub = fixture::hub(&log, Ring::new(4, 1 << 20), 2);
    hub.apply(fixture::started(fixture::EPOCH, 5));
    let mut client = FeedClient::open(over, &hub, only_a(), after(3)).await;
    assert!(!client.poll());
    assert!(!client.may_be_polled(), "waits");
    (1..=5).for_each(|sequence| log.push(fixture::event(sequence, "a", 0)));
    client.drain().await;
    assert_eq!(client.sequences(), [4, 5]);
}

/// Real threads: marks, changes of interest and reads, in any order within one poll.
#[test]
fn no_wake_up_is_lost_between_threads() {
    const EVENTS: u64 = 4000;
    const REPOS: [&str; 4] = ["a", "b", "c", "d"];
    let repo = |sequence: u64| REPOS[usize::try_from(sequence % 4).unwrap()];
    let log = GatedLog::open();
    log.let_reads(1_000_000);
    let hub = fixture::hub(&log, Ring::new(64, 1 << 20), 2);
    hub.apply(fixture::started(fixture::EPOCH, 0));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .unwrap();
    let feed = runtime
        .block_on(feed(&hub, None, only_a(), StreamStart::Head))
        .unwrap();
    let stream = hub.streams.of_slot(0).unwrap();
    let mut body = StreamBody::new(Box::new(feed));
    let reading = runtime.spawn(async move {
        let mut seen = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
        {
            seen.extend(read(&frame.unwrap().into_data().unwrap()));
            if seen
                .iter()
                .filter(|seen| matches!(seen, Seen::Event { .. }))
                .count()
                == 3 * 1000
            {
                break;
            }
        }
        seen
    });
    std::thread::scope(|scope| {
        scope.spawn(|| (1..=EVENTS).for_each(|n| happen(&log, &hub, n, repo(n))));
        scope.spawn(|| {
            for revision in 1..=200 {
                // `d` is added and removed again; `b` and `c` stay once they are there, from the
                // beginning on.
                let mut repos = vec![("a", 0), ("b", 0), ("c", 0)];
                repos.truncate(1 + usize::try_from(revision).unwrap().min(2));
                stream.set_interest(fixture::interest(revision, &repos, &[]));
                std::thread::yield_now();
            }
        });
    });
    let soon = std::time::Duration::from_secs(20);
    let seen = runtime.block_on(async { tokio::time::timeout(soon, reading).await });
    let mut sequences: Vec<u64> = seen
        .expect("everything comes without another wake-up")
        .unwrap()
        .iter()
        .filter_map(|seen| match seen {
            Seen::Event { sequence, .. } => Some(*sequence),
            _ => None,
        })
        .collect();
    sequences.sort_unstable();
    let wanted: Vec<u64> = (1..=EVENTS).filter(|n| repo(*n) != "d").collect();
    assert_eq!(sequences, wanted);
}

#[tokio::test(start_paused = true)]
async fn only_what_came_since_a_stream_began_makes_its_client_too_slow() {
    let log = GatedLog::open();
    (1..=5).for_each(|sequence| log.push(fixture::event(sequence, "a", 0)));
    let bounds = StreamBounds {
        lag: LagLimits::new(0, 3),
        ..fixture::bounds(2)
    };
    let hub = fixture::hub_with(&log, Ring::new(100, 1 << 20), bounds);
    hub.apply(fixture::started(fixture::EPOCH, 5));
    let begin = StreamStart::Position(Sequence::START);
    let feed = feed(&hub, None, only_a(), begin).await.unwrap();
    let second = Duration::from_secs(1);
    assert!(
        !feed.should_give_up(second),
        "five events behind when it came"
    );
    (6..=8).for_each(|sequence| happen(&log, &hub, sequence, "a"));
    assert!(!feed.should_give_up(second));
    happen(&log, &hub, 9, "a");
    assert!(!feed.should_give_up(second / 2), "a burst");
    assert!(feed.should_give_up(second));
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_for_a_minute_when_the_stream_has_ended_gets_no_farewell() {
    let hub = five(&GatedLog::open(), 100);
    let feed = feed(&hub, None, only_a(), StreamStart::Head).await.unwrap();
    let minute = Duration::from_secs(60);
    assert!(!feed.should_give_up(Duration::MAX), "no bounds");
    feed.stream().end(StreamEnd::MaxAge);
    assert!(!feed.should_give_up(minute / 2) && feed.should_give_up(minute));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_no_page_and_gets_everything_later() {
    const EVENTS: u64 = 300;
    let log = GatedLog::open();
    (1..=EVENTS).for_each(|sequence| log.push(fixture::event(sequence, "a", 1000)));
    let hub = fixture::hub(&log, Ring::new(4, 1 << 20), 20);
    hub.apply(fixture::started(fixture::EPOCH, EVENTS));
    let mut clients = Vec::new();
    for position in (0..200).step_by(20) {
        let over = Over::Socket { room: 1500 };
        let mut client = FeedClient::open(over, &hub, only_a(), after(position)).await;
        client.drain().await;
        assert!(client.seen.len() < 2, "its socket has room for one event");
        clients.push((position, client));
    }
    assert!(hub.pages.held_bytes() > 0, "cached");
    hub.pages.clear(hub.generation());
    let mut attempts = 0;
    while hub.pages.held_bytes() > 0 {
        hub.pages.drop_expired();
        attempts += 1;
        assert!(attempts < 1000, "held by streams");
    }
    for (position, mut client) in clients {
        client.make_room(1 << 20);
        client.drain().await;
        let all: Vec<u64> = (position + 1..=EVENTS).collect();
        assert_eq!(client.sequences(), all);
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_is_cut_soon_when_its_session_has_another_stream() {
    let hub = five(&GatedLog::open(), 100);
    for (ending, grace) in [
        (StreamEnd::TakenOver, Duration::from_secs(1)),
        (StreamEnd::SessionEnded, Duration::from_secs(1)),
        (StreamEnd::Drain, Duration::from_secs(60)),
    ] {
        let feed = feed(&hub, None, only_a(), StreamStart::Head).await.unwrap();
        feed.stream().end(ending);
        assert!(!feed.should_give_up(grace / 2), "{ending:?}");
        assert!(feed.should_give_up(grace), "{ending:?}");
    }
}
