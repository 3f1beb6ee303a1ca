//! Subscriptions that live anywhere: each has an owner, filters, an end, and the position up to which its events
//! were delivered. It belongs to no session and to no connection, and every edge finds it in the store of records.
//!
//! A subscription is a position, not a queue: nothing is stored per event. Whoever delivers reads the log after
//! the cursor of the subscription, and moves the cursor when its receiver has the events.
//!
//! | module | idea |
//! | --- | --- |
//! | `subscription` | what a subscription is |
//! | `client_id` | the name under which a client finds its subscriptions |
//! | `client_key` | why those of one client are read without the others |
//! | `error` | why a call failed |
//! | `records` | the façade over the store, with its contract |
//! | [`limits`] | every bound |
//!
//! What is deliberately absent: HTTP, streams, and an index of filters. What is open on an edge is matched by
//! `fanout`, which compares each event with all of it once.

mod client_id;
mod client_key;
mod error;
pub mod limits;
mod records;
mod subscription;

pub use client_id::{ClientId, ClientIdError};
pub use client_key::ClientKey;
pub use error::SubscriptionRecordsError;
pub use limits::SubscriptionLimits;
pub use records::{
    CursorAdvance, SubscriptionPage, SubscriptionRecords, VersionedSubscription, moves_cursor,
};
pub use subscription::{Subscription, SubscriptionLife, SubscriptionTransport, UnknownTransport};
