//! All spans of the product.

/// The kind of a span, in OpenTelemetry's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanRole {
    /// Answers a request from another process.
    Server,
    /// Waits for another process.
    Client,
    /// Hands a message to the bus.
    Producer,
    /// Takes a message from the bus or the log.
    Consumer,
    /// Work inside this process.
    Internal,
}

impl SpanRole {
    /// As `tracing-opentelemetry` reads it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Internal => "internal",
        }
    }
}

/// A span of the product. Its attributes are part of its meaning in [`SpanName::about`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpanName {
    /// A request to an HTTP listener.
    HttpRequest,
    /// A delivery, from its body to its answer and the hint.
    Delivery,
    /// The events of a delivery become durable.
    Append,
    /// New events are announced on the bus.
    Hint,
    /// An edge, or the sync role, received an event.
    Follow,
    /// An event was written to a stream.
    SseWrite,
    /// A call of an MCP client.
    Call,
    /// A call of a tool that became a task runs on after its answer.
    Task,
    /// A call to the sync role, at its caller.
    SyncCall,
    /// The same call, in the sync role.
    SyncRequest,
    /// A call to a store.
    StoreCall,
    /// A request to GitHub.
    GithubCall,
}

impl SpanName {
    /// All of them, in the order in which an event or a call meets them.
    pub const ALL: [Self; 12] = [
        Self::HttpRequest,
        Self::Delivery,
        Self::Append,
        Self::Hint,
        Self::Follow,
        Self::SseWrite,
        Self::Call,
        Self::Task,
        Self::SyncCall,
        Self::SyncRequest,
        Self::StoreCall,
        Self::GithubCall,
    ];

    /// The name of the span, unless it is made of its attributes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpRequest => "HTTP",
            Self::Delivery => "delivery",
            Self::Append => "append",
            Self::Hint => "hint",
            Self::Follow => "follow",
            Self::SseWrite => "sse write",
            Self::Call => "call",
            Self::Task => "task",
            Self::SyncCall | Self::SyncRequest => "forgewire.v1.Sync",
            Self::StoreCall => "store",
            Self::GithubCall => "github",
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn role(self) -> SpanRole {
        match self {
            Self::HttpRequest | Self::Call | Self::SyncRequest => SpanRole::Server,
            Self::SyncCall | Self::StoreCall | Self::GithubCall => SpanRole::Client,
            Self::Hint => SpanRole::Producer,
            Self::Follow => SpanRole::Consumer,
            Self::Delivery | Self::Append | Self::SseWrite | Self::Task => SpanRole::Internal,
        }
    }

    /// The name as documents write it: with placeholders where it is made of attributes.
    #[must_use]
    pub const fn pattern(self) -> &'static str {
        match self {
            Self::HttpRequest => "{http.request.method} {http.route}",
            Self::Call => "{mcp.method.name} {gen_ai.tool.name}",
            Self::SyncCall | Self::SyncRequest => "forgewire.v1.Sync/{rpc.method}",
            Self::StoreCall => "{forgewire.store.port}.{forgewire.store.operation}",
            other => other.as_str(),
        }
    }

    /// Its meaning and its attributes, for documents.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::HttpRequest => {
                "A request to a listener of the edge or ingest, until the head of its response: a long stream is \
                 not one span. Attributes: `http.request.method`, `http.route`, `http.response.status_code`, \
                 `error.type`, and those of `delivery` if the delivery is refused before its body is there"
            }
            Self::Delivery => {
                "A webhook delivery, from its body to its answer and the hint. Attributes: `forgewire.delivery.id`, \
                 `forgewire.outcome`"
            }
            Self::Append => {
                "The events of a delivery become durable in the log. Attributes: `forgewire.events`, `error.type`"
            }
            Self::Hint => {
                "The bus is told of new events. Its context travels in the message's `traceparent`. Attributes: \
                 `messaging.destination.name`, `forgewire.events`, `error.type`"
            }
            Self::Follow => {
                "A process received an event in its order, by a hint or from the log, and passed it on. Attributes: \
                 `forgewire.sequence`, `forgewire.event.id`"
            }
            Self::SseWrite => {
                "An event was handed to a stream's socket: from the moment at which the stream's turn came. A link \
                 names the request that opened the stream, if that is recorded. The first 8 streams of each event \
                 have one. Attributes: `forgewire.stream.kind`, `forgewire.sequence`"
            }
            Self::Call => {
                "A request of an MCP client, of either era. A link names the HTTP request if the client gave the \
                 call another trace in `_meta`. Attributes: `mcp.method.name`, `gen_ai.tool.name`, \
                 `mcp.protocol.version`, `error.type`"
            }
            Self::Task => {
                "A call of a tool that became a task, which runs on after the answer to the call. Attributes: \
                 `gen_ai.tool.name`"
            }
            Self::SyncCall => {
                "A call over gRPC to the sync role, with its repetitions. Attributes: `rpc.system.name`, \
                 `rpc.method`, `error.type`"
            }
            Self::SyncRequest => {
                "The same call in the sync role. Attributes: `rpc.system.name`, `rpc.method`, `error.type`"
            }
            Self::StoreCall => {
                "A call to a store inside a recorded span. Attributes: `forgewire.store.port`, \
                 `forgewire.store.operation`, `db.system.name`, `error.type`"
            }
            Self::GithubCall => {
                "A request to GitHub with its whole answer, without waiting for the shared budget. Attributes: \
                 `http.request.method`, `http.response.status_code`, `error.type`"
            }
        }
    }
}
