//! Names of requests and notifications, as all revisions spell them.
//!
//! Constants, not an enum: a handler matches on the methods that it serves, and everything else is
//! unknown.

/// Opens a session (handshake era).
pub const INITIALIZE: &str = "initialize";
/// Checks that the other side is alive (handshake era).
pub const PING: &str = "ping";
/// Describes the server and its capabilities (stateless era).
pub const DISCOVER: &str = "server/discover";
/// Opens a stream of notifications (stateless era).
pub const LISTEN: &str = "subscriptions/listen";
/// Lists tools.
pub const TOOLS_LIST: &str = "tools/list";
/// Calls a tool.
pub const TOOLS_CALL: &str = "tools/call";
/// Lists resources.
pub const RESOURCES_LIST: &str = "resources/list";
/// Lists resource templates.
pub const RESOURCES_TEMPLATES_LIST: &str = "resources/templates/list";
/// Reads a resource.
pub const RESOURCES_READ: &str = "resources/read";
/// Subscribes the session to a resource (handshake era).
pub const RESOURCES_SUBSCRIBE: &str = "resources/subscribe";
/// Ends such a subscription (handshake era).
pub const RESOURCES_UNSUBSCRIBE: &str = "resources/unsubscribe";
/// Lists prompts.
pub const PROMPTS_LIST: &str = "prompts/list";
/// Gets a prompt.
pub const PROMPTS_GET: &str = "prompts/get";
/// Completes an argument.
pub const COMPLETION: &str = "completion/complete";
/// Sets the session's log level (handshake era).
pub const SET_LEVEL: &str = "logging/setLevel";
/// Reads the state of a task (tasks extension).
pub const TASKS_GET: &str = "tasks/get";
/// Gives input to a task (tasks extension).
pub const TASKS_UPDATE: &str = "tasks/update";
/// Cancels a task (tasks extension).
pub const TASKS_CANCEL: &str = "tasks/cancel";

/// Asks the user (handshake era: a request from the server; stateless era: within a result).
pub const ELICIT: &str = "elicitation/create";
/// Asks the client's model (as above).
pub const SAMPLE: &str = "sampling/createMessage";
/// Asks for the client's roots (as above).
pub const ROOTS_LIST: &str = "roots/list";

/// The methods of the capability `tools`, in the stateless era.
pub const TOOLS: [&str; 2] = [TOOLS_LIST, TOOLS_CALL];
/// The methods of the capability `resources`, in the stateless era.
pub const RESOURCES: [&str; 3] = [RESOURCES_LIST, RESOURCES_TEMPLATES_LIST, RESOURCES_READ];
/// The methods of the capability `prompts`.
pub const PROMPTS: [&str; 2] = [PROMPTS_LIST, PROMPTS_GET];
/// The methods of the tasks extension.
pub const TASKS: [&str; 3] = [TASKS_GET, TASKS_UPDATE, TASKS_CANCEL];

/// The client is ready (handshake era).
pub const INITIALIZED: &str = "notifications/initialized";
/// Cancels a request (handshake era; in the stateless era the client closes the stream instead).
pub const CANCELLED: &str = "notifications/cancelled";
/// Progress of a request.
pub const PROGRESS: &str = "notifications/progress";
/// A log message.
pub const MESSAGE: &str = "notifications/message";
/// The list of tools has changed.
pub const TOOLS_LIST_CHANGED: &str = "notifications/tools/list_changed";
/// The list of prompts has changed.
pub const PROMPTS_LIST_CHANGED: &str = "notifications/prompts/list_changed";
/// The list of resources has changed.
pub const RESOURCES_LIST_CHANGED: &str = "notifications/resources/list_changed";
/// A resource has changed.
pub const RESOURCES_UPDATED: &str = "notifications/resources/updated";
/// First message on a listen stream (stateless era).
pub const LISTEN_ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
/// A task has changed (tasks extension, listen streams).
pub const TASKS_CHANGED: &str = "notifications/tasks";
/// The user has finished on the page of a URL elicitation (2025-11-25).
pub const ELICITATION_COMPLETE: &str = "notifications/elicitation/complete";
/// The client's roots have changed (handshake era, from the client).
pub const ROOTS_LIST_CHANGED: &str = "notifications/roots/list_changed";
