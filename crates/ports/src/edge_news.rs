//! The messages that edges send to each other over the bus.

use std::fmt;

use model::{
    Classified, ErrorClass, PrincipalId, Sequence, SessionId, StreamId, SubscriptionId, TaskId,
};

/// A change that other edges should act on. It may be lost, late or duplicated: the stores are the
/// truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdgeNews {
    /// A session's subscriptions or state changed: load it again.
    SessionChanged(SessionId),
    /// A session ended: close its streams.
    SessionEnded(SessionId),
    /// A newer stream of this session was opened: the older stream, which has another tag, closes.
    StreamReplaced {
        /// The session.
        session: SessionId,
        /// Tag of the stream that stays open.
        current_tag: u64,
    },
    /// A stream of the session's mailbox has more messages or was closed: its waiting readers continue
    /// to read.
    MailboxChanged {
        /// The session.
        session: SessionId,
        /// The stream.
        stream: StreamId,
    },
    /// The client cancelled a request of this session and no longer wants its answer.
    RequestCancelled {
        /// The session.
        session: SessionId,
        /// The JSON-RPC id of the request, as JSON text.
        request: String,
    },
    /// One or more lists changed (`mcp.broadcast`): clients that asked for it are notified.
    ListsChanged(ListChanges),
    /// A task changed (`mcp.broadcast`): edges that run or follow it load it again.
    TaskChanged {
        /// The owner of the task.
        owner: PrincipalId,
        /// The task.
        task: TaskId,
    },
    /// Every message in the session's inbox up to a position was handed to the connection of its stream.
    MessagesDelivered {
        /// The session.
        session: SessionId,
        /// The position of the last of them.
        through: Sequence,
    },
    /// Subscriptions of this owner were made, renewed or deleted (`mcp.broadcast`): edges with streams that
    /// follow some of them load them again.
    SubscriptionsChanged {
        /// Their owner.
        owner: PrincipalId,
        /// The one that changed; `None` from an edge that does not say which.
        subscription: Option<SubscriptionId>,
    },
    /// An edge is there (`mcp.broadcast`): those that wait for the answers of all edges know whom to expect.
    EdgePresent {
        /// The edge.
        edge: EdgeName,
        /// Whether it has just begun, and does not know the others: they answer with their own names.
        is_new: bool,
        /// Whether it is about to end: it answers nothing more.
        leaves: bool,
    },
    /// A question to every edge (`mcp.broadcast`), which answers with [`Self::EdgeAnswered`].
    EdgesAsked {
        /// The edge that asks.
        edge: EdgeName,
        /// The question's number, unique to that edge while it waits.
        question: u64,
        /// JSON, as edges agree upon it.
        body: String,
    },
    /// The answer of one edge to a question (`mcp.broadcast`).
    EdgeAnswered {
        /// The edge that answers.
        edge: EdgeName,
        /// The edge that asked.
        asker: EdgeName,
        /// The question's number.
        question: u64,
        /// JSON, as edges agree upon it.
        body: String,
    },
}

/// The name of an edge among edges: 1 to 128 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EdgeName(Box<str>);

/// A text that cannot be the name of an edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the name of an edge has 1 to {} visible ASCII characters",
    EdgeName::MAX_BYTES
)]
pub struct InvalidEdgeName;

impl Classified for InvalidEdgeName {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

impl EdgeName {
    /// Longest name in bytes: a host name of up to 64, and what makes it unique.
    pub const MAX_BYTES: usize = 128;

    /// Checks a name.
    ///
    /// # Errors
    /// The text is empty, too long, or has other characters.
    pub fn new(name: &str) -> Result<Self, InvalidEdgeName> {
        let fits = (1..=Self::MAX_BYTES).contains(&name.len());
        match fits && name.bytes().all(|b| b.is_ascii_graphic()) {
            true => Ok(Self(name.into())),
            false => Err(InvalidEdgeName),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EdgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lists that changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListChanges {
    /// `tools/list`.
    pub tools: bool,
    /// `prompts/list`.
    pub prompts: bool,
    /// `resources/list` and `resources/templates/list`.
    pub resources: bool,
}
