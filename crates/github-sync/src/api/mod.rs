//! The wire: the only place that knows the server side of tonic.

mod grpc;

pub(crate) use grpc::serve;
