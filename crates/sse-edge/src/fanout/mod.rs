//! Fan-out: delivers one event to every stream that wants it.
//!
//! Recent events are kept once, encoded, in a bounded [`ring`]. A stream is a position in it (a
//! slab entry in [`streams`] and a [`feed`] that a driver polls): it has no queue, channel, task or
//! timer of its own. The [`hub`] adds events to the ring and wakes the streams they concern; the
//! [`feed`] produces the events between the stream's position and the head, and reads the log when
//! the position has fallen off the ring.

pub(crate) mod bounds;
pub(crate) mod feed;
#[cfg(test)]
mod fixture;
pub(crate) mod format;
pub(crate) mod hub;
pub(crate) mod inbox;
#[cfg(test)]
mod index_tests;
pub(crate) mod interest;
#[cfg(test)]
#[cfg(feature = "shuttle")]
mod model;
mod newest;
pub(crate) mod notices;
pub(crate) mod pages;
pub(crate) mod patience;
pub(crate) mod ring;
pub(crate) mod stream;
pub(crate) mod streams;
pub(crate) mod wheel;
