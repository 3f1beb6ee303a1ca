//! A stdio MCP client at one end, a remote edge at the other (MCP, Transports, "stdio" and
//! "Streamable HTTP"; every revision).
//!
//! A client that can only start a program and speak in lines gets what one that speaks HTTP has:
//! sessions, streams that are resumed, answers that come after an edge died. It cannot do any of
//! that itself, so the bridge does, and says on stderr what it did.
//!
//! | module | job |
//! | --- | --- |
//! | `run` | from stdin to requests; what runs, how it is cancelled, how it ends |
//! | `bridge`, `call`, `memory` | what all lines share; a line that wants an answer; what a session is made from again |
//! | `exchange` | one line and its answer, also over a stream that breaks |
//! | `session` | handshake era: the session, its stream, and a new one when it is lost |
//! | `listen` | stateless era: a subscription that outlives its stream |
//! | `tools` | stateless era: what a tool wants mirrored, looked up when it is missed |
//! | `http`, `events`, `output` | the two ends |

mod backoff;
mod bridge;
mod call;
mod error;
mod events;
mod exchange;
mod http;
mod limits;
mod listen;
mod memory;
mod options;
mod output;
mod run;
mod session;
mod tools;

pub use error::BridgeError;
pub use options::Options;
pub use run::run;
