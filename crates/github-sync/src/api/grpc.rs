//! The gRPC server: `forgewire.v1.Sync` and the standard health service.

use std::{sync::Arc, time::Duration};

use model::{Epoch, ErrorClass, IdSource, LogPosition, ResourceId, ResourceUri, Sequence};
use ports::{ResourceError, ResourceReader};
use proto::v1::{
    CompareNowRequest, CompareNowResponse, FindResourceRequest, FindResourceResponse,
    GetHoldersRequest, GetHoldersResponse, GetResourceRequest, GetResourceResponse,
    GetResourcesRequest, GetResourcesResponse, ListResourcesRequest, ListResourcesResponse,
    ProgressRequest, ProgressResponse, StatusRequest, StatusResponse,
    sync_server::{Sync as SyncRpc, SyncServer},
};
use role_keys::RoleTrust;
use service_kit::{
    grpc::{self, StampedService},
    lifecycle::Lifecycle,
};
use tokio::{net::TcpListener, sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{BEHIND, lists};
use crate::{
    ServeError, limits::MAX_REQUEST_BYTES, metrics::SyncMethod, mirror::Mirror,
    reader::MirrorReader, wire,
};

/// `grpc.health.v1` knows the whole server as "" and each service by its full name.
const HEALTH_NAMES: [&str; 2] = ["", "forgewire.v1.Sync"];

/// The parts that the server needs.
pub(crate) struct SyncApi {
    pub(crate) mirror: Arc<Mirror>,
    pub(crate) reader: Arc<MirrorReader>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) trust: RoleTrust,
    /// The time limit of a call.
    pub(crate) deadline: Duration,
    /// The number of connections.
    pub(crate) max_connections: usize,
}

/// Serves until the listeners stop; calls in progress then get the time limit of a call to finish.
pub(crate) async fn serve(
    listener: TcpListener,
    api: SyncApi,
    lifecycle: &Lifecycle,
) -> Result<(), ServeError> {
    let SyncApi {
        mirror,
        reader,
        ids,
        trust,
        deadline,
        max_connections,
    } = api;
    let draining = lifecycle.draining();
    let reporter = HealthReporter::new();
    report(&reporter, ServingStatus::NotServing).await;
    let health = tonic_health::pb::health_server::HealthServer::new(
        tonic_health::server::HealthService::from_health_reporter(reporter.clone()),
    );
    let sync = SyncServer::new(Rpc {
        reader,
        ids,
        deadline,
    })
    .max_decoding_message_size(MAX_REQUEST_BYTES);
    let stop = lifecycle.stop_accepting();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("descriptors of this build");
    let services = grpc::server(deadline)
        .add_service(health)
        .add_service(StampedService::new(reflection, trust.clone()))
        .add_service(StampedService::new(sync, trust));
    let server = grpc::serve(listener, services, max_connections, lifecycle.clone());
    let late = async {
        // A health watch never ends by itself and would block the drain.
        stop.cancelled().await;
        sleep(deadline.min(lifecycle.drain_window())).await;
    };
    tokio::select! {
        served = server => served.map_err(ServeError::Transport),
        () = late => Ok(()),
        never = follow_health(&reporter, mirror.caught_up(), draining.clone()) => match never {},
    }
}

async fn report(reporter: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        reporter.set_service_status(name, status).await;
    }
}

/// Reports SERVING once the mirror has caught up with the log, until the drain.
async fn follow_health(
    reporter: &HealthReporter,
    mut caught_up: watch::Receiver<bool>,
    draining: CancellationToken,
) -> std::convert::Infallible {
    loop {
        let serving = *caught_up.borrow_and_update() && !draining.is_cancelled();
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        report(reporter, status).await;
        if draining.is_cancelled() {
            return std::future::pending().await;
        }
        tokio::select! {
            changed = caught_up.changed() => if changed.is_err() {
                draining.cancelled().await;
            },
            () = draining.cancelled() => {}
        }
    }
}

pub(super) struct Rpc {
    pub(super) reader: Arc<MirrorReader>,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) deadline: Duration,
}

/// A caller's position in the log.
pub(super) fn position(seen: proto::v1::LogPosition) -> LogPosition {
    LogPosition {
        epoch: Epoch(seen.epoch),
        sequence: Sequence(seen.sequence),
        tag: None,
    }
}

#[tonic::async_trait]
impl SyncRpc for Rpc {
    async fn get_resource(
        &self,
        request: Request<GetResourceRequest>,
    ) -> Result<Response<GetResourceResponse>, Status> {
        let (span, trace) = grpc::trace_of(&request, "GetResource", &*self.ids);
        let uri = match ResourceUri::parse(&request.get_ref().uri) {
            Ok(uri @ (ResourceUri::Numbered { .. } | ResourceUri::Project { .. })) => Ok(uri),
            Ok(ResourceUri::Events { .. }) => Err("a list of events is not a resource".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let uri = uri.map_err(|text| {
            self.reader.count_refusal(SyncMethod::get_resource);
            span.fail_as(ErrorClass::Caller.as_str());
            Status::invalid_argument(text)
        })?;
        let seen = request.get_ref().seen.map(position);
        let patience = grpc::deadline_of(request.metadata()).unwrap_or(self.deadline);
        let reading = self.reader.read(&uri, seen, patience, Some(trace));
        let state = span.enclose(reading).await;
        if let Err(error) = &state {
            span.fail(error);
        }
        let state = state.map_err(answer_of)?;
        let state =
            state.ok_or_else(|| Status::not_found("no event has mentioned this resource yet"))?;
        Ok(Response::new(GetResourceResponse {
            json: state.json,
            event_id: state.event_id.to_string(),
            sequence: state.sequence.0,
            updated_at_millis: state.updated_at.unix_millis(),
            deleted: state.deleted,
            uri: state.uri.to_string(),
            repository_id: state.ids.repository.map(|id| id.0),
            owner_id: state.ids.owner.map(|id| id.0),
        }))
    }

    async fn find_resource(
        &self,
        request: Request<FindResourceRequest>,
    ) -> Result<Response<FindResourceResponse>, Status> {
        let (span, trace) = grpc::trace_of(&request, "FindResource", &*self.ids);
        let id = ResourceId::new(&request.get_ref().node_id).map_err(|error| {
            self.reader.count_refusal(SyncMethod::find_resource);
            span.fail_as(ErrorClass::Caller.as_str());
            Status::invalid_argument(format!("node_id: {error}"))
        })?;
        let patience = grpc::deadline_of(request.metadata()).unwrap_or(self.deadline);
        let finding = self.reader.find(&id, patience, Some(trace));
        let found = span.enclose(finding).await;
        if let Err(error) = &found {
            span.fail(error);
        }
        let found = found.map_err(answer_of)?;
        let found = found.ok_or_else(|| {
            Status::not_found("no event has shown the state of this resource yet")
        })?;
        Ok(Response::new(wire::resource_to_wire(found)))
    }

    async fn get_resources(
        &self,
        request: Request<GetResourcesRequest>,
    ) -> Result<Response<GetResourcesResponse>, Status> {
        lists::get_resources(self, request).await
    }

    async fn list_resources(
        &self,
        request: Request<ListResourcesRequest>,
    ) -> Result<Response<ListResourcesResponse>, Status> {
        lists::list_resources(self, request).await
    }

    async fn get_holders(
        &self,
        request: Request<GetHoldersRequest>,
    ) -> Result<Response<GetHoldersResponse>, Status> {
        lists::get_holders(self, request).await
    }

    async fn progress(
        &self,
        request: Request<ProgressRequest>,
    ) -> Result<Response<ProgressResponse>, Status> {
        lists::progress(self, &request).await
    }

    async fn compare_now(
        &self,
        request: Request<CompareNowRequest>,
    ) -> Result<Response<CompareNowResponse>, Status> {
        lists::compare_now(self, request).await
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let (span, trace) = grpc::trace_of(&request, "Status", &*self.ids);
        let status = span.enclose(self.reader.status(Some(trace))).await;
        let status = status.map_err(|error| {
            span.fail(&error);
            unexpected(&error)
        })?;
        Ok(Response::new(StatusResponse {
            position: status.position.0,
            head: status.head.0,
            resources: status.resources,
            caught_up: status.caught_up,
        }))
    }
}

pub(super) fn answer_of(error: ResourceError) -> Status {
    match error {
        ResourceError::Behind => Status::new(BEHIND, error.to_string()),
        ResourceError::Refused { .. } => Status::invalid_argument(error.to_string()),
        error => unexpected(&error),
    }
}

fn unexpected(error: &ports::ResourceError) -> Status {
    grpc::status(
        error,
        "sync-state",
        "the state cannot be read at the moment",
    )
}
