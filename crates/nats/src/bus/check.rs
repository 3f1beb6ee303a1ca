//! Whether the server takes this process's messages and subscriptions.

use std::{sync::Arc, time::Duration};

use model::Epoch;
use parking_lot::Mutex;
use ports::{Bus, BusError, BusMessage, EventHint, Topic};
use tokio::time::Instant;

use super::{NatsBus, unavailable};
use crate::{
    NatsConnection,
    denials::{DeniedUse, NatsDenial},
};

/// Interval between two messages without content, while nothing is refused.
const TRIAL_INTERVAL: Duration = Duration::from_secs(30);

/// The last time at which messages were tried with success, and the number of its connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct LastTrial(Arc<Mutex<Option<(Instant, u64)>>>);

impl NatsBus {
    /// Whether a denial concerns the subjects of the bus, in this use, or the answers to requests.
    fn concerns(&self, denied: DeniedUse) -> impl Fn(&NatsDenial) -> bool + use<> {
        let prefix = self.connection.subject("mcp.");
        move |denial| {
            denial.is_of_inbox()
                || denial.denied() == denied && denial.subject().starts_with(&prefix)
        }
    }

    /// A round trip; a subscription that the server has refused is tried again, so that the check succeeds
    /// once it is allowed.
    pub(super) async fn check_subscriptions(&self) -> Result<(), BusError> {
        const OP: &str = "subscribe";
        let (connection, concerns) = (&self.connection, self.concerns(DeniedUse::Subscribe));
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

    /// Publishes a hint without events: at intervals, over each new connection, and while the server refuses
    /// messages.
    pub(super) async fn try_to_publish(
        &self,
        topics: &[Topic],
        epoch: Epoch,
    ) -> Result<(), BusError> {
        let (connection, concerns) = (&self.connection, self.concerns(DeniedUse::Publish));
        let number = connection.number();
        let last = *self.tried.0.lock();
        let is_tried =
            last.is_some_and(|(at, over)| over == number && at.elapsed() < TRIAL_INTERVAL);
        let began = Instant::now();
        if is_tried && connection.denials().standing(&concerns).is_empty() {
            return Ok(());
        }
        for topic in topics {
            let nothing = EventHint {
                epoch,
                events: Vec::new(),
            };
            self.publish(topic, BusMessage::Events(Arc::new(nothing)), None)
                .await?;
        }
        self.round_trip("answer", began, &concerns).await?;
        if let Some(denial) = connection.denials().since_then(began, &concerns).await {
            return Err(unavailable("publish", denial));
        }
        connection.denials().lifted(began, &concerns);
        *self.tried.0.lock() = Some((began, number));
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
