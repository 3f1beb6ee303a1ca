//! What calls keep of their requests, whose bodies have up to 4 MiB, while they wait for up to a day; and what
//! streams keep for clients that do not read.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Response, Url, header::HeaderMap};
use serde_json::{Value, json};
use testkit::{
    fake_github::{FakeGithub, PayloadSize},
    mcp_client::{McpClient, ModernClient},
};
use tests::both;
use tokio::{io::AsyncReadExt, task::JoinSet};

use crate::{
    hostile::{raw, resident_kib},
    sending::GithubSender,
};

/// White space that makes a body large.
const PADDING: usize = 2 << 20;
/// Calls and tasks that wait; with their bodies, of which there were three copies, they held 528 MiB.
const CALLS: usize = 24;
const TASKS: usize = 64;
/// Bodies that are sent at the same time.
const AT_ONCE: usize = 4;
/// Time within which a stream is told what happened.
const SOON: Duration = Duration::from_secs(60);
/// Memory for reading them, which the allocator may keep, and for what is kept of all of them.
const MOST_KIB: u64 = 128 << 10;

/// Sends `message`, in which the text `PAD` stands for white space.
async fn send(edge: &Url, message: &Value) -> Result<Response> {
    let body = message
        .to_string()
        .replace(r#""PAD""#, &" ".repeat(PADDING));
    let request = reqwest::Client::new()
        .post(edge.join("/mcp")?)
        .headers(ModernClient::headers(message))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(body);
    let answer = request.send().await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_tasks_that_wait_do_not_hold_their_bodies() -> Result<()> {
    both(async |system| {
        let edge = system.edges()[0].clone();
        let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
        let (plain, tasks) = (ModernClient::new(), ModernClient::with_capabilities(tasks));
        let wait = |client: &ModernClient| {
            let arguments = json!({ "filters": ["PAD"] });
            let params = json!({ "name": "wait_for_events", "arguments": arguments });
            client.message("tools/call", params)
        };
        let before = resident_kib(system)?;
        // Each answers as a stream when it has waited for a while; its connection stays open.
        let mut waiting = Vec::new();
        for _ in 0..CALLS / AT_ONCE {
            let mut sending = JoinSet::new();
            for _ in 0..AT_ONCE {
                let (edge, message) = (edge.clone(), wait(&plain));
                sending.spawn(async move { send(&edge, &message).await });
            }
            while let Some(answer) = sending.join_next().await {
                waiting.push(answer??);
            }
        }
        for _ in 0..TASKS {
            let answer: Value = send(&edge, &wait(&tasks)).await?.json().await?;
            ensure!(answer["result"]["resultType"] == "task", "{answer}");
        }
        let more = resident_kib(system)?.saturating_sub(before);
        println!("{}: {more} KiB more", system.kind());
        ensure!(more <= MOST_KIB, "{more} KiB are held");
        drop(waiting);
        Ok(())
    })
    .await
}

/// Unread listen streams, each of which follows all tasks.
const UNREAD: usize = 30;
/// Text of the event with which every task ends: its result has it twice.
const TEXT_BYTES: usize = 100 << 10;

/// The request of a stream that follows these tasks, for a client that does not read.
fn listen_request(client: &ModernClient, tasks: &[String]) -> String {
    let params = json!({ "notifications": { "taskIds": tasks } });
    let body = client.message("subscriptions/listen", params).to_string();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Each held every state, 30 times 64 of 200 KiB; and got all of them again every 15 s.
#[tokio::test(flavor = "multi_thread")]
async fn listen_streams_that_do_not_read_do_not_hold_the_states_of_their_tasks() -> Result<()> {
    both(async |system| {
        let edge = system.edges()[0].clone();
        let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
        let client = ModernClient::with_capabilities(tasks);
        let mut tasks = Vec::new();
        for _ in 0..TASKS {
            let params = json!({ "name": "wait_for_events", "arguments": {} });
            let made = client.call(&edge, "tools/call", params).await?;
            tasks.push(made["taskId"].as_str().context("a task")?.to_owned());
        }
        let before = resident_kib(system)?;
        let mut unread = Vec::new();
        for _ in 0..UNREAD {
            let mut stream = raw(&edge, &listen_request(&client, &tasks)).await?;
            let mut first = [0; 12];
            stream.read_exact(&mut first).await?;
            ensure!(&first == b"HTTP/1.1 200");
            unread.push(stream);
        }
        let filter = json!({ "taskIds": tasks });
        let mut reads = client.listen(&edge, filter).await?;
        let mut github = GithubSender::of(system, 78);
        let size = PayloadSize::WithText(TEXT_BYTES);
        github.fake = FakeGithub::new(78, system.secret()).with_payload_size(size);
        github.events(1).await?;
        let mut ended = 0;
        while ended < TASKS {
            let told = reads.next(SOON).await?;
            ended += usize::from(told.params()["status"] == "completed");
        }
        let more = resident_kib(system)?.saturating_sub(before);
        println!("{}: {more} KiB more", system.kind());
        ensure!(more <= MOST_KIB, "{more} KiB are held");
        drop(unread);
        Ok(())
    })
    .await
}

/// Calls of each era that wait at once; together fewer than one principal may have.
const WAITS: usize = 480;
/// Calls that one session has at once.
const WAITS_PER_SESSION: usize = 48;
/// Memory of each of these calls, half of them in sessions: 2.6 to 2.8 KiB are measured in one process and 1.5 to 2 on an
/// edge of the cluster, and a third more is left for what an allocator does.
const MOST_KIB_PER_WAIT: u64 = 4;

/// Sends a call that waits for events of a repository and asks for progress, and returns when its answer has begun.
async fn begin_wait(edge: &Url, headers: HeaderMap, message: Value) -> Result<Response> {
    let request = reqwest::Client::new()
        .post(edge.join("/mcp")?)
        .headers(headers)
        .header("accept", "application/json, text/event-stream")
        .json(&message);
    let answer = request.send().await?;
    let is_stream = answer.headers()["content-type"] == "text/event-stream";
    ensure!(answer.status() == 200 && is_stream, "{answer:?}");
    Ok(answer)
}

/// A call that waits is in memory once, without what it needed to begin.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_wait_for_an_event_hold_little_each() -> Result<()> {
    both(async |system| {
        let edge = system.edges()[0].clone();
        let params = json!({
            "name": "wait_for_events",
            "arguments": { "filters": [{ "owner": "octo", "repo": "nothing" }] },
            "_meta": { "progressToken": 1 },
        });
        let stateless = ModernClient::new();
        let mut sessions = Vec::new();
        for _ in 0..WAITS / WAITS_PER_SESSION {
            sessions.push(McpClient::connect(&edge).await?);
        }
        let mut calls = Vec::new();
        for n in 0..WAITS {
            let mut message = stateless.message("tools/call", params.clone());
            message["params"]["_meta"]["progressToken"] = json!(n);
            calls.push((ModernClient::headers(&message), message));
            let message = json!({ "jsonrpc": "2.0", "id": 1000 + n, "method": "tools/call", "params": params });
            calls.push((sessions[n % sessions.len()].headers(), message));
        }
        let mut waiting = Vec::new();
        let mut calls = calls.into_iter();
        // What an edge allocates once, and what its allocator keeps.
        for (headers, message) in calls.by_ref().take(2 * WAITS / 4) {
            waiting.push(begin_wait(&edge, headers, message).await?);
        }
        let (before, begun) = (resident_kib(system)?, waiting.len());
        for (headers, message) in calls {
            waiting.push(begin_wait(&edge, headers, message).await?);
        }
        let more = resident_kib(system)?.saturating_sub(before);
        let count = u64::try_from(waiting.len() - begun)?;
        println!("{}: {more} KiB more for {count} calls", system.kind());
        ensure!(more <= count * MOST_KIB_PER_WAIT, "{more} KiB are held by {count} calls");
        drop(waiting);
        Ok(())
    })
    .await
}
