use std::io::{Read, Write};

use axum::routing::get;
use futures_util::poll;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

use super::*;

/// Longer than anything here takes, so that a broken promise is a failure and not a hang.
const DEADLINE: Duration = Duration::from_secs(10);

#[test]
fn a_connection_costs_one_copy_of_itself() {
    let connection = size_of::<Connection<Io, RouterService>>();
    assert!(
        size_of::<ConnectionTask>() <= connection + 64,
        "{} {connection}",
        size_of::<ConnectionTask>()
    );
}

fn settings(waits: RequestWaits) -> Arc<ConnectionSettings> {
    Arc::new(ConnectionSettings {
        router: Router::new().route("/", get(|| async { "hello" })),
        builder: Builder::new(),
        signals: StopSignals {
            draining: CancellationToken::new(),
            stop_accepting: CancellationToken::new(),
            closed: CancellationToken::new(),
        },
        waits,
        recent: Arc::new(RecentRequests::new(DEADLINE)),
        open: OpenConnections::default(),
        unread_timeout: DEADLINE,
        reactors: None,
    })
}

/// A connection and its client.
async fn connected(settings: &Arc<ConnectionSettings>) -> (ConnectionTask, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, remote) = listener.accept().await.unwrap();
    let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
    let task = ConnectionTask::new(settings, socket, RemoteAddr(remote), permit);
    (task, client)
}

/// Of a test without a pause between the request and the end of the wait.
const NO_WAITS: RequestWaits = RequestWaits {
    idle: Duration::ZERO,
    head: DEADLINE,
    last: Duration::ZERO,
};

#[tokio::test]
async fn a_request_that_has_arrived_when_its_connection_closes_is_answered() {
    let settings = settings(NO_WAITS);
    let (mut task, mut client) = connected(&settings).await;
    // The runtime learns that there is nothing to read.
    assert!(poll!(&mut task).is_pending());
    // Without an await in between, the kernel has the request and the runtime has not reported it.
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(request).unwrap();
    settings.signals.draining.cancel();
    settings.signals.stop_accepting.cancel();
    assert!(poll!(&mut task).is_pending());
    assert_eq!(task.state.phase(), RequestPhase::Idle);
    // The last look of a connection whose wait is over.
    task.state.ask_kernel();
    assert!(poll!(&mut task).is_pending());
    assert_eq!(task.state.phase(), RequestPhase::Head);
    timeout(DEADLINE, task).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let longer = settings.recent.longer_wait(DEADLINE);
    assert!(longer.is_some(), "idle connections know that a client sent");
}

#[tokio::test]
async fn an_idle_connection_closes_once_its_wait_is_over() {
    for stops in [false, true] {
        let settings = settings(NO_WAITS);
        let (task, mut client) = connected(&settings).await;
        if stops {
            settings.signals.draining.cancel();
            settings.signals.stop_accepting.cancel();
        }
        timeout(DEADLINE, task).await.unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
}

#[tokio::test]
async fn the_wait_for_a_request_begins_anew_with_each_answer_and_another_one_with_its_first_byte() {
    tokio::time::pause();
    let (idle, head) = (Duration::from_secs(75), Duration::from_secs(30));
    let settings = settings(RequestWaits {
        idle,
        head,
        last: Duration::ZERO,
    });
    let state = ConnectionState::new(SenderKey(1));
    let mut timer = RequestTimer::new();
    let mut wait = async |state: &ConnectionState| {
        let began = tokio::time::Instant::now();
        let step = StopStep::Serving;
        let recent = &settings.recent;
        std::future::poll_fn(|cx| timer.poll(cx, state, settings.waits, recent, step)).await;
        // The timer counts in milliseconds.
        Duration::from_secs(began.elapsed().as_secs())
    };
    assert_eq!(wait(&state).await, idle);
    state.received();
    assert_eq!(wait(&state).await, head);
    state.begin_answer(false);
    state.end_answer();
    state.flushed();
    assert_eq!(wait(&state).await, idle);
    // A whole request between two looks at the timer.
    state.received();
    state.begin_answer(false);
    state.end_answer();
    state.flushed();
    assert_eq!(wait(&state).await, idle);
}

#[tokio::test]
async fn an_idle_connection_of_a_closed_listener_waits_while_requests_come_on_others_but_not_forever()
 {
    tokio::time::pause();
    let second = Duration::from_secs(1);
    let waits = RequestWaits {
        idle: 75 * second,
        head: 30 * second,
        last: second,
    };
    // One every half second, and the seconds that an idle connection waits.
    for (requests, waited) in [(0, 1), (4, 3), (100, 10)] {
        let recent = RecentRequests::new(10 * second);
        let state = ConnectionState::new(SenderKey(1));
        let mut timer = RequestTimer::new();
        let step = StopStep::LastRequests;
        let began = tokio::time::Instant::now();
        let others = async {
            for _ in 0..requests {
                tokio::time::sleep(second / 2).await;
                recent.record();
            }
            std::future::pending::<()>().await;
        };
        let idle = std::future::poll_fn(|cx| timer.poll(cx, &state, waits, &recent, step));
        tokio::select! {
            _ = idle => {}
            () = others => {}
        }
        // The timer counts in milliseconds.
        assert_eq!(began.elapsed().as_secs(), waited, "{requests} requests");
    }
}
