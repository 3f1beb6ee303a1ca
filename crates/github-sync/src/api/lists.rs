//! The calls about lists and about many states.

use instruments::TraceSpan;
use model::{ErrorClass, LogPosition, TraceContext};
use ports::{MirrorReads, ResourceError};
use proto::v1::{
    CompareNowRequest, CompareNowResponse, GetHoldersRequest, GetHoldersResponse,
    GetResourcesRequest, GetResourcesResponse, ListResourcesRequest, ListResourcesResponse,
    ProgressResponse,
};
use service_kit::grpc;
use tonic::{Request, Response, Status};

use super::grpc::{Rpc, answer_of, position};
use crate::{
    metrics::SyncMethod,
    wire::{self, SyncWireError},
};

/// An incoming call.
type Call = (TraceSpan, TraceContext);

pub(super) async fn get_resources(
    rpc: &Rpc,
    request: Request<GetResourcesRequest>,
) -> Result<Response<GetResourcesResponse>, Status> {
    let call = grpc::trace_of(&request, "GetResources", &*rpc.ids);
    let patience = grpc::deadline_of(request.metadata()).unwrap_or(rpc.deadline);
    let GetResourcesRequest { addresses, seen } = request.into_inner();
    let addresses = addresses.into_iter().map(wire::address);
    let addresses: Result<Vec<_>, _> = addresses.collect();
    let addresses =
        addresses.map_err(|error| refuse(rpc, SyncMethod::get_resources, &call, &error))?;
    let seen: Option<LogPosition> = seen.map(position);
    let reading = rpc.reader.states(&addresses, seen, patience, Some(call.1));
    let states = finish(&call, reading).await?;
    Ok(Response::new(GetResourcesResponse {
        found: states.into_iter().map(wire::found_to_wire).collect(),
    }))
}

pub(super) async fn list_resources(
    rpc: &Rpc,
    request: Request<ListResourcesRequest>,
) -> Result<Response<ListResourcesResponse>, Status> {
    let call = grpc::trace_of(&request, "ListResources", &*rpc.ids);
    let patience = grpc::deadline_of(request.metadata()).unwrap_or(rpc.deadline);
    let request = request.into_inner();
    let seen = request.seen.map(position);
    let listing = wire::listing(request);
    let listing =
        listing.map_err(|error| refuse(rpc, SyncMethod::list_resources, &call, &error))?;
    let reading = rpc.reader.page(&listing, seen, patience, Some(call.1));
    let page = finish(&call, reading).await?;
    Ok(Response::new(wire::page_to_wire(page)))
}

pub(super) async fn get_holders(
    rpc: &Rpc,
    request: Request<GetHoldersRequest>,
) -> Result<Response<GetHoldersResponse>, Status> {
    let call = grpc::trace_of(&request, "GetHolders", &*rpc.ids);
    let patience = grpc::deadline_of(request.metadata()).unwrap_or(rpc.deadline);
    let GetHoldersRequest { names, seen } = request.into_inner();
    let seen = seen.map(position);
    let reading = rpc.reader.holders_of(&names, seen, patience, Some(call.1));
    let holders = finish(&call, reading).await?;
    Ok(Response::new(GetHoldersResponse {
        holders: holders.into_iter().map(wire::holder_to_wire).collect(),
    }))
}

pub(super) async fn progress<T: Sync>(
    rpc: &Rpc,
    request: &Request<T>,
) -> Result<Response<ProgressResponse>, Status> {
    let call = grpc::trace_of(request, "Progress", &*rpc.ids);
    let lists = finish(&call, rpc.reader.progress(Some(call.1))).await?;
    Ok(Response::new(ProgressResponse {
        lists: lists.into_iter().map(wire::progress_to_wire).collect(),
    }))
}

pub(super) async fn compare_now(
    rpc: &Rpc,
    request: Request<CompareNowRequest>,
) -> Result<Response<CompareNowResponse>, Status> {
    let call = grpc::trace_of(&request, "CompareNow", &*rpc.ids);
    let place = request.into_inner().place;
    let asking = rpc.reader.compare_now(place.as_deref(), Some(call.1));
    let mirrored = finish(&call, asking).await?;
    Ok(Response::new(CompareNowResponse { mirrored }))
}

/// Waits for an answer in the span of its call.
async fn finish<T>(
    (span, _): &Call,
    answer: impl Future<Output = Result<T, ResourceError>>,
) -> Result<T, Status> {
    let answer = span.enclose(answer).await;
    answer.map_err(|error| {
        span.fail(&error);
        answer_of(error)
    })
}

/// The answer to a request that cannot be read.
fn refuse(rpc: &Rpc, method: SyncMethod, (span, _): &Call, error: &SyncWireError) -> Status {
    rpc.reader.count_refusal(method);
    span.fail_as(ErrorClass::Caller.as_str());
    Status::invalid_argument(error.to_string())
}
