//! Webhooks of all families, on their way from GitHub to clients.

use anyhow::{Context, Result, ensure};
use model::DeliveryId;
use reqwest::{Url, header::CONTENT_TYPE};
use serde_json::{Value, json};
use testkit::{
    cluster::System,
    fake_github::{Delivery, WebhookSender, signature},
    mcp_client::McpClient,
};
use tests::both;

use crate::sending::GithubSender;

/// Deliveries about what surrounds an issue, in the issue's repository.
struct Surroundings {
    /// The delivery of the issue.
    issue: Delivery,
    payload: Value,
    secret: String,
}

impl Surroundings {
    fn of(system: &System, seed: u64) -> Result<Self> {
        let issue = GithubSender::of(system, seed)
            .fake
            .about_one_issue(1)
            .remove(0);
        Ok(Self {
            payload: serde_json::from_slice(&issue.body)?,
            issue,
            secret: system.secret().to_owned(),
        })
    }

    /// A delivery with the issue's repository and sender, and these members.
    fn delivery(&self, event: &'static str, members: &Value) -> Result<Delivery> {
        let mut payload = self.payload.clone();
        let all = payload.as_object_mut().context("a payload")?;
        all.retain(|key, _| ["repository", "sender", "organization", "issue"].contains(&&**key));
        for (key, value) in members.as_object().context("members")? {
            all.insert(key.clone(), value.clone());
        }
        let mut delivery = self.issue.clone();
        delivery.event = event;
        delivery.guid = DeliveryId::new(&format!("surroundings-{event}"))?;
        Ok(delivery
            .with_body(payload.to_string())
            .signed_with(&self.secret))
    }

    fn all(&self) -> Result<Vec<Delivery>> {
        let number = &self.payload["issue"]["number"];
        let repository = &self.payload["repository"];
        let comment = json!({ "node_id": "IC_1", "id": 1, "body": "a comment" });
        let pull = json!({ "number": number, "base": { "repo": { "id": repository["id"] } } });
        let run = json!({ "node_id": "CR_1", "id": 2, "name": "test", "pull_requests": [pull] });
        Ok(vec![
            self.delivery(
                "issue_comment",
                &json!({ "action": "created", "comment": comment }),
            )?,
            self.delivery(
                "check_run",
                &json!({ "action": "completed", "check_run": run }),
            )?,
            self.delivery(
                "push",
                &json!({ "ref": "refs/heads/main", "before": "b", "after": "a" }),
            )?,
            self.delivery(
                "news_of_tomorrow",
                &json!({ "action": "made", "issue": null }),
            )?,
        ])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_surrounds_an_issue_is_found_by_its_number_and_does_not_change_its_state() -> Result<()>
{
    both(async |system| {
        let around = Surroundings::of(system, 65)?;
        let (sender, ingests) = (WebhookSender::new(), system.ingests().to_vec());
        let mut deliveries = vec![around.issue.clone()];
        deliveries.extend(around.all()?);
        for (n, delivery) in deliveries.iter().enumerate() {
            let answer = sender.send(&ingests[n % ingests.len()], delivery).await?;
            ensure!(
                answer.event_ids() == [delivery.guid.to_string()],
                "{answer:?}"
            );
        }
        let repository = around.payload["repository"]["full_name"].as_str();
        let repository = repository.context("a repository")?;
        let number = &around.payload["issue"]["number"];
        let client = McpClient::connect(&system.edges()[0]).await?;
        for edge in system.edges() {
            let found = kinds(edge, &format!("repo={repository}&number={number}")).await?;
            ensure!(
                found == ["check_run", "issue_comment", "issue"],
                "{found:?}"
            );
            let found = kinds(edge, "resourceType=BRANCH").await?;
            ensure!(found == ["branch"], "{found:?}");
            let found = kinds(edge, &format!("repo={repository}")).await?;
            ensure!(
                found.len() == 5 && found[0] == "news_of_tomorrow",
                "{found:?}"
            );
            let uri = format!("github://issues/{repository}/{number}");
            let contents = client.read_resource(edge, &uri).await?;
            let text = contents[0]["text"].as_str().context("a state")?;
            let state: Value = serde_json::from_str(text)?;
            ensure!(state == around.payload["issue"], "{state}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_of_a_project_is_found_with_the_issue_that_it_shows() -> Result<()> {
    both(async |system| {
        let around = Surroundings::of(system, 67)?;
        let (sender, ingests) = (WebhookSender::new(), system.ingests().to_vec());
        let mut payload = around.payload.clone();
        payload["organization"] = payload["repository"]["owner"].clone();
        payload["issue"]["labels"] = json!([{ "id": 1, "node_id": "LA_1", "name": "on a board" }]);
        let issue = around.issue.clone().with_body(payload.to_string());
        sender
            .send(&ingests[0], &issue.signed_with(&around.secret))
            .await?;
        let item = json!({
            "action": "edited",
            "organization": payload["organization"],
            "projects_v2_item": {
                "id": 3, "node_id": "PVTI_1", "project_node_id": "PVT_1",
                "content_type": "Issue", "content_node_id": payload["issue"]["node_id"],
            },
        });
        let mut delivery = around.delivery("projects_v2_item", &item)?;
        // Such payloads have no repository.
        delivery = delivery
            .with_body(item.to_string())
            .signed_with(&around.secret);
        let last = ingests.last().context("an ingest")?;
        sender.send(last, &delivery).await?;
        let repository = payload["repository"]["full_name"].as_str();
        let repository = repository.context("a repository")?;
        let number = &payload["issue"]["number"];
        let id = &payload["issue"]["id"];
        let by_place = format!("repo={repository}&number={number}");
        let by_id = format!("repo={repository}&resourceId={id}");
        let by_label = format!("repo={repository}&tags=on%20a%20board");
        for edge in system.edges() {
            for query in [&by_place, &by_id, &by_label] {
                let path = format!("/events/recent?{query}");
                let answer: Value = reqwest::get(edge.join(&path)?).await?.json().await?;
                let newest = &answer["events"][0];
                let event = &newest["metadata"]["event"];
                ensure!(event == "projects_v2_item", "{query}: {answer}");
                let (resource, issue) = (&newest["resource"], &payload["issue"]);
                for (known, shown) in [
                    ("repo", &payload["repository"]["name"]),
                    ("repositoryNodeId", &payload["repository"]["node_id"]),
                    ("databaseId", id),
                    ("title", &issue["title"]),
                    ("url", &issue["html_url"]),
                ] {
                    ensure!(&resource[known] == shown, "{known}: {newest}");
                }
                ensure!(
                    newest["metadata"]["tags"] == json!(["on a board"]),
                    "{newest}"
                );
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_sends_forms_is_delivered_like_one_that_sends_json() -> Result<()> {
    both(async |system| {
        let delivery = Surroundings::of(system, 66)?.issue;
        let digits: String = delivery
            .body
            .iter()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        let form = format!("payload={digits}");
        let mut headers = delivery.headers();
        headers.insert(CONTENT_TYPE, "application/x-www-form-urlencoded".parse()?);
        let signed = signature(system.secret(), form.as_bytes());
        headers.insert("x-hub-signature-256", signed.parse()?);
        for (n, ingest) in system.ingests().to_vec().iter().enumerate() {
            let url = ingest.join("/webhooks/github")?;
            let request = reqwest::Client::new().post(url).headers(headers.clone());
            let answer = request.body(form.clone()).send().await?;
            let expected = if n == 0 { 202 } else { 200 };
            ensure!(answer.status() == expected, "{answer:?}");
        }
        for edge in system.edges() {
            ensure!(kinds(edge, "limit=9").await? == ["issue"]);
        }
        Ok(())
    })
    .await
}

/// The kinds of the newest events that match, newest first.
async fn kinds(edge: &Url, query: &str) -> Result<Vec<String>> {
    let url = edge.join(&format!("/events/recent?{query}"))?;
    let answer: Value = reqwest::get(url).await?.json().await?;
    let events = answer["events"].as_array();
    let events = events.with_context(|| format!("no events: {answer}"))?;
    let kinds = events.iter().map(|event| event["resourceType"].as_str());
    Ok(kinds.flatten().map(str::to_owned).collect())
}
