//! MCP envelopes and state machines of every revision, without I/O.
