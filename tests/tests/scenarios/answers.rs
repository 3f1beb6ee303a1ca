//! Answers that an agent can read, over real servers.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use model::DeliveryId;
use reqwest::Url;
use serde_json::{Value, json};
use testkit::{
    cluster::{System, workspace},
    fake_github::WebhookSender,
    mcp_client::{McpClient, ModernClient},
};
use tests::both;

use crate::sending::GithubSender;

/// Text of an answer that nobody asked to be larger.
const DEFAULT_BYTES: usize = 40_000;
/// Pull requests of GitHub's published examples that are sent.
const PULL_REQUESTS: usize = 60;

/// GitHub's published examples of pull requests, over again until there are enough.
fn pull_requests() -> Result<Vec<Value>> {
    let index = ".setup/node_modules/@octokit/webhooks-examples/api.github.com/index.json";
    let text = fs::read_to_string(workspace().join(index)).context("run `make setup`")?;
    let webhooks: Vec<Value> = serde_json::from_str(&text)?;
    let pulls = webhooks
        .iter()
        .find(|webhook| webhook["name"] == "pull_request");
    let examples = pulls.and_then(|webhook| webhook["examples"].as_array());
    let examples = examples.context("examples of pull requests")?;
    Ok(examples
        .iter()
        .cycle()
        .take(PULL_REQUESTS)
        .cloned()
        .collect())
}

/// Sends the pull requests; returns the ids of their events, oldest first.
async fn send_all(system: &System) -> Result<Vec<String>> {
    let template = GithubSender::of(system, 167)
        .fake
        .about_one_issue(1)
        .remove(0);
    let (sender, ingests) = (WebhookSender::new(), system.ingests().to_vec());
    let mut ids = Vec::new();
    for (n, payload) in pull_requests()?.into_iter().enumerate() {
        let mut delivery = template.clone();
        delivery.event = "pull_request";
        delivery.guid = DeliveryId::new(&format!("pull-request-{n}"))?;
        let delivery = delivery
            .with_body(payload.to_string())
            .signed_with(system.secret());
        let answer = sender.send(&ingests[n % ingests.len()], &delivery).await?;
        ids.extend(answer.event_ids());
    }
    ensure!(ids.len() == PULL_REQUESTS, "{} events", ids.len());
    Ok(ids)
}

async fn call(client: &ModernClient, edge: &Url, tool: &str, arguments: &Value) -> Result<Value> {
    let result = client.call_tool(edge, tool, arguments.clone()).await?;
    let text = result["content"][0]["text"].as_str().context("a text")?;
    let max_bytes = arguments["maxBytes"]
        .as_u64()
        .map_or(DEFAULT_BYTES as u64, |bytes| bytes);
    ensure!(
        text.len() as u64 <= max_bytes,
        "{tool} {arguments}: {} bytes",
        text.len()
    );
    let said: Value = serde_json::from_str(text)?;
    ensure!(said == result["structuredContent"], "{text}");
    Ok(said)
}

fn ids(page: &Value) -> Vec<String> {
    let events = page["events"].as_array().into_iter().flatten();
    events
        .filter_map(|event| event["id"].as_str())
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_pull_requests_are_read_in_pages_that_fit_an_agent_on_any_edge() -> Result<()> {
    both(async |system| {
        let all: BTreeSet<String> = send_all(system).await?.into_iter().collect();
        let (client, edges) = (ModernClient::new(), system.edges().to_vec());
        let recent = call(&client, &edges[0], "get_recent_events", &json!({})).await?;
        let bytes = recent.to_string().len();
        println!(
            "get_recent_events {{}}: {} events in {bytes} bytes",
            ids(&recent).len()
        );
        ensure!(
            ids(&recent).len() >= 40,
            "{} events in {bytes} bytes",
            ids(&recent).len()
        );
        for event in recent["events"].as_array().context("events")? {
            ensure!(event.to_string().len() <= 1024, "{event}");
            ensure!(
                event["resource"]["url"].is_string() && event["resource"]["title"].is_string(),
                "{event}"
            );
            ensure!(
                event["data"].is_null() && event["details"]["state"].is_string(),
                "{event}"
            );
        }
        for (tool, next, parameter) in [
            ("get_recent_events", "previousCursor", "before"),
            ("replay_events", "nextCursor", "cursor"),
        ] {
            for include in [json!([]), json!(["data"])] {
                let mut arguments = json!({ "include": include });
                let mut found = Vec::new();
                for page in 0.. {
                    ensure!(page < PULL_REQUESTS, "{tool}: the pages never end");
                    // Each page from another edge.
                    let edge = &edges[page % edges.len()];
                    let page = call(&client, edge, tool, &arguments).await?;
                    found.extend(ids(&page));
                    if page["hasMore"] == false {
                        break;
                    }
                    arguments[parameter] = page[next].clone();
                }
                let distinct: BTreeSet<_> = found.iter().cloned().collect();
                ensure!(
                    distinct == all && found.len() == all.len(),
                    "{tool}: {found:?}"
                );
            }
        }
        let id = all.first().context("an event")?;
        for edge in &edges {
            let one = call(&client, edge, "get_event", &json!({ "id": id })).await?;
            let data = &one["event"]["data"];
            ensure!(
                one["shortened"] == false && data["body"].is_string(),
                "{one}"
            );
            ensure!(
                data["_links"].is_null() && data["diff_url"].is_null(),
                "{one}"
            );
            let unknown = client
                .call_tool(edge, "get_event", json!({ "id": "unknown" }))
                .await?;
            ensure!(unknown["isError"] == true, "{unknown}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_reads_of_a_server_before_it_calls_is_short() -> Result<()> {
    both(async |system| {
        for edge in system.edges() {
            let (modern, client) = (ModernClient::new(), McpClient::connect(edge).await?);
            let discovered = modern.discover(edge).await?;
            for of in [&discovered, client.initialize_result()] {
                let instructions = of["instructions"].as_str().context("instructions")?;
                ensure!(
                    instructions.len() <= 2048 && instructions.contains("get_event"),
                    "{instructions}"
                );
            }
            let tools = [
                modern.list_tools(edge).await?,
                client.list_tools(edge).await?,
            ];
            for tool in tools.iter().flatten() {
                let text = tool["description"].as_str().context("a description")?;
                ensure!(
                    text.len() <= 2048 && text.starts_with("Use this to "),
                    "{tool}"
                );
                for word in ["anyOf", "oneOf", "allOf"] {
                    ensure!(tool["inputSchema"][word].is_null(), "{word}: {tool}");
                }
            }
        }
        Ok(())
    })
    .await
}
