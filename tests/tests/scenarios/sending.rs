//! GitHub's side of a scenario.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use testkit::{
    cluster::System,
    fake_github::{Delivery, FakeGithub, WebhookSender},
    ledger::DeliveryLedger,
};

/// Time for which a delivery is retried until an ingest accepts it.
const DEADLINE: Duration = Duration::from_secs(30);

/// A GitHub that posts deliveries and keeps the ledger.
pub(crate) struct GithubSender {
    pub(crate) fake: FakeGithub,
    sender: WebhookSender,
    pub(crate) ledger: Arc<DeliveryLedger>,
    ingests: Vec<reqwest::Url>,
}

impl GithubSender {
    pub(crate) fn of(system: &System, seed: u64) -> Self {
        Self {
            fake: FakeGithub::new(seed, system.secret()),
            sender: WebhookSender::new(),
            ledger: Arc::new(DeliveryLedger::new()),
            ingests: system.ingests().to_vec(),
        }
    }

    /// Sends a delivery until it is acknowledged, starting with the next ingest in turn.
    pub(crate) async fn send(&mut self, delivery: &Delivery) -> Result<()> {
        self.ledger.record_sending_delivery(delivery);
        self.ingests.rotate_left(1);
        self.sender
            .send_until_accepted(&self.ingests, delivery, DEADLINE)
            .await?;
        self.ledger.record_acknowledged(delivery.guid.as_str());
        Ok(())
    }

    pub(crate) async fn send_all(&mut self, deliveries: &[Delivery]) -> Result<()> {
        for delivery in deliveries {
            self.send(delivery).await?;
        }
        Ok(())
    }

    /// `count` deliveries about one issue.
    pub(crate) async fn events(&mut self, count: usize) -> Result<()> {
        let deliveries = self.fake.about_one_issue(count);
        self.send_all(&deliveries).await
    }
}
