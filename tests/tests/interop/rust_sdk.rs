//! Uses Forgewire through the official Rust SDK of MCP (rmcp), in both eras: the walk of
//! tests/interop/shared.py, with the same expectations.

#![expect(
    deprecated,
    reason = "logging and subscriptions of the handshake era, by the newest revision"
)]

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, RoleClient,
    model::{
        CallToolRequestParams, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult,
        ElicitationAction, ElicitationCapability, GetPromptRequestParams, Implementation,
        LoggingMessageNotificationParam, ProtocolVersion, ReadResourceRequestParams,
        ResourceUpdatedNotificationParam, ServerNotification, SubscribeRequestParams,
        SubscriptionFilter,
    },
    service::{NotificationContext, RequestContext, RunningService, Subscription},
    transport::StreamableHttpClientTransport,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use testkit::{
    cluster::{System, workspace},
    fake_github::{WEBHOOK_PATH, signature},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{sync::mpsc, time::timeout};

const NOTIFICATION_DEADLINE: Duration = Duration::from_secs(10);
const MODERN: &str = "2026-07-28";
const FIRST_WITH_ELICITATION: &str = "2025-06-18";
/// Capacity for unread notifications; there are two per webhook.
const NOTIFICATIONS: usize = 64;

/// tests/interop/expectations.json, explained in shared.py.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expectations {
    tools: Vec<String>,
    call: Call,
    resources: Vec<String>,
    issue_uri: String,
    event_logger: String,
    prompts: Vec<Prompt>,
    elicitation: Option<Question>,
}

#[derive(Debug, Clone, Deserialize)]
struct Call {
    name: String,
    arguments: Map<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct Prompt {
    #[serde(flatten)]
    call: Call,
    text: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Question {
    #[serde(flatten)]
    call: Call,
    answer: Value,
    text: String,
}

/// A notification that a handler received.
#[derive(Debug)]
enum ReceivedNotification {
    Updated(String),
    Logged(Option<String>, Value),
}

/// An application: it remembers notifications, and answers yes to every question.
struct Application {
    config: ClientConfig,
    answer: Option<Value>,
    seen: mpsc::Sender<ReceivedNotification>,
}

impl ClientHandler for Application {
    fn get_info(&self) -> ClientConfig {
        self.config.clone()
    }

    async fn create_elicitation(
        &self,
        _request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let mut result = ElicitResult::new(ElicitationAction::Accept);
        result.content.clone_from(&self.answer);
        Ok(result)
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        // The receiver is gone when the test is over.
        let _ = self
            .seen
            .send(ReceivedNotification::Logged(params.logger, params.data))
            .await;
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let _ = self
            .seen
            .send(ReceivedNotification::Updated(params.uri))
            .await;
    }
}

type Client = RunningService<RoleClient, Application>;

/// One walk with one revision.
pub(crate) async fn walk(system: &System, revision: &str) -> Result<()> {
    let text = fs::read_to_string(workspace().join("tests/interop/expectations.json"))?;
    let mut expectations: Expectations = serde_json::from_str(&text)?;
    expectations
        .elicitation
        .take_if(|_| revision < FIRST_WITH_ELICITATION);
    let (seen, mut notifications) = mpsc::channel(NOTIFICATIONS);
    let client = connect(system, revision, &expectations, seen).await?;
    let negotiated = client.peer_info().context("nothing was negotiated")?;
    ensure!(
        negotiated.protocol_version.as_str() == revision,
        "got {negotiated:?}"
    );
    look_around(&client, &expectations).await?;
    let uri = expectations.issue_uri.as_str();
    let mut listening = subscribe(&client, revision, uri).await?;
    let delivery = post_webhook(system).await?;
    let arrival = async {
        match &mut listening {
            Some(subscription) => updated(subscription, uri).await,
            None => notified(&mut notifications, &expectations, &delivery).await,
        }
    };
    let arrival = timeout(NOTIFICATION_DEADLINE, arrival).await;
    arrival.context("the notifications did not arrive")??;
    if let Some(mut subscription) = listening {
        subscription.cancel().await?;
    }
    contains(
        &client
            .read_resource(ReadResourceRequestParams::new(uri))
            .await?,
        &delivery,
    )?;
    client.cancel().await?;
    Ok(())
}

async fn connect(
    system: &System,
    revision: &str,
    expectations: &Expectations,
    seen: mpsc::Sender<ReceivedNotification>,
) -> Result<Client> {
    let version: ProtocolVersion = serde_json::from_value(json!(revision))?;
    let mut capabilities = ClientCapabilities::default();
    if expectations.elicitation.is_some() {
        capabilities.elicitation = Some(ElicitationCapability::default());
    }
    let config = ClientConfig::new(
        capabilities,
        Implementation::new("forgewire-interop-rust", "1"),
    )
    .with_protocol_version(version.clone());
    let application = Application {
        config,
        answer: expectations
            .elicitation
            .as_ref()
            .map(|one| one.answer.clone()),
        seen,
    };
    let lifecycle = if revision == MODERN {
        ClientLifecycleMode::Discover {
            preferred_versions: vec![version],
        }
    } else {
        ClientLifecycleMode::Initialize
    };
    let transport =
        StreamableHttpClientTransport::from_uri(system.balancer().join("/mcp")?.as_str());
    let connecting = application.serve_with_lifecycle(transport, lifecycle);
    timeout(NOTIFICATION_DEADLINE, connecting)
        .await
        .context("connecting hangs")?
        .context("connecting")
}

/// Lists and calls tools, resources and prompts.
async fn look_around(client: &Client, expectations: &Expectations) -> Result<()> {
    let tools = client.list_all_tools().await?;
    for name in &expectations.tools {
        ensure!(
            tools.iter().any(|tool| tool.name == name.as_str()),
            "there is no tool {name}"
        );
    }
    call(client, &expectations.call).await?;
    let resources = client.list_all_resources().await?;
    for uri in &expectations.resources {
        ensure!(
            resources.iter().any(|one| one.uri == *uri),
            "there is no resource {uri}"
        );
        client
            .read_resource(ReadResourceRequestParams::new(uri))
            .await?;
    }
    for Prompt { call, text } in &expectations.prompts {
        let prompts = client.list_all_prompts().await?;
        let name = &call.name;
        ensure!(
            prompts.iter().any(|one| one.name == *name),
            "there is no prompt {name}"
        );
        let prompt = GetPromptRequestParams::new(name).with_arguments(call.arguments.clone());
        contains(&client.get_prompt(prompt).await?, text)?;
    }
    if let Some(Question {
        call: asking, text, ..
    }) = &expectations.elicitation
    {
        contains(&call(client, asking).await?, text)?;
    }
    Ok(())
}

async fn call(client: &Client, call: &Call) -> Result<Value> {
    let mut params = CallToolRequestParams::new(call.name.clone());
    params.arguments = Some(call.arguments.clone());
    let result = client.call_tool(params).await?;
    ensure!(
        result.is_error != Some(true),
        "{}: {:?}",
        call.name,
        result.content
    );
    Ok(serde_json::to_value(result)?)
}

fn contains(result: &impl serde::Serialize, part: &str) -> Result<()> {
    let text = serde_json::to_string(result)?;
    ensure!(text.contains(part), "{part:?} is not in {text}");
    Ok(())
}

/// Subscribes by the mechanism of the era.
async fn subscribe(client: &Client, revision: &str, uri: &str) -> Result<Option<Subscription>> {
    if revision == MODERN {
        let filter = SubscriptionFilter::builder()
            .resource_subscriptions([uri])
            .build();
        let subscription = client.listen(filter.clone()).await?;
        let honoured = subscription.acknowledged();
        ensure!(*honoured == filter, "the server honours only {honoured:?}");
        return Ok(Some(subscription));
    }
    client.subscribe(SubscribeRequestParams::new(uri)).await?;
    let everything = Call {
        name: "subscribe_to_events".to_owned(),
        arguments: Map::new(),
    };
    call(client, &everything).await?;
    Ok(None)
}

/// Waits for the update of the resource on its listen stream.
async fn updated(subscription: &mut Subscription, wanted: &str) -> Result<()> {
    loop {
        let next = subscription
            .next()
            .await?
            .context("the listen stream ended")?;
        if let ServerNotification::ResourceUpdatedNotification(update) = next
            && update.params.uri == wanted
        {
            return Ok(());
        }
    }
}

/// Waits for both notifications of the handshake era: the resource's and the event's.
async fn notified(
    notifications: &mut mpsc::Receiver<ReceivedNotification>,
    expectations: &Expectations,
    delivery: &str,
) -> Result<()> {
    let (mut updated, mut logged) = (false, false);
    while !(updated && logged) {
        match notifications.recv().await.context("the client ended")? {
            ReceivedNotification::Updated(uri) => updated |= uri == expectations.issue_uri,
            ReceivedNotification::Logged(logger, data) => {
                logged |= logger.as_ref() == Some(&expectations.event_logger)
                    && data["metadata"]["delivery"] == delivery;
            }
        }
    }
    Ok(())
}

/// Posts the webhook of an issue whose new title is the delivery's id; gives that id.
async fn post_webhook(system: &System) -> Result<String> {
    let text = fs::read_to_string(workspace().join("tests/interop/issue.json"))?;
    let mut payload: Value = serde_json::from_str(&text)?;
    let delivery = uuid::Uuid::new_v4().to_string();
    let now = OffsetDateTime::now_utc().replace_nanosecond(0)?;
    payload["issue"]["title"] = json!(delivery);
    payload["issue"]["updated_at"] = json!(now.format(&Rfc3339)?);
    let body = serde_json::to_vec(&payload)?;
    let url: Url = system.ingest_balancer().join(WEBHOOK_PATH)?;
    let posting = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/json")
        .header("user-agent", "GitHub-Hookshot/interop")
        .header("x-github-event", "issues")
        .header("x-github-delivery", &delivery)
        .header("x-hub-signature-256", signature(system.secret(), &body))
        .body(body)
        .timeout(NOTIFICATION_DEADLINE)
        .send();
    posting
        .await?
        .error_for_status()
        .context("the webhook is refused")?;
    Ok(delivery)
}
