//! A restart of the sync role as its readers see it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use github_sync::client;
use model::EventType;
use proto::v1::{
    CompareNowRequest, CompareNowResponse, FindResourceRequest, FindResourceResponse,
    GetHoldersRequest, GetHoldersResponse, GetResourceRequest, GetResourceResponse,
    GetResourcesRequest, GetResourcesResponse, ListResourcesRequest, ListResourcesResponse,
    ProgressRequest, ProgressResponse, StatusRequest, StatusResponse,
    sync_server::{Sync as SyncRpc, SyncServer},
};
use role_keys::RoleTrust;
use service_kit::{
    grpc,
    lifecycle::{Lifecycle, ProcessOutcome},
};
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tonic::{Request, Response, Status};

use crate::world::{Source, World, free_port, issue, uri};

/// Longest time that a test waits for an expected effect; of a call too, so that a busy machine changes
/// nothing.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time for which the listener accepts after the stop.
const QUARTER: Duration = Duration::from_millis(100);
const ISSUE: &str = "github://issues/octo/repo/7";
const READERS: usize = 8;

fn stop(lifecycle: &Lifecycle) -> JoinHandle<ProcessOutcome> {
    let lifecycle = lifecycle.clone();
    lifecycle.shut_down();
    tokio::spawn(async move { lifecycle.run(std::future::pending()).await })
}

#[tokio::test]
async fn a_read_whose_connection_breaks_is_sent_again() {
    let world = World::running(10).await;
    let (listener, address) = free_port().await;
    let reader =
        client::connect(&format!("http://{address}"), PATIENCE, RoleTrust::none()).unwrap();
    let first = tokio::spawn(async move { reader.status(None).await });
    // It ends with the call that was sent on it, as at a stop.
    let (mut connection, _) = listener.accept().await.unwrap();
    assert!(connection.read(&mut [0; 64]).await.unwrap() > 0);
    drop(connection);
    world.serve(listener);
    let answer = timeout(PATIENCE, first).await.unwrap().unwrap();
    assert!(answer.unwrap().caught_up);
}

/// Answers once the test says so.
struct SlowSync {
    begun: mpsc::UnboundedSender<()>,
    answer: Arc<Notify>,
}

#[tonic::async_trait]
impl SyncRpc for SlowSync {
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
        Err(Status::unimplemented("not asked here"))
    }

    async fn find_resource(
        &self,
        _: Request<FindResourceRequest>,
    ) -> Result<Response<FindResourceResponse>, Status> {
        Err(Status::unimplemented("an older version"))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.begun.send(()).unwrap();
        self.answer.notified().await;
        Ok(Response::new(StatusResponse::default()))
    }
}

#[tokio::test]
async fn a_call_in_flight_is_answered_and_its_connection_takes_no_other() {
    let (begun, mut calls) = mpsc::unbounded_channel();
    let answer = Arc::new(Notify::new());
    let services = grpc::server(PATIENCE).add_service(SyncServer::new(SlowSync {
        begun,
        answer: Arc::clone(&answer),
    }));
    let lifecycle = Lifecycle::with_keep_accepting(PATIENCE, QUARTER);
    let (listener, address) = free_port().await;
    let serving = tokio::spawn(grpc::serve(listener, services, 100, lifecycle.clone()));
    let channel = grpc::channel(&format!("http://{address}"), PATIENCE, PATIENCE).unwrap();
    let mut client = proto::v1::sync_client::SyncClient::new(channel);
    let mut other = client.clone();
    let call = tokio::spawn(async move { client.status(StatusRequest {}).await });
    calls.recv().await.unwrap();
    let running = stop(&lifecycle);
    // Refused once the listener has closed, and then the GOAWAY is on its way.
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, refused).await.unwrap();
    let again = async {
        loop {
            tokio::select! {
                refused = other.status(StatusRequest {}) => return refused.unwrap_err(),
                // The client had not read the GOAWAY, so the server takes the call.
                _ = calls.recv() => {}
            }
        }
    };
    let refused = timeout(PATIENCE, again).await.unwrap();
    assert!(grpc::is_worth_another_try(&refused), "{refused:?}");
    answer.notify_waiters();
    assert!(timeout(PATIENCE, call).await.unwrap().unwrap().is_ok());
    timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    assert!(timeout(PATIENCE, running).await.unwrap().unwrap().clean);
}

/// One address for several servers, without checks: each connection goes to the first that accepts it.
async fn balance(servers: Vec<SocketAddr>) -> SocketAddr {
    let (listener, address) = free_port().await;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let servers = servers.clone();
            tokio::spawn(async move {
                for server in servers {
                    if let Ok(mut server) = TcpStream::connect(server).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn the_restart_of_one_of_two_behind_an_address_is_not_noticed() {
    let lifecycle = Lifecycle::with_keep_accepting(PATIENCE, QUARTER);
    let worlds = [
        World::start_with(lifecycle, Source::new(), 10),
        World::start(Source::new(), 10),
    ];
    let mut servers = Vec::new();
    for world in &worlds {
        let created = issue(7, "a", EventType::CREATED, "2026-11-20T09:00:00Z");
        world.source.append([created]).await;
        world.caught_up().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        servers.push(listener.local_addr().unwrap());
        world.serve(listener);
    }
    let endpoint = format!("http://{}", balance(servers).await);
    let (read, mut reads) = mpsc::channel(READERS);
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        // Each has a connection of its own, as edges have.
        let reader = client::connect(&endpoint, PATIENCE, RoleTrust::none()).unwrap();
        let read = read.clone();
        readers.spawn(async move {
            while read
                .send(reader.get_resource(&uri(ISSUE), None, None).await)
                .await
                .is_ok()
            {}
        });
    }
    let mut answered = async |count: usize| {
        for _ in 0..count {
            let answer = timeout(PATIENCE, reads.recv()).await.unwrap().unwrap();
            assert!(answer.unwrap().is_some(), "the issue is known");
        }
    };
    answered(50 * READERS).await;
    let mut running = stop(&worlds[0].lifecycle);
    while !running.is_finished() {
        answered(READERS).await;
    }
    assert!((&mut running).await.unwrap().clean);
    answered(50 * READERS).await;
}
