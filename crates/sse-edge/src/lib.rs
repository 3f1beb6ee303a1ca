//! MCP over HTTP and SSE: sessions, fan-out, resume.
