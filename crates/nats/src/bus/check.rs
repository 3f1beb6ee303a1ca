//! Whether the server takes this process's messages and subscriptions.

use std::sync::Arc;

use model::Epoch;
use ports::{Bus, BusError, BusMessage, EventHint, Topic};
use tokio::time::Instant;

use super::{NatsBus, unavailable};
use crate::{
    NatsConnection,
    denials::{DeniedUse, NatsDenial},
};

impl NatsBus {
    /// Whether a denial concerns a subscription of the bus, or the answers to requests.
    fn concerns_subscriptions(&self) -> impl Fn(&NatsDenial) -> bool + use<> {
        let prefix = self.connection.subject("mcp.");
        move |denial| {
            denial.is_of_inbox()
                || denial.denied() == DeniedUse::Subscribe && denial.subject().starts_with(&prefix)
        }
    }

    /// A round trip; a subscription that the server has refused is tried again, so that the check succeeds
    /// once it is allowed.
    pub(super) async fn check_subscriptions(&self) -> Result<(), BusError> {
        const OP: &str = "subscribe";
        let (connection, concerns) = (&self.connection, self.concerns_subscriptions());
        let (began, refused) = (Instant::now(), connection.denials().standing(&concerns));
        for denial in &refused {
            // Held until the server has answered.
            let subject = denial.subject().to_owned();
            let again = connection.client().subscribe(subject).await;
            drop(again.map_err(|error| unavailable(OP, error))?);
        }
        self.round_trip("answer", began, &concerns).await?;
        if refused.is_empty() {
            return Ok(());
        }
        if let Some(denial) = connection.denials().since_then(began, &concerns).await {
            return Err(unavailable(OP, denial));
        }
        connection.denials().lifted(began, &concerns);
        connection.connect_again().await;
        Ok(())
    }

    /// Publishes a hint without events to each topic: at intervals, over each new connection, and while the
    /// server refuses its messages.
    pub(super) async fn try_to_publish(
        &self,
        topics: &[Topic],
        epoch: Epoch,
    ) -> Result<(), BusError> {
        for topic in topics {
            self.try_topic(topic, epoch).await?;
        }
        Ok(())
    }

    async fn try_topic(&self, topic: &Topic, epoch: Epoch) -> Result<(), BusError> {
        let (connection, subject) = (&self.connection, self.subject(topic));
        let concerns = |denial: &NatsDenial| {
            denial.is_of_inbox() || denial.is_of(DeniedUse::Publish, &subject)
        };
        let (began, number) = (Instant::now(), connection.number());
        let is_refused = !connection.denials().standing(concerns).is_empty();
        if !is_refused && !self.published.is_due(topic, number) {
            return Ok(());
        }
        let nothing = EventHint {
            epoch,
            events: Vec::new(),
        };
        let message = BusMessage::Events(Arc::new(nothing));
        self.publish(topic, message, None).await?;
        self.round_trip("answer", began, concerns).await?;
        if let Some(denial) = connection.denials().since_then(began, concerns).await {
            return Err(unavailable("publish", denial));
        }
        connection.denials().lifted(began, concerns);
        self.published.succeeded(topic.clone(), began, number);
        Ok(())
    }

    async fn round_trip(
        &self,
        op: &'static str,
        began: Instant,
        concerns: impl Fn(&NatsDenial) -> bool,
    ) -> Result<(), BusError> {
        let connection: &NatsConnection = &self.connection;
        let answered = connection.round_trip().await;
        answered.map_err(|error| {
            let reason = connection.refusal_since(began, concerns);
            unavailable(op, reason.unwrap_or(error))
        })
    }
}
