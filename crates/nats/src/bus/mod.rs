//! [`ports::Bus`] on core NATS: at-most-once delivery that never waits for a reader.
//!
//! Each subscription is one NATS subscription and one task, the pump, which decodes incoming
//! messages into a bounded queue. An edge has two of them, regardless of the number of its streams.

mod queue;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_nats::{HeaderMap, Message, PublishErrorKind, Subscriber};
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use model::TraceContext;
use ports::{BoxError, Bus, BusError, BusEvent, BusMessage, BusSubscription, Topic};
use tokio::{sync::watch, task::AbortHandle, time::timeout};
use tracing::warn;

use self::queue::SubscriberQueue;
use crate::{BusConfig, NatsConnection, config::REQUEST_TIMEOUT};

/// Header with the W3C trace context of a message.
const TRACE_HEADER: &str = "traceparent";

/// The bus of a cluster. Clones share the connection and the counter.
#[derive(Clone)]
pub struct NatsBus {
    connection: NatsConnection,
    config: BusConfig,
    undecodable: Arc<AtomicU64>,
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBus")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

impl NatsBus {
    /// Creates a bus on a connection.
    #[must_use]
    pub fn new(connection: NatsConnection, config: BusConfig) -> Self {
        Self {
            connection,
            config,
            undecodable: Arc::default(),
        }
    }

    /// Number of messages that did not decode and were dropped, over all subscriptions of this bus.
    #[must_use]
    pub fn undecodable_messages(&self) -> u64 {
        self.undecodable.load(Ordering::Relaxed)
    }

    /// The NATS subject of a topic, including the prefix: for operators who want to watch it.
    #[must_use]
    pub fn subject(&self, topic: &Topic) -> String {
        match topic {
            Topic::Broadcast => self.connection.subject("mcp.broadcast"),
            // A session id contains no character with a special meaning in a subject.
            Topic::Session(id) => self.connection.subject(&format!("mcp.session.{id}")),
            Topic::AllSessions => self.connection.subject("mcp.session.*"),
        }
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(
        &self,
        topic: &Topic,
        message: BusMessage,
        trace: Option<TraceContext>,
    ) -> Result<(), BusError> {
        const OP: &str = "publish";
        if matches!(topic, Topic::AllSessions) {
            return Err(BusError::NoSuchTopic);
        }
        // The driver would buffer the message and return Ok, and the hint would be stale when it is
        // sent.
        if !self.connection.is_connected() {
            return Err(unavailable(OP, "not connected"));
        }
        let payload = proto::encode_bus_message(&message);
        let bytes = payload.len();
        let mut headers = HeaderMap::new();
        if let Some(trace) = trace {
            headers.insert(TRACE_HEADER, trace.to_string());
        }
        let client = self.connection.client();
        let published = client.publish_with_headers(self.subject(topic), headers, payload.into());
        match timeout(REQUEST_TIMEOUT, published).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Err(BusError::TooLarge {
                    bytes,
                    max_bytes: client.max_payload(),
                })
            }
            Ok(Err(error)) => Err(unavailable(OP, error)),
            Err(elapsed) => Err(unavailable(OP, elapsed)),
        }
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BusSubscription, BusError> {
        const OP: &str = "subscribe";
        let subject = self.subject(topic);
        let resyncs = self.connection.resyncs();
        let messages = timeout(REQUEST_TIMEOUT, self.connection.client().subscribe(subject))
            .await
            .map_err(|elapsed| unavailable(OP, elapsed))?
            .map_err(|error| unavailable(OP, error))?;
        // Only after a round trip is it certain that the server has registered the subscription
        // (BU-01).
        self.connection
            .round_trip()
            .await
            .map_err(|error| unavailable(OP, error))?;
        let queue = Arc::new(SubscriberQueue::new(&self.config));
        let pump = Pump {
            queue: Arc::clone(&queue),
            undecodable: Arc::clone(&self.undecodable),
        };
        let pump = PumpHandle(tokio::spawn(pump.run(messages, resyncs)).abort_handle());
        let events = stream::unfold((queue, pump), |(queue, pump)| async move {
            let event = queue.pop().await?;
            Some((event, (queue, pump)))
        });
        Ok(BusSubscription(events.boxed()))
    }

    async fn check(&self) -> Result<(), BusError> {
        self.connection
            .round_trip()
            .await
            .map_err(|error| unavailable("answer", error))
    }
}

fn unavailable(op: &'static str, source: impl Into<BoxError>) -> BusError {
    BusError::Unavailable {
        op,
        source: source.into(),
    }
}

/// Stops the pump, and with it the NATS subscription, when the subscription that it fills is
/// dropped.
struct PumpHandle(AbortHandle);

impl Drop for PumpHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Pump {
    queue: Arc<SubscriberQueue>,
    undecodable: Arc<AtomicU64>,
}

impl Pump {
    async fn run(self, mut messages: Subscriber, mut resyncs: watch::Receiver<u64>) {
        loop {
            tokio::select! {
                resynced = resyncs.changed() => match resynced {
                    Ok(()) => self.queue.push_gap(),
                    // The connection has been closed.
                    Err(_) => break,
                },
                message = messages.next() => match message {
                    Some(message) => self.handle_message(message),
                    None => break,
                },
            }
        }
        self.queue.close();
    }

    fn handle_message(&self, message: Message) {
        let trace = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get(TRACE_HEADER));
        let trace = trace.and_then(|header| TraceContext::parse(header.as_str()));
        let bytes = message.payload.len();
        match proto::decode_bus_message(message.payload) {
            Ok(decoded) => self.queue.push(BusEvent::Message(decoded, trace), bytes),
            Err(error) => self.count_undecodable(bytes, &error),
        }
    }

    fn count_undecodable(&self, bytes: usize, error: &proto::DecodeError) {
        let count = self.undecodable.fetch_add(1, Ordering::Relaxed) + 1;
        // The 1st, 2nd, 4th, 8th …: a client that floods the bus does not flood the log.
        if count.is_power_of_two() {
            warn!(count, bytes, %error, "dropped a message from the bus that cannot be decoded");
        }
    }
}
