//! The bus: hints, nothing that must survive.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use model::{
    Classified, Epoch, ErrorClass, PrincipalId, Sequence, Sequenced, SessionId, StoredEvent,
    StreamId, TaskId, TraceContext,
};

use crate::Source;

/// Where a message goes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Topic {
    /// Every edge and the sync role (`mcp.broadcast`).
    Broadcast,
    /// Whoever holds a stream of this session (`mcp.session.<id>`).
    Session(SessionId),
    /// All sessions: for subscribing only (`mcp.session.*`). An edge holds one such subscription instead
    /// of one per stream, so that connects and disconnects cost the bus nothing.
    AllSessions,
}

/// "The log has these": with the payload, so that the fast path needs no read.
#[derive(Clone, Debug, PartialEq)]
pub struct EventHint {
    /// The log that gave the sequences; a hint from another log is ignored.
    pub epoch: Epoch,
    /// The events of one append, ascending.
    pub events: Vec<Sequenced<StoredEvent>>,
}

/// What travels on the bus.
#[derive(Clone, Debug, PartialEq)]
pub enum BusMessage {
    /// Events were appended.
    Events(Arc<EventHint>),
    /// A session's subscriptions or state changed: load it again.
    SessionChanged(SessionId),
    /// A session ended: close its streams.
    SessionEnded(SessionId),
    /// A newer stream of this session was opened: the older one, which has another tag, closes.
    StreamTakenOver {
        /// The session.
        session: SessionId,
        /// Tag of the stream that stays.
        stays: u64,
    },
    /// A stream of the session's mailbox has more, or was closed: whoever waits for it reads on.
    MailboxChanged {
        /// The session.
        session: SessionId,
        /// The stream.
        stream: StreamId,
    },
    /// The client does not want the answer to a request of this session any more.
    RequestCancelled {
        /// The session.
        session: SessionId,
        /// The JSON-RPC id of the request, as JSON text.
        request: String,
    },
    /// What can be listed is not what it was (`mcp.broadcast`): clients that asked to be told are.
    ListsChanged(ChangedLists),
    /// Everything in the session's inbox up to here was handed to its stream's connection.
    MessagesDelivered {
        /// The session.
        session: SessionId,
        /// The last of them.
        through: Sequence,
    },
    /// A task changed (`mcp.broadcast`): who works on it or follows it looks.
    TaskChanged {
        /// Whose it is.
        owner: PrincipalId,
        /// Which.
        task: TaskId,
    },
}

/// Which lists changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangedLists {
    /// `tools/list`.
    pub tools: bool,
    /// `prompts/list`.
    pub prompts: bool,
    /// `resources/list` and `resources/templates/list`.
    pub resources: bool,
}

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq)]
pub enum BusEvent {
    /// A message, with the trace that it belongs to.
    Message(BusMessage, Option<TraceContext>),
    /// Messages may have been lost here (overflow, reconnect): look at the store.
    Gap,
}

/// The receiving end; dropping it ends the subscription. The stream ends only when the bus is closed.
pub struct Subscription(pub BoxStream<'static, BusEvent>);

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

/// What can go wrong with a bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The bus does not answer.
    #[error("bus cannot {op} now")]
    Unavailable {
        /// What we were doing.
        op: &'static str,
        /// What the driver said.
        #[source]
        source: Source,
    },
    /// The message is larger than the bus carries.
    #[error("message of {bytes} bytes is larger than the bus carries ({max_bytes})")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max_bytes: usize,
    },
    /// [`Topic::AllSessions`] is for subscribing.
    #[error("a message needs one topic to go to")]
    NoSuchTopic,
}

impl Classified for BusError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unavailable { .. } => ErrorClass::Transient,
            Self::TooLarge { .. } | Self::NoSuchTopic => ErrorClass::Permanent,
        }
    }
}

/// Says "there is something new" to whoever listens, at most once, without waiting for anybody.
///
/// # Contract
/// - **BU-01** a message published after `subscribe` returned reaches the subscriber, with its trace.
/// - **BU-02** messages of one publisher on one topic arrive in the order of publishing.
/// - **BU-03** a topic's subscriber gets nothing of another topic; [`Topic::AllSessions`] gets every
///   session's messages and no broadcast.
/// - **BU-04** every subscriber of a topic gets every message.
/// - **BU-05** a subscriber that does not read gets [`BusEvent::Gap`] in place of what it lost, and never
///   makes a publisher or another subscriber wait.
/// - **BU-06** dropping a subscription ends it; publishing to nobody is no error.
/// - **BU-07** (reconnecting) after the connection was lost and came back, subscribers get a
///   [`BusEvent::Gap`] and then messages again.
/// - **BU-08** a message that is not ours (bytes that do not decode) is dropped and counted, and the
///   subscription lives on.
/// - **BU-09** (shared) a message published through one handle reaches subscribers of another.
/// - **BU-10** publishing to [`Topic::AllSessions`] is refused.
#[async_trait]
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// Publishes; returns once the message is handed to the bus, not once it arrived.
    ///
    /// # Errors
    /// The bus is unavailable, or the message too large.
    async fn publish(
        &self,
        topic: &Topic,
        message: BusMessage,
        trace: Option<TraceContext>,
    ) -> Result<(), BusError>;

    /// Subscribes; what is published after this returned arrives.
    ///
    /// # Errors
    /// The bus is unavailable.
    async fn subscribe(&self, topic: &Topic) -> Result<Subscription, BusError>;

    /// Whether the bus answers now; readiness asks this.
    ///
    /// # Errors
    /// It does not.
    async fn check(&self) -> Result<(), BusError>;
}
