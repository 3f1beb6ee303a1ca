//! Subscriptions that belong to no session and no connection: made on one edge, effective on all, on both
//! topologies.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::{Clock, SystemClock};
use reqwest::{
    Method, StatusCode, Url,
    header::{ACCEPT, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use testkit::{
    cluster::{System, SystemKind, SystemNode},
    fake_github::StoryStep,
    mcp_client::{McpClient, ModernClient},
    sse::{self, SseStream},
};
use tests::{both, both_with, every_node_is_ready, only, until};

use crate::{
    readiness::redis_does,
    sending::GithubSender,
    visibility::{TokenFile, bearer},
};

const SOON: Duration = Duration::from_secs(10);
/// Time within which a change of a subscription is effective on every edge.
const EFFECTIVE: Duration = Duration::from_secs(1);

async fn ask(
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Value>,
) -> Result<(StatusCode, Value)> {
    let request = reqwest::Client::new().request(method, url).headers(headers);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = request.send().await?;
    let status = answer.status();
    Ok((status, answer.json().await?))
}

async fn subscribe(edge: &Url, asked: Value) -> Result<String> {
    let url = edge.join("/events/subscribe")?;
    let (status, made) = ask(Method::POST, url, HeaderMap::new(), Some(asked)).await?;
    ensure!(status == StatusCode::CREATED, "{status} {made}");
    let id = made["subscriptionId"].as_str().context("an id")?;
    Ok(id.to_owned())
}

async fn delete(edge: &Url, id: &str) -> Result<StatusCode> {
    let url = edge.join(&format!("/events/subscribe/{id}"))?;
    Ok(ask(Method::DELETE, url, HeaderMap::new(), None).await?.0)
}

async fn open(edge: &Url, query: &str, after: Option<&str>) -> Result<SseStream> {
    let url = edge.join(&format!("/events/stream?{query}"))?;
    let mut stream = match after {
        Some(id) => sse::resume(&url, HeaderMap::new(), id).await?,
        None => sse::open(&url, HeaderMap::new()).await?,
    };
    let connected = stream.next_event(SOON).await?;
    ensure!(
        connected.event.as_deref() == Some("connected"),
        "{connected:?}"
    );
    Ok(stream)
}

async fn follow(edge: &Url, id: &str, after: Option<&str>) -> Result<SseStream> {
    open(edge, &format!("subscription={id}"), after).await
}

async fn next_id(stream: &mut SseStream) -> Result<String> {
    let frame = stream.next_event(SOON).await?;
    ensure!(frame.event.as_deref() == Some("event"), "{frame:?}");
    let event = frame.json().context("JSON")?;
    Ok(event["id"].as_str().context("an id")?.to_owned())
}

/// The reason for which a stream ends, and the time until then.
async fn ending(stream: &mut SseStream) -> Result<(String, Duration)> {
    ending_within(stream, SOON).await
}

async fn ending_within(stream: &mut SseStream, patience: Duration) -> Result<(String, Duration)> {
    let began = Instant::now();
    let frame = stream.next_event(patience).await?;
    let took = began.elapsed();
    ensure!(frame.event.as_deref() == Some("ended"), "{frame:?}");
    let data = frame.json().context("JSON")?;
    Ok((data["reason"].as_str().unwrap_or_default().to_owned(), took))
}

fn issues() -> Value {
    json!({ "filters": [{ "resourceType": "ISSUE" }] })
}

/// Something happens to an issue, after something that the subscription does not want; returns its id.
async fn issue_happens(github: &mut GithubSender) -> Result<String> {
    let milestone = github.fake.delivery_of(StoryStep::MilestoneCreated);
    let issue = github.fake.delivery_of(StoryStep::IssueOpened);
    github.send_all(&[milestone, issue.clone()]).await?;
    Ok(issue.guid.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_of_one_edge_delivers_on_another_and_ends_everywhere_within_a_second()
-> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 151);
        let id = subscribe(&edges[0], issues()).await?;
        let mut stream = follow(&edges[2], &id, None).await?;
        let event = issue_happens(&mut github).await?;
        ensure!(next_id(&mut stream).await? == event);
        // A stream that is open already follows what its client subscribes to later.
        let mut named = open(&edges[2], "clientId=planner", None).await?;
        let mut asked = issues();
        asked["clientId"] = "planner".into();
        let second = subscribe(&edges[0], asked).await?;
        let began = Instant::now();
        until(
            "the stream has what its client subscribed to alone",
            async || {
                let event = issue_happens(&mut github).await.unwrap_or_default();
                let first = next_id(&mut named).await.unwrap_or_default();
                first == event || {
                    let _ = next_id(&mut named).await;
                    false
                }
            },
        )
        .await?;
        let took = began.elapsed();
        println!("{}: effective after {took:?}", system.kind());
        ensure!(
            took < EFFECTIVE + EFFECTIVE,
            "{took:?}, with the events that show it"
        );
        ensure!(delete(&edges[1], &second).await? == StatusCode::OK);
        let (reason, took) = ending(&mut named).await?;
        ensure!(
            reason == "subscription_deleted" && took < EFFECTIVE,
            "{reason} {took:?}"
        );
        // At its end, also on an edge that did not make it.
        let life = Duration::from_millis(900);
        let end = SystemClock.now().plus(life);
        let mut asked = issues();
        asked["expiresAt"] = end.to_string().into();
        let short = subscribe(&edges[1], asked).await?;
        let mut stream = follow(&edges[2], &short, None).await?;
        let (reason, took) = ending(&mut stream).await?;
        ensure!(
            reason == "subscription_expired" && took < life + EFFECTIVE,
            "{reason} {took:?}"
        );
        for edge in &edges {
            ensure!(delete(edge, &short).await? == StatusCode::NOT_FOUND);
        }
        Ok(())
    })
    .await
}

/// Every process and server is killed and started again.
async fn everything_restarts(system: &mut System) -> Result<()> {
    let edges = (0..3).map(SystemNode::Edge);
    let others = [SystemNode::Ingest(0), SystemNode::Sync];
    for node in [SystemNode::Redis, SystemNode::Nats]
        .into_iter()
        .chain(others)
        .chain(edges)
    {
        // What the topology does not have cannot be restarted.
        let _ = system.restart(node).await?;
    }
    every_node_is_ready(system).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_outlives_everything_and_its_client_gets_what_it_missed() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 152);
        let id = subscribe(&system.edges()[0], issues()).await?;
        let first = issue_happens(&mut github).await?;
        let mut stream = follow(&system.edges()[1], &id, None).await?;
        ensure!(next_id(&mut stream).await? == first);
        let last = stream.last_id().context("an id")?.to_owned();
        drop(stream);
        let away = issue_happens(&mut github).await?;
        everything_restarts(system).await?;
        let edges = system.edges().to_vec();
        let since = issue_happens(&mut github).await?;
        // With the last id exactly what followed it; then, without one, from where the client had come.
        for (edge, after) in [(&edges[2], Some(last.as_str())), (&edges[0], None)] {
            let mut stream = follow(edge, &id, after).await?;
            for expected in [&away, &since] {
                ensure!(next_id(&mut stream).await? == *expected, "after {after:?}");
            }
        }
        ensure!(delete(&edges[1], &id).await? == StatusCode::OK);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_listed_in_pages_and_a_tool_knows_them_too() -> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let mut made = Vec::new();
        for edge in edges.iter().cycle().take(7) {
            made.push(subscribe(edge, issues()).await?);
        }
        let client = McpClient::connect(&edges[0]).await?;
        let arguments = json!({ "clientId": "planner", "filters": [{ "resourceType": "ISSUE" }] });
        let tool = client
            .call_tool(&edges[1], "subscribe_to_events", arguments)
            .await?;
        let of_tool = tool["structuredContent"]["subscriptionId"].as_str();
        made.push(of_tool.with_context(|| tool.to_string())?.to_owned());
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        for edge in edges.iter().cycle() {
            let url = edge.join(&format!("/events/subscribe?limit=3{cursor}"))?;
            let (status, page) = ask(Method::GET, url, HeaderMap::new(), None).await?;
            let entries = page["subscriptions"].as_array().context("a list")?;
            ensure!(status == StatusCode::OK && entries.len() <= 3, "{page}");
            let ids = entries
                .iter()
                .filter_map(|entry| entry["subscriptionId"].as_str());
            listed.extend(ids.map(ToOwned::to_owned));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        made.sort();
        ensure!(listed == made, "{listed:?}");
        // The session ends, and the subscription under the client's name does not.
        let mut github = GithubSender::of(system, 153);
        let mut stream = open(&edges[2], "clientId=planner", None).await?;
        client.end(&edges[0]).await?;
        let event = issue_happens(&mut github).await?;
        ensure!(next_id(&mut stream).await? == event);
        Ok(())
    })
    .await
}

/// As many subscriptions as an owner may have, and one more.
const MOST: usize = subscriptions::limits::MAX_PER_OWNER as usize;

#[tokio::test(flavor = "multi_thread")]
async fn the_subscriptions_of_an_owner_are_invisible_to_others_and_have_a_bound() -> Result<()> {
    let file = TokenFile::new()?;
    let path = file.path.display().to_string();
    let with_tokens = |plan: testkit::cluster::ClusterPlan| {
        let plan = plan.with_env("FORGEWIRE_AUTH__MODE", "tokens");
        plan.with_env("FORGEWIRE_AUTH__TOKEN_FILE", &path)
    };
    let [one, other] = [
        "the-token-of-the-one-principal-here",
        "the-token-of-the-other-principal-here",
    ];
    file.write(&[(one, "one", ""), (other, "other", "")])?;
    both_with(with_tokens, async |system| {
        let edges = system.edges().to_vec();
        let post = |edge: &Url, token: &str| {
            let (url, headers) = (edge.join("/events/subscribe"), bearer(token));
            async move { ask(Method::POST, url?, headers, Some(json!({}))).await }
        };
        let mut last = Value::Null;
        for edge in edges.iter().cycle().take(MOST) {
            let (status, made) = post(edge, one).await?;
            ensure!(status == StatusCode::CREATED, "{made}");
            last = made["subscriptionId"].clone();
        }
        for edge in &edges {
            let (status, problem) = post(edge, one).await?;
            ensure!(status == StatusCode::CONFLICT, "{problem}");
            let detail = problem["detail"].as_str().unwrap_or_default();
            ensure!(detail.contains("delete one first"), "{detail}");
            ensure!(
                post(edge, other).await?.0 == StatusCode::CREATED,
                "others have room"
            );
            for id in [last.as_str().context("an id")?, "no-such-subscription"] {
                let path = format!("/events/subscribe/{id}");
                for method in [Method::GET, Method::DELETE] {
                    let (status, problem) =
                        ask(method, edge.join(&path)?, bearer(other), None).await?;
                    ensure!(status == StatusCode::NOT_FOUND, "{status}");
                    ensure!(problem["code"] == "subscription-not-found", "{problem}");
                }
                let path = format!("/events/stream?subscription={id}");
                let (status, _) = ask(Method::GET, edge.join(&path)?, bearer(other), None).await?;
                ensure!(status == StatusCode::NOT_FOUND, "{status}");
                let foreign = json!({ "subscriptionId": id });
                let told = subscribed(edge, Some(other), foreign).await?;
                ensure!(told["isError"] == true, "{told}");
            }
        }
        // Those of all are looked at together, and each principal has its own.
        let mut github = GithubSender::of(system, 158);
        let event = issue_happens(&mut github).await?;
        for (token, count) in [(one, MOST), (other, edges.len())] {
            let mut told = Value::Null;
            until("the edge has the event", async || {
                let told = &mut told;
                *told = subscribed(&edges[1], Some(token), json!({ "limit": 1 }))
                    .await
                    .unwrap_or_default();
                event_ids(told) == [event.as_str()]
            })
            .await
            .with_context(|| told.to_string())?;
            let told = &told["structuredContent"];
            ensure!(told["subscriptions"] == count, "{told}");
            let named = told["events"][0]["subscriptionIds"].as_array();
            let named = named.map_or(0, Vec::len);
            let more = told["events"][0]["moreSubscriptions"].as_u64();
            let all = named + usize::try_from(more.unwrap_or_default())?;
            ensure!(all == count && named <= 8, "{told}");
        }
        Ok(())
    })
    .await
}

/// What a client is told of what it follows, without a session.
async fn subscribed(edge: &Url, token: Option<&str>, arguments: Value) -> Result<Value> {
    let params = json!({ "name": "get_subscribed_events", "arguments": arguments });
    let message = ModernClient::new().message("tools/call", params);
    let mut headers = token.map(bearer).unwrap_or_default();
    headers.extend(ModernClient::headers(&message));
    headers.insert(
        ACCEPT,
        HeaderValue::from_static("application/json, text/event-stream"),
    );
    let (_, mut answer) = ask(Method::POST, edge.join("/mcp")?, headers, Some(message)).await?;
    ensure!(answer["result"].is_object(), "{answer}");
    Ok(answer["result"].take())
}

fn event_ids(told: &Value) -> Vec<String> {
    let events = told["structuredContent"]["events"].as_array();
    let ids = events.into_iter().flatten();
    let ids = ids.filter_map(|event| event["id"].as_str());
    ids.map(str::to_owned).collect()
}

/// A client that is woken without the event asks what happened to what it follows, on whichever edge it gets.
#[tokio::test(flavor = "multi_thread")]
async fn a_tool_says_on_every_edge_what_happened_to_what_its_caller_follows() -> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 157);
        let none = subscribed(&edges[1], None, json!({})).await?;
        let note = &none["structuredContent"]["notes"][0];
        ensure!(
            note.as_str()
                .is_some_and(|note| note.contains("subscribe_to_events")),
            "{none}"
        );
        let mut following = Vec::new();
        for edge in &edges {
            following.push(open(edge, "resourceType=ISSUE", None).await?);
        }
        let earlier = issue_happens(&mut github).await?;
        // A subscription begins where its edge is in the log.
        for stream in &mut following {
            ensure!(next_id(stream).await? == earlier);
        }
        drop(following);
        // Long enough to be made on a machine that is busy.
        let life = Duration::from_secs(4);
        let end = SystemClock.now().plus(life);
        let mut asked = issues();
        asked["clientId"] = "planner".into();
        let id = subscribe(&edges[0], asked.clone()).await?;
        asked["expiresAt"] = end.to_string().into();
        let short = subscribe(&edges[1], asked).await?;
        let cursor =
            subscribed(&edges[0], None, json!({})).await?["structuredContent"]["cursor"].take();
        // One of the session beside those that are kept, on another edge.
        let session = McpClient::connect(&edges[0]).await?;
        let arguments = json!({ "filters": [{ "resourceType": "MILESTONE" }] });
        let made = session
            .call_tool(&edges[1], "subscribe_to_events", arguments)
            .await?;
        let of_session = &made["structuredContent"]["subscriptionId"];
        let milestone = github.fake.delivery_of(StoryStep::MilestoneCreated);
        let issue = github.fake.delivery_of(StoryStep::IssueOpened);
        github.send_all(&[milestone.clone(), issue.clone()]).await?;
        let (milestone, issue) = (milestone.guid.to_string(), issue.guid.to_string());
        for edge in &edges {
            let mut kept = Value::Null;
            until("the edge has the event", async || {
                kept = subscribed(edge, None, json!({})).await.unwrap_or_default();
                event_ids(&kept) == [issue.as_str()]
            })
            .await
            .with_context(|| kept.to_string())?;
            let both = session
                .call_tool(edge, "get_subscribed_events", json!({}))
                .await?;
            ensure!(event_ids(&both) == [issue.as_str(), &milestone], "{both}");
            let named = &both["structuredContent"]["events"][1]["subscriptionIds"];
            ensure!(named == &json!([of_session]), "{both}");
            let since = subscribed(edge, None, json!({ "cursor": cursor })).await?;
            ensure!(event_ids(&since) == [issue.as_str()], "{since}");
        }
        until("the short one has ended", async || {
            let gone = subscribed(&edges[2], None, json!({ "subscriptionId": short })).await;
            gone.is_ok_and(|gone| gone["isError"] == true)
        })
        .await?;
        for edge in &edges {
            let kept = subscribed(edge, None, json!({ "clientId": "planner" })).await?;
            let named = &kept["structuredContent"]["events"][0]["subscriptionIds"];
            ensure!(named == &json!([id]), "{kept}");
        }
        Ok(())
    })
    .await
}

/// Streams of one owner that open at once, each of a client with one subscription among as many.
const CLIENTS: usize = 400;

/// Reads of subscriptions by all edges since they began: lists, and loads by id.
async fn record_reads(system: &System) -> Result<u64> {
    let mut reads = 0;
    let edges = match system.kind() {
        SystemKind::Embedded => 1,
        SystemKind::Cluster => system.edges().len(),
    };
    for edge in 0..edges {
        for operation in ["list", "load", "load_many"] {
            let labels = format!(r#"operation="{operation}""#);
            let url = system.admin(SystemNode::Edge(edge))?.join("/metrics")?;
            let text = reqwest::get(url).await?.text().await?;
            let lines = text.lines().filter(|line| {
                line.starts_with("forgewire_store_call_seconds_count")
                    && line.contains(r#"port="records""#)
                    && line.contains(&labels)
            });
            let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
            reads += values.sum::<u64>();
        }
    }
    Ok(reads)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_of_a_service_comes_back_at_once_at_the_cost_of_its_own_subscriptions()
-> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 154);
        for (n, edge) in (0..CLIENTS).zip(edges.iter().cycle()) {
            let mut asked = issues();
            asked["clientId"] = format!("user-{n}").into();
            subscribe(edge, asked).await?;
        }
        let before = record_reads(system).await?;
        let began = Instant::now();
        let last = edges.last().context("an edge")?;
        let opening = (0..CLIENTS)
            .map(|n| async move { open(last, &format!("clientId=user-{n}"), None).await });
        let streams = futures_util::future::try_join_all(opening).await?;
        let event = issue_happens(&mut github).await?;
        for mut stream in streams.into_iter().step_by(20) {
            ensure!(next_id(&mut stream).await? == event);
        }
        let took = began.elapsed();
        let reads = record_reads(system).await? - before;
        println!(
            "{}: {CLIENTS} streams in {took:?}, {reads} reads",
            system.kind()
        );
        // One when it opens, one when it is open, and the checks of the time that this takes.
        let checks = 1 + took.as_secs() / 15;
        let bound = CLIENTS as u64 * (2 + checks) + 100;
        ensure!(reads <= bound, "{reads} reads, and {bound} are expected");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_subscription_was_lost_with_its_store_says_so() -> Result<()> {
    // Embedded, the file of the store is lost with the process alone.
    let plan = |plan| plan;
    only(SystemKind::Cluster, plan, async |system| {
        let edges = system.edges().to_vec();
        let mut asked = issues();
        let alone = subscribe(&edges[0], asked.clone()).await?;
        let other = subscribe(&edges[0], asked.clone()).await?;
        asked["clientId"] = "planner".into();
        let first = subscribe(&edges[1], asked.clone()).await?;
        subscribe(&edges[1], asked.clone()).await?;
        let mut streams = [
            follow(&edges[2], &alone, None).await?,
            open(&edges[1], "clientId=planner", None).await?,
            open(&edges[0], "clientId=planner", None).await?,
        ];
        let mut deleted = follow(&edges[1], &other, None).await?;
        ensure!(delete(&edges[0], &other).await? == StatusCode::OK);
        ensure!(ending(&mut deleted).await?.0 == "subscription_deleted");
        ensure!(delete(&edges[0], &first).await? == StatusCode::OK);
        redis_does(system, "FLUSHALL").await?;
        // One of the client is there again before the edges notice: the other one stays lost.
        subscribe(&edges[2], asked).await?;
        for stream in &mut streams {
            // Nothing tells of a loss: the edges notice it when they look.
            let (reason, took) = ending_within(stream, Duration::from_secs(40)).await?;
            println!("lost after {took:?}");
            ensure!(reason == "subscription_lost", "{reason}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_comes_back_to_an_empty_stream_after_its_subscriptions_ended_everywhere()
-> Result<()> {
    both(async |system| {
        let edges = system.edges().to_vec();
        let mut github = GithubSender::of(system, 155);
        let mut asked = issues();
        asked["clientId"] = "page".into();
        asked["expiresAt"] = SystemClock
            .now()
            .plus(Duration::from_secs(3))
            .to_string()
            .into();
        subscribe(&edges[0], asked.clone()).await?;
        let mut page = open(&edges[1], "clientId=page", None).await?;
        ensure!(ending(&mut page).await?.0 == "subscription_expired");
        let mut last = page.last_id().context("an id")?.to_owned();
        for edge in &edges {
            // As EventSource does by itself, on whichever edge it gets.
            let mut page = open(edge, "clientId=page", Some(&last)).await?;
            issue_happens(&mut github).await?;
            let unasked = page.next_event(Duration::from_secs(1)).await;
            ensure!(unasked.is_err(), "{unasked:?}");
            page.last_id().context("an id")?.clone_into(&mut last);
        }
        // It subscribes again, and its stream goes on with that.
        let mut page = open(&edges[2], "clientId=page", Some(&last)).await?;
        if let Some(members) = asked.as_object_mut() {
            members.remove("expiresAt");
        }
        subscribe(&edges[0], asked).await?;
        let event = issue_happens(&mut github).await?;
        ensure!(next_id(&mut page).await? == event);
        Ok(())
    })
    .await
}
