//! The messages that edges send to each other over the bus.

use model::{PrincipalId, Sequence, SessionId, StreamId, TaskId};

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
