use futures_util::stream;
use tokio::{sync::Notify, time::Instant};

use super::*;

const DRAIN: Duration = Duration::from_secs(30);

fn life() -> Lifecycle {
    Lifecycle::new(DRAIN)
}

#[tokio::test]
async fn readiness_follows_the_latches_and_ends_with_the_drain() {
    let life = life();
    let (log, bus) = (life.latch("log"), life.latch("bus"));
    assert_eq!(life.readiness().phase, LifecyclePhase::Starting);
    log.ready();
    bus.not_ready("refused");
    let expected = vec![("bus", "refused".to_owned())];
    assert_eq!(life.readiness().waiting_for, expected);
    bus.ready();
    let ready = Readiness {
        ready: true,
        phase: LifecyclePhase::Ready,
        waiting_for: Vec::new(),
    };
    assert_eq!(life.readiness(), ready);
    log.not_ready("lost");
    let readiness = life.readiness();
    assert_eq!(
        (readiness.ready, readiness.phase),
        (false, LifecyclePhase::Ready)
    );
    log.ready();
    life.shut_down();
    let readiness = life.readiness();
    assert_eq!(
        (readiness.ready, readiness.phase),
        (false, LifecyclePhase::Draining)
    );
    life.hard_stop();
    assert_eq!(life.readiness().phase, LifecyclePhase::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_drain_ends_as_soon_as_all_tasks_have() {
    let life = life();
    let draining = life.draining();
    life.spawn("worker", OnExit::EndsProcess, async move {
        draining.cancelled().await;
        sleep(Duration::from_secs(3)).await;
    });
    assert_eq!(life.running_tasks(), BTreeMap::from([("worker", 1)]));
    let began = Instant::now();
    let outcome = life.run(async {}).await;
    assert_eq!(
        outcome,
        ProcessOutcome {
            clean: true,
            failed_task: None
        }
    );
    assert_eq!(began.elapsed().as_secs(), 3);
    assert!(life.running_tasks().is_empty());
    assert!(life.closed().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_takes_too_long_meets_the_hard_stop() {
    let life = life();
    let closed = life.closed();
    life.spawn("slow", OnExit::MayFinish, async move {
        closed.cancelled().await;
    });
    let began = Instant::now();
    let outcome = life.run(async {}).await;
    assert_eq!(
        outcome,
        ProcessOutcome {
            clean: false,
            failed_task: None
        }
    );
    assert_eq!(began.elapsed(), DRAIN);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ignores_the_hard_stop_is_dropped_in_time() {
    let life = life();
    let (dropped, alive) = tokio::sync::oneshot::channel::<()>();
    life.spawn("deaf", OnExit::MayFinish, async move {
        let _held = dropped;
        std::future::pending::<()>().await;
    });
    let began = Instant::now();
    assert!(!life.run(async {}).await.clean);
    assert_eq!(began.elapsed(), DRAIN + HARD_STOP_TIMEOUT);
    assert!(alive.await.is_err(), "what the task held is released");
}

#[tokio::test(start_paused = true)]
async fn the_second_signal_stops_at_once() {
    let life = life();
    life.spawn("stream", OnExit::MayFinish, {
        let closed = life.closed();
        async move {
            closed.cancelled().await;
        }
    });
    let signals = stream::iter([1, 2]).then(|_| sleep(Duration::from_secs(1)));
    let began = Instant::now();
    assert!(!life.run_until(signals).await.clean);
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_must_not_end_takes_the_process_down() {
    let life = life();
    let draining = life.draining();
    life.spawn("other", OnExit::EndsProcess, async move {
        draining.cancelled().await;
    });
    life.spawn("listener", OnExit::EndsProcess, async {});
    let outcome = life.run(std::future::pending()).await;
    assert_eq!(
        outcome,
        ProcessOutcome {
            clean: false,
            failed_task: Some("listener")
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_takes_the_process_down_only_where_the_task_matters() {
    let life = life();
    let panicked = Arc::new(Notify::new());
    let told = Arc::clone(&panicked);
    life.spawn("optional", OnExit::MayFinish, async move {
        told.notify_one();
        panic!("of no importance");
    });
    panicked.notified().await;
    tokio::task::yield_now().await;
    assert!(!life.draining().is_cancelled());
    life.spawn("vital", OnExit::EndsProcess, async {
        panic!("of importance")
    });
    let outcome = life.run(std::future::pending()).await;
    assert_eq!(outcome.failed_task, Some("vital"));
}

#[tokio::test(start_paused = true)]
async fn listeners_may_accept_on_for_a_while() {
    let life = Lifecycle::with_keep_accepting(DRAIN, Duration::from_secs(5));
    let stop = life.stop_accepting();
    life.spawn("listener", OnExit::EndsProcess, async move {
        stop.cancelled().await;
    });
    let began = Instant::now();
    assert!(life.run(async {}).await.clean);
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_token_that_a_task_cancels_stops_nobody_else() {
    let life = life();
    life.draining().cancel();
    life.closed().cancel();
    assert_eq!(life.readiness().phase, LifecyclePhase::Ready);
}

#[tokio::test]
async fn signals_of_the_system_come_one_by_one() {
    let mut signals = pin!(stop_signals());
    // The first poll installs the handlers; without it the signal would end the test.
    assert!(signals.next().now_or_never().is_none());
    for _ in 0..2 {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
            .unwrap();
        timeout(DRAIN, signals.next()).await.unwrap().unwrap();
    }
}
