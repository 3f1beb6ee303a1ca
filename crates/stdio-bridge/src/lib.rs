//! Connects a stdio MCP client to a remote edge (MCP, Transports, "stdio" and "Streamable HTTP";
//! every revision).
//!
//! A client that can only start a program and exchange lines gets the features of one that speaks
//! HTTP: sessions, resumed streams, responses that arrive although an edge died. The client cannot
//! do any of that itself, so the bridge does it, and reports on stderr what it did.
//!
//! | module | job |
//! | --- | --- |
//! | `run` | from stdin to requests: starting, cancelling and finishing them |
//! | `ending` | the times of the steps of the end |
//! | `bridge`, `call`, `replay` | state shared by all lines; a line that requires a response; the requests that restore a session |
//! | `exchange` | one line and its response, even over a stream that breaks |
//! | `session`, `session_stream` | handshake era: the session, a new one when it is lost, and its stream |
//! | `listen` | stateless era: a subscription that outlives its stream |
//! | `tools` | stateless era: the arguments that a tool requires as headers, looked up on demand |
//! | `http`, `events`, `output` | the two ends |

mod bridge;
mod call;
mod ending;
mod error;
mod events;
mod exchange;
mod http;
mod limits;
mod listen;
mod options;
mod output;
mod replay;
mod run;
mod session;
mod session_stream;
mod tools;

pub use error::BridgeError;
pub use options::BridgeOptions;
pub use run::run;
