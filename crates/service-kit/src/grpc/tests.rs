use std::{net::SocketAddr, sync::Arc};

use model::ManualClock;
use parking_lot::Mutex;
use tokio::{net::TcpStream, time::timeout};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::*;
use crate::{http::bind, lifecycle::OnExit};

const DEADLINE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(200);
const MAX_CONNECTIONS: usize = 4;

/// The trace of the last call, as the server saw it.
type Seen = Arc<Mutex<Option<TraceContext>>>;

/// The standard health service on the address.
async fn start(addr: SocketAddr, seen: Seen) -> (SocketAddr, Lifecycle) {
    let life = Lifecycle::new(DEADLINE);
    let listener = bind(addr).unwrap();
    let addr = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let watch = move |call: Request<()>| {
        *seen.lock() = extract(call.metadata());
        Ok(call)
    };
    let health = tonic::service::interceptor::InterceptedService::new(health, watch);
    let router = server(DEADLINE).add_service(health);
    let serving = serve(listener, router, MAX_CONNECTIONS, life.clone());
    life.spawn("grpc", OnExit::EndsProcess, async {
        serving.await.unwrap();
    });
    (addr, life)
}

async fn check(channel: &Channel, trace: Option<TraceContext>) -> Result<(), Status> {
    let message = HealthCheckRequest {
        service: String::new(),
    };
    let call = request(message, trace, DEADLINE);
    HealthClient::new(channel.clone())
        .check(call)
        .await
        .map(|_| ())
}

#[tokio::test]
async fn a_channel_connects_late_carries_the_trace_and_connects_again() {
    let seen = Seen::default();
    let (addr, first) = start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&seen)).await;
    let channel = channel(&format!("http://{addr}"), DEADLINE, DEADLINE).unwrap();
    let trace = TraceContext::start(&ManualClock::default());
    check(&channel, Some(trace)).await.unwrap();
    assert_eq!(*seen.lock(), Some(trace));

    first.shut_down();
    let outcome = timeout(DEADLINE, first.run(std::future::pending()))
        .await
        .unwrap();
    assert!(outcome.clean, "an idle connection does not hold the drain");
    let gone = check(&channel, None).await.unwrap_err();
    assert_eq!(class_of(gone.code()), ErrorClass::Transient, "{gone:?}");

    let (_, _second) = start(addr, Arc::clone(&seen)).await;
    let again = async { while check(&channel, None).await.is_err() {} };
    timeout(DEADLINE, again)
        .await
        .expect("the channel connects again by itself");
    assert_eq!(*seen.lock(), None);
}

#[tokio::test]
async fn a_peer_that_never_answers_costs_no_more_than_the_deadline() {
    // The kernel accepts the connection, but nothing ever reads from it.
    let silent = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let channel = channel(&endpoint, SHORT, SHORT).unwrap();
    let failed = timeout(DEADLINE, check(&channel, None))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(class_of(failed.code()), ErrorClass::Transient, "{failed:?}");
}

#[tokio::test]
async fn what_is_no_address_is_refused_with_an_example() {
    for endpoint in ["", "sync:3002", "https://sync:3002", "not a uri"] {
        let error = channel(endpoint, SHORT, SHORT).unwrap_err().to_string();
        assert!(error.contains("http://sync:3002"), "{error}");
    }
}

#[test]
fn every_class_survives_the_way_over_the_wire() {
    for class in [
        ErrorClass::Caller,
        ErrorClass::Unauthorized,
        ErrorClass::Missing,
        ErrorClass::Conflict,
        ErrorClass::Overloaded,
        ErrorClass::Transient,
        ErrorClass::Permanent,
    ] {
        assert_eq!(class_of(code_of(class)), class);
    }
}

#[test]
fn a_call_without_a_trace_starts_one() {
    let ids = ManualClock::default();
    let bare = Request::new(());
    let trace_of = |request: &Request<()>| super::trace_of(request, "Get", &ids).1;
    assert_ne!(trace_of(&bare).trace, trace_of(&bare).trace);
    let caller = TraceContext::start(&ids);
    let ours = trace_of(&request((), Some(caller), SHORT));
    assert_eq!(ours.trace, caller.trace);
    assert_ne!(ours.span, caller.span);
}

#[tokio::test]
async fn calls_on_connections_that_the_kernel_accepted_before_the_stop_are_answered() {
    let life = Lifecycle::new(DEADLINE);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut channels = Vec::new();
    for _ in 0..10 {
        // Connected for the kernel, and not accepted.
        let mut connected = Some(TcpStream::connect(addr).await.unwrap());
        let connector = tower::service_fn(move |_| {
            let stream = connected.take().ok_or(io::ErrorKind::NotConnected);
            async { Ok::<_, io::Error>(hyper_util::rt::TokioIo::new(stream?)) }
        });
        let endpoint = Endpoint::from_static("http://sync");
        channels.push(endpoint.connect_with_connector_lazy(connector));
    }
    let mut calls = tokio::task::JoinSet::new();
    for channel in channels {
        calls.spawn(async move { check(&channel, None).await });
    }
    // On this thread every call goes as far as it can without an answer.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    life.shut_down();
    let (_, health) = tonic_health::server::health_reporter();
    let router = server(DEADLINE).add_service(health);
    let serving = tokio::spawn(serve(listener, router, 10_000, life.clone()));
    while let Some(answer) = timeout(DEADLINE, calls.join_next()).await.unwrap() {
        let answer = answer.unwrap();
        assert!(answer.is_ok(), "{answer:?}");
    }
    timeout(DEADLINE, serving).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(addr).await.is_err());
}

/// Strangers who connect and say nothing, more than there may be connections.
#[tokio::test]
async fn at_the_bound_connections_that_say_nothing_make_room_and_one_in_use_stays() {
    let (addr, life) = start(SocketAddr::from(([127, 0, 0, 1], 0)), Seen::default()).await;
    let used = channel(&format!("http://{addr}"), DEADLINE, DEADLINE).unwrap();
    check(&used, None).await.unwrap();
    let mut strangers = Vec::new();
    for _ in 0..5 * MAX_CONNECTIONS {
        strangers.push(TcpStream::connect(addr).await.unwrap());
        check(&used, None).await.unwrap();
    }
    let another = channel(&format!("http://{addr}"), DEADLINE, DEADLINE).unwrap();
    check(&another, None).await.unwrap();
    life.hard_stop();
}
