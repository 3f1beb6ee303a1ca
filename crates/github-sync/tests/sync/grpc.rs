//! The gRPC side: codes, health, drain, deadlines, reconnects, traces.

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use github_sync::client;
use instruments::testing;
use model::{Classified, ErrorClass, EventType, RandomIds, SystemClock, TraceContext};
use ports::{Bus, BusError, BusMessage, BusSubscription, EventLog, ResourceError, Topic};
use proto::v1::{
    CompareNowRequest, CompareNowResponse, FindResourceRequest, FindResourceResponse,
    GetHoldersRequest, GetHoldersResponse, GetResourceRequest, GetResourceResponse,
    GetResourcesRequest, GetResourcesResponse, ListResourcesRequest, ListResourcesResponse,
    ProgressRequest, ProgressResponse, StatusRequest, StatusResponse,
    sync_client::SyncClient,
    sync_server::{Sync as SyncRpc, SyncServer},
};
use role_keys::{RoleKeys, RoleTrust, StampedChannel};
use service_kit::lifecycle::OnExit;
use store_memory::InProcessBus;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tonic::{
    Code, Request, Response, Status,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    setup,
    world::{DEADLINE, Source, World, free_port, issue, uri},
};

const PATIENCE: Duration = Duration::from_secs(10);
const AT: &str = "2026-11-20T09:00:00Z";

#[tokio::test]
async fn codes_say_what_is_wrong() {
    let world = World::running(10).await;
    let endpoint = world.serve_anywhere().await;
    let mut client = SyncClient::connect(endpoint).await.unwrap();
    for (uri, code) in [
        ("github://issues/octo/repo/7", Code::NotFound),
        ("github://issues/octo/repo/seven", Code::InvalidArgument),
        ("github://events/octo", Code::InvalidArgument),
        ("", Code::InvalidArgument),
    ] {
        let request = GetResourceRequest {
            uri: uri.to_owned(),
            seen: None,
        };
        assert_eq!(
            client.get_resource(request).await.unwrap_err().code(),
            code,
            "{uri}"
        );
    }
    // Larger than any URI: refused while the server reads it.
    let request = GetResourceRequest {
        uri: "x".repeat(100_000),
        seen: None,
    };
    let code = client.get_resource(request).await.unwrap_err().code();
    assert!(
        matches!(code, Code::OutOfRange | Code::ResourceExhausted),
        "{code:?}"
    );
}

fn health_client(endpoint: String) -> HealthClient<Channel> {
    HealthClient::new(Endpoint::from_shared(endpoint).unwrap().connect_lazy())
}

async fn health(client: &mut HealthClient<Channel>, expected: ServingStatus) {
    for service in ["", "forgewire.v1.Sync"] {
        let becomes = async {
            loop {
                let request = HealthCheckRequest {
                    service: service.to_owned(),
                };
                let answer = client.check(request).await.unwrap().into_inner();
                if answer.status() == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let came = timeout(PATIENCE, becomes).await;
        came.unwrap_or_else(|_| panic!("{service:?} becomes {expected:?}"));
    }
}

/// A bus that accepts no subscription until a test opens it: until then the role cannot catch up.
#[derive(Debug)]
struct GatedBus {
    bus: InProcessBus,
    open: Semaphore,
}

impl Default for GatedBus {
    fn default() -> Self {
        Self {
            bus: InProcessBus::new(NonZeroUsize::MIN),
            open: Semaphore::new(0),
        }
    }
}

#[async_trait]
impl Bus for GatedBus {
    async fn publish(
        &self,
        topic: &Topic,
        message: BusMessage,
        trace: Option<TraceContext>,
    ) -> Result<(), BusError> {
        self.bus.publish(topic, message, trace).await
    }
    async fn subscribe(&self, topic: &Topic) -> Result<BusSubscription, BusError> {
        let _open = self.open.acquire().await.unwrap();
        self.bus.subscribe(topic).await
    }
    async fn check(&self) -> Result<(), BusError> {
        Ok(())
    }
}

#[tokio::test]
async fn health_follows_catching_up_and_the_drain() {
    let bus = Arc::new(GatedBus::default());
    let mut source = Source::new();
    source.bus = bus.clone();
    let world = World::start(source, 10);
    let endpoint = world.serve_anywhere().await;
    let mut client = health_client(endpoint);
    health(&mut client, ServingStatus::NotServing).await;
    bus.open.add_permits(1);
    health(&mut client, ServingStatus::Serving).await;
    world.lifecycle.shut_down();
    health(&mut client, ServingStatus::NotServing).await;
}

#[tokio::test]
async fn a_health_watch_does_not_hold_up_the_stop() {
    let world = World::running(10).await;
    let endpoint = world.serve_anywhere().await;
    let mut client = health_client(endpoint);
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let mut watch = client.watch(request).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    let lifecycle = world.lifecycle.clone();
    let run = tokio::spawn(async move { lifecycle.run(async {}).await });
    world.lifecycle.draining().cancelled().await;
    world.lifecycle.hard_stop();
    timeout(PATIENCE, run)
        .await
        .expect("the process ends")
        .unwrap();
}

#[tokio::test]
async fn nobody_there_is_an_error_within_the_deadline_and_later_it_works() {
    let world = World::running(10).await;
    world
        .source
        .append([issue(7, "a", EventType::CREATED, AT)])
        .await;
    world.caught_up().await;
    let (listener, address) = free_port().await;
    drop(listener);
    let reader =
        client::connect(&format!("http://{address}"), DEADLINE, RoleTrust::none()).unwrap();
    let started = Instant::now();
    let error = reader
        .get_resource(&uri("github://issues/octo/repo/7"), None, None)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error:?}");
    assert!(started.elapsed() < DEADLINE * 2);

    world.serve(TcpListener::bind(address).await.unwrap());
    let answers = async {
        while reader
            .get_resource(&uri("github://issues/octo/repo/7"), None, None)
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, answers)
        .await
        .expect("the client reconnects by itself");
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_the_deadline_and_no_more() {
    // Accepts connections in the backlog but never answers: nothing calls accept on the listener.
    let (_listener, address) = free_port().await;
    let deadline = Duration::from_millis(200);
    let reader =
        client::connect(&format!("http://{address}"), deadline, RoleTrust::none()).unwrap();
    let started = Instant::now();
    let error = reader.status(None).await.unwrap_err();
    assert!(
        matches!(error, ResourceError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn what_is_no_endpoint_is_refused_at_once() {
    let error = client::connect("not a uri", DEADLINE, RoleTrust::none()).unwrap_err();
    assert!(error.to_string().contains("sync.endpoint"));
}

/// Sends the metadata of each call to the test.
struct Recorder(mpsc::UnboundedSender<tonic::metadata::MetadataMap>);

#[tonic::async_trait]
impl SyncRpc for Recorder {
    async fn get_resources(
        &self,
        _: Request<GetResourcesRequest>,
    ) -> Result<Response<GetResourcesResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn list_resources(
        &self,
        _: Request<ListResourcesRequest>,
    ) -> Result<Response<ListResourcesResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn get_holders(
        &self,
        _: Request<GetHoldersRequest>,
    ) -> Result<Response<GetHoldersResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn progress(
        &self,
        _: Request<ProgressRequest>,
    ) -> Result<Response<ProgressResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn compare_now(
        &self,
        _: Request<CompareNowRequest>,
    ) -> Result<Response<CompareNowResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn get_resource(
        &self,
        _: Request<GetResourceRequest>,
    ) -> Result<Response<GetResourceResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn find_resource(
        &self,
        _: Request<FindResourceRequest>,
    ) -> Result<Response<FindResourceResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        self.0.send(request.metadata().clone()).unwrap();
        Ok(Response::new(StatusResponse::default()))
    }
}

#[tokio::test]
async fn trace_and_deadline_travel_with_the_call_and_defects_are_permanent() {
    let (send, mut received) = mpsc::unbounded_channel();
    let (listener, address) = free_port().await;
    let server = Server::builder().add_service(SyncServer::new(Recorder(send)));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let reader =
        client::connect(&format!("http://{address}"), DEADLINE, RoleTrust::none()).unwrap();
    let trace = TraceContext::start(&*Arc::new(model::ManualClock::default()));
    reader.status(Some(trace)).await.unwrap();
    let metadata = received.recv().await.unwrap();
    assert_eq!(metadata.get("traceparent").unwrap(), &trace.to_string());
    assert!(metadata.contains_key("grpc-timeout"));
    let error = reader
        .get_resource(&uri("github://issues/o/r/1"), None, None)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Permanent);
}

/// A server of a version that knows no call.
pub(crate) struct OlderSync;

#[tonic::async_trait]
impl SyncRpc for OlderSync {
    async fn get_resources(
        &self,
        _: Request<GetResourcesRequest>,
    ) -> Result<Response<GetResourcesResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn list_resources(
        &self,
        _: Request<ListResourcesRequest>,
    ) -> Result<Response<ListResourcesResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn get_holders(
        &self,
        _: Request<GetHoldersRequest>,
    ) -> Result<Response<GetHoldersResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn progress(
        &self,
        _: Request<ProgressRequest>,
    ) -> Result<Response<ProgressResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn compare_now(
        &self,
        _: Request<CompareNowRequest>,
    ) -> Result<Response<CompareNowResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn get_resource(
        &self,
        _: Request<GetResourceRequest>,
    ) -> Result<Response<GetResourceResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn find_resource(
        &self,
        _: Request<FindResourceRequest>,
    ) -> Result<Response<FindResourceResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }
}

#[tokio::test]
async fn a_call_that_fails_is_an_error_of_its_span_on_both_sides() {
    let (recorder, spans) = testing::recorder(testing::ALL_REQUESTS);
    let _recording = tracing::subscriber::set_default(recorder);
    let trace = TraceContext {
        sampled: true,
        ..TraceContext::start(&RandomIds)
    };
    let (listener, address) = free_port().await;
    let server = Server::builder().add_service(SyncServer::new(OlderSync));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let older = client::connect(&format!("http://{address}"), DEADLINE, RoleTrust::none()).unwrap();
    let issue = uri("github://issues/o/r/1");
    older
        .get_resource(&issue, None, Some(trace))
        .await
        .unwrap_err();
    older.status(Some(trace)).await.unwrap_err();
    let (get, status) = ("forgewire.v1.Sync/GetResource", "forgewire.v1.Sync/Status");
    assert_eq!(spans.failed(), [get, status]);
    let (_log, running, lifecycle) = setup::start().await;
    let (listener, address) = free_port().await;
    lifecycle.spawn("grpc", OnExit::MayFinish, async move {
        running.serve_grpc(listener, 100).await.unwrap();
    });
    let mut client = SyncClient::connect(format!("http://{address}"))
        .await
        .unwrap();
    for uri in ["nonsense", "github://events/o/r"] {
        let mut request = Request::new(GetResourceRequest {
            uri: uri.to_owned(),
            seen: None,
        });
        let header = trace.to_string().parse().unwrap();
        request.metadata_mut().insert("traceparent", header);
        let refused = client.get_resource(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{uri}");
    }
    assert_eq!(spans.failed(), [get, status, get, get]);
}

/// A caller of a build without `seen` gets what is known at once.
#[tokio::test]
async fn a_caller_of_an_older_build_is_answered_at_once() {
    let (log, running, lifecycle) = setup::start().await;
    let (listener, address) = free_port().await;
    let served = running.clone();
    lifecycle.spawn("grpc", OnExit::MayFinish, async move {
        served.serve_grpc(listener, 100).await.unwrap();
    });
    log.hold(true);
    let appended = log.append(vec![contract::issue_event(7, 1)]).await.unwrap();
    let mut client = SyncClient::connect(format!("http://{address}"))
        .await
        .unwrap();
    let mut request = GetResourceRequest {
        uri: "github://issues/octo/cat/7".to_owned(),
        seen: None,
    };
    let code = client
        .get_resource(request.clone())
        .await
        .unwrap_err()
        .code();
    assert_eq!(code, Code::NotFound);
    request.seen = Some(proto::v1::LogPosition {
        epoch: log.head().await.unwrap().epoch.0,
        sequence: appended[0].sequence.0,
    });
    // The caller's own deadline counts, though the server's is longer.
    let began = Instant::now();
    let mut short = Request::new(request);
    short.set_timeout(Duration::from_millis(500));
    let code = client.get_resource(short).await.unwrap_err().code();
    assert_eq!(code, Code::Aborted);
    assert!(
        began.elapsed() < Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
}

/// The trust of a process with these keys.
pub(crate) fn trust(keys: &[&str]) -> RoleTrust {
    let clock = Arc::new(SystemClock);
    match RoleKeys::read(keys.iter().copied(), &[]).unwrap() {
        None => RoleTrust::none(),
        Some(keys) => RoleTrust::keyed(keys, None, clock, &RandomIds),
    }
}

const OLD_KEY: &str = "the old key, as long as a key has to be";
const NEW_KEY: &str = "the new key, as long as a key has to be";
const OTHER_KEY: &str = "another key, as long as a key has to be";

/// A role with the keys of the middle of a rotation, and the endpoint of its server.
pub(crate) async fn keyed_world() -> (World, RoleTrust, String) {
    let (mut source, trust) = (Source::new(), trust(&[NEW_KEY, OLD_KEY]));
    source.trust = trust.clone();
    let world = World::start(source, 10);
    world.caught_up().await;
    let endpoint = world.serve_anywhere().await;
    (world, trust, endpoint)
}

#[tokio::test]
async fn only_roles_with_a_key_are_answered() {
    let (_world, _, endpoint) = keyed_world().await;
    for keys in [&[OLD_KEY][..], &[OLD_KEY, NEW_KEY], &[NEW_KEY]] {
        let reader = client::connect(&endpoint, DEADLINE, trust(keys)).unwrap();
        reader.status(None).await.unwrap();
        reader
            .get_resource(&uri("github://issues/o/r/1"), None, None)
            .await
            .unwrap();
    }
    for keys in [&[][..], &[OTHER_KEY]] {
        let reader = client::connect(&endpoint, DEADLINE, trust(keys)).unwrap();
        let error = reader.status(None).await.unwrap_err();
        // Keys are put right elsewhere: the caller may try again.
        assert_eq!(error.class(), ErrorClass::Transient, "{error:?}");
    }
    let mut stranger = SyncClient::connect(endpoint.clone()).await.unwrap();
    let refused = stranger.status(StatusRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("roles.key_files"), "{refused:?}");
    // Probes have no key.
    health(&mut health_client(endpoint), ServingStatus::Serving).await;
}

#[tokio::test]
async fn a_stamp_that_was_overheard_opens_nothing() {
    let (_world, trust, endpoint) = keyed_world().await;
    let mut stranger = SyncClient::connect(endpoint).await.unwrap();
    let stamp = |path: &str| {
        trust
            .stamp(StampedChannel::Grpc, &[path.as_bytes()])
            .unwrap()
    };
    let status = |stamp: &str| {
        let mut request = Request::new(StatusRequest {});
        request
            .metadata_mut()
            .insert("forgewire-stamp", stamp.parse().unwrap());
        request
    };
    let overheard = stamp("/forgewire.v1.Sync/Status");
    stranger.status(status(&overheard)).await.unwrap();
    for stamp in [
        overheard,
        stamp("/forgewire.v1.Sync/GetResource"),
        "no stamp".to_owned(),
    ] {
        let refused = stranger.status(status(&stamp)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{stamp}");
    }
    let counted: u64 = trust.refusals().map(|(_, _, count)| count).sum();
    assert_eq!(counted, 3);
}
