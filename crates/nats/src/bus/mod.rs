//! [`ports::Bus`] on core NATS: at-most-once delivery that never waits for a reader.
//!
//! Each subscription is one NATS subscription and one task, the pump, which decodes incoming
//! messages into a bounded queue. An edge has two of them, regardless of the number of its streams.
//!
//! With keys of the roles, every message carries a stamp over its subject, its trace and its body; the
//! pump drops what has none, because anybody who can publish on the server can write a message.

mod check;
mod queue;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{HeaderMap, HeaderValue, Message, PublishErrorKind, Subscriber};
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use model::{Epoch, TraceContext};
use ports::{BoxError, Bus, BusError, BusEvent, BusMessage, BusSubscription, Topic};
use role_keys::{RoleTrust, StampMemory, StampedChannel};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, timeout},
};
use tracing::warn;

use self::queue::SubscriberQueue;
use crate::{
    BusConfig, NatsConnection,
    config::REQUEST_TIMEOUT,
    denials::{DeniedUse, NatsDenial},
    stamps::STAMP_HEADER,
    trials::Trials,
};

/// Header with the W3C trace context of a message.
const TRACE_HEADER: &str = "traceparent";

/// The bus of a cluster. Clones share the connection and the counter.
#[derive(Clone)]
pub struct NatsBus {
    connection: NatsConnection,
    config: BusConfig,
    undecodable: Arc<AtomicU64>,
    /// Messages without content, by topic.
    published: Trials<Topic>,
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
            published: Trials::default(),
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
            Topic::Deliveries => self.connection.subject("mcp.deliveries"),
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
        let (subject, mut headers) = (self.subject(topic), HeaderMap::new());
        let trace = trace.map(|trace| trace.to_string());
        let parts = parts(&subject, trace.as_deref(), &payload);
        if let Some(stamp) = self.connection.trust().stamp(StampedChannel::Bus, &parts) {
            headers.insert(STAMP_HEADER, stamp);
        }
        if let Some(trace) = trace {
            headers.insert(TRACE_HEADER, trace);
        }
        let client = self.connection.client();
        let published = client.publish_with_headers(subject, headers, payload.into());
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
        let (subject, began) = (self.subject(topic), Instant::now());
        let resyncs = self.connection.resyncs();
        let messages = timeout(
            REQUEST_TIMEOUT,
            self.connection.client().subscribe(subject.clone()),
        )
        .await
        .map_err(|elapsed| unavailable(OP, elapsed))?
        .map_err(|error| unavailable(OP, error))?;
        // Only after a round trip is it certain that the server has registered the subscription
        // (BU-01).
        self.connection
            .round_trip()
            .await
            .map_err(|error| unavailable(OP, error))?;
        let denials = self.connection.denials();
        let is_this = |denial: &NatsDenial| denial.is_of(DeniedUse::Subscribe, &subject);
        if let Some(denial) = denials.since(began, is_this) {
            return Err(unavailable(OP, denial));
        }
        let queue = Arc::new(SubscriberQueue::new(&self.config));
        let pump = Pump {
            queue: Arc::clone(&queue),
            undecodable: Arc::clone(&self.undecodable),
            trust: self.connection.trust().clone(),
            memory: StampMemory::default(),
        };
        let pump = PumpHandle(tokio::spawn(pump.run(messages, resyncs)).abort_handle());
        let events = stream::unfold((queue, pump), |(queue, pump)| async move {
            let event = queue.pop().await?;
            Some((event, (queue, pump)))
        });
        Ok(BusSubscription(events.boxed()))
    }

    async fn check(&self) -> Result<(), BusError> {
        self.check_subscriptions().await
    }

    fn since_untimely(&self) -> Option<Duration> {
        self.connection.trust().since_stale(StampedChannel::Bus)
    }

    async fn check_publish(&self, topics: &[Topic], epoch: Epoch) -> Result<(), BusError> {
        self.try_to_publish(topics, epoch).await
    }
}

/// The parts of a message that its stamp covers.
fn parts<'a>(subject: &'a str, trace: Option<&'a str>, payload: &'a [u8]) -> [&'a [u8]; 3] {
    let trace = trace.unwrap_or_default();
    [subject.as_bytes(), trace.as_bytes(), payload]
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
    trust: RoleTrust,
    memory: StampMemory,
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
        let header = |name: &'static str| {
            let headers = message.headers.as_ref();
            headers
                .and_then(|headers| headers.get(name))
                .map(HeaderValue::as_str)
        };
        let trace = header(TRACE_HEADER);
        let parts = parts(&message.subject, trace, &message.payload);
        let stamp = header(STAMP_HEADER);
        let verified = self
            .trust
            .verify(StampedChannel::Bus, &parts, stamp, &self.memory);
        if verified.is_err() {
            // Counted and logged. A hint that is lost costs latency, and a reader finds the rest.
            return;
        }
        let trace = trace.and_then(TraceContext::parse);
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
