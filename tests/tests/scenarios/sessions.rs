//! MCP over several edges: no session is pinned to an edge.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::mcp_client::{McpClient, ModernClient};
use tests::{EventReader, ReaderKind, both, both_and_kept_sockets, settle, until};

use crate::sending::GithubSender;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_session_works_on_another_edge_the_moment_its_id_is_known() -> Result<()> {
    both(async |system| {
        let edges = system.edges();
        for round in 0..60 {
            let client = McpClient::initialize(&edges[round % 3], "2025-11-25").await?;
            client.ping(&edges[(round + 1) % 3]).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_on_one_edge_ends_on_all() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let edges = system.edges();
        let client = McpClient::connect(&edges[0]).await?;
        let mut stream = client.open_stream(&edges[1], None).await?;
        ensure!(client.end(&edges[2]).await? == 204);
        // The stream on the other edge ends, and every edge has forgotten the session.
        while stream.next(SOON).await?.is_some() {}
        for edge in edges {
            let gone = client.ping(edge).await.expect_err("the session has ended");
            ensure!(gone.status() == Some(404), "{gone}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_made_on_one_edge_reaches_the_stream_on_another() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let edges = system.edges();
        let mut github = GithubSender::of(system, 21);
        let client = McpClient::connect(&edges[0]).await?;
        let session = ReaderKind::Session(client.into());
        let ReaderKind::Session(client) = &session else {
            unreachable!("made as a session")
        };
        let client = client.clone();
        let ledger = github.ledger.clone();
        let reader = EventReader::start("r", session, &edges[1..2], 0, None, &ledger).await?;
        // Even an event directly after the call is received.
        client
            .call_tool(&edges[2], "subscribe_to_events", json!({}))
            .await?;
        github.events(20).await?;
        settle(&ledger, &[reader.name()]).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_on_every_edge_hear_of_a_resource_and_read_it_over_grpc() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let edges = system.edges();
        let mut github = GithubSender::of(system, 22);
        let delivery = github.fake.about_one_issue(1).remove(0);
        let expected = delivery.expected.clone().expect("an issue");
        let repo = expected.repo.unwrap_or_default();
        let number = expected.number.unwrap_or_default();
        let uri = format!("github://issues/{}/{repo}/{number}", expected.owner);
        let mut listeners = Vec::new();
        for edge in edges {
            let client = ModernClient::new();
            let wanted = json!({ "resourceSubscriptions": [uri], "toolsListChanged": true });
            let stream = client.listen(edge, wanted).await?;
            ensure!(stream.acknowledged_filter()["resourceSubscriptions"] == json!([uri]));
            listeners.push((client, stream));
        }
        github.send(&delivery).await?;
        for (edge, (client, stream)) in edges.iter().zip(&mut listeners) {
            let heard = stream.next(SOON).await?;
            ensure!(heard.method() == "notifications/resources/updated");
            ensure!(heard.params()["uri"] == uri.as_str() && stream.has_subscription_id(&heard));
            until("the resource can be read", async || {
                let read = client.read_resource(edge, &uri).await;
                let issue = read
                    .ok()
                    .and_then(|contents| Some(contents.first()?["text"].clone()));
                issue.is_some_and(|text| text.to_string().contains(&expected.resource_id))
            })
            .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_eras_interleave_through_the_balancer() -> Result<()> {
    both_and_kept_sockets(async |system| {
        let balancer = system.balancer();
        let mut github = GithubSender::of(system, 23);
        github.events(3).await?;
        let session = McpClient::connect(balancer).await?;
        let stateless = ModernClient::new();
        for _ in 0..9 {
            let recent = session
                .call_tool(balancer, "get_recent_events", json!({}))
                .await?;
            ensure!(recent["structuredContent"]["count"] == 3, "{recent}");
            let recent = stateless
                .call_tool(balancer, "get_recent_events", json!({}))
                .await?;
            ensure!(recent["structuredContent"]["count"] == 3, "{recent}");
        }
        Ok(())
    })
    .await
}
