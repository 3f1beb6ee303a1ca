//! MCP envelopes and state machines of every revision, without I/O.
//!
//! One endpoint speaks five revisions in two eras. The handshake era (2024-11-05 … 2025-11-25)
//! opens a session with `initialize`; in the stateless era (2026-07-28) every request is
//! self-contained. This crate decides, parses and encodes; sockets, stores and clocks stay with the
//! caller.
//!
//! | module | job |
//! | --- | --- |
//! | [`capability`], [`profile`], [`refusal`], [`log`] | vocabulary of both eras: capabilities, the identity of the server, errors over HTTP, severities |
//! | [`dispatch`] | (method, headers, body) → a decision, or the refusal that the spec requires |
//! | [`envelope`] | JSON-RPC: ids, messages, batches, errors; bodies stay raw |
//! | [`version`] | revisions, negotiation, the features of each |
//! | [`method`] | the names of methods and notifications |
//! | [`answer`] | one result, in the shape of the request's revision |
//! | [`handshake`], [`stateless`] | messages that exist in one era only |
//! | [`tool`], [`resource`], [`prompt`], [`completion`], [`page`] | the features |
//! | [`client`] | requests from the server to the client: forms, URLs, sampling, roots |
//! | [`mrtr`] | the same requests within a result, and the sealed state of the stateless era |
//! | [`task`] | work that continues after the answer (extension) |
//! | [`extension`] | the extensions that the server declares |
//! | [`notification`], [`tagged`] | progress that only increases, the log filter, changes of lists; notifications that listen streams share |
//! | [`channel`] | Claude Code's channel: a capability and a notification |
//! | [`sse`], [`ndjson`], [`legacy`] | frames of a stream, lines, the transport of 2024-11-05 |
//! | [`connection`] | the named events of `/mcp/sse`, and the messages posted beside it |
//! | [`line`] | the headers that a message from a line needs over HTTP |
//! | [`headers`] | header values, `Accept`, the base64 sentinel |
//! | [`lenient`] | values as serializers and models write them: null for absent, "10" for 10 |
//!
//! Deliberately absent: `Origin` and `Host` checks, and authorization.

pub mod answer;
pub mod capability;
pub mod channel;
pub mod client;
pub mod completion;
pub mod connection;
pub mod dispatch;
pub mod envelope;
pub mod extension;
pub mod handshake;
pub mod headers;
pub mod legacy;
pub mod lenient;
pub mod limits;
pub mod line;
pub mod log;
pub mod method;
pub mod mrtr;
pub mod ndjson;
pub mod notification;
pub mod page;
pub mod params;
pub mod profile;
pub mod prompt;
pub mod refusal;
pub mod resource;
pub mod sse;
pub mod stateless;
pub mod tagged;
pub mod task;
pub mod tool;
pub mod version;

pub use dispatch::{Decision, Surface, classify};
pub use envelope::{ErrorCode, Incoming, RequestId, RpcError};
pub use refusal::HttpRefusal;
pub use version::{Era, ProtocolVersion};
