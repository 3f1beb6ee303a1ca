//! What a follower records of the events that it receives.

use std::num::NonZeroUsize;

use instruments::testing;
use model::RandomIds;

use super::*;

/// An event of a delivery that is recorded.
fn recorded_event(n: u64) -> StoredEvent {
    let trace = TraceContext::start(&RandomIds);
    StoredEvent {
        trace: Some(TraceContext {
            sampled: true,
            ..trace
        }),
        ..event(n)
    }
}

/// Follows a log from its beginning, and returns the numbers of the events and whether each is passed on as recorded.
async fn followed_until(
    log: &Arc<StoredLog<MemoryLogStore>>,
    last: u64,
    then: impl AsyncFnOnce(),
) -> Vec<(u64, bool)> {
    let bus = Arc::new(InProcessBus::new(NonZeroUsize::MIN));
    let (sink, mut got) = mpsc::unbounded_channel();
    let options = FollowOptions {
        start: FollowStart::Beginning,
        ..FollowOptions::default()
    };
    let stop = CancellationToken::new();
    let log: Arc<dyn EventLog> = Arc::<StoredLog<MemoryLogStore>>::clone(log);
    let sink = move |followed| drop(sink.send(followed));
    let following = tokio::spawn(follow(log, bus, None, options, stop.clone(), sink));
    let (mut seen, mut then) = (Vec::new(), Some(then));
    while seen.last().is_none_or(|(n, _)| *n != last) {
        let followed = timeout(SOON, got.recv()).await.expect("in time");
        match followed.expect("it runs") {
            Followed::Events(events) => seen.extend(events.into_iter().map(|event| {
                let is_recorded = event.item.trace.is_some_and(|trace| trace.sampled);
                (event.sequence.0, is_recorded)
            })),
            Followed::CaughtUp { .. } => {
                if let Some(then) = then.take() {
                    then().await;
                }
            }
            _ => {}
        }
    }
    stop.cancel();
    following.await.expect("it ends");
    seen
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_the_log_is_part_of_no_trace_and_what_comes_after_it_is() {
    let events = NonZeroUsize::new(100).expect("not zero");
    let log = Arc::new(StoredLog::new(MemoryLogStore::new(&RandomIds, events)));
    log.append((1..=3).map(recorded_event).collect())
        .await
        .expect("memory takes it");
    let (recorder, spans) = testing::recorder(testing::ALL_REQUESTS);
    let recording = tracing::subscriber::set_default(recorder);
    let append = async || {
        let appended = log.append(vec![recorded_event(4)]).await;
        appended.expect("memory takes it");
    };
    let seen = followed_until(&log, 4, append).await;
    drop(recording);
    assert_eq!(seen, [(1, false), (2, false), (3, false), (4, true)]);
    assert_eq!(spans.names(), ["follow"]);
}
