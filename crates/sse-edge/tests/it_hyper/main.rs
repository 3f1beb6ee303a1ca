//! The tests of `tests/it` that open streams, on edges whose streams stay with hyper.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.
#![allow(
    dead_code,
    reason = "what the tests that are left out use of the others"
)]

/// Hyper keeps the sockets of streams.
const TAKES_OVER_SOCKETS: bool = false;

#[path = "../it/ages.rs"]
mod ages;
#[path = "../it/asking.rs"]
mod asking;
#[path = "../it/connections.rs"]
mod connections;
#[path = "../it/http.rs"]
mod http;
#[path = "../it/http_sse.rs"]
mod http_sse;
#[path = "../it/listen.rs"]
mod listen;
#[path = "../it/machine.rs"]
mod machine;
#[path = "../it/messages.rs"]
mod messages;
#[path = "../it/principals.rs"]
mod principals;
#[path = "../it/raw.rs"]
mod raw;
#[path = "../it/session_bounds.rs"]
mod session_bounds;
#[path = "../it/sessions.rs"]
mod sessions;
#[path = "../it/slow.rs"]
mod slow;
#[path = "../it/streams.rs"]
mod streams;
#[path = "../it/subscriptions.rs"]
mod subscriptions;
#[path = "../it/tasks.rs"]
mod tasks;
#[path = "../it/unread.rs"]
mod unread;
#[path = "../it/world.rs"]
mod world;
