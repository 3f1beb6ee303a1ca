//! Reads of clients that were notified.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use testkit::{
    cluster::{System, SystemKind},
    mcp_client::McpClient,
    sse::SseStream,
};
use tests::both;
use tokio::time::sleep;

use crate::sending::GithubSender;

/// Maximum time for a notification.
const NOTIFIED: Duration = Duration::from_secs(20);
/// Time for which the sync role is stopped while clients read: shorter than `sync.deadline_seconds`.
const HELD_BACK: Duration = Duration::from_millis(400);
/// Events that are notified and read.
const EVENTS: usize = 12;

/// A client reads a resource as soon as it is notified, on every edge in turn. In the cluster the sync role
/// stands still meanwhile, so that the reads reach it together with the hint or before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_after_a_notification_has_the_state_that_was_notified() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 44);
        let deliveries = github.fake.about_one_issue(EVENTS);
        let uri = issue_of(&deliveries[0])?;
        let edges = system.edges().to_vec();
        let client = McpClient::connect(&edges[0]).await?;
        let mut stream = client.open_stream(&edges[0], None).await?;
        client.subscribe(&edges[0], &uri).await?;
        for (nth, delivery) in deliveries.iter().enumerate() {
            stop_sync(system, Signal::STOP)?;
            let notified = async {
                github.send(delivery).await?;
                notification(&mut stream, &uri).await
            };
            let notified = notified.await;
            let reading = async {
                notified?;
                let edge = &edges[nth % edges.len()];
                let contents = client.read_resource(edge, &uri).await?;
                let text = contents[0]["text"].as_str().context("a state")?;
                let expected = issue_in(&delivery.body)?;
                let found: Value = serde_json::from_str(text)?;
                ensure!(
                    found == expected,
                    "event {nth}: {found} is older than {expected}"
                );
                Ok(())
            };
            let release = async {
                sleep(HELD_BACK).await;
                stop_sync(system, Signal::CONT)
            };
            let (read, released) = tokio::join!(reading, release);
            released?;
            read?;
        }
        Ok(())
    })
    .await
}

/// Stops the sync role where it has a process of its own, or lets it go on.
fn stop_sync(system: &mut System, signal: Signal) -> Result<()> {
    match system.kind() {
        SystemKind::Embedded => Ok(()),
        SystemKind::Cluster => system.cluster().process("sync")?.signal(signal),
    }
}

/// Waits for the notification that the resource has changed.
async fn notification(stream: &mut SseStream, uri: &str) -> Result<()> {
    loop {
        let frame = stream.next_event(NOTIFIED).await?;
        let Some(message) = frame.json() else {
            continue;
        };
        if message["method"] == "notifications/resources/updated" && message["params"]["uri"] == uri
        {
            return Ok(());
        }
    }
}

/// The issue in the payload of a delivery.
fn issue_in(body: &[u8]) -> Result<Value> {
    let payload: Value = serde_json::from_slice(body)?;
    Ok(payload["issue"].clone())
}

fn issue_of(delivery: &testkit::fake_github::Delivery) -> Result<String> {
    let expected = delivery.expected.as_ref().context("an event")?;
    let repo = expected.repo.as_deref().context("a repository")?;
    let number = expected.number.context("a number")?;
    Ok(format!(
        "github://issues/{}/{repo}/{number}",
        expected.owner
    ))
}
