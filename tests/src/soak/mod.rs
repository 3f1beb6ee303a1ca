//! The soak: a long run with many streams, while clients join, leave and misbehave and edges die.
//! The acknowledged events are compared with the events received on every stream, one by one, and
//! memory and descriptors must stay flat.
//!
//! | module | content |
//! | --- | --- |
//! | `options` | the options of the command line |
//! | `world` | the repositories, the filters of streams, and the mark in each event |
//! | `books` | the events sent and acknowledged, written by the sender, read by all |
//! | `ledger` | compares the events of each stream with the books |
//! | `faults` | broken promises, counted, with examples |
//! | `wire` | reads HTTP and SSE from a socket, with as little work as possible |
//! | `client`, `pool` | all streams on one thread with epoll |
//! | `sessions` | creates MCP sessions for the streams that need one |
//! | `sender` | signed deliveries at a pace, each repository's in order |
//! | `hostile` | the clients that misbehave |
//! | `processes` | memory and descriptors, and whether they are flat |
//! | `run`, `report` | the whole run, and its results |

pub(crate) mod books;
pub(crate) mod client;
pub(crate) mod faults;
mod hostile;
pub(crate) mod ledger;
mod options;
mod pool;
pub(crate) mod processes;
mod report;
mod run;
pub(crate) mod sender;
mod sessions;
pub(crate) mod wire;
pub(crate) mod world;

pub use options::SoakOptions;
pub use report::SoakReport;
pub use run::run;
