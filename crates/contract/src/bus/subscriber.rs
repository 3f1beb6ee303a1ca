//! A subscriber for the cases, and messages that can be told apart.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use model::{SessionId, TraceContext};
use ports::{Bus, BusEvent, BusMessage, BusSubscription, EdgeNews, Topic};

/// Maximum time for a message to arrive; only a failing case waits this long.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn session_id(name: &str) -> SessionId {
    SessionId::new(name).expect("a token")
}

pub(super) fn session_topic(name: &str) -> Topic {
    Topic::Session(session_id(name))
}

/// The `n`-th message.
pub(super) fn message(n: u64) -> BusMessage {
    BusMessage::Edge(EdgeNews::StreamReplaced {
        session: session_id("numbered"),
        current_tag: n,
    })
}

/// The number of a message made by [`message`].
pub(super) fn number(message: &BusMessage) -> Result<u64> {
    match message {
        BusMessage::Edge(EdgeNews::StreamReplaced { current_tag, .. }) => Ok(*current_tag),
        other => bail!("no case published {other:?}"),
    }
}

pub(super) async fn send(bus: &dyn Bus, topic: &Topic, n: u64) -> Result<()> {
    bus.publish(topic, message(n), None)
        .await
        .with_context(|| format!("message {n}"))
}

/// The next event that a subscriber gets.
pub(super) async fn next(subscription: &mut BusSubscription) -> Result<BusEvent> {
    tokio::time::timeout(ARRIVAL_DEADLINE, subscription.0.next())
        .await
        .context("nothing arrives")?
        .context("the subscription has ended")
}

/// The next message; a gap instead is an error.
pub(super) async fn next_message(
    subscription: &mut BusSubscription,
) -> Result<(BusMessage, Option<TraceContext>)> {
    match next(subscription).await? {
        BusEvent::Message(message, trace) => Ok((message, trace)),
        BusEvent::Gap => bail!("a gap although nothing was lost"),
    }
}

/// The number of the next message.
pub(super) async fn next_number(subscription: &mut BusSubscription) -> Result<u64> {
    number(&next_message(subscription).await?.0)
}
