//! Names of requests and notifications, as every revision spells them.
//!
//! Constants, not an enum: a handler matches on the ones that it serves, everything else is
//! unknown.

/// Opens a session (handshake era).
pub const INITIALIZE: &str = "initialize";
/// Are you there? (handshake era)
pub const PING: &str = "ping";
/// What the server is and can do (stateless era).
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
/// State of a task (tasks extension).
pub const TASKS_GET: &str = "tasks/get";
/// Input for a task (tasks extension).
pub const TASKS_UPDATE: &str = "tasks/update";
/// Ends a task (tasks extension).
pub const TASKS_CANCEL: &str = "tasks/cancel";

/// Asks the user (handshake era a request of the server's; stateless era within a result).
pub const ELICIT: &str = "elicitation/create";
/// Asks the client's model (as above).
pub const SAMPLE: &str = "sampling/createMessage";
/// Asks for the client's roots (as above).
pub const ROOTS_LIST: &str = "roots/list";

/// What the capability `tools` stands for, in the stateless era.
pub const TOOLS: [&str; 2] = [TOOLS_LIST, TOOLS_CALL];
/// What the capability `resources` stands for, in the stateless era.
pub const RESOURCES: [&str; 3] = [RESOURCES_LIST, RESOURCES_TEMPLATES_LIST, RESOURCES_READ];
/// What the capability `prompts` stands for.
pub const PROMPTS: [&str; 2] = [PROMPTS_LIST, PROMPTS_GET];
/// What the tasks extension stands for.
pub const TASKS: [&str; 3] = [TASKS_GET, TASKS_UPDATE, TASKS_CANCEL];

/// The client is ready (handshake era).
pub const INITIALIZED: &str = "notifications/initialized";
/// A request is not wanted any more (handshake era; the stateless era closes the stream instead).
pub const CANCELLED: &str = "notifications/cancelled";
/// How far a request is.
pub const PROGRESS: &str = "notifications/progress";
/// A log message.
pub const MESSAGE: &str = "notifications/message";
/// The list of tools is another one now.
pub const TOOLS_LIST_CHANGED: &str = "notifications/tools/list_changed";
/// The list of prompts is another one now.
pub const PROMPTS_LIST_CHANGED: &str = "notifications/prompts/list_changed";
/// The list of resources is another one now.
pub const RESOURCES_LIST_CHANGED: &str = "notifications/resources/list_changed";
/// A resource has changed.
pub const RESOURCES_UPDATED: &str = "notifications/resources/updated";
/// First message on a listen stream (stateless era).
pub const LISTEN_ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
/// A task has changed (tasks extension, listen streams).
pub const TASKS_CHANGED: &str = "notifications/tasks";
/// The user is done with the page of a URL elicitation (2025-11-25).
pub const ELICITATION_COMPLETE: &str = "notifications/elicitation/complete";
/// The client's roots are others now (handshake era, from the client).
pub const ROOTS_LIST_CHANGED: &str = "notifications/roots/list_changed";
