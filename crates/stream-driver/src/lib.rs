//! Two drivers for an answer that lasts for hours, and the sources that they drive.
//!
//! A [`StreamSource`] knows what its client has still to get, and has no queue: it is polled when there is
//! room, writes into a buffer that all streams share ([`OutgoingFrames`]), and is then given how much of it
//! the socket took.
//!
//! - [`StreamBody`] is a source as a body that hyper polls: HTTP/1.0, HTTP/2 and TLS.
//! - [`Reactors`] are threads that own sockets: plain HTTP/1.1, once hyper has written the head and the
//!   first frame. A stream is then a slab entry: no task, no timer, no buffer.
//!
//! In an HTTP server the response chooses between them: the source travels with it as a [`Handover`].

mod body;
mod handover;
mod kernel;
mod line;
#[cfg(feature = "shuttle")]
#[doc(hidden)]
pub mod model;
mod outgoing;
mod pool;
mod reactor;
mod ready;
mod source;
#[doc(hidden)]
pub mod sync;

pub use body::StreamBody;
pub use handover::Handover;
pub use line::{CloseReason, SWEEP_INTERVAL, Scratch, Socket, StreamLine, TurnResult};
pub use outgoing::{Chunk, OutgoingFrames};
pub use pool::Reactors;
pub use source::{FillResult, SendProgress, StreamSource};
