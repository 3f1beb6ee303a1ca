//! What an MCP server offers, and how a call reaches it.
//!
//! | module | idea |
//! | --- | --- |
//! | [`caller`] | the client of one call: principal, revision, capabilities, ways to reach it |
//! | [`ask`] | questions to that client, however its revision takes them |
//! | [`output`] | messages that go out before the answer |
//! | [`call_error`] | why a call has no result |
//! | [`policy`], [`rates`] | what a call needs before it may run: a permission, room under a rate limit |
//! | [`tool`], [`prompt`], [`resource`], [`completion`], [`method`] | what can be offered, a trait each |
//! | [`toolset`] | a named set of offers, from this workspace or from outside |
//! | [`registry`] | all offers of a server, and the methods that both eras share |
//! | [`lists`] | the announcement that a list changed |
//!
//! An offer gets what it needs by its constructor; a [`Caller`] leads to no server. What is deliberately
//! absent: HTTP bodies, sessions' storage, tasks: a tool that becomes a task is handed back to the server.

pub mod ask;
pub mod call_error;
pub mod caller;
pub mod completion;
pub mod lists;
pub mod method;
mod metrics;
pub mod output;
pub mod policy;
pub mod prompt;
pub mod rates;
pub mod registry;
pub mod resource;
pub mod tool;
pub mod toolset;

pub use call_error::{CallError, CallFailure};
pub use caller::Caller;
pub use policy::{Policy, RateClass};
pub use rates::{RateLimits, Rates};
pub use registry::{Registry, RegistryError};
pub use toolset::Toolset;
