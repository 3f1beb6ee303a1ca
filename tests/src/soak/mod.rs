//! The soak: many streams for long, while clients come and go, some mean harm and edges die. What was
//! acknowledged and what arrived are compared for every stream, event by event, and memory and
//! descriptors have to stay where they are.
//!
//! | module | gives |
//! | --- | --- |
//! | `options` | what can be chosen on the command line |
//! | `world` | the repositories, the filters of streams, and the mark in each event |
//! | `books` | what was sent and acknowledged, written by the sender, read by all |
//! | `ledger` | what each stream got, against the books |
//! | `faults` | broken promises, counted, with examples |
//! | `wire` | HTTP and SSE off a socket, with as little work as possible |
//! | `client`, `pool` | all streams on one thread with epoll |
//! | `sessions` | makes MCP sessions for those streams that need one |
//! | `sender` | signed deliveries at a pace, each repository's in order |
//! | `hostile` | the clients that mean harm |
//! | `processes` | memory and descriptors, and whether they are flat |
//! | `run`, `report` | the whole, and what came of it |

mod books;
mod client;
mod faults;
mod hostile;
mod ledger;
mod options;
mod pool;
mod processes;
mod report;
mod run;
mod sender;
mod sessions;
mod wire;
mod world;

pub use options::Options;
pub use report::Report;
pub use run::run;
