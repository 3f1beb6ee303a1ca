//! The tools, prompts, resources and methods of an MCP server, and the way from a call to them.
//!
//! | module | idea |
//! | --- | --- |
//! | [`caller`] | the client of one call: principal, revision, capabilities, ways to reach it |
//! | [`ask`] | questions to that client, in the form of its revision |
//! | [`output`] | messages sent before the answer |
//! | [`item_queue`] | their queue, which is small while it is empty |
//! | [`repeatable`] | a call that can be made again, here or on another edge |
//! | [`waiting`] | a call that waits, and is made again when its wait is over |
//! | [`call_metrics`] | spans and latencies of calls |
//! | [`call_error`] | the reason for which a call has no result |
//! | [`arguments`] | the arguments of a tool that several types read |
//! | [`answer_size`] | how large an answer may be |
//! | [`policy`], [`rates`] | the requirements of a call: a permission, and room under a rate limit |
//! | [`cpu_turns`] | the order in which the work of all clients runs |
//! | [`tool`], [`prompt`], [`resource`], [`completion`], [`method`] | one trait for each kind of offer |
//! | [`toolset`] | a named set of offers, from this workspace or from outside |
//! | [`registry`] | all offers of a server, and the methods that both eras share |
//! | [`offered_tools`] | the tools that a request asks for |
//! | [`lists`] | the announcement that a list changed |
//!
//! An offer gets its dependencies from its constructor; a [`Caller`] holds no server. What is
//! deliberately absent: HTTP bodies, the storage of sessions, and tasks: a tool that becomes a task
//! is handed back to the server.

pub mod answer_size;
pub mod arguments;
pub mod ask;
pub mod call_error;
pub mod call_metrics;
pub mod caller;
pub mod completion;
pub mod cpu_turns;
pub mod item_queue;
pub mod lists;
pub mod method;
mod metrics;
pub mod offered_tools;
pub mod output;
pub mod policy;
pub mod prompt;
pub mod rates;
pub mod registry;
pub mod repeatable;
pub mod resource;
pub mod tool;
pub mod toolset;
pub mod waiting;

pub use call_error::CallError;
pub use caller::Caller;
pub use policy::{Policy, RateClass};
pub use rates::{RateLimited, RateLimiter, RateLimits};
pub use registry::{OfferRegistry, RegistryError};
pub use toolset::Toolset;
