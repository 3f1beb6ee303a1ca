//! Calls that wait for an event.

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use model::{Filter, FilterSet, ResourceType};
use serde_json::json;
use testkit::{
    cluster::{System, SystemKind, SystemNode},
    mcp_client::ModernClient,
};
use tests::{EventReader, both, settle, until};

use crate::sending::GithubSender;

/// Calls of one client that wait on each edge.
const WAITING_CALLS: usize = 40;

/// An event that a client does not ask for costs none of its waiting calls anything, however many they are;
/// the one that it asks for is in the answer of each.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_wakes_the_calls_that_it_matches_and_no_other() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 131);
        let edges = system.edges().to_vec();
        let readers = EventReader::on_every_edge(&edges, &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        let story = github.fake.story();
        let milestone = story.iter().find(|delivery| delivery.event == "milestone");
        let milestone = milestone.context("the story has a milestone")?;
        let client = ModernClient::new();
        let arguments = json!({"filters": [{"resourceType": "milestone"}], "waitSeconds": 45});
        let of_streams = sum(system, "forgewire_edge_match_cost").await?;
        let calls = edges.iter().flat_map(|edge| {
            let call = || client.call_tool(edge, "replay_events", arguments.clone());
            (0..WAITING_CALLS).map(move |_| call())
        });
        let calls: Vec<_> = calls.collect();
        let count = calls.len();
        let events = async {
            let all_wait = of_streams + count * cost_of_milestones()?;
            until("all calls wait", async || {
                let cost = sum(system, "forgewire_edge_match_cost").await;
                cost.is_ok_and(|cost| cost == all_wait)
            })
            .await?;
            github.events(10).await?;
            settle(&github.ledger, &names).await?;
            ensure!(sum(system, "forgewire_edge_woken_calls_total").await? == 0);
            github.send(milestone).await
        };
        let (answers, sent) = tokio::join!(join_all(calls), events);
        sent?;
        for answer in answers {
            let answer = answer?["structuredContent"].take();
            let events = answer["events"].as_array().context("a list of events")?;
            ensure!(
                events.len() == 1 && events[0]["id"] == milestone.guid.as_str(),
                "{answer}"
            );
        }
        let woken = sum(system, "forgewire_edge_woken_calls_total").await?;
        ensure!(woken == count, "{woken} of {count}");
        ensure!(sum(system, "forgewire_edge_match_cost").await? == of_streams);
        settle(&github.ledger, &names).await
    })
    .await
}

/// The cost of the filter of one call.
fn cost_of_milestones() -> Result<usize> {
    let filter = Filter {
        resource_type: Some(ResourceType::MILESTONE),
        ..Filter::default()
    };
    Ok(FilterSet::new(vec![filter])?.cost())
}

/// The sum of a metric over all edges.
async fn sum(system: &System, name: &str) -> Result<usize> {
    let edges = match system.kind() {
        SystemKind::Embedded => 0..1,
        SystemKind::Cluster => 0..3,
    };
    let mut sum = 0;
    for edge in edges {
        let url = system.admin(SystemNode::Edge(edge))?.join("/metrics")?;
        let text = reqwest::get(url).await?.text().await?;
        let prefix = format!("{name} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
        sum += value.context("the metric")?.parse::<usize>()?;
    }
    Ok(sum)
}
