//! A stdio client behind `forgewire stdio`: it has everything that clients over HTTP have.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{
    cluster::{FaultOutcome, System, SystemKind, SystemNode},
    mcp_client::ModernClient,
};
use tests::{BridgeProcess, both};

use crate::sending::GithubSender;

fn modern(mut params: Value) -> Value {
    params["_meta"] = ModernClient::meta();
    params
}

#[tokio::test(flavor = "multi_thread")]
async fn every_handshake_revision_gets_its_notifications_through_the_balancer() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 71);
        for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            let mut bridge = BridgeProcess::start(system.balancer())?;
            bridge.send_text("{\n").await?;
            ensure!(bridge.receive().await?["error"]["code"] == -32700);
            // What a pipe of Windows puts before the first line.
            bridge.send_text("\u{feff}").await?;
            let result = bridge.initialize(version).await?;
            ensure!(result["protocolVersion"] == version, "{result}");
            let subscribe = json!({ "name": "subscribe_to_events", "arguments": {} });
            let subscribed = bridge.request(1, "tools/call", subscribe).await?;
            ensure!(subscribed["result"]["isError"] != true, "{subscribed}");
            github.events(1).await?;
            let told = bridge.receive().await?;
            ensure!(told["params"]["logger"] == "github.events", "{told}");
            bridge.close().await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stateless_era_listens_and_asks_at_the_same_time() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 72);
        let mut bridge = BridgeProcess::start(system.balancer())?;
        let filter = json!({ "notifications": { "resourceSubscriptions": ["github://events"] } });
        let listen = json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen",
            "params": modern(filter) });
        bridge.send(&listen).await?;
        let acknowledged = bridge.receive().await?;
        ensure!(acknowledged["method"] == "notifications/subscriptions/acknowledged");
        let discovered = bridge
            .request(2, "server/discover", modern(json!({})))
            .await?;
        ensure!(
            discovered["result"]["supportedVersions"].is_array(),
            "{discovered}"
        );
        github.events(1).await?;
        let told = bridge.receive().await?;
        ensure!(
            told["method"] == "notifications/resources/updated",
            "{told}"
        );
        let recent = json!({ "name": "get_recent_events" });
        let recent = bridge.request(3, "tools/call", modern(recent)).await?;
        ensure!(recent["result"]["resultType"] == "complete", "{recent}");
        bridge.close().await
    })
    .await
}

/// Kills and restarts every edge while events arrive.
pub(crate) async fn restart_all(system: &mut System) -> Result<()> {
    let edges = match system.kind() {
        SystemKind::Embedded => 1,
        SystemKind::Cluster => system.edges().len(),
    };
    for edge in 0..edges {
        ensure!(system.kill(SystemNode::Edge(edge))? == FaultOutcome::Done);
        ensure!(system.restart(SystemNode::Edge(edge)).await? == FaultOutcome::Done);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_edge_is_killed_and_the_session_misses_nothing() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 73);
        let ledger = github.ledger.clone();
        let mut bridge = BridgeProcess::start(system.balancer())?;
        bridge.initialize("2025-11-25").await?;
        let subscribe = json!({ "name": "subscribe_to_events", "arguments": {} });
        bridge.request(1, "tools/call", subscribe).await?;
        ledger.record_joined("bridge");
        let sending = tokio::spawn(async move {
            for _ in 0..30 {
                github.events(2).await?;
            }
            anyhow::Ok(github)
        });
        restart_all(system).await?;
        let mut github = sending.await??;
        github.events(5).await?;
        while !ledger.is_settled(&["bridge"]) {
            let told = bridge.receive().await;
            let told = told.with_context(|| format!("{:?}", ledger.outstanding("bridge")))?;
            ensure!(told["params"]["logger"] == "github.events", "{told}");
            let id = told["params"]["data"]["id"].as_str().unwrap_or_default();
            ledger.record_received("bridge", id);
        }
        ledger.balance()?;
        let pong = bridge.request(2, "ping", json!({})).await?;
        ensure!(pong["result"] == json!({}), "{pong}");
        bridge.close().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_edge_is_killed_and_the_subscription_goes_on() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 74);
        let mut bridge = BridgeProcess::start(system.balancer())?;
        let filter = json!({ "notifications": { "resourceSubscriptions": ["github://events"] } });
        let listen = json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen",
            "params": modern(filter) });
        bridge.send(&listen).await?;
        bridge.receive().await?;
        restart_all(system).await?;
        // The hint that something may have changed in the meantime.
        let hint = bridge.receive().await?;
        ensure!(
            hint["method"] == "notifications/resources/updated",
            "{hint}"
        );
        github.events(1).await?;
        let told = bridge.receive().await?;
        ensure!(
            told["method"] == "notifications/resources/updated",
            "{told}"
        );
        bridge.close().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_edge_forgot_is_opened_anew_with_its_subscriptions() -> Result<()> {
    let in_memory = ("FORGEWIRE_BACKENDS__SESSIONS", "memory");
    let system = System::start_with(SystemKind::Embedded, |plan| {
        plan.with_env(in_memory.0, in_memory.1)
    });
    let mut system = system.await?;
    let mut github = GithubSender::of(&system, 75);
    let mut bridge = BridgeProcess::start(system.balancer())?;
    bridge.initialize("2025-11-25").await?;
    let events = json!({ "uri": "github://events" });
    let subscribed = bridge.request(1, "resources/subscribe", events).await?;
    ensure!(subscribed["result"] == json!({}), "{subscribed}");
    restart_all(&mut system).await?;
    let pong = bridge.request(2, "ping", json!({})).await?;
    ensure!(pong["result"] == json!({}), "{pong}");
    github.events(1).await?;
    loop {
        let told = bridge.receive().await?;
        if told["method"] == "notifications/resources/updated" {
            ensure!(told["params"]["uri"] == "github://events", "{told}");
            break;
        }
        ensure!(told["params"]["logger"] == "forgewire.stdio", "{told}");
    }
    bridge.close().await?;
    system.stop().await
}
