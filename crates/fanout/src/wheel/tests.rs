use bytes::Bytes;
use http_body::Body as _;
use stream_driver::StreamBody;
use tokio::{task::JoinHandle, time::sleep};

use super::*;
use crate::{
    bounds::MaxAge,
    feed::Feed,
    fixture::{self, GatedLog},
    format::StreamFormat,
    hub::{StreamRequest, StreamStart},
    interest::StreamInterest,
    metrics::StreamKind,
    news::NewsSelection,
    ring::Ring,
};
use access::{NameDirectory, Principal};
use model::Sequence;

const STREAMS: usize = 10_000;
const HEARTBEAT: Duration = Duration::from_secs(15);

fn hub(max_seconds: u32) -> Arc<Hub> {
    let (log, ring) = (GatedLog::open(), Ring::new(8, 1 << 20));
    let age = MaxAge::new(max_seconds, HEARTBEAT.as_secs());
    let hub = fixture::hub_with_age(&log, ring, STREAMS, age);
    hub.apply(fixture::started(fixture::EPOCH, 0));
    hub
}

async fn open(hub: &Arc<Hub>, ages: bool) -> Feed {
    let open = StreamRequest {
        labels: None,
        kind: StreamKind::Events,
        format: StreamFormat::Events,
        scope: fixture::scope(),
        session: None,
        inbox: Sequence::START,
        principal: Arc::new(Principal::anonymous()),
        interest: StreamInterest::events(
            &fixture::repo_filter("a"),
            NameDirectory::default().now(),
        ),
        begin: StreamStart::Head,
        wants: NewsSelection::default(),
        ages,
    };
    hub.open(open, |_| Bytes::new()).await.unwrap()
}

async fn open_all(hub: &Arc<Hub>) -> Vec<Feed> {
    let mut feeds = Vec::new();
    for _ in 0..STREAMS {
        feeds.push(open(hub, true).await);
    }
    feeds
}

struct Turning {
    draining: CancellationToken,
    stop_accepting: CancellationToken,
    ended: CancellationToken,
    task: JoinHandle<()>,
}

/// A wheel whose process accepts nothing from the drain on.
fn start(hub: &Arc<Hub>, window: Duration) -> Turning {
    let turning = start_accepting(hub, window);
    turning.stop_accepting.cancel();
    turning
}

fn start_accepting(hub: &Arc<Hub>, window: Duration) -> Turning {
    let (draining, ended) = (CancellationToken::new(), CancellationToken::new());
    let stop_accepting = CancellationToken::new();
    let stops = WheelStops {
        draining: draining.clone(),
        stop_accepting: stop_accepting.clone(),
    };
    let turning = run(Arc::clone(hub), HEARTBEAT, window, stops, ended.clone());
    Turning {
        draining,
        stop_accepting,
        ended,
        task: tokio::spawn(turning),
    }
}

/// Drops the streams that were ended, as their clients do; returns how many and why.
fn leave(feeds: &mut Vec<Feed>) -> (usize, Option<StreamEnd>) {
    let before = feeds.len();
    let mut why = None;
    feeds.retain(|feed| {
        let ending = feed.stream().ending();
        why = why.or(ending);
        ending.is_none()
    });
    (before - feeds.len(), why)
}

/// Smallest and largest.
fn range(counts: &[usize]) -> (usize, usize) {
    let (least, most) = (counts.iter().min(), counts.iter().max());
    (*least.unwrap(), *most.unwrap())
}

/// Everything that a client would be sent now.
async fn text(feed: Feed) -> String {
    let mut body = StreamBody::new(Box::new(feed));
    let mut text = String::new();
    while let Some(frame) =
        std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
    {
        let bytes = frame.unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    text
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_hearts_beat_once_in_an_interval_a_few_at_a_time() {
    let hub = hub(0);
    let feeds = open_all(&hub).await;
    let begun = Instant::now();
    let turning = start(&hub, Duration::from_secs(20));
    let step = HEARTBEAT / SLICES;
    for turn in 0..3 {
        let mut beats = Vec::new();
        for slice in 0..SLICES {
            // In the middle between two heartbeats.
            sleep_until(begun + turn * HEARTBEAT + slice * step + step / 2).await;
            let beating = feeds.iter().filter(|body| body.stream().take_beat());
            beats.push(beating.count());
        }
        assert_eq!(beats.iter().sum::<usize>(), STREAMS);
        assert_eq!(range(&beats), (156, 157), "{beats:?}");
    }
    turning.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_ten_thousand_streams_evenly_and_leaves_time_to_read_it() {
    let hub = hub(3600);
    let mut feeds = open_all(&hub).await;
    let window = Duration::from_secs(20);
    let turning = start(&hub, window);
    sleep(Duration::from_secs(60)).await;
    let begun = Instant::now();
    turning.draining.cancel();
    let step = window.mul_f64(ENDING_SHARE) / SLICES;
    // In the middle between two moments at which streams are ended.
    sleep(step / 2).await;
    let mut told = Vec::new();
    while !feeds.is_empty() {
        let (count, why) = leave(&mut feeds);
        assert_eq!(why, Some(StreamEnd::Drain));
        told.push(count);
        sleep(step).await;
    }
    assert!(begun.elapsed() <= window.mul_f64(ENDING_SHARE) + step);
    assert_eq!(told.len(), WHEEL_SLICES);
    assert_eq!(range(&told), (156, 157), "{told:?}");
    turning.ended.cancelled().await;
    assert!(begun.elapsed() < window);
}

#[tokio::test(start_paused = true)]
async fn in_a_long_drain_hearts_beat_until_the_end() {
    let hub = hub(0);
    let feeds = open_all(&hub).await;
    let turning = start(&hub, Duration::from_secs(600));
    turning.draining.cancel();
    sleep(Duration::from_secs(100)).await;
    let alive = || feeds.iter().filter(|body| body.stream().ending().is_none());
    alive().for_each(|body| {
        body.stream().take_beat();
    });
    sleep(HEARTBEAT + Duration::from_secs(1)).await;
    assert!(alive().count() > STREAMS / 2);
    assert!(alive().all(|body| body.stream().take_beat()));
    turning.task.abort();
}

#[tokio::test(start_paused = true)]
async fn streams_that_came_together_grow_old_one_after_the_other() {
    let hub = hub(3600);
    let mut feeds = open_all(&hub).await;
    let stays = open_ageless(&hub, &mut feeds).await;
    let turning = start(&hub, Duration::from_secs(20));
    sleep(Duration::from_secs(2699)).await;
    assert_eq!(leave(&mut feeds).0, 0, "no stream is three quarters old");
    let mut ended = Vec::new();
    for seconds in [101, 100, 100, 100, 100, 100, 100, 100, 100] {
        sleep(Duration::from_secs(seconds)).await;
        let (count, why) = leave(&mut feeds);
        assert_eq!(why, Some(StreamEnd::MaxAge));
        ended.push(count);
    }
    assert_eq!(feeds.len(), 0, "none is older than the bound: {ended:?}");
    let (least, most) = range(&ended);
    assert!(least > 800 && most < 1400, "spread evenly: {ended:?}");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(stays.stream().ending(), None);
    turning.task.abort();
}

/// Opens a stream that never ages instead of one that does.
async fn open_ageless(hub: &Arc<Hub>, feeds: &mut Vec<Feed>) -> Feed {
    feeds.pop();
    open(hub, false).await
}

#[tokio::test(start_paused = true)]
async fn an_old_stream_says_that_any_edge_goes_on_from_its_last_id() {
    let hub = hub(3600);
    let body = open(&hub, true).await;
    let turning = start(&hub, Duration::from_secs(20));
    let begun = Instant::now();
    let text = text(body).await;
    let (first, rest) = text.split_once(": reconnect now").expect("a farewell");
    assert!(
        first
            .split("\n\n")
            .all(|frame| frame.is_empty() || frame == ":"),
        "heartbeats"
    );
    assert!(
        rest.contains("last id") && rest.contains("retry: "),
        "{rest}"
    );
    let age = begun.elapsed().as_secs();
    assert!((2700..=3600).contains(&age), "{age} s");
    turning.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_opened_while_a_draining_process_still_accepts_is_ended_too() {
    let hub = hub(0);
    let turning = start_accepting(&hub, Duration::from_secs(20));
    turning.draining.cancel();
    sleep(Duration::from_secs(1)).await;
    assert!(!turning.ended.is_cancelled(), "streams can still be opened");
    let feed = open(&hub, true).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(feed.stream().ending(), Some(StreamEnd::Drain));
    drop(feed);
    turning.stop_accepting.cancel();
    turning.task.await.unwrap();
    assert!(turning.ended.is_cancelled());
}
