//! Fan-out: delivers one event to every stream that wants it.
//!
//! Recent events are kept once, encoded, in a bounded [`ring`]. A stream is a position in it (a
//! slab entry in [`streams`] and a [`feed`] that a driver polls): it has no queue, channel, task or
//! timer of its own. The [`hub`] adds events to the ring and wakes the streams they concern; the
//! [`feed`] produces the events between the stream's position and the head, and reads the log when
//! the position has fallen off the ring.
//!
//! What is deliberately absent: HTTP, sessions' own state, and any store but the log and the mailbox of a
//! session, both behind ports.

pub mod announcement;
pub mod audience;
pub mod bounds;
pub mod budget;
pub mod census;
mod error;
pub mod feed;
#[cfg(test)]
mod fixture;
pub mod followed;
pub mod followed_stream;
pub mod format;
#[cfg(test)]
#[cfg(feature = "shuttle")]
mod hand_over_model;
pub mod hub;
pub mod inbox;
#[cfg(test)]
mod index_tests;
pub mod interest;
pub mod lag;
pub mod limits;
mod log_end;
mod log_turns;
mod lost_times;
#[cfg(test)]
mod match_bound_tests;
pub mod metrics;
mod newest;
pub mod news;
mod open;
mod pages;
pub mod place;
pub mod prefill;
mod resume;
mod ring;
mod signals;
mod stream;
mod streams;
pub mod subscribed;
pub mod timeline;
mod unread;
pub mod waits;
pub mod wheel;

pub use error::HubError;
