//! The edge over real sockets: two edges over the same stores, as behind a balancer.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

mod hostile;
mod http;
mod listen;
mod machine;
mod principals;
mod rest;
mod sessions;
mod stateless;
mod streams;
mod tools;
mod world;
