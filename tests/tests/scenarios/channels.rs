//! Claude Code's channel: events that its session shows to the model, over edges that come and go; and what it does not
//! show of strangers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use serde_json::{Value, json};
use testkit::{
    cluster::System,
    fake_github::{Delivery, StoryStep},
    mcp_client::{McpClient, ModernClient},
    sse::SseStream,
};
use tests::{BridgeProcess, both, both_with};

use crate::sending::GithubSender;

const SOON: Duration = Duration::from_secs(10);
/// Time without a message after which none is expected.
const QUIET: Duration = Duration::from_millis(300);
const VERSION: &str = "2025-11-25";
const CLAUDE: &str = "claude-code";
const CHANNEL: &str = "notifications/claude/channel";
const WITHHELD: &str = "[withheld by edge.lockdown]";

/// A session of this client, which has said that it is ready.
async fn session(edge: &Url, name: &str) -> Result<McpClient> {
    let client = McpClient::initialize_as(edge, VERSION, name).await?;
    let ready = client.notify(edge, "notifications/initialized", Value::Null);
    ready.await?;
    Ok(client)
}

async fn subscribe(client: &McpClient, edge: &Url, arguments: Value) -> Result<Value> {
    let tool = "subscribe_to_events";
    let result = client.call_tool(edge, tool, arguments).await?;
    ensure!(result["isError"] != true, "{result}");
    Ok(result["structuredContent"].clone())
}

/// The next message of a stream, which is one of a channel, with the id of its frame.
async fn shown(stream: &mut SseStream) -> Result<(String, Value)> {
    let message = McpClient::next_message(stream, SOON).await?;
    ensure!(message.method() == CHANNEL, "{message:?}");
    let id = message.id.clone().context("a frame without an id")?;
    Ok((id, message.params().clone()))
}

/// The ids of the events that arrive in this many messages of a channel, and the id of the last frame.
async fn shown_ids(stream: &mut SseStream, count: usize) -> Result<(Vec<String>, String)> {
    let (mut ids, mut last) = (Vec::new(), String::new());
    for _ in 0..count {
        let (id, params) = shown(stream).await?;
        ids.push(params["meta"]["id"].as_str().context("an id")?.to_owned());
        last = id;
    }
    Ok((ids, last))
}

/// Sends this many deliveries; returns the ids of their events.
async fn happen(github: &mut GithubSender, count: usize) -> Result<Vec<String>> {
    let deliveries = github.fake.about_one_issue(count);
    github.send_all(&deliveries).await?;
    let ids = deliveries.iter().map(|delivery| delivery.guid.to_string());
    Ok(ids.collect())
}

/// A new issue whose author is this to the repository, and the id of its event.
async fn issue_of(system: &System, github: &mut GithubSender, who: &str) -> Result<Delivery> {
    let opened = github.fake.delivery_of(StoryStep::IssueOpened);
    let body = String::from_utf8(opened.body.to_vec())?;
    let member = r#""author_association":"MEMBER""#;
    ensure!(body.contains(member), "{body}");
    let body = body.replace(member, &format!(r#""author_association":"{who}""#));
    let opened = opened.with_body(body).signed_with(system.secret());
    github.send(&opened).await?;
    Ok(opened)
}

fn title_of(issue: &Delivery) -> Result<String> {
    let payload: Value = serde_json::from_slice(&issue.body)?;
    let title = payload["issue"]["title"].as_str();
    Ok(title.context("a title")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_goes_on_at_another_edge_with_each_event_once_and_in_order() -> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 201);
        let client = session(&edges[0], CLAUDE).await?;
        let declared = &client.initialize_result()["capabilities"]["experimental"];
        ensure!(declared["claude/channel"] == json!({}), "{declared}");
        let instructions = client.initialize_result()["instructions"].as_str();
        ensure!(instructions.is_some_and(|text| text.contains("<channel") && text.len() <= 2048));
        let mut stream = client.open_stream(&edges[0], None).await?;
        let subscribed = subscribe(&client, &edges[1], json!({})).await?;
        let delivery = subscribed["delivery"].as_str().unwrap_or_default();
        ensure!(delivery.starts_with(CHANNEL), "{subscribed}");
        let mut sent = happen(&mut github, 5).await?;
        let (mut got, last) = shown_ids(&mut stream, 5).await?;
        drop(stream);
        sent.extend(happen(&mut github, 20).await?);
        let mut stream = client.open_stream(&edges[2], Some(&last)).await?;
        got.extend(shown_ids(&mut stream, 20).await?.0);
        sent.extend(happen(&mut github, 5).await?);
        got.extend(shown_ids(&mut stream, 4).await?.0);
        let (_, newest) = shown(&mut stream).await?;
        got.push(newest["meta"]["id"].as_str().context("an id")?.to_owned());
        ensure!(got == sent, "{got:?} instead of {sent:?}");
        let more = McpClient::next_message(&mut stream, QUIET).await;
        ensure!(more.is_err(), "{more:?}");
        // The model goes on from the cursor that it saw, with any edge.
        let after = sent.len();
        sent.extend(happen(&mut github, 3).await?);
        let cursor = &newest["meta"]["cursor"];
        let replay = json!({ "cursor": cursor, "waitSeconds": 5 });
        let replayed = client.call_tool(&edges[1], "replay_events", replay).await?;
        let events = replayed["structuredContent"]["events"].as_array();
        let events = events.with_context(|| replayed.to_string())?;
        let first = events.first().context("an event after the cursor")?;
        ensure!(first["id"] == *sent[after], "{first}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stdio_client_gets_its_channel() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 202);
        let mut bridge = BridgeProcess::start(system.balancer())?;
        let result = bridge.initialize_as(VERSION, CLAUDE).await?;
        let declared = &result["capabilities"]["experimental"]["claude/channel"];
        ensure!(*declared == json!({}), "{result}");
        let subscribe = json!({ "name": "subscribe_to_events", "arguments": {} });
        let subscribed = bridge.request(1, "tools/call", subscribe).await?;
        ensure!(subscribed["result"]["isError"] != true, "{subscribed}");
        let sent = happen(&mut github, 3).await?;
        for id in sent {
            let told = bridge.receive().await?;
            ensure!(told["method"] == CHANNEL, "{told}");
            let meta = &told["params"]["meta"];
            ensure!(meta["id"] == *id && meta["event"] == "issue", "{told}");
            let content = told["params"]["content"].as_str().unwrap_or_default();
            ensure!(content.starts_with("issue "), "{told}");
        }
        bridge.close().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_for_clients_that_have_one_or_ask_for_it() -> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 203);
        let client = session(&edges[0], "another").await?;
        let mut stream = client.open_stream(&edges[0], None).await?;
        subscribe(&client, &edges[0], json!({})).await?;
        github.events(1).await?;
        let message = McpClient::next_message(&mut stream, SOON).await?;
        ensure!(message.method() == "notifications/message", "{message:?}");
        // From another edge, for the stream that is open.
        let more = json!({ "owner": "nobody-at-all", "channel": true });
        subscribe(&client, &edges[1], more).await?;
        let asked = json!({ "level": "error" });
        client.call(&edges[1], "logging/setLevel", asked).await?;
        let last = message.id.context("an id")?;
        drop(stream);
        let mut stream = client.open_stream(&edges[2], Some(&last)).await?;
        let sent = happen(&mut github, 1).await?;
        ensure!(shown_ids(&mut stream, 1).await?.0 == sent);
        // The stateless era: lists of events that a client with channels listens to.
        let channels = json!({ "experimental": { "claude/channel": {} } });
        let with = ModernClient::with_capabilities(channels);
        let discovered = with.discover(&edges[0]).await?;
        let declared = &discovered["capabilities"]["experimental"]["claude/channel"];
        ensure!(*declared == json!({}), "{discovered}");
        let lists = json!({ "resourceSubscriptions": ["github://events"] });
        let mut listening = with.listen(&edges[0], lists.clone()).await?;
        let mut plain = ModernClient::new().listen(&edges[0], lists).await?;
        let sent = happen(&mut github, 1).await?;
        let updated = listening.next(SOON).await?;
        ensure!(updated.method() == "notifications/resources/updated");
        let told = listening.next(SOON).await?;
        ensure!(
            told.method() == CHANNEL && listening.has_subscription_id(&told),
            "{told:?}"
        );
        ensure!(told.params()["meta"]["id"] == *sent[0], "{told:?}");
        let updated = plain.next(SOON).await?;
        ensure!(updated.method() == "notifications/resources/updated");
        ensure!(plain.next(QUIET).await.is_err());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_channels_a_client_that_has_them_gets_log_messages() -> Result<()> {
    let off =
        |plan: testkit::cluster::ClusterPlan| plan.with_env("FORGEWIRE_EDGE__CHANNELS", "off");
    both_with(off, async |system| {
        let edge = system.edges()[0].clone();
        let mut github = GithubSender::of(system, 204);
        let client = session(&edge, CLAUDE).await?;
        let result = client.initialize_result();
        ensure!(
            result["capabilities"].get("experimental").is_none(),
            "{result}"
        );
        let mut stream = client.open_stream(&edge, None).await?;
        subscribe(&client, &edge, json!({})).await?;
        let asked = json!({ "channel": true });
        let refused = client
            .call_tool(&edge, "subscribe_to_events", asked)
            .await?;
        ensure!(refused.to_string().contains("edge.channels"), "{refused}");
        github.events(1).await?;
        let message = McpClient::next_message(&mut stream, SOON).await?;
        ensure!(message.method() == "notifications/message", "{message:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lockdown_shows_no_text_of_a_stranger_on_any_surface() -> Result<()> {
    let on =
        |plan: testkit::cluster::ClusterPlan| plan.with_env("FORGEWIRE_EDGE__LOCKDOWN", "true");
    both_with(on, async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 205);
        let client = session(&edges[0], CLAUDE).await?;
        let mut stream = client.open_stream(&edges[0], None).await?;
        subscribe(&client, &edges[0], json!({})).await?;
        let stranger = issue_of(system, &mut github, "NONE").await?;
        let member = issue_of(system, &mut github, "COLLABORATOR").await?;
        let (hidden, open) = (title_of(&stranger)?, title_of(&member)?);
        ensure!(hidden != open, "the titles differ");
        let (_, first) = shown(&mut stream).await?;
        let (_, second) = shown(&mut stream).await?;
        let text = |params: &Value| params["content"].as_str().unwrap_or_default().to_owned();
        ensure!(
            text(&first).contains(WITHHELD) && !text(&first).contains(&hidden),
            "{first}"
        );
        ensure!(first["meta"]["association"] == "NONE", "{first}");
        ensure!(
            text(&second).contains(&open) && !text(&second).contains(WITHHELD),
            "{second}"
        );
        let payload: Value = serde_json::from_slice(&stranger.body)?;
        let place = |pointer| payload.pointer(pointer).cloned().unwrap_or_default();
        let uri = format!(
            "github://issues/{}/{}/{}",
            place("/repository/owner/login")
                .as_str()
                .context("an owner")?,
            place("/repository/name").as_str().context("a name")?,
            place("/issue/number")
        );
        for edge in &edges {
            let whole = json!({ "include": ["data"] });
            let recent = client.call_tool(edge, "get_recent_events", whole).await?;
            let id = json!({ "id": stranger.guid.to_string() });
            let one = client.call_tool(edge, "get_event", id).await?;
            let issue = json!(client.read_resource(edge, &uri).await?);
            let rest = reqwest::get(edge.join("/events/recent")?).await?;
            let rest: Value = rest.json().await?;
            for (surface, shown) in [
                ("recent", &recent),
                ("one", &one),
                ("issue", &issue),
                ("REST", &rest),
            ] {
                let shown = shown.to_string();
                ensure!(!shown.contains(&hidden), "{surface} of {edge}: {shown}");
                ensure!(shown.contains(WITHHELD), "{surface} of {edge}: {shown}");
            }
            ensure!(recent.to_string().contains(&open), "{recent}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_may_ask_for_trusted_authors_only() -> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 206);
        let client = session(&edges[0], CLAUDE).await?;
        let mut stream = client.open_stream(&edges[1], None).await?;
        let trusted = json!({ "authorAssociation": ["owner", "MEMBER"] });
        subscribe(&client, &edges[2], trusted).await?;
        let stranger = issue_of(system, &mut github, "NONE").await?;
        let member = issue_of(system, &mut github, "MEMBER").await?;
        let (_, params) = shown(&mut stream).await?;
        ensure!(params["meta"]["id"] == member.guid.as_str(), "{params}");
        ensure!(McpClient::next_message(&mut stream, QUIET).await.is_err());
        let ids = async |edge: &Url, query: &str| -> Result<Vec<String>> {
            let url = edge.join(&format!("/events/recent?{query}"))?;
            let list: Value = reqwest::get(url).await?.json().await?;
            let events = list["events"]
                .as_array()
                .with_context(|| list.to_string())?;
            let ids = events.iter().filter_map(|event| event["id"].as_str());
            Ok(ids.map(str::to_owned).collect())
        };
        let payload: Value = serde_json::from_slice(&stranger.body)?;
        let login = payload.pointer("/issue/user/login").and_then(Value::as_str);
        let by = format!("authors={}", login.context("an author")?.to_uppercase());
        for edge in &edges {
            let member = vec![member.guid.to_string()];
            ensure!(ids(edge, "authorAssociation=member,owner").await? == member);
            let stranger = vec![stranger.guid.to_string()];
            ensure!(ids(edge, "authorAssociation=NONE").await? == stranger);
            ensure!(ids(edge, &by).await?.contains(&stranger[0]), "{by}");
            ensure!(ids(edge, "authors=nobody-at-all").await?.is_empty());
        }
        let refused = json!({ "authorAssociation": ["maintainer"] });
        let refused = client
            .call_tool(&edges[0], "subscribe_to_events", refused)
            .await?;
        ensure!(
            refused["isError"] == true && refused.to_string().contains("COLLABORATOR"),
            "{refused}"
        );
        Ok(())
    })
    .await
}
