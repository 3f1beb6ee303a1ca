//! Lists over gRPC.

use async_trait::async_trait;
use model::{LogPosition, PlaceId, TraceContext};
use ports::{
    MirrorAddress, MirrorListing, MirrorPage, MirrorProgress, MirrorReads, MirroredState,
    ResourceError,
};
use proto::v1::{
    CompareNowRequest, CompareNowResponse, GetHoldersRequest, GetHoldersResponse,
    GetResourcesRequest, GetResourcesResponse, ListResourcesRequest, ListResourcesResponse,
    ProgressRequest, ProgressResponse,
};
use tonic::{Code, Status};

use super::call::{Client, StampedClient, SyncCall, error, seen_on_wire};
use crate::{
    api::BEHIND,
    wire::{self, SyncWireError},
};

#[async_trait]
impl MirrorReads for Client {
    async fn list(
        &self,
        listing: &MirrorListing,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<MirrorPage, ResourceError> {
        const CALL: SyncCall = SyncCall {
            name: "ListResources",
            op: "read a list",
        };
        let message = ListResourcesRequest {
            seen: seen.map(seen_on_wire),
            ..wire::listing_to_wire(listing)
        };
        let send = |mut client: StampedClient, request| async move {
            client.list_resources(request).await
        };
        let read = |answer: Result<ListResourcesResponse, Status>| {
            wire::page(given(CALL, answer)?).map_err(malformed)
        };
        self.traced(CALL, trace, message, (send, read)).await
    }

    async fn get_many(
        &self,
        addresses: &[MirrorAddress],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<MirroredState>>, ResourceError> {
        const CALL: SyncCall = SyncCall {
            name: "GetResources",
            op: "read resources",
        };
        let message = GetResourcesRequest {
            addresses: addresses.iter().map(wire::address_to_wire).collect(),
            seen: seen.map(seen_on_wire),
        };
        let send =
            |mut client: StampedClient, request| async move { client.get_resources(request).await };
        let asked = addresses.len();
        let read = |answer: Result<GetResourcesResponse, Status>| {
            let found = given(CALL, answer)?.found;
            if found.len() != asked {
                return Err(malformed(SyncWireError::Absent("found")));
            }
            let states = found.into_iter().map(wire::found);
            states.collect::<Result<_, _>>().map_err(malformed)
        };
        self.traced(CALL, trace, message, (send, read)).await
    }

    async fn holders(
        &self,
        names: &[String],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<PlaceId>>, ResourceError> {
        const CALL: SyncCall = SyncCall {
            name: "GetHolders",
            op: "say who has a name",
        };
        let message = GetHoldersRequest {
            names: names.to_vec(),
            seen: seen.map(seen_on_wire),
        };
        let send =
            |mut client: StampedClient, request| async move { client.get_holders(request).await };
        let read = |answer: Result<GetHoldersResponse, Status>| {
            let holders = given(CALL, answer)?.holders;
            if holders.len() != names.len() {
                return Err(malformed(SyncWireError::Absent("holders")));
            }
            let named = names.iter().zip(holders);
            Ok(named
                .map(|(name, holder)| wire::holder(name, holder))
                .collect())
        };
        self.traced(CALL, trace, message, (send, read)).await
    }

    async fn progress(
        &self,
        trace: Option<TraceContext>,
    ) -> Result<Vec<MirrorProgress>, ResourceError> {
        const CALL: SyncCall = SyncCall {
            name: "Progress",
            op: "report its progress",
        };
        let send =
            |mut client: StampedClient, request| async move { client.progress(request).await };
        let read = |answer: Result<ProgressResponse, Status>| {
            let lists = given(CALL, answer)?.lists.into_iter();
            // A kind of a newer build says nothing to this one.
            Ok(lists.filter_map(|list| wire::progress(list).ok()).collect())
        };
        self.traced(CALL, trace, ProgressRequest {}, (send, read))
            .await
    }

    async fn compare_now(
        &self,
        place: Option<&str>,
        trace: Option<TraceContext>,
    ) -> Result<bool, ResourceError> {
        const CALL: SyncCall = SyncCall {
            name: "CompareNow",
            op: "be asked for a comparison",
        };
        let message = CompareNowRequest {
            place: place.map(str::to_owned),
        };
        let send =
            |mut client: StampedClient, request| async move { client.compare_now(request).await };
        let read = |answer: Result<CompareNowResponse, Status>| Ok(given(CALL, answer)?.mirrored);
        self.traced(CALL, trace, message, (send, read)).await
    }
}

/// The answer of a call that a build of before does not have.
fn given<T>(call: SyncCall, answer: Result<T, Status>) -> Result<T, ResourceError> {
    answer.map_err(|status| match status.code() {
        BEHIND => ResourceError::Behind,
        Code::InvalidArgument => refusal(status.message()),
        Code::Unimplemented => ResourceError::Unavailable {
            op: call.op,
            source: "the sync role is of an older build, which has no such call".into(),
        },
        _ => error(call.op, status),
    })
}

/// The server writes the member first, and then the problem.
fn refusal(text: &str) -> ResourceError {
    const FIELDS: [&str; 9] = [
        "addresses",
        "after",
        "filter",
        "kind",
        "labels",
        "limit",
        "names",
        "repo",
        "words",
    ];
    let parts = text.split_once(": ");
    let known = parts.and_then(|(named, problem)| {
        let field = FIELDS.into_iter().find(|field| *field == named)?;
        Some((field, problem))
    });
    let (field, problem) = known.unwrap_or(("request", text));
    ResourceError::Refused {
        field,
        problem: problem.to_owned(),
    }
}

fn malformed(error: SyncWireError) -> ResourceError {
    ResourceError::Malformed {
        source: error.into(),
    }
}
