//! The edge over real sockets: two edges over the same stores, as behind a balancer.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

/// Streams leave hyper with their socket, as they do by default. `tests/it_hyper` covers the other
/// case.
const TAKES_OVER_SOCKETS: bool = true;

mod ages;
mod asking;
mod batches;
mod bodies;
mod budgets;
mod calls;
mod chosen_tools;
mod clocks;
mod compression;
mod connections;
mod documented;
mod filters;
mod health;
mod holes;
mod hostile;
mod http;
mod http_sse;
mod inputs;
mod listen;
mod long_waits;
mod loops;
mod machine;
mod mailboxes;
mod messages;
mod ndjson;
mod older_cursors;
mod orders;
mod pages;
mod principals;
mod prompts;
mod queries;
mod rates;
mod raw;
mod refusals;
mod renames;
mod requests;
mod rest;
mod rounds;
mod session_bounds;
mod sessions;
mod set_back;
mod slow;
mod sse_surface;
mod stateless;
mod streams;
mod subscriptions;
mod tasks;
mod tools;
mod turns;
mod unkept;
mod unread;
mod waits;
mod world;
