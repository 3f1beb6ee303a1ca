//! The bus: it carries hints, and nothing that must survive.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use model::{Classified, Epoch, ErrorClass, Sequenced, SessionId, StoredEvent, TraceContext};

use crate::{BoxError, EdgeNews, IngestNews, SyncNews};

/// The destination of a message.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Topic {
    /// Every edge and the sync role (`mcp.broadcast`).
    Broadcast,
    /// The edges that hold a stream of this session (`mcp.session.<id>`).
    Session(SessionId),
    /// Every ingest: deliveries that have arrived and are not stored yet (`mcp.deliveries`).
    Deliveries,
    /// All sessions: for subscribing only (`mcp.session.*`). An edge holds one such subscription instead
    /// of one per stream, so that connects and disconnects cost the bus nothing.
    AllSessions,
}

impl Topic {
    /// The topic of a session that no client has, for messages without content: whoever subscribes to it hears
    /// of the other processes, at intervals, without the traffic of the broadcast ([`Bus::check_publish`]).
    ///
    /// # Panics
    /// Never: the id is valid.
    #[must_use]
    pub fn trial() -> Self {
        Self::Session(SessionId::new("probe").expect("letters are a session id"))
    }
}

/// Announces events that the log has, with their payload, so that the fast path needs no read.
#[derive(Clone, Debug, PartialEq)]
pub struct EventHint {
    /// The log that assigned the sequences; a hint from another log is ignored.
    pub epoch: Epoch,
    /// The events of one append, ascending.
    pub events: Vec<Sequenced<StoredEvent>>,
}

/// A message on the bus: one variant per owner of messages.
///
/// To add messages of another owner (a component that publishes and reads its own messages): add a
/// variant here that holds one enum of the owner's messages; define the enum in a file of its own
/// beside `edge_news.rs`, with a proto file and a conversion of their own; and match the enum in one
/// place of the owner's crate, its switchboard. Readers of an older build drop and count the new
/// messages.
#[derive(Clone, Debug, PartialEq)]
pub enum BusMessage {
    /// Owner: the log. Events were appended.
    Events(Arc<EventHint>),
    /// Owner: the edge. Sessions, streams, calls, lists or tasks changed.
    Edge(EdgeNews),
    /// Owner: the ingest. Deliveries arrived, or are stored.
    Ingest(IngestNews),
    /// Owner: the sync role. The mirror changed without an event.
    Sync(SyncNews),
}

impl From<SyncNews> for BusMessage {
    fn from(news: SyncNews) -> Self {
        Self::Sync(news)
    }
}

impl From<IngestNews> for BusMessage {
    fn from(news: IngestNews) -> Self {
        Self::Ingest(news)
    }
}

impl From<EdgeNews> for BusMessage {
    fn from(news: EdgeNews) -> Self {
        Self::Edge(news)
    }
}

/// An item that a subscriber gets.
#[derive(Clone, Debug, PartialEq)]
pub enum BusEvent {
    /// A message, with the trace that it belongs to.
    Message(BusMessage, Option<TraceContext>),
    /// Messages may have been lost at this point (overflow, reconnect): read the store.
    Gap,
}

/// The receiving end of a subscription; dropping it ends the subscription. The stream ends only when the
/// bus is closed.
pub struct BusSubscription(pub BoxStream<'static, BusEvent>);

impl fmt::Debug for BusSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BusSubscription")
    }
}

/// Errors of a bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The bus does not answer.
    #[error("bus cannot {op} now")]
    Unavailable {
        /// The operation that failed.
        op: &'static str,
        /// The driver's error.
        #[source]
        source: BoxError,
    },
    /// The message is larger than the bus carries.
    #[error("message of {bytes} bytes is larger than the bus carries ({max_bytes})")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// Messages cannot be published to [`Topic::AllSessions`], which is for subscribing only.
    #[error("a message cannot be published to all sessions at once")]
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

/// Notifies all current subscribers that there is something new, at most once, without waiting for
/// any of them.
///
/// # Contract
/// - **BU-01** a message published after `subscribe` returned reaches the subscriber, with its trace.
/// - **BU-02** messages of one publisher on one topic arrive in the order in which they were published.
/// - **BU-03** a subscriber of one topic gets no messages of another topic; [`Topic::AllSessions`] gets
///   every session's messages and no broadcast.
/// - **BU-04** every subscriber of a topic gets every message.
/// - **BU-05** a subscriber that does not read gets [`BusEvent::Gap`] in place of the messages that it
///   lost, and never delays a publisher or another subscriber.
/// - **BU-06** dropping a subscription ends it; publishing without subscribers is not an error.
/// - **BU-07** (reconnecting) after the connection was lost and restored, subscribers get a
///   [`BusEvent::Gap`] and then messages again.
/// - **BU-08** a foreign message (bytes that cannot be decoded, or a message that only a newer build
///   knows) is dropped and counted, and the subscription continues.
/// - **BU-09** (shared) a message published through one handle reaches subscribers of another.
/// - **BU-10** publishing to [`Topic::AllSessions`] is refused.
/// - **BU-11** (authenticating) with keys of the roles, a subscriber gets what was published with one of
///   them, whichever it was; any other message is dropped and counted, and the subscription continues.
#[async_trait]
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// Publishes a message; returns once the bus has taken it, not once it has arrived.
    ///
    /// # Errors
    /// The bus is unavailable, the message is too large, or the topic is for subscribing only.
    async fn publish(
        &self,
        topic: &Topic,
        message: BusMessage,
        trace: Option<TraceContext>,
    ) -> Result<(), BusError>;

    /// Subscribes to a topic; messages that are published after this returned arrive.
    ///
    /// # Errors
    /// The bus is unavailable.
    async fn subscribe(&self, topic: &Topic) -> Result<BusSubscription, BusError>;

    /// Checks whether the bus answers now, and takes the subscriptions of this process; used for readiness.
    ///
    /// # Errors
    /// The bus does not answer, or refuses a subscription.
    async fn check(&self) -> Result<(), BusError>;

    /// The time since a message of another process was last left out because its clock, or this one's, is wrong: that
    /// process is there, and this one does not hear it. `None` if there was none, or if the bus does not judge times.
    fn since_untimely(&self) -> Option<Duration> {
        None
    }

    /// Checks whether the bus takes messages to these topics now, as far as that can be known; used for
    /// readiness. A bus that several processes share gets a hint without events of the log `epoch`, at
    /// intervals: its readers learn whether they share the keys of the roles with this process.
    ///
    /// # Errors
    /// The bus does not answer, or refuses messages.
    async fn check_publish(&self, topics: &[Topic], epoch: Epoch) -> Result<(), BusError> {
        let _ = (topics, epoch);
        Ok(())
    }
}
