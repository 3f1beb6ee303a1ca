//! `/mcp/sse` on whole systems: a client of the documented surface, written from its document alone; broadcasts to
//! many sessions of which few are connected; statistics over all edges; and a token in the query that no log shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use access::TokenDigest;
use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use reqwest::{Client, StatusCode, Url, header::HeaderMap};
use serde_json::{Value, json};
use testkit::{
    cluster::{ClusterPlan, FaultOutcome, System, SystemKind, SystemNode},
    mcp_client::ModernClient,
    sse::{self, SseStream},
};
use tests::{both_with, log_lines, until};
use tokio::time::Instant;

const SOON: Duration = Duration::from_secs(10);
const OPERATES: &str = "the-token-of-the-operator-of-this-installation";
const TEAM: &str = "the-token-of-a-team-that-reads-and-that-sends";
const READS: &str = "the-token-of-one-that-reads-and-does-no-more";
/// Time for a broadcast and its exact count.
const COUNT_TIME: Duration = Duration::from_millis(300);
/// The same for one that is kept.
const KEPT_COUNT_TIME: Duration = Duration::from_millis(1250);

/// Tokens of the three documented types.
fn plan(folder: &tempfile::TempDir) -> Result<impl Fn(ClusterPlan) -> ClusterPlan> {
    let path = folder.path().join("tokens.toml");
    let mut text = String::new();
    for (token, name, permissions) in [
        (OPERATES, "ops", "[\"read\", \"send\", \"admin\"]"),
        (TEAM, "team", "[\"read\", \"send\"]"),
        (READS, "reader", "[\"read\"]"),
    ] {
        let sha256 = TokenDigest::of_new(token)?.to_hex();
        text += &format!(
            "[[token]]\nid = \"{name}\"\nsha256 = \"{sha256}\"\nprincipal = \"{name}\"\npermissions = {permissions}\n"
        );
    }
    std::fs::write(&path, text)?;
    let path = path.display().to_string();
    Ok(move |plan: ClusterPlan| {
        plan.with_env("FORGEWIRE_AUTH__MODE", "tokens")
            .with_env("FORGEWIRE_AUTH__TOKEN_FILE", &path)
            .with_env("FORGEWIRE_EDGE__QUERY_TOKENS", "true")
            .with_env("FORGEWIRE_EDGE__MAX_SESSIONS_PER_PRINCIPAL", "20000")
    })
}

fn bearer(token: &str) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse()?);
    Ok(headers)
}

async fn post(edge: &Url, path: &str, token: &str, body: &Value) -> Result<Value> {
    let request = Client::new().post(edge.join(path)?).headers(bearer(token)?);
    let answer = request.json(body).send().await?;
    let status = answer.status();
    let told: Value = answer.json().await?;
    ensure!(status.is_success(), "{path} {body}: {status} {told}");
    Ok(told)
}

async fn stats(edge: &Url) -> Result<Value> {
    let request = Client::new().get(edge.join("/mcp/sse/stats")?);
    Ok(request
        .headers(bearer(OPERATES)?)
        .send()
        .await?
        .json()
        .await?)
}

/// As the document says: the name is one of six, and one `JSON.parse` gives the object.
async fn event(stream: &mut SseStream) -> Result<(String, Value)> {
    loop {
        let frame = stream.next_event(SOON).await?;
        let (Some(name), Some(data)) = (&frame.event, &frame.data) else {
            continue;
        };
        let data: Value = serde_json::from_str(data)?;
        ensure!(data.is_object() && data["type"] == *name, "{frame:?}");
        if name != "heartbeat" {
            return Ok((name.clone(), data));
        }
    }
}

/// A connection, by the document: its id is in the welcome.
async fn connect(edge: &Url, token: &str) -> Result<(SseStream, String)> {
    let url = edge.join(&format!("/mcp/sse?token={token}"))?;
    let mut stream = sse::open(&url, HeaderMap::new()).await?;
    let (name, status) = event(&mut stream).await?;
    ensure!(
        name == "connection-status" && status["status"] == "connected",
        "{status}"
    );
    let (name, welcome) = event(&mut stream).await?;
    let id = welcome["result"]["connectionId"].as_str();
    ensure!(
        name == "mcp-notification" && welcome["result"]["serverInfo"].is_object(),
        "{welcome}"
    );
    let id = id.with_context(|| welcome.to_string())?.to_owned();
    Ok((stream, id))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_the_document_alone_gets_what_it_promises_from_every_edge() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    both_with(plan(&folder)?, async |system| {
        let edges = system.edges().to_vec();
        let (mut stream, id) = connect(&edges[0], TEAM).await?;
        for (n, edge) in edges.iter().enumerate() {
            let list = json!({ "connectionId": id, "message": { "method": "tools/list" } });
            let told = post(edge, "/mcp/sse/send", TEAM, &list).await?;
            ensure!(told["success"] == true && told["sent"] == true, "{told}");
            let (name, data) = event(&mut stream).await?;
            ensure!(
                name == "mcp-response" && data["method"] == "tools/list",
                "{data}"
            );
            ensure!(
                data["result"]["tools"]
                    .as_array()
                    .is_some_and(|tools| !tools.is_empty()),
                "{data}"
            );
            ensure!(
                data["timestamp"].is_string() && data["requestId"].is_string(),
                "{data}"
            );
            let call = json!({ "name": "get_recent_events", "arguments": {} });
            let call = json!({ "jsonrpc": "2.0", "id": n, "method": "tools/call", "params": call });
            let call = json!({ "connectionId": id, "message": call });
            post(edge, "/mcp/sse/send", TEAM, &call).await?;
            let (name, data) = event(&mut stream).await?;
            ensure!(
                name == "tool-result" && data["method"] == "get_recent_events",
                "{data}"
            );
            ensure!(data["id"] == n && data["requestId"] == n, "{data}");
            let wrong = json!({ "name": "no_such_tool", "arguments": {} });
            let wrong = json!({ "method": "tools/call", "params": wrong });
            let wrong = json!({ "connectionId": id, "message": wrong });
            let told = post(edge, "/mcp/sse/send", OPERATES, &wrong).await?;
            ensure!(told["error"] == true, "{told}");
            let (name, data) = event(&mut stream).await?;
            ensure!(
                name == "mcp-error" && data["method"] == "tools/call",
                "{data}"
            );
            ensure!(
                data["error"]["message"].is_string() && data["error"]["code"].is_i64(),
                "{data}"
            );
            // Another token cannot tell a foreign connection from none.
            let body = json!({ "connectionId": id, "message": { "method": "ping" } });
            let nobody = json!({ "connectionId": "never-was", "message": { "method": "ping" } });
            let mut refusals = Vec::new();
            for body in [body, nobody] {
                let request = Client::new().post(edge.join("/mcp/sse/send")?);
                let answer = request.headers(bearer(READS)?).json(&body).send().await?;
                refusals.push((answer.status(), answer.text().await?));
            }
            ensure!(
                refusals[0].0 == StatusCode::NOT_FOUND && refusals[0] == refusals[1],
                "{refusals:?}"
            );
        }
        // Cut off, it misses nothing, and goes on elsewhere.
        let last = stream.last_id().context("events have ids")?.to_owned();
        drop(stream);
        let ping = json!({ "connectionId": id, "message": { "id": "late", "method": "ping" } });
        post(&edges[1], "/mcp/sse/send", TEAM, &ping).await?;
        let mut resumed = sse::resume(&edges[2].join("/mcp/sse")?, bearer(TEAM)?, &last).await?;
        let (_, status) = event(&mut resumed).await?;
        ensure!(
            status["connectionId"] == id && status["resumed"] == true,
            "{status}"
        );
        event(&mut resumed).await?;
        let (name, data) = event(&mut resumed).await?;
        ensure!(name == "mcp-response" && data["id"] == "late", "{data}");
        Ok(())
    })
    .await
}

/// The numbers of open streams by kind, as the metrics of all edges have them.
async fn streams_of_metrics(system: &System) -> Result<BTreeMap<String, u64>> {
    let nodes = match system.kind() {
        SystemKind::Embedded => 1,
        _ => system.edges().len(),
    };
    let mut sums = BTreeMap::new();
    for node in 0..nodes {
        let url = system.admin(SystemNode::Edge(node))?.join("/metrics")?;
        let text = reqwest::get(url).await?.text().await?;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("forgewire_edge_open_streams{kind=\"")
                && let Some((kind, count)) = rest.split_once("\"} ")
                && let count @ 1.. = count.parse::<u64>()?
            {
                *sums.entry(kind.to_owned()).or_default() += count;
            }
        }
    }
    Ok(sums)
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_and_broadcasts_are_those_of_all_edges_and_a_dead_edge_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    both_with(plan(&folder)?, async |system| {
        let edges = system.edges().to_vec();
        let mut connections = Vec::new();
        for (edge, token) in edges.iter().zip([TEAM, READS, OPERATES]) {
            connections.push(connect(edge, token).await?.0);
        }
        let mut events = Vec::new();
        for edge in &edges {
            let stream = edge.join("/events/stream")?;
            let mut stream = sse::open(&stream, bearer(READS)?).await?;
            stream.next_event(SOON).await?;
            events.push(stream);
        }
        let modern = ModernClient::new();
        let listen = json!({ "notifications": { "toolsListChanged": true } });
        let message = modern.message("subscriptions/listen", listen);
        let mut headers = ModernClient::headers(&message);
        headers.extend(bearer(TEAM)?);
        let request = Client::new().post(edges[2].join("/mcp")?).headers(headers).json(&message);
        let request = request.header("accept", "application/json, text/event-stream");
        let mut listener = SseStream::from_response(request.send().await?).await?;
        listener.next_event(SOON).await?;
        until("the edges know each other and have the streams", async || {
            let stats = stats(&edges[0]).await.unwrap_or_default();
            stats["totalConnections"] == 7 && stats["complete"] == true
        })
        .await?;
        let counted = streams_of_metrics(system).await?;
        for edge in &edges {
            let stats = stats(edge).await?;
            ensure!(stats["connectionsByKind"] == json!(counted), "{stats} {counted:?}");
            ensure!(stats["connectionsByType"] == json!({ "master": 1, "team": 2, "readonly": 4 }), "{stats}");
            let of_edges = stats["edges"].as_array().context("edges")?;
            let sum: u64 = of_edges.iter().filter_map(|edge| edge["totalConnections"].as_u64()).sum();
            ensure!(sum == 7 && stats["oldestConnection"].as_str() < stats["newestConnection"].as_str(), "{stats}");
        }
        let documented = json!({
            "type": "mcp-notification", "result": { "message": "Server maintenance in 5 minutes", "level": "warning" },
            "timestamp": "2026-11-20T10:00:00Z",
        });
        let changed = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
        for (message, filter, count) in [
            // It is no notification that the listener asked for.
            (&documented, json!({}), 6),
            (&documented, json!({ "tokenTypes": ["team", "readonly"] }), 5),
            (&changed, json!({}), 7),
            (&changed, json!({ "permissions": ["send"] }), 3),
        ] {
            let body = json!({ "message": message, "filter": filter });
            let began = Instant::now();
            let told = post(&edges[1], "/mcp/sse/broadcast", OPERATES, &body).await?;
            ensure!(told["sentCount"] == count && told["totalConnections"] == 7, "{filter}: {told}");
            ensure!(began.elapsed() < COUNT_TIME, "{:?}", began.elapsed());
        }
        for (stream, messages) in connections.iter_mut().zip([4, 3, 3]) {
            for _ in 0..messages {
                ensure!(event(stream).await?.0 == "mcp-notification");
            }
        }
        for stream in &mut events {
            for _ in 0..3 {
                let frame = stream.next_event(SOON).await?;
                ensure!(frame.event.as_deref() == Some("mcp-notification"), "{frame:?}");
            }
        }
        for _ in 0..2 {
            let frame = listener.next_event(SOON).await?.json().context("JSON")?;
            ensure!(frame["method"] == "notifications/tools/list_changed", "{frame}");
        }
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        ensure!(system.kill(SystemNode::Edge(0))? == FaultOutcome::Done);
        let began = Instant::now();
        let stats = stats(&edges[1]).await?;
        ensure!(began.elapsed() < COUNT_TIME * 2, "{:?}", began.elapsed());
        let missing = stats["missing"].as_array().context("missing")?.len();
        ensure!(missing == 1 && stats["complete"] == false, "{stats}");
        Ok(())
    })
    .await
}

/// Posts a wait that no event ends.
async fn begin_wait(edge: &Url, id: &str, request: u64, seconds: u64) -> Result<()> {
    let wait = json!({ "filters": [{ "repo": "nobody/nothing" }], "maxWaitSeconds": seconds });
    let call = json!({ "name": "wait_for_events", "arguments": wait });
    let call = json!({ "id": request, "method": "tools/call", "params": call });
    let body = json!({ "connectionId": id, "message": call });
    let told = post(edge, "/mcp/sse/send", TEAM, &body).await?;
    ensure!(told["pending"] == true, "{told}");
    Ok(())
}

/// The next event, which may need an edge to count as gone.
async fn late_event(stream: &mut SseStream) -> Result<(String, Value)> {
    let began = Instant::now();
    loop {
        match event(stream).await {
            Ok(told) => return Ok(told),
            // Silence.
            Err(error) => ensure!(began.elapsed() < Duration::from_secs(45), "{error}"),
        }
    }
}

fn says_that_it_is_lost(name: &str, data: &Value) -> Result<()> {
    let text = data["error"]["message"].as_str().context("a message")?;
    let is_lost = name == "mcp-error" && text.contains("changes nothing, so call again");
    ensure!(is_lost, "{name} {data}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_edge_is_killed_has_an_answer_on_the_stream_wherever_that_is() -> Result<()> {
    let folder = tempfile::tempdir()?;
    both_with(plan(&folder)?, async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        let edges = system.edges().to_vec();
        let (mut stream, id) = connect(&edges[1], TEAM).await?;
        // One that goes on, and many that end as the edge is killed: between two operations of the store, some of them.
        let waits = (1..=30).map(|n| begin_wait(&edges[0], &id, n, if n == 1 { 50 } else { 1 }));
        try_join_all(waits).await?;
        let mut left: BTreeSet<u64> = (1..=30).collect();
        while !left.is_empty() {
            let (name, data) = late_event(&mut stream).await?;
            if left.len() == 30 {
                ensure!(system.kill(SystemNode::Edge(0))? == FaultOutcome::Done);
            }
            let answered = data["id"].as_u64().context("an id")?;
            // One that was answered as the edge was killed may be answered again.
            if left.remove(&answered) && (answered == 1 || name != "tool-result") {
                says_that_it_is_lost(&name, &data)?;
            }
        }
        ensure!(system.restart(SystemNode::Edge(0)).await? == FaultOutcome::Done);
        begin_wait(&edges[0], &id, 31, 50).await?;
        let last = stream.last_id().context("an id")?.to_owned();
        for edge in [0, 1] {
            ensure!(system.kill(SystemNode::Edge(edge))? == FaultOutcome::Done);
        }
        for edge in [0, 1] {
            ensure!(system.restart(SystemNode::Edge(edge)).await? == FaultOutcome::Done);
        }
        let url = edges[0].join(&format!("/mcp/sse?token={TEAM}"))?;
        let mut stream = sse::resume(&url, HeaderMap::new(), &last).await?;
        let (_, status) = event(&mut stream).await?;
        ensure!(status["resumed"] == true, "{status}");
        event(&mut stream).await?;
        let (name, data) = late_event(&mut stream).await?;
        ensure!(data["id"] == 31, "{data}");
        says_that_it_is_lost(&name, &data)
    })
    .await
}

/// Begins sessions on all edges; returns their ids.
async fn sessions(edges: &[Url], count: usize) -> Result<Vec<String>> {
    let http = Client::new();
    let info = json!({ "name": "many", "version": "1" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    let begin = |n: usize| {
        let request = edges[n % edges.len()]
            .join("/mcp")
            .map(|url| http.post(url));
        let body = &body;
        async move {
            let request = request?.headers(bearer(TEAM)?).json(body);
            let request = request.header("accept", "application/json, text/event-stream");
            let answer = request.send().await?.error_for_status()?;
            let id = answer
                .headers()
                .get("mcp-session-id")
                .context("a session")?;
            Ok::<_, anyhow::Error>(id.to_str()?.to_owned())
        }
    };
    let beginning = stream::iter((0..count).map(begin)).buffer_unordered(32);
    beginning.try_collect().await
}

/// Broadcasts to `count` sessions of which `connected` have a stream.
async fn broadcast_among_absent(system: &mut System, count: usize, connected: usize) -> Result<()> {
    let edges = system.edges().to_vec();
    let ids = sessions(&edges, count).await?;
    let open = |(n, id): (usize, &String)| {
        let url = edges[n % edges.len()].join("/mcp");
        let headers = bearer(TEAM).and_then(|mut headers| {
            headers.insert("mcp-session-id", id.parse()?);
            Ok(headers)
        });
        async move { Ok::<_, anyhow::Error>(sse::open(&url?, headers?).await?) }
    };
    let mut streams = Vec::new();
    for one in ids.iter().take(connected).enumerate() {
        streams.push(open(one).await?);
    }
    until("every stream is counted", async || {
        let stats = stats(&edges[0]).await.unwrap_or_default();
        stats["totalConnections"] == connected && stats["complete"] == true
    })
    .await?;
    let mut slowest = Duration::ZERO;
    for (n, durable) in [(1, false), (2, true), (3, false)] {
        let message = json!({ "method": "notifications/test", "params": { "n": n } });
        let body = json!({ "message": message, "durable": durable });
        let began = Instant::now();
        let told = post(
            &edges[n % edges.len()],
            "/mcp/sse/broadcast",
            OPERATES,
            &body,
        )
        .await?;
        if !durable {
            slowest = slowest.max(began.elapsed());
        }
        ensure!(
            told["sentCount"] == connected && told["complete"] == true,
            "{told}"
        );
        // A store of its own speed is asked for those that are kept.
        let time = if durable { KEPT_COUNT_TIME } else { COUNT_TIME };
        ensure!(began.elapsed() < time, "{:?}: {told}", began.elapsed());
    }
    eprintln!("{count} sessions, {connected} connected: a broadcast is counted within {slowest:?}");
    let number = async |stream: &mut SseStream| -> Result<u64> {
        loop {
            let message = stream.next_event(SOON).await?.json().unwrap_or_default();
            if message["method"] == "notifications/test" {
                return message["params"]["n"].as_u64().context("a number");
            }
        }
    };
    for stream in &mut streams {
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(number(stream).await?);
        }
        seen.sort_unstable();
        ensure!(seen == [1, 2, 3], "{seen:?}");
    }
    // One that was away gets the durable one, once, from any edge.
    let away = ids.last().context("sessions")?;
    let mut later = open((1, away)).await?;
    ensure!(number(&mut later).await? == 2);
    let message = json!({ "method": "notifications/test", "params": { "n": 4 } });
    let told = post(
        &edges[0],
        "/mcp/sse/broadcast",
        OPERATES,
        &json!({ "message": message }),
    )
    .await?;
    ensure!(told["sentCount"] == connected + 1, "{told}");
    ensure!(number(&mut later).await? == 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_is_counted_exactly_and_at_once_however_many_sessions_are_away() -> Result<()> {
    let folder = tempfile::tempdir()?;
    both_with(plan(&folder)?, async |system| {
        broadcast_among_absent(system, 1000, 20).await
    })
    .await
}

/// `make broadcast`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "some minutes: 10,000 sessions, on each topology"]
async fn a_broadcast_among_ten_thousand_sessions_is_counted_exactly_and_at_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    both_with(plan(&folder)?, async |system| {
        broadcast_among_absent(system, 10_000, 100).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_has_a_token_of_a_query_at_any_level_whether_it_is_allowed_or_not() -> Result<()> {
    const TYPED: &str = "a-token-that-was-typed-where-it-does-not-belong";
    let folder = tempfile::tempdir()?;
    for allowed in ["true", "false"] {
        let tokens = plan(&folder)?;
        let verbose = |plan| {
            let plan: ClusterPlan = tokens(plan);
            plan.with_env("FORGEWIRE_TELEMETRY__FILTER", "trace")
                .with_env("FORGEWIRE_EDGE__QUERY_TOKENS", allowed)
                .with_env("FORGEWIRE_EDGE__MAX_STREAMS", "1")
        };
        both_with(verbose, async |system| {
            let edges = system.edges().to_vec();
            let http = Client::new();
            let with = |path: &str, token: &str| format!("{path}?token={token}");
            for edge in edges.iter().chain([system.balancer()]) {
                for (path, token) in [
                    ("/mcp/sse", TEAM),
                    ("/mcp/sse", TYPED),
                    ("/events/stream", TYPED),
                    ("/mcp/sse/stats", TYPED),
                    ("/no/such/path", TYPED),
                ] {
                    let url = edge.join(&with(path, token))?;
                    let answer = http
                        .get(url)
                        .header("accept", "text/event-stream")
                        .send()
                        .await?;
                    // One that was just closed may still have the place.
                    let is_taken = answer.status().is_success()
                        || answer.status() == StatusCode::SERVICE_UNAVAILABLE;
                    ensure!(
                        is_taken == (allowed == "true" && path == "/mcp/sse" && token == TEAM),
                        "{path}: {}",
                        answer.status()
                    );
                    if !answer.status().is_success() {
                        let text = answer.text().await?;
                        ensure!(!text.contains(token), "{path}: {text}");
                    }
                }
            }
            // A request that is logged, with its path: there is no place for it.
            let url = edges[0].join(&with("/mcp/sse", TYPED))?;
            let mut held = Vec::new();
            until("every place is taken", async || {
                let request = http
                    .get(url.clone())
                    .headers(bearer(TEAM).unwrap_or_default());
                match request.header("accept", "text/event-stream").send().await {
                    Ok(answer) if answer.status().is_success() => {
                        held.push(answer);
                        false
                    }
                    answer => answer
                        .is_ok_and(|answer| answer.status() == StatusCode::SERVICE_UNAVAILABLE),
                }
            })
            .await?;
            let dir = system.cluster().dir().to_owned();
            until("the refusal is logged", async || {
                let lines = log_lines(&dir);
                lines.iter().any(|line| line.contains("/mcp/sse"))
            })
            .await?;
            let lines = log_lines(&dir);
            let shown: Vec<_> = lines
                .iter()
                .filter(|line| line.contains(TEAM) || line.contains(TYPED))
                .take(5)
                .collect();
            ensure!(shown.is_empty(), "{shown:#?}");
            ensure!(
                lines.iter().any(|line| line.contains("DEBUG")),
                "the filter is not as it was set"
            );
            Ok(())
        })
        .await?;
    }
    Ok(())
}
