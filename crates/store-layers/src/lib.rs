//! What lies between stores of bytes and those who use them. Names no driver.
//!
//! - [`StoredLog`] is the event log over any [`ports::LogStore`]: the only place where an event becomes the bytes of
//!   an entry and back, and where an entry that is no event is counted and skipped.
//! - [`Layered`] puts a [`BodyLayer`] over a [`ports::LogStore`] or [`ports::Records`]: [`Compressed`] and [`Sealed`]
//!   change the bytes of entries and states. Each begins what it changed with a byte of its own, so it can be
//!   switched on, and off, over a store that has data. Compressed goes over sealed, as a pair: what is sealed does not
//!   become smaller.
//! - [`Deadline`] bounds the calls of a port in time.

mod body_layer;
mod compressed;
mod deadline;
mod layered;
mod sealed;
mod stored_log;
mod undecodable;

#[cfg(test)]
mod body_tests;
#[cfg(test)]
mod layered_tests;

pub use body_layer::{BodyLayer, BodyPlace, LayerError};
pub use compressed::Compressed;
pub use deadline::Deadline;
pub use layered::{LayerFailures, Layered};
pub use sealed::Sealed;
pub use stored_log::StoredLog;
pub use undecodable::PageEntries;
