//! Events of one resource come in GitHub's order, though its deliveries arrive swapped and at different ingests.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use serde_json::Value;
use testkit::{
    cluster::System,
    fake_github::{Delivery, WebhookSender},
};
use tests::{both, both_with};

use crate::sending::GithubSender;

/// The deliveries in pairs of GitHub's order.
fn pairs(deliveries: &[Delivery]) -> impl Iterator<Item = (&Delivery, &Delivery)> {
    let pairs = deliveries.chunks_exact(2);
    pairs.map(|pair| (&pair[0], &pair[1]))
}

/// Sends `first`, and `second` to the other ingest a millisecond later.
async fn send_pair(
    system: &System,
    sender: &WebhookSender,
    first: &Delivery,
    second: &Delivery,
) -> Result<()> {
    let [one, other] = [0, 1].map(|at| &system.ingests()[at]);
    let after = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        sender.send(other, second).await
    };
    let (first, second) = tokio::try_join!(sender.send(one, first), after)?;
    ensure!(first.is_accepted() && second.is_accepted());
    Ok(())
}

/// Ids of the events of an edge, in the log's order, and whether each is marked as late.
async fn stored(edge: &Url) -> Result<Vec<(String, bool)>> {
    let list: Value = reqwest::get(edge.join("/events/replay/2020-01-01T00:00:00Z")?)
        .await?
        .json()
        .await?;
    let events = list["events"].as_array().context("events")?;
    let read = |event: &Value| {
        let is_late = event["metadata"]["late"] == Value::Bool(true);
        (event["id"].as_str().unwrap_or_default().to_owned(), is_late)
    };
    Ok(events.iter().map(read).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_deliveries_are_put_right_within_the_window() -> Result<()> {
    let wide = |plan: testkit::cluster::ClusterPlan| {
        plan.with_env("FORGEWIRE_INGEST__ORDER_WINDOW_MILLISECONDS", "400")
    };
    both_with(wide, async |system| {
        let mut github = GithubSender::of(system, 31);
        let deliveries = github.fake.about_one_issue(12);
        let sender = WebhookSender::new();
        for (earlier, later) in pairs(&deliveries) {
            send_pair(system, &sender, later, earlier).await?;
        }
        let expected = deliveries
            .iter()
            .map(|delivery| (delivery.guid.to_string(), false));
        let expected: Vec<_> = expected.collect();
        for edge in system.edges() {
            ensure!(stored(edge).await? == expected, "{:?}", stored(edge).await?);
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_a_millisecond_apart_keeps_its_order_or_says_so() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 32);
        let deliveries = github.fake.about_one_issue(120);
        let sender = WebhookSender::new();
        for (earlier, later) in pairs(&deliveries) {
            send_pair(system, &sender, earlier, later).await?;
        }
        let events = stored(&system.edges()[0]).await?;
        ensure!(events.len() == deliveries.len(), "{} events", events.len());
        // On a busy machine a delivery may come after the window; then it is marked.
        let on_time = events.iter().filter(|(_, is_late)| !is_late);
        let on_time: Vec<_> = on_time.map(|(id, _)| id.as_str()).collect();
        let sent = deliveries.iter().map(|delivery| delivery.guid.as_str());
        let expected: Vec<_> = sent.filter(|id| on_time.contains(id)).collect();
        ensure!(on_time == expected, "{events:?}");
        Ok(())
    })
    .await
}
