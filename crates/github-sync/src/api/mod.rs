//! The network side: the only place that uses the server side of tonic.

mod grpc;
mod lists;

pub(crate) use grpc::{SyncApi, serve};

/// The code of an answer that is not given because the sync role is behind its caller.
pub(crate) const BEHIND: tonic::Code = tonic::Code::Aborted;
