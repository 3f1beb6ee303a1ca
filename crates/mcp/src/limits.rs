//! Every bound of this crate, with its unit and its effect.

/// Largest HTTP body, in bytes; a larger one is refused with 413. 4 MiB is the default of the
/// official SDKs.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Deepest nesting of arrays and objects in a body; deeper is refused with -32600 before anything
/// is built from it.
pub const MAX_DEPTH: usize = 64;

/// Maximum number of messages in one batch (2025-03-26 only); more are refused with -32600.
pub const MAX_BATCH: usize = 64;

/// Longest string id of a request or progress token, in bytes; longer is refused with -32600.
pub const MAX_REQUEST_ID_BYTES: usize = 256;

/// Longest method name, in bytes; longer is refused with -32600.
pub const MAX_METHOD_BYTES: usize = 128;

/// Longest `Last-Event-ID` that this server can have issued, in bytes; a longer one cannot be
/// resumed from.
pub const MAX_EVENT_ID_BYTES: usize = 512;

/// Largest `clientInfo` or `capabilities` that a session keeps, in bytes each, because it is stored for
/// the lifetime of the session. Of a larger one the parts that are not needed are left out; capabilities
/// that do not fit even then are refused with -32602.
pub const MAX_CLIENT_INFO_BYTES: usize = 16 * 1024;

/// Longest text that is kept of a `clientInfo` that does not fit, in bytes; the rest is cut.
pub const MAX_CLIENT_TEXT_BYTES: usize = 1024;

/// Maximum number of `resourceSubscriptions` of one listen stream; more are refused with -32602.
pub const MAX_LISTEN_URIS: usize = 256;

/// Maximum number of `taskIds` of one listen stream; more are refused with -32602.
pub const MAX_LISTEN_TASKS: usize = 256;

/// Longest task id, in bytes; a longer one names no task of this server.
pub const MAX_TASK_ID_BYTES: usize = model::TaskId::MAX_BYTES;

/// Maximum number of questions that one task may ask its client over its lifetime; further
/// questions fail, because the keys of all questions have to be remembered.
pub const MAX_TASK_INPUTS: usize = 256;

/// Maximum number of `inputResponses` of one request; more are refused with -32602.
pub const MAX_INPUT_RESPONSES: usize = 64;

/// Largest state that is sealed into a `requestState`, in bytes; more is a server error, because
/// every client would carry it back and forth.
pub const MAX_STATE_BYTES: usize = 16 * 1024;

/// Longest `requestState` that is decoded, in bytes: the base64 of a sealed state of 16 KiB fits.
/// This server issues none longer.
pub const MAX_REQUEST_STATE_BYTES: usize = 24 * 1024;

/// Maximum number of values in one completion (MCP, Utilities, "Completion"); the rest is cut and
/// `hasMore` is set.
pub const MAX_COMPLETION_VALUES: usize = 100;

/// Longest text to complete, in bytes; longer is refused with -32602.
pub const MAX_ARGUMENT_BYTES: usize = 64 * 1024;

/// Largest arguments of one call of a tool or prompt, in bytes; those of a tool without white space between
/// their parts. A call keeps them until it ends, which is a day for a task, so they are bounded more tightly
/// than the body; more is refused with a message that names the field.
pub const MAX_CALL_ARGUMENT_BYTES: usize = 64 * 1024;

/// Largest `inputResponses` of one call, in bytes. A call keeps them until it ends; more is refused with
/// -32602.
pub const MAX_INPUT_RESPONSE_BYTES: usize = 128 * 1024;

/// Largest params of a call that may ask its client, in bytes without `_meta`, answers and state: the call
/// keeps them, because the state is bound to them. The largest arguments fit; more is refused with -32602.
pub const MAX_SALIENT_BYTES: usize = MAX_CALL_ARGUMENT_BYTES + 16 * 1024;

/// Maximum number of arguments of one `prompts/get` or completion context; more are refused with
/// -32602.
pub const MAX_PROMPT_ARGUMENTS: usize = 64;

/// Maximum number of roots that are accepted from a client; more are a malformed answer.
pub const MAX_ROOTS: usize = 256;

/// Longest reason in a `notifications/cancelled` from the server, in bytes; the rest is cut.
pub const MAX_REASON_BYTES: usize = 400;

/// Longest line of NDJSON, in bytes; a longer one is skipped up to its end and answered with
/// -32600.
pub const MAX_LINE_BYTES: usize = MAX_BODY_BYTES;

/// Longest resource URI that is looked up, in bytes; a longer one names no resource of this server.
pub const MAX_URI_BYTES: usize = 2048;

/// Longest page cursor that is decoded, in bytes: the base64 of a URI of 2048 bytes fits. Longer is
/// refused with -32602.
pub const MAX_PAGE_CURSOR_BYTES: usize = 4096;

/// Longest message about invalid input, in bytes; the rest is cut, because the message quotes the
/// client's own text.
pub const MAX_INPUT_ERROR_BYTES: usize = 400;

/// Longest line and longest event that the SSE parser buffers, in bytes; more is an error.
pub const MAX_SSE_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// Maximum number of tools with mirrored arguments that a sender of lines over HTTP remembers;
/// calls of other tools carry no `Mcp-Param-*`, and a server that requires these headers refuses
/// the call.
pub const MAX_KNOWN_TOOLS: usize = 1024;
