//! Readiness follows what each role needs, names what is missing, and comes back with it.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::cluster::{FaultOutcome, System, SystemKind, SystemNode};
use tests::{EventReader, both, settle, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::sending::GithubSender;

pub(crate) const ROLES: [SystemNode; 3] =
    [SystemNode::Ingest(0), SystemNode::Sync, SystemNode::Edge(0)];

/// The reasons for which a role is not ready; `None` if it is.
pub(crate) async fn waiting_for(system: &System, node: SystemNode) -> Result<Option<Value>> {
    let answer = reqwest::get(system.admin(node)?.join("/readyz")?).await?;
    if answer.status() == 200 {
        return Ok(None);
    }
    let problem: Value = answer.json().await?;
    Ok(Some(problem["waitingFor"].clone()))
}

/// Waits until exactly these roles are not ready; each names a dependency of this kind and a reason.
pub(crate) async fn only_these_wait(
    system: &System,
    nodes: &[SystemNode],
    dependency: &str,
) -> Result<()> {
    for node in ROLES {
        let expected = nodes.contains(&node);
        let what = format!("{node}: not ready = {expected}, because of {dependency}");
        until(&what, async || {
            let waiting = waiting_for(system, node).await.ok().flatten();
            let named = waiting
                .as_ref()
                .and_then(Value::as_object)
                .is_some_and(|reasons| {
                    reasons.iter().any(|(name, reason)| {
                        name.contains(dependency)
                            && reason.as_str().is_some_and(|text| text.len() > 5)
                    })
                });
            if expected { named } else { waiting.is_none() }
        })
        .await?;
    }
    Ok(())
}

pub(crate) async fn health(system: &System, node: SystemNode) -> Result<Value> {
    let answer = reqwest::get(system.admin(node)?.join("/health")?).await?;
    Ok(answer.json().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_edges_are_not_ready_and_the_others_are() -> Result<()> {
    both(async |system| {
        if system.kill(SystemNode::Redis)? != FaultOutcome::Done {
            return Ok(());
        }
        only_these_wait(system, &[SystemNode::Edge(0)], "session store").await?;
        let seen = health(system, SystemNode::Edge(0)).await?;
        let store = &seen["dependencies"]["edge: session store"];
        ensure!(
            store["state"] == "failing" && store["lastError"]["class"] == "transient",
            "{seen}"
        );
        ensure!(system.restart(SystemNode::Redis).await? == FaultOutcome::Done);
        only_these_wait(system, &[], "session store").await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_shows_like_one_that_is_gone() -> Result<()> {
    both(async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        system.cluster().process("redis")?.signal(Signal::STOP)?;
        let hanging = only_these_wait(system, &[SystemNode::Edge(0)], "session store").await;
        system.cluster().process("redis")?.signal(Signal::CONT)?;
        hanging?;
        only_these_wait(system, &[], "session store").await
    })
    .await
}

/// Redis answers, and refuses every change: as the replica that it is after a failover, or without memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_takes_no_changes_shows_and_streams_go_on() -> Result<()> {
    both(async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        let mut github = GithubSender::of(system, 43);
        let edges = system.edges().to_vec();
        let readers = EventReader::on_every_edge(&edges, &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        for (spoil, mend, reason) in [
            ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY"),
            ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM"),
        ] {
            redis_does(system, spoil).await?;
            only_these_wait(system, &[SystemNode::Edge(0)], "session store").await?;
            let seen = health(system, SystemNode::Edge(0)).await?;
            let error = &seen["dependencies"]["edge: session store"]["lastError"];
            ensure!(
                error["reason"]
                    .as_str()
                    .is_some_and(|text| text.contains(reason)),
                "{seen}"
            );
            // Streams that are open need no change of the store.
            github.events(3).await?;
            settle(&github.ledger, &names).await?;
            redis_does(system, mend).await?;
            only_these_wait(system, &[], "session store").await?;
        }
        github.events(3).await?;
        settle(&github.ledger, &names).await
    })
    .await
}

/// Another program's value under a key that all sessions, or all tasks, need.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_value_in_an_index_of_redis_is_named_until_it_is_gone() -> Result<()> {
    both(async |system| {
        if system.kind() == SystemKind::Embedded {
            return Ok(());
        }
        let edge = system.edges().first().context("an edge")?.join("/mcp")?;
        for key in [
            "forgewire:{index:sessions}:ids",
            "forgewire:{index:tasks}:weights",
        ] {
            redis_does(system, &format!("SET {key} theirs")).await?;
            only_these_wait(system, &[SystemNode::Edge(0)], "session store").await?;
            let waiting = waiting_for(system, SystemNode::Edge(0)).await?;
            let waiting = waiting.context("the edge waits")?;
            let reason = waiting["edge: session store"].as_str();
            let named = reason.is_some_and(|reason| {
                reason.contains(&format!("the key {key} is not"))
                    && reason.contains("remove or rename it")
            });
            ensure!(named, "{waiting}");
            if key.contains("{index:sessions}") {
                let answer = initialize(&edge).await?;
                ensure!(answer.status() == 500, "{answer:?}");
                ensure!(!answer.headers().contains_key("retry-after"), "{answer:?}");
                let text = answer.text().await?;
                ensure!(text.contains("trying again does not help"), "{text}");
            }
            redis_does(system, &format!("RENAME {key} theirs:{key}")).await?;
            only_these_wait(system, &[], "session store").await?;
            ensure!(initialize(&edge).await?.status() == 200);
        }
        Ok(())
    })
    .await
}

async fn initialize(edge: &reqwest::Url) -> Result<reqwest::Response> {
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    let accept = "application/json, text/event-stream";
    let request = reqwest::Client::new().post(edge.clone());
    let request = request.header("accept", accept).json(&message);
    Ok(request.send().await?)
}

/// Sends a command to the cluster's Redis.
pub(crate) async fn redis_does(system: &mut System, command: &str) -> Result<()> {
    let port = system.cluster().port("redis").context("a port of Redis")?;
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
    connection
        .write_all(format!("{command}\r\n").as_bytes())
        .await?;
    let mut answer = [0; 64];
    let length = connection.read(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer[..length]);
    ensure!(answer.starts_with("+OK"), "{command}: {answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nats_no_role_is_ready_and_all_come_back() -> Result<()> {
    both(async |system| {
        if system.kill(SystemNode::Nats)? != FaultOutcome::Done {
            return Ok(());
        }
        only_these_wait(system, &ROLES, "event log").await?;
        ensure!(system.restart(SystemNode::Nats).await? == FaultOutcome::Done);
        only_these_wait(system, &[], "event log").await?;
        let mut github = GithubSender::of(system, 41);
        github.events(3).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_shows_dependencies_positions_streams_and_no_secret() -> Result<()> {
    both(async |system| {
        let mut github = GithubSender::of(system, 42);
        github.events(4).await?;
        until("the edge and sync show the events", async || {
            let shown = async |node, role: &str| {
                let seen = health(system, node).await.ok()?;
                seen["details"][role]["logPosition"].as_u64()
            };
            let edge = shown(SystemNode::Edge(0), "edge").await;
            edge >= Some(4) && shown(SystemNode::Sync, "sync").await >= Some(4)
        })
        .await?;
        for (node, role) in [
            (SystemNode::Ingest(0), "ingest"),
            (SystemNode::Sync, "sync"),
            (SystemNode::Edge(0), "edge"),
        ] {
            let seen = health(system, node).await?;
            let roles = seen["roles"].as_array().context("no roles")?;
            ensure!(roles.iter().any(|name| name == role), "{seen}");
            let log = &seen["dependencies"][format!("{role}: event log")];
            ensure!(
                log["state"] == "ok" && log["sinceSeconds"].is_u64(),
                "{seen}"
            );
            ensure!(
                seen["version"].is_string() && seen["uptimeSeconds"].is_u64(),
                "{seen}"
            );
            ensure!(!seen.to_string().contains(system.secret()), "{seen}");
        }
        let edge = health(system, SystemNode::Edge(0)).await?;
        ensure!(edge["details"]["edge"]["openStreams"].is_u64(), "{edge}");
        ensure!(
            edge["dependencies"]["edge: sync"]["state"] == "ok",
            "{edge}"
        );
        Ok(())
    })
    .await
}

/// A page that gives its own name the address of this machine, and a balancer whose probes have one.
#[tokio::test(flavor = "multi_thread")]
async fn an_admin_listener_shows_a_foreign_host_the_status_of_probes_only() -> Result<()> {
    both(async |system| {
        let http = reqwest::Client::new();
        for node in ROLES {
            let admin = system.admin(node)?;
            for (path, status) in [
                ("/livez", 200),
                ("/readyz", 200),
                ("/health", 403),
                ("/metrics", 403),
            ] {
                let foreign = http.get(admin.join(path)?).header("host", "evil.example");
                let answer = foreign.send().await?;
                ensure!(answer.status() == status, "{node} {path}: {answer:?}");
                let text = answer.text().await?;
                let fits = match status {
                    200 => text.is_empty(),
                    _ => text.contains("edge.allowed_hosts"),
                };
                ensure!(fits, "{node} {path}: {text}");
                let own = http.get(admin.join(path)?).header("host", "localhost");
                ensure!(own.send().await?.status() == 200, "{node} {path}");
            }
        }
        Ok(())
    })
    .await
}
