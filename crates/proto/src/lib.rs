//! Messages on the bus and over gRPC, and their conversions.
//!
//! `v1` is generated from `proto/forgewire/v1/*.proto`. Incoming messages are checked here, once: a
//! message from the wire becomes a type of `model`, or an error that names the field.

mod bus;
mod edge_news;
mod events;
mod ingest_news;
mod sync_news;

pub use bus::{decode_bus_message, encode_bus_message};
pub use events::{EVENT_FACTS_BYTES, decode_event, encode_event};

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

/// All messages and services as an encoded `FileDescriptorSet`, for gRPC's reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The reason why a message cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not a protobuf message of this kind.
    #[error("not a protobuf message of this kind")]
    Protobuf(#[from] prost::DecodeError),
    /// A version that this build does not know.
    #[error("message version {0} is not known; this build knows 1")]
    Version(u32),
    /// The first byte of an entry, its version, is not one that this build reads.
    #[error(
        "{}",
        match .0 {
            Some(0xc0..) => "the entry is compressed or sealed, and the layer that reads it is not here".to_owned(),
            Some(version) => format!("the entry has version {version}, and this build reads version 1: run the build that wrote it, or let retention remove it"),
            None => "the entry is empty".to_owned(),
        }
    )]
    EntryVersion(Option<u8>),
    /// A bus message that this build does not know. Protobuf leaves an unknown field out, so this is also
    /// the error of an envelope without a message.
    #[error("the bus message is not known to this build")]
    UnknownMessage,
    /// A field that is missing or invalid.
    #[error("field {0} is missing or invalid")]
    Field(&'static str),
}
