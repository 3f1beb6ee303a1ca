//! The edge over real sockets: two edges over the same stores, as behind a balancer.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

mod ages;
mod asking;
mod calls;
mod hostile;
mod http;
mod http_sse;
mod listen;
mod machine;
mod messages;
mod ndjson;
mod principals;
mod prompts;
mod rates;
mod rest;
#[cfg(feature = "conformance")]
mod rounds;
mod session_bounds;
mod sessions;
mod stateless;
mod streams;
mod tasks;
mod tools;
mod world;
