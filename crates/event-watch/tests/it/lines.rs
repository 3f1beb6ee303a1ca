//! Lines: each event once over broken connections, gaps that are said, positions that move when they may.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use event_watch::{WatchEnd, WatchOutput, run};
use tokio::io::AsyncWrite;
use tokio_util::sync::CancellationToken;

use crate::edge::{Answer, FakeEdge, event, kept, line, opening, watched};

const ENDED: &str = "event: ended\ndata: {\"reason\":\"subscription_deleted\",\"detail\":\"the subscription was deleted\"}\n\n";

#[tokio::test]
async fn each_event_is_one_line_over_connections_that_break_anywhere() {
    let cut = event("c3");
    let edge = FakeEdge::start([
        Answer::Stream(opening("c0") + &event("c1") + &event("c2") + &cut[..cut.len() - 1]),
        Answer::Refusal(503, &[("retry-after", "0")], String::new()),
        Answer::Stream(opening("c2") + "id: c2b\n\n"),
        Answer::Stream(opening("c2b") + &cut + ENDED),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let (output, ended) = watched(edge.options(folder.path())).await;
    assert_eq!(output, line("c1") + &line("c2") + &line("c3"));
    assert_eq!(
        ended.unwrap_err().exit_code(),
        4,
        "the stream has ended for good"
    );
    let asked = edge.asked();
    let after: Vec<_> = asked
        .iter()
        .map(|asked| asked.header("last-event-id"))
        .collect();
    assert_eq!(after, [None, Some("c2"), Some("c2"), Some("c2b")]);
    assert_eq!(asked[0].query, "/events/stream?repo=acme%2Frocket");
    assert_eq!(asked[0].header("authorization"), Some("Bearer fw_token"));
    assert!(kept(folder.path()).contains("\"c3\""));
}

#[tokio::test]
async fn a_watch_begins_where_the_edge_says_and_goes_on_there_without_an_event() {
    let edge = FakeEdge::start([
        Answer::Stream(opening("c0")),
        Answer::Open(opening("c0") + &event("c1")),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = edge.options(folder.path());
    options.once = true;
    let (output, ended) = watched(options).await;
    assert_eq!((output, ended.unwrap()), (line("c1"), WatchEnd::Once));
    assert_eq!(edge.asked()[1].header("last-event-id"), Some("c0"));
    assert!(kept(folder.path()).contains("\"c1\""));
}

#[tokio::test]
async fn a_subscription_has_a_cursor_of_its_own_until_its_first_event() {
    let edge = FakeEdge::start([
        Answer::Stream(opening("c0")),
        Answer::Stream(opening("c0") + &event("c1") + ENDED),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let plain = event_watch::WatchFilter::default();
    let options = event_watch::WatchOptions::new(&edge.url, None, &plain, folder.path().into());
    let options = options.unwrap().with_subscription("s-1").unwrap();
    let (output, ended) = watched(options).await;
    assert_eq!(output, line("c1"));
    let ended = ended.unwrap_err().to_string();
    assert!(ended.contains("the subscription was deleted"), "{ended}");
    let asked = edge.asked();
    assert_eq!(asked[1].header("last-event-id"), None);
    assert_eq!(asked[1].query, "/events/stream?subscription=s-1");
}

#[tokio::test]
async fn a_gap_is_a_line_of_its_own_in_its_place() {
    let gap = "id: g1\nevent: truncated\ndata: {\"truncated\":true,\"detail\":\"they are no longer kept\"}\n\n";
    let frames = opening("c9") + gap + &event("c10");
    for (output, expected) in [
        (WatchOutput::Lines(None), "[gap] they are no longer kept. "),
        (WatchOutput::Json, "{\"truncated\":true,"),
    ] {
        let edge = FakeEdge::start([Answer::Open(frames.clone())]).await;
        let folder = tempfile::tempdir().unwrap();
        let mut options = edge.options(folder.path());
        options.output = output;
        options.once = true;
        let (output, ended) = watched(options).await;
        assert_eq!(ended.unwrap(), WatchEnd::Once, "a gap is no event");
        let lines: Vec<_> = output.lines().collect();
        assert_eq!(lines.len(), 2, "{output}");
        assert!(
            lines[0].starts_with(expected) && lines[1].contains("c10"),
            "{output}"
        );
    }
}

#[tokio::test]
async fn what_the_operator_says_to_all_and_what_no_one_knows_is_no_event() {
    let other =
        "event: mcp-notification\ndata: {\"method\":\"x\"}\n\nevent: new\nid: n1\ndata: 1\n\n";
    let edge = FakeEdge::start([Answer::Open(opening("c0") + other + &event("c1"))]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = edge.options(folder.path());
    options.once = true;
    assert_eq!(watched(options).await.0, line("c1"));
}

/// Takes a number of bytes, and then nobody reads it any more.
struct ClosedAfter(usize);

impl AsyncWrite for ClosedAfter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Poll::Ready(match taken {
            0 => Err(io::ErrorKind::BrokenPipe.into()),
            taken => Ok(taken),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn an_event_whose_line_was_not_read_comes_again() {
    let edge = FakeEdge::start([
        Answer::Open(opening("c0") + &event("c1")),
        Answer::Open(opening("c0") + &event("c1")),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let half = ClosedAfter(line("c1").len() / 2);
    let ended = run(edge.options(folder.path()), half, CancellationToken::new()).await;
    assert_eq!(ended.unwrap(), WatchEnd::Stopped);
    assert!(
        kept(folder.path()).contains("\"c0\""),
        "{}",
        kept(folder.path())
    );
    let mut options = edge.options(folder.path());
    options.once = true;
    assert_eq!(watched(options).await.0, line("c1"));
    assert_eq!(edge.asked()[1].header("last-event-id"), Some("c0"));
}

/// Time is virtual, and passes whenever nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_silent_for_too_long_is_opened_anew() {
    let edge = FakeEdge::start([
        Answer::Open(opening("c0")),
        Answer::Open(opening("c0") + &event("c1")),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = edge.options(folder.path());
    options.once = true;
    let begun = tokio::time::Instant::now();
    assert_eq!(watched(options).await.0, line("c1"));
    assert!(begun.elapsed().as_secs() >= 60, "{:?}", begun.elapsed());
}

/// Time is virtual, and passes whenever nothing else happens.
#[tokio::test(start_paused = true)]
async fn where_events_come_too_fast_they_are_counted_and_the_position_waits_for_the_count() {
    let burst: String = (1..=9).map(|number| event(&format!("c{number}"))).collect();
    let frames = opening("c0") + &burst;
    let paced = |edge: &FakeEdge, folder: &std::path::Path| {
        let mut options = edge.options(folder);
        options.output = WatchOutput::Lines(Some(3));
        options
    };
    let expected = line("c1") + &line("c2") + &line("c3");
    // Stopped before the count is said: what was counted comes again.
    let edge = FakeEdge::start([Answer::Open(frames.clone()), Answer::Open(frames)]).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (output, stop) = (Shared::default(), CancellationToken::new());
    let watch = tokio::spawn(run(paced(&edge, folder), output.clone(), stop.clone()));
    while output.text() != expected {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    stop.cancel();
    watch.await.unwrap().unwrap();
    assert!(kept(folder).contains("\"c3\""), "{}", kept(folder));
    // The second watch stays until the count.
    let (output, stop) = (Shared::default(), CancellationToken::new());
    let watch = tokio::spawn(run(paced(&edge, folder), output.clone(), stop.clone()));
    let expected = expected + "[more] 6 further events";
    while !output.text().starts_with(&expected) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    while !kept(folder).contains("\"c9\"") {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    stop.cancel();
    watch.await.unwrap().unwrap();
    assert_eq!(edge.asked()[1].header("last-event-id"), Some("c3"));
}

#[tokio::test]
async fn events_that_were_only_counted_are_not_counted_again_after_a_break() {
    let burst: String = (1..=5).map(|number| event(&format!("c{number}"))).collect();
    let edge = FakeEdge::start([
        Answer::Stream(opening("c0") + &burst),
        Answer::Stream(opening("c5") + ENDED),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = edge.options(folder.path());
    options.output = WatchOutput::Lines(Some(1));
    let (output, ended) = watched(options).await;
    assert_eq!(ended.unwrap_err().exit_code(), 4);
    assert!(
        output.starts_with(&(line("c1") + "[more] 4 further events")),
        "{output}"
    );
    assert_eq!(output.lines().count(), 2, "{output}");
    assert_eq!(edge.asked()[1].header("last-event-id"), Some("c5"));
}

/// An output that a test reads while it is written.
#[derive(Clone, Default)]
struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
