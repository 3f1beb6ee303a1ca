//! GitHub's side of a scenario.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use reqwest::Url;
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
    ingests: Vec<Url>,
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

    /// Sends through the balancer in front of the ingests from now on, as GitHub does.
    pub(crate) fn through_balancer(mut self, system: &System) -> Self {
        self.ingests = vec![system.ingest_balancer().clone()];
        self
    }

    /// Sends a delivery once to one ingest; returns the status, or `None` if there was no answer. It is to be
    /// sent again until it is acknowledged, as GitHub's redelivery does.
    pub(crate) async fn try_once(&self, ingest: &Url, delivery: &Delivery) -> Option<u16> {
        self.ledger.record_sending_delivery(delivery);
        let answer = self.sender.send(ingest, delivery).await;
        answer.ok().map(|answer| answer.status)
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
