//! Messages on the bus and over gRPC, and their conversions.
//!
//! `v1` is generated from `proto/forgewire/v1/*.proto`. What comes in is checked here, once: a message
//! from the wire becomes a type of `model`, or an error that names the field.

mod bus;
mod events;

pub use bus::{decode_bus_message, encode_bus_message};
pub use events::{decode_event, encode_event};

/// The generated messages and stubs.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("forgewire.v1");
}

/// A message that is not ours, or damaged.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf of this shape.
    #[error("not a protobuf message of this kind")]
    Protobuf(#[from] prost::DecodeError),
    /// A version that we do not know.
    #[error("message version {0} is not known; this build knows 1")]
    Version(u32),
    /// A field that is missing or has no meaning.
    #[error("field {0} is missing or has no meaning")]
    Field(&'static str),
}
