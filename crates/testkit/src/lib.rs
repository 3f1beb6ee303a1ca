//! Fake GitHub, real servers on free ports, a cluster of processes, an SSE client: the building
//! blocks of the whole-system scenarios, the benchmark, `make cluster` and `forgewire demo`.
//!
//! | module | content |
//! | --- | --- |
//! | [`fake_github`] | signed deliveries that tell a plausible story, and a sender over real HTTP; its APIs are the crate `fake-github` |
//! | [`sse`] | a parser of event streams and a client that resumes |
//! | [`wire`] | a reader of HTTP answers from a socket, for thousands of streams on one thread |
//! | [`raw_http`] | a connection that sends any bytes and reads whole answers |
//! | [`mcp_client`] | a small MCP client of both eras that can switch edges with every call |
//! | [`ledger`] | acknowledged = delivered, once, in order per resource; otherwise a readable reason |
//! | `otlp` | a collector of OpenTelemetry, and broken ones (feature `otlp`) |
//! | `process` | a child process: logs in files, ready line, SIGTERM, `kill -9`, restart |
//! | `cluster` | the processes of `deploy/cluster.toml`, and `System` for the scenarios |
//! | `servers` | single NATS and Redis servers for contract suites |
//!
//! The last three need the feature `cluster` (on by default). The product depends on this crate
//! only for its `demo` feature, and then without `cluster`.

pub mod fake_github;
#[cfg(feature = "cluster")]
mod folder;
mod http;
pub mod ledger;
pub mod mcp_client;
#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(feature = "cluster")]
mod proc_state;
pub mod raw_http;
pub mod sse;
pub mod wire;

#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(feature = "cluster")]
pub mod process;
#[cfg(feature = "cluster")]
pub mod servers;
