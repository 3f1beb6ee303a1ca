//! The network side: the only place that uses the server side of tonic.

mod grpc;

pub(crate) use grpc::{SyncApi, serve};
