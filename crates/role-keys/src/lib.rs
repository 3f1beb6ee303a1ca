//! Shared keys by which the roles of one installation recognise each other.
//!
//! Everything that a role sends to another one carries a *stamp*: a keyed digest (HMAC-SHA256) over what
//! is said, where it is said, and when. A receiver without the key can be fooled by anybody who reaches
//! NATS or the port of the sync role; a receiver with it drops what has no valid stamp.
//!
//! | type | purpose |
//! | --- | --- |
//! | [`RoleKeys`] | the keys: the first one stamps, all of them verify |
//! | [`RoleTrust`] | the keys, what is accepted without them, and the count of refusals |
//! | [`StampMemory`] | the stamps that one receiver has seen, so that none counts twice |
//!
//! A stamp is no encryption: it hides nothing. See ADR 001.

mod channel;
mod keys;
pub mod limits;
mod memory;
mod refusal;
mod stamp;
mod trust;

pub use channel::StampedChannel;
pub use keys::{RoleKeyError, RoleKeys, SECRET_BYTES};
pub use memory::StampMemory;
pub use refusal::StampRefusal;
pub use trust::{KeyMismatch, RoleTrust};
