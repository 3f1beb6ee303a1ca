//! Lists over a real socket: who is answered, and what is refused.

use std::sync::Arc;

use github_sync::client;
use model::{EventType, RandomIds, TraceContext};
use ports::{
    MirrorAddress, MirrorFilter, MirrorListing, MirrorOrder, MirrorReads, MirroredKind,
    ResourceError,
};
use proto::v1::{
    ListResourcesRequest, ResourceAddress, sync_client::SyncClient, sync_server::SyncServer,
};
use role_keys::RoleTrust;
use service_kit::grpc::CallStamper;
use tokio::time::Instant;
use tonic::{
    Code, Request, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    grpc::{OlderSync, keyed_world},
    world::{DEADLINE, World, free_port, issue},
};

fn issues() -> MirrorListing {
    MirrorListing {
        kind: MirroredKind::Issue,
        owner: "octo".to_owned(),
        repo: Some("repo".to_owned()),
        filter: MirrorFilter::default(),
        order: MirrorOrder::Number,
        descending: false,
        limit: 100,
        after: None,
    }
}

fn address() -> MirrorAddress {
    MirrorAddress {
        kind: MirroredKind::Issue,
        owner: "octo".to_owned(),
        repo: Some("repo".to_owned()),
        number: 7,
    }
}

fn mirror_at(endpoint: &str, trust: RoleTrust) -> Arc<dyn MirrorReads> {
    client::connect_mirror(endpoint, DEADLINE, trust).unwrap()
}

/// The errors of all four calls.
async fn errors(mirror: &dyn MirrorReads, trace: Option<TraceContext>) -> Vec<ResourceError> {
    vec![
        mirror.list(&issues(), None, trace).await.unwrap_err(),
        mirror
            .get_many(&[address()], None, trace)
            .await
            .unwrap_err(),
        mirror
            .holders(&["octo".to_owned()], None, trace)
            .await
            .unwrap_err(),
        mirror.progress(trace).await.unwrap_err(),
        mirror.compare_now(None, trace).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn a_sync_role_of_an_older_build_is_named_as_the_reason() {
    let (listener, address) = free_port().await;
    let server = Server::builder().add_service(SyncServer::new(OlderSync));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let older = mirror_at(&format!("http://{address}"), RoleTrust::none());
    let trace = TraceContext::start(&RandomIds);
    for error in errors(&*older, Some(trace)).await {
        let ResourceError::Unavailable { source, .. } = &error else {
            panic!("{error:?}")
        };
        assert!(source.to_string().contains("older build"), "{source}");
    }
}

#[tokio::test]
async fn lists_are_for_roles_with_a_key() {
    let (_world, trust, endpoint) = keyed_world().await;
    let mirror = mirror_at(&endpoint, trust);
    assert!(
        mirror
            .list(&issues(), None, None)
            .await
            .unwrap()
            .states
            .is_empty()
    );
    assert!(mirror.progress(None).await.unwrap().is_empty());
    let stranger = mirror_at(&endpoint, RoleTrust::none());
    for error in errors(&*stranger, None).await {
        assert!(
            matches!(error, ResourceError::Unavailable { .. }),
            "{error:?}"
        );
    }
}

/// What a tool asks first: the names of the services.
async fn services(
    mut client: ServerReflectionClient<InterceptedService<Channel, CallStamper>>,
) -> Result<Vec<String>, Status> {
    let asked = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client.server_reflection_info(stream_of(asked)).await?;
    let answer = answers.into_inner().message().await?;
    match answer.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ListServicesResponse(list)) => Ok(list
            .service
            .into_iter()
            .map(|service| service.name)
            .collect()),
        other => panic!("{other:?}"),
    }
}

fn stream_of<T: Send + 'static>(one: T) -> impl futures_util::Stream<Item = T> + Send {
    futures_util::stream::once(async move { one })
}

#[tokio::test]
async fn tools_with_a_key_see_what_the_server_has() {
    let (_world, trust, endpoint) = keyed_world().await;
    let client = |trust| {
        let channel = service_kit::grpc::channel(&endpoint, DEADLINE, DEADLINE).unwrap();
        ServerReflectionClient::with_interceptor(channel, CallStamper::new(trust))
    };
    let named = services(client(trust)).await.unwrap();
    for name in ["forgewire.v1.Sync", "grpc.health.v1.Health"] {
        assert!(named.iter().any(|known| known == name), "{named:?}");
    }
    let refused = services(client(RoleTrust::none())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn nobody_there_is_an_error_within_the_deadline() {
    let (listener, address) = free_port().await;
    drop(listener);
    let mirror = mirror_at(&format!("http://{address}"), RoleTrust::none());
    let began = Instant::now();
    let error = mirror.list(&issues(), None, None).await.unwrap_err();
    assert!(
        matches!(error, ResourceError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(began.elapsed() < 2 * DEADLINE);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let world = World::running(1000).await;
    let endpoint = world.serve_anywhere().await;
    let mirror = mirror_at(&endpoint, RoleTrust::none());
    let limit = MirrorListing {
        limit: 101,
        ..issues()
    };
    let error = mirror.list(&limit, None, None).await.unwrap_err();
    let same = world.running.mirror_reads().list(&limit, None, None).await;
    assert_eq!(error.to_string(), same.unwrap_err().to_string());
    assert!(
        matches!(error, ResourceError::Refused { field: "limit", .. }),
        "{error:?}"
    );
    let mut client = SyncClient::connect(endpoint.clone()).await.unwrap();
    let unknown = ListResourcesRequest {
        kind: "wikis".to_owned(),
        ..ListResourcesRequest::default()
    };
    let refused = client.list_resources(unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("wikis"), "{refused:?}");
    // A request beyond the bound is not even read.
    let addresses = vec![
        ResourceAddress {
            owner: "o".repeat(10_000),
            ..ResourceAddress::default()
        };
        10
    ];
    let request = proto::v1::GetResourcesRequest {
        addresses,
        seen: None,
    };
    let refused = client
        .get_resources(Request::new(request))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
}

#[tokio::test]
async fn a_page_of_large_states_arrives_whole() {
    let world = World::running(1000).await;
    let mirror = mirror_at(&world.serve_anywhere().await, RoleTrust::none());
    let large = |number: u64| {
        let time = format!("2026-11-20T10:00:{number:02}Z");
        let mut event = issue(number, &format!("e{number}"), EventType::UPDATED, &time);
        event.data["body"] = "x".repeat(5 * 1024 * 1024).into();
        event
    };
    world.source.append([large(1), large(2)]).await;
    world.caught_up().await;
    let mut listing = issues();
    let first = mirror.list(&listing, None, None).await.unwrap();
    assert_eq!(
        first.states.len(),
        1,
        "the second one is in a page of its own"
    );
    listing.after = first.next;
    let second = mirror.list(&listing, None, None).await.unwrap();
    assert_eq!((second.states[0].address.number, second.next), (2, None));
    let addresses = [1, 2].map(|number| MirrorAddress {
        number,
        ..address()
    });
    let states = mirror.get_many(&addresses, None, None).await.unwrap();
    let sizes = states.iter().flatten().map(|state| state.json.len());
    assert!(sizes.sum::<usize>() > 10 * 1024 * 1024);
    let many = [1, 2, 1, 2].map(|number| MirrorAddress {
        number,
        ..address()
    });
    let refused = mirror.get_many(&many, None, None).await.unwrap_err();
    assert!(
        matches!(
            refused,
            ResourceError::Refused {
                field: "addresses",
                ..
            }
        ),
        "{refused:?}"
    );
}
